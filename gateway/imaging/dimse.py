"""The DICOM listener: C-ECHO, C-STORE, modality worklist (C-FIND), performed procedure steps (N-CREATE, N-SET).

pynetdicom runs each association in threads of its own; they never touch the event loop but ask it and wait. An object
is written to the disk while it comes in, and acknowledged when file and index are there (PS3.4 §B, §F, §K).
"""

import asyncio
import contextlib
import logging
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gateway.imaging.archive import Archive, Filed, Origin, linked
from terminology.fhirjson import Json
from terminology.issues import FhirError, MalformedMessage, TooLarge, Unavailable

log = logging.getLogger("gateway.imaging")
T = TypeVar("T")

ANSWER_SECONDS = 30.0
PDU_BYTES = 128 * 1024
SMALL_BYTES = 16 * 1024 * 1024
MAX_COMMENT = 64

# Statuses of PS3.4 table B.2-1, PS3.7 annex C.
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
NOT_THIS_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000
OTHER_PATIENT = 0xC002
KEPT_ASIDE = 0xB000
PROCESSING_FAILURE = 0x0110
PENDING, CANCELLED = 0xFF00, 0xFE00
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"


class Desk(Protocol):
    """What of a DIMSE service the event loop answers."""

    async def refused(self, raw: bytes, origin: Origin) -> None: ...
    async def worklist(self, asked: Json, *, caller: str) -> list[Any]: ...
    async def create_step(self, uid: str, record: Json) -> None: ...
    async def set_step(self, uid: str, record: Json) -> None: ...


class Dimse:
    """One listener. `limit`: how many bytes of a refused object are kept in the error queue."""

    def __init__(
        self,
        archive: Callable[[], Archive],
        desk: Desk,
        *,
        title: str,
        associations: int,
        limit: int,
        peers: frozenset[str] = frozenset(),
    ) -> None:
        self._archive, self.desk, self.title = archive, desk, title
        self.associations, self.limit, self.peers = associations, limit, peers
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int | None:
        return int(self._server.server_address[1]) if self._server is not None else None

    @property
    def open(self) -> int:
        """How many associations are open."""
        return len(self._server.active_associations) if self._server is not None else 0

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises OSError when it is taken, Unavailable without pynetdicom."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._start, host, port)
        assert self.port is not None
        return self.port

    async def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await asyncio.to_thread(_shut, server)

    def _start(self, host: str, port: int) -> None:
        try:
            from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
        except ImportError:
            raise Unavailable("HT-DCM-07", package="pynetdicom") from None
        _config.STORE_RECV_CHUNKED_DATASET = True
        # Devices have classes of their own; what they keep in them is theirs, and not ours to refuse.
        _config.UNRESTRICTED_STORAGE_SERVICE = True
        _receive_into(self._archive().inbox)
        server = AE(ae_title=self.title)
        server.maximum_associations = self.associations
        server.maximum_pdu_size = PDU_BYTES
        server.acse_timeout = server.dimse_timeout = 60
        server.network_timeout = 300
        server.require_calling_aet = sorted(self.peers)
        for context in AllStoragePresentationContexts:
            server.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"):
            server.add_supported_context(uid, [EXPLICIT, IMPLICIT])
        handlers: Any = [
            (evt.EVT_CONN_OPEN, promptly),
            (evt.EVT_DATA_RECV, self._received),
            (evt.EVT_CONN_CLOSE, _forget),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_N_CREATE, self._create),
            (evt.EVT_N_SET, self._set),
        ]
        self._server = server.start_server((host, port), block=False, evt_handlers=handlers)

    def _ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the event loop do something and wait for it; in the thread of an association."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(ANSWER_SECONDS)

    def _received(self, event: Any) -> None:
        """Acknowledge, and break off an object that outgrows its limit or the disk: the disk is not the sender's to fill."""
        _acknowledge(event)
        message = _receiving(event)
        if message is None or message._data_set_file.closed:
            return
        archive = self._archive()
        size = message._data_set_file.tell()
        try:
            if size > archive.limit:
                raise TooLarge("HT-DCM-06", what="bytes", limit=archive.limit)
            if size > SMALL_BYTES:
                # A smaller one still finds room, and gets its status.
                archive.require_space()
        except (TooLarge, Unavailable) as error:
            log.warning(
                "DICOM association aborted",
                extra={"peer": _peer(event), "detail": error.issues[0].text("en")},
            )
            # Aborting waits for the thread that we are in.
            threading.Thread(target=event.assoc.abort, daemon=True).start()

    # C-STORE

    def _store(self, event: Any) -> Any:
        path = Path(event.dataset_path)
        # Written in pieces by the library, and complete; only its last piece may still be in memory.
        event.request._dataset_file.flush()
        origin = Origin("dimse", _peer(event))
        kept = self._archive().new_path()
        try:
            # A name of our own for the same file: the library removes its one.
            linked(path, kept)
            filed = self._archive().file(kept, origin)
        except Unavailable as error:
            return _status(OUT_OF_RESOURCES, error)
        except (MalformedMessage, TooLarge) as error:
            self._keep_refused(path, origin)
            is_uid = error.issues[0].code == "HT-DCM-02"
            return _status(NOT_THIS_CLASS if is_uid else CANNOT_UNDERSTAND, error)
        except OSError as error:
            log.error("an object could not be stored", exc_info=error)
            return _comment(OUT_OF_RESOURCES, "HT-DCM-20")
        return _stored(filed)

    def _keep_refused(self, path: Path, origin: Origin) -> None:
        """The bytes go to the error queue: what the sender deletes after a failure must not be gone."""
        try:
            with path.open("rb") as file:
                raw = file.read(self.limit)
            self._ask(self.desk.refused(raw, origin))
        except Exception as problem:
            log.error("a refused object could not be kept", exc_info=problem)

    # Modality worklist

    def _find(self, event: Any) -> Iterator[tuple[int, Any]]:
        from gateway.imaging.datasets import to_dataset, to_keywords

        caller = _title(event)
        try:
            asked = to_keywords(event.request.Identifier, event.context.transfer_syntax)
            found = self._ask(self.desk.worklist(asked, caller=caller))
        except Exception as error:
            # The library answers an exception with a bare status; the reason belongs into our log.
            log.error("a worklist could not be answered", exc_info=error, extra={"peer": caller})
            yield CANNOT_UNDERSTAND, None
            return
        for row in found:
            if event.is_cancelled:
                yield CANCELLED, None
                return
            yield PENDING, to_dataset(row)

    # Performed procedure steps

    def _create(self, event: Any) -> tuple[Any, Any]:
        return self._step(
            event,
            str(event.request.AffectedSOPInstanceUID or ""),
            event.request.AttributeList,
            self.desk.create_step,
        )

    def _set(self, event: Any) -> tuple[Any, Any]:
        return self._step(
            event,
            str(event.request.RequestedSOPInstanceUID or ""),
            event.request.ModificationList,
            self.desk.set_step,
        )

    def _step(
        self, event: Any, uid: str, stream: Any, write: Callable[[str, Json], Coroutine[Any, Any, None]]
    ) -> tuple[Any, Any]:
        from gateway.imaging.datasets import to_dataset, to_keywords
        from gateway.imaging.steps import StepRefused

        try:
            record = to_keywords(stream, event.context.transfer_syntax)
            record.setdefault("PerformedStationAETitle", _title(event))
            self._ask(write(uid, record))
        except StepRefused as refused:
            return _comment(refused.status, refused.comment), None
        except FhirError as error:
            return _status(PROCESSING_FAILURE, error), None
        except Exception as error:
            log.error("a performed step could not be written", exc_info=error)
            return _comment(PROCESSING_FAILURE, "HT-REST-99"), None
        return SUCCESS, to_dataset({})


def _stored(filed: Filed) -> Any:
    if filed.outcome == "conflict":
        return _comment(KEPT_ASIDE, "HT-DCM-26 UID known with other content: kept aside")
    if filed.outcome == "other-patient":
        return _comment(OTHER_PATIENT, "HT-DCM-21 study is of another patient: kept aside")
    return SUCCESS


def _status(status: int, error: FhirError) -> Any:
    issue = error.issues[0]
    log.warning("DICOM refused", extra={"code": issue.code, "detail": issue.text("en")})
    return _comment(status, f"{issue.code} {issue.text('en')}")


def _comment(status: int, text: str) -> Any:
    """Return a status with its reason: ErrorComment holds 64 characters of ASCII (PS3.7 §C)."""
    from pydicom.dataset import Dataset

    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = text.encode("ascii", "replace").decode()[:MAX_COMMENT].replace("\\", "/")
    return answer


def promptly(event: Any) -> None:
    """Send small answers at once: a C-STORE is a small command and a small answer, and TCP would wait 40 ms with each."""
    link = getattr(event.assoc.dul.socket, "socket", None)
    if link is not None:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _receiving(event: Any) -> Any:
    """Return the message that an association is in the middle of, None between messages."""
    message = getattr(event.assoc.dimse, "message", None)
    return message if getattr(message, "_data_set_file", None) is not None else None


def _forget(event: Any) -> None:
    """What was half received when the connection ended was never acknowledged; it is sent again."""
    message = _receiving(event)
    if message is not None:
        message._data_set_file.close()
        Path(message._data_set_file.name).unlink(missing_ok=True)


def _acknowledge(event: Any) -> None:
    """Acknowledge what came at once: a device holds the data set back until TCP has acknowledged the command."""
    link = getattr(event.assoc.dul.socket, "socket", None)
    if link is not None and hasattr(socket, "TCP_QUICKACK"):
        with contextlib.suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _title(event: Any) -> str:
    return str(event.assoc.requestor.ae_title or "").strip()


def _peer(event: Any) -> str:
    return f"{_title(event)}@{event.assoc.requestor.address}"


def _shut(server: Any) -> None:
    for association in server.active_associations:
        association.abort()
    server.shutdown()


def _receive_into(folder: Path) -> None:
    """Have objects arrive where they can stay: the library writes them to the temporary folder, often in memory."""
    from pynetdicom import dimse_messages

    def temporary(**named: Any) -> Any:
        return tempfile.NamedTemporaryFile(dir=folder, **named)  # the library closes it

    vars(dimse_messages)["NamedTemporaryFile"] = temporary
