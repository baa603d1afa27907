"""STOW-RS: objects are taken from the stream to the disk, one after the other, and answered for each (PS3.18 §10.5)."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.dicomweb.accept import DICOM, accepts_json, read_accept
from gateway.dicomweb.multipart import Parts, boundary_of
from gateway.dicomweb.response import Answer, json_answer
from gateway.imaging.archive import Filed, Origin, linked, mapped, no_space
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, NotAcceptable, TooLarge, Unavailable, UnsupportedMedia

if TYPE_CHECKING:
    from gateway.imaging.imaging import Imaging

# Failure reasons of PS3.3 §C.14 and PS3.18 §I.2.2.
OUT_OF_RESOURCES, CANNOT_UNDERSTAND, NOT_THIS_STUDY, KEPT_ASIDE, OTHER_PATIENT = (
    0xA700,
    0xC000,
    0xA900,
    0x0111,
    0xC122,
)


async def store(imaging: "Imaging", request: Request, receive: Any, study: str | None, peer: str) -> Answer:
    """Store the objects of a request; `study`: all must be of this one."""
    if not accepts_json(read_accept(request.headers.get("accept", ""), request.param("accept"))):
        raise NotAcceptable("HT-DCM-41", value=request.headers.get("accept", "")[:80])
    kind = request.headers.get("content-type", "")
    origin = Origin("stow", peer)
    results: list[Json] = []
    imaging.begin()
    if kind.lower().startswith(DICOM) and not kind.lower().startswith("application/dicom+"):
        # One object as the body itself: not of the standard, and what a person with curl does.
        results.append(await _take(imaging, _whole(receive, imaging.settings.dicom_max_bytes), origin, study))
    else:
        _check(kind)
        async for headers, body in Parts(receive, boundary_of(kind), limit=imaging.settings.dicom_max_bytes):
            part = headers.get("content-type", DICOM).split(";")[0].strip().lower()
            if part != DICOM:
                raise UnsupportedMedia("HT-DCM-42", value=part[:80])
            results.append(await _take(imaging, body, origin, study))
    if not results:
        raise InvalidInput("HT-DCM-40", detail="it has no part")
    return _answer(results, request)


def _check(kind: str) -> None:
    lower = kind.lower()
    if not lower.startswith("multipart/related"):
        raise UnsupportedMedia("HT-DCM-42", value=kind[:80] or "-")
    inner = lower.partition("type=")[2].strip('"; ')
    if ("type=" in lower and not inner.startswith(DICOM)) or inner.startswith("application/dicom+"):
        raise UnsupportedMedia("HT-DCM-42", value=kind[:80])


async def _whole(receive: Any, limit: int) -> Any:
    size, has_more = 0, True
    while has_more:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge("HT-DCM-06", what="bytes", limit=limit)
        has_more = bool(message.get("more_body"))
        if message.get("type") == "http.disconnect":
            raise InvalidInput("HT-DCM-40", detail="the connection broke off")
        yield chunk


async def _take(imaging: "Imaging", body: Any, origin: Origin, study: str | None) -> Json:
    """Write one part to the disk and file it; returns its row of the store response, `_status` 0 for stored."""
    archive = await asyncio.to_thread(lambda: imaging.archive)
    path, given = archive.new_path(), archive.new_path()
    try:
        try:
            archive.require_space()
            with path.open("wb") as file:
                async for chunk in body:
                    file.write(chunk)
        except OSError as error:
            raise no_space(error) from None
        if study is not None:
            mismatch = await asyncio.to_thread(_other_study, path, study)
            if mismatch is not None:
                return mismatch
        # A second name for the same file: the folder takes one, the other is there when it is refused.
        await asyncio.to_thread(linked, path, given)
        filed = await asyncio.to_thread(archive.file, given, origin)
    except Unavailable as error:
        async for _ in body:
            # The next part begins behind this one.
            pass
        return _failed(OUT_OF_RESOURCES, error)
    except TooLarge as error:
        if error.issues[0].values.get("what") == "bytes":
            raise
        return _failed(CANNOT_UNDERSTAND, error)
    except FhirError as error:
        await imaging.refused(
            await asyncio.to_thread(_head, path, imaging.settings.message_max_bytes), origin
        )
        return _failed(CANNOT_UNDERSTAND if error.issues[0].code != "HT-DCM-02" else NOT_THIS_STUDY, error)
    finally:
        path.unlink(missing_ok=True)
    return _row(filed)


def _head(path: Path, limit: int) -> bytes:
    """Return what goes to the error queue when an object is refused: all of it, of a large one the beginning."""
    with path.open("rb") as file:
        return file.read(limit)


def _other_study(path: Path, study: str) -> Json | None:
    """PS3.18 §10.5.3: an object of another study than the one of the address is not stored."""
    from terminology.issues import BusinessRule

    try:
        with mapped(path) as instance:
            if instance.study != study:
                error = BusinessRule("HT-DCM-43", study=study, found=instance.study or "-")
                return {"_class": instance.sop_class, "_uid": instance.uid, **_failed(NOT_THIS_STUDY, error)}
    except FhirError:
        return None
    return None


def _row(filed: Filed) -> Json:
    row: Json = {
        "_class": filed.sop_class,
        "_uid": filed.uid,
        "_study": filed.study,
        "_series": filed.series,
        "_status": 0,
    }
    if filed.outcome == "conflict":
        return {**row, **_failed(KEPT_ASIDE, FhirError("HT-DCM-26", uid=filed.uid))}
    if filed.outcome == "other-patient":
        return {**row, **_failed(OTHER_PATIENT, FhirError("HT-DCM-21", study=filed.study, uid=filed.uid))}
    return row


def _failed(status: int, error: FhirError) -> Json:
    return {"_status": status, "_error": error}


def _answer(results: list[Json], request: Request) -> Answer:
    """The store response: 200 all, 202 some, 409 none (PS3.18 table 10.5.3-1)."""
    root = request.base
    stored = [row for row in results if row["_status"] == 0]
    failed = [row for row in results if row["_status"]]
    body: Json = {}
    studies = {row["_study"] for row in stored}
    if len(studies) == 1:
        body["00081190"] = {"vr": "UR", "Value": [f"{root}/studies/{studies.pop()}"]}
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": [_failed_item(row, request) for row in failed]}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": [_stored_item(row, root) for row in stored]}
    is_full = bool(failed) and all(row["_status"] == OUT_OF_RESOURCES for row in failed)
    status = 200 if not failed else 202 if stored else 503 if is_full else 409
    return json_answer(body, status=status)


def _stored_item(row: Json, root: str) -> Json:
    url = f"{root}/studies/{row['_study']}/series/{row['_series']}/instances/{row['_uid']}"
    return {**_names(row), "00081190": {"vr": "UR", "Value": [url]}}


def _failed_item(row: Json, request: Request) -> Json:
    """The reason in numbers for machines, and in both languages for people, the caller's first."""
    error: FhirError = row["_error"]
    issue = error.issues[0]
    first, second = ("zh", "en") if request.language == "zh" else ("en", "zh")
    texts = [f"{issue.code} {issue.text(first)}", issue.text(second)]  # type: ignore[arg-type]  # the two languages
    return {
        **_names(row),
        "00081197": {"vr": "US", "Value": [row["_status"]]},
        "0040A160": {"vr": "UT", "Value": [" / ".join(texts)]},
    }


def _names(row: Json) -> Json:
    pairs = (("00081150", row.get("_class")), ("00081155", row.get("_uid")))
    return {tag: {"vr": "UI", "Value": [value]} for tag, value in pairs if value}
