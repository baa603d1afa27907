"""C-STORE to another archive, and C-ECHO (PS3.4 §B.3): files are sent as they lie, never decoded."""

import socket
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.imaging.destinations import Destination
from gateway.imaging.dimse import promptly
from gateway.imaging.forward import SECONDS, Outcome, Row
from terminology.issues import Unavailable

MOST_CONTEXTS = 120
CONNECT_SECONDS = 10.0
OUT_OF_RESOURCES = 0xA700


def send(destination: Destination, rows: Sequence[Row], *, title: str) -> Iterator[Outcome]:
    """Yield what became of each object, over one association; the first that must wait ends it."""
    pairs = list(dict.fromkeys((row.sop_class, row.syntax) for row in rows))[:MOST_CONTEXTS]
    ae, association = _associate(destination, pairs, title)
    if association is None:
        yield Outcome(
            "retry", f"no association with {destination.title}@{destination.host}:{destination.port}"
        )
        return
    try:
        for row in rows:
            yield _send_one(association, row)
    finally:
        if association.is_established:
            association.release()
        ae.shutdown()


def _send_one(association: Any, row: Row) -> Outcome:
    if not row.path.is_file():
        return Outcome("parked", "the object is no longer in the folder")
    try:
        answer = association.send_c_store(row.path)
    except ValueError as error:
        # The archive took no presentation context for this class and transfer syntax.
        return Outcome("parked", str(error))
    except (RuntimeError, OSError, AttributeError) as error:
        return Outcome("retry", str(error))
    status = getattr(answer, "Status", None)
    if status is None:
        return Outcome("retry", "the association broke off")
    if status == 0 or status & 0xF000 == 0xB000:
        return Outcome("sent")
    problem = f"status {status:04X} {getattr(answer, 'ErrorComment', '')}".strip()
    # Out of resources passes; everything else is about this object.
    return Outcome("retry" if status & 0xFF00 == OUT_OF_RESOURCES else "parked", problem)


def echo(host: str, port: int, *, called: str, title: str) -> bool:
    """Return whether a DICOM node answers C-ECHO."""
    target = Destination("echo", "dicom", "", called, host, port)
    ae, association = _associate(target, [("1.2.840.10008.1.1", "1.2.840.10008.1.2")], title)
    if association is None:
        return False
    try:
        answer = association.send_c_echo()
        return getattr(answer, "Status", None) == 0
    finally:
        association.release()
        ae.shutdown()


def _associate(destination: Destination, pairs: Sequence[tuple[str, str]], title: str) -> tuple[Any, Any]:
    try:
        from pynetdicom import AE, _config, evt
    except ImportError:
        raise Unavailable("HT-DCM-07", package="pynetdicom") from None
    try:
        # The library would tell the log of every attempt; a queue that waits makes many.
        socket.create_connection((destination.host, destination.port), CONNECT_SECONDS).close()
    except OSError:
        return None, None
    _config.STORE_SEND_CHUNKED_DATASET = True
    ae = AE(ae_title=title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = SECONDS
    ae.connection_timeout = CONNECT_SECONDS
    for sop_class, syntax in pairs:
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(
        destination.host,
        destination.port,
        ae_title=destination.title,
        evt_handlers=[(evt.EVT_CONN_OPEN, promptly)],
    )
    return ae, association if association.is_established else None
