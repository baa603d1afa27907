"""WADO-RS: instances as they are stored, their metadata, frames and long values (PS3.18 §10.4), streamed from the files."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.dicomweb.accept import DICOM, MULTIPART, OCTETS, Range, accepts_json, read_accept
from gateway.dicomweb.frames import frame_spans
from gateway.dicomweb.response import Answer
from gateway.imaging.archive import Archive, mapped
from gateway.rest.request import Request
from mappings.dicom.elements import Span
from mappings.dicom.syntax import EXPLICIT_LITTLE, FRAME_TYPES, is_native
from mappings.dicom.tree import find, to_json
from terminology.fhirjson import encode
from terminology.issues import FhirError, InvalidInput, NotAcceptable, NotFound

CHUNK = 256 * 1024
MOST_FRAMES = 1_000
DEPTH = 40


@dataclass(frozen=True, slots=True)
class Item:
    """One stored object."""

    uid: str
    study: str
    series: str
    path: Path
    syntax: str
    sop_class: str


def items(archive: Archive, study: str, series: str | None = None, instance: str | None = None) -> list[Item]:
    """Return the objects of an address in their order; raises NotFound (HT-DCM-23, HT-DCM-46)."""
    where, values = "i.study = ?", [study]
    for column, value in (("i.series", series), ("i.uid", instance)):
        if value is not None:
            where += f" and {column} = ?"
            values.append(value)
    rows = archive.rows(
        f"""select i.uid, i.study, i.series, i.path, i.syntax, i.sop_class from instance i join series r on r.uid = i.series
          where {where} order by cast(r.number as integer), r.uid, cast(i.number as integer), i.uid""",
        values,
    )
    if not rows:
        if series is None and instance is None:
            raise NotFound("HT-DCM-23", study=study[:64])
        raise NotFound("HT-DCM-46", uid=(instance or series or "")[:64])
    return [
        Item(uid, own, of, archive.folder / path, syntax, kind) for uid, own, of, path, syntax, kind in rows
    ]


async def instances(request: Request, found: Sequence[Item]) -> Answer:
    """Return whole objects: multipart/related of application/dicom, or one object as it is."""
    ranges = read_accept(request.headers.get("accept", ""), request.param("accept"))
    for row in ranges:
        if row.takes_parts(DICOM):
            kept = [item for item in found if _is_given(item, row)]
            if not kept:
                continue
            boundary = secrets.token_hex(16)
            kind = f'{MULTIPART}; type="{DICOM}"; boundary={boundary}'
            status = 200 if len(kept) == len(found) else 206
            return Answer(status, _multipart(kept, boundary, row), {"Content-Type": kind})
        if len(found) == 1 and row.takes(DICOM) and _is_given(found[0], row):
            item = found[0]
            kind = f"{DICOM}; transfer-syntax={EXPLICIT_LITTLE if _is_recoded(item, row) else item.syntax}"
            return Answer(200, _pieces(item, row), {"Content-Type": kind})
    raise _not_acceptable(request)


def _is_given(item: Item, row: Range) -> bool:
    """Whether an object can be given in the transfer syntax of a range: its own, or explicit little endian when it is not compressed."""
    return row.syntax in ("", "*", item.syntax) or (row.syntax == EXPLICIT_LITTLE and is_native(item.syntax))


def _is_recoded(item: Item, row: Range) -> bool:
    return row.syntax not in ("", "*", item.syntax)


async def _multipart(found: Sequence[Item], boundary: str, row: Range) -> AsyncIterator[bytes]:
    for item in found:
        syntax = EXPLICIT_LITTLE if _is_recoded(item, row) else item.syntax
        yield f"--{boundary}\r\nContent-Type: {DICOM}; transfer-syntax={syntax}\r\n\r\n".encode()
        async for chunk in _pieces(item, row):
            yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


async def _pieces(item: Item, row: Range) -> AsyncIterator[bytes]:
    if _is_recoded(item, row):
        yield await asyncio.to_thread(_recoded, item.path)
        return
    async for chunk in _file(item.path):
        yield chunk


async def _file(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:  # reading happens in a thread
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def _recoded(path: Path) -> bytes:
    """Return an uncompressed object in explicit little endian."""
    from io import BytesIO

    from pydicom import dcmread
    from pydicom.uid import UID

    dataset = dcmread(path)
    dataset.decode()
    dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    out = BytesIO()
    dataset.save_as(out, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return out.getvalue()


async def metadata(request: Request, found: Sequence[Item]) -> Answer:
    """Return the attributes of every object as a JSON array, long values by address."""
    if not accepts_json(read_accept(request.headers.get("accept", ""), request.param("accept"))):
        raise _not_acceptable(request)
    root = request.base

    async def rows() -> AsyncIterator[bytes]:
        separator = b"["
        for item in found:
            row = await asyncio.to_thread(_metadata, item, root)
            if row is not None:
                yield separator + row
                separator = b","
        yield b"]" if separator == b"," else b"[]"

    return Answer(200, rows(), {"Content-Type": "application/dicom+json"})


def _metadata(item: Item, root: str) -> bytes | None:
    bulk = f"{root}/studies/{item.study}/series/{item.series}/instances/{item.uid}/bulkdata"
    try:
        with mapped(item.path) as instance:
            found = to_json(
                instance.elements,
                instance.charset,
                is_little=instance.encoding.is_little,
                bulk=bulk,
                inline=False,
            )
    except (FhirError, OSError):
        # A file that somebody removed or damaged leaves the others readable.
        return None
    found["00083002"] = {"vr": "UI", "Value": [item.syntax]}
    return encode(dict(sorted(found.items())))


async def bulkdata(request: Request, item: Item, path: Sequence[str]) -> Answer:
    """Return one long value: `7FE00010`, or of a sequence `54000100/0/54001010`."""
    if len(path) > DEPTH or not path:
        raise NotFound("HT-DCM-46", uid="/".join(path)[:64])
    offset, length = await asyncio.to_thread(_locate, item, path)
    ranges = read_accept(request.headers.get("accept", ""), request.param("accept"))
    body = _slices(item.path, [(offset, length)])
    for row in ranges:
        if row.takes(OCTETS):
            return Answer(200, body, {"Content-Type": OCTETS})
        if row.takes_parts(OCTETS):
            return _parts_answer([body], OCTETS, "", [str(request.path)])
    raise _not_acceptable(request)


def _locate(item: Item, path: Sequence[str]) -> tuple[int, int]:
    """Return where a value stands in the file; raises NotFound when there is none."""
    missing = NotFound("HT-DCM-46", uid="/".join(path)[:64])
    with mapped(item.path) as instance:
        if instance.encoding.is_deflated:
            raise missing
        elements: Any = instance.elements
        for place, part in enumerate(path):
            if place % 2:
                if not isinstance(elements, list) or not part.isdigit() or int(part) >= len(elements):
                    raise missing
                elements = elements[int(part)]
                continue
            try:
                element = find(elements, int(part, 16))
            except ValueError:
                raise missing from None
            if element is None:
                raise missing
            if place == len(path) - 1:
                if isinstance(element.value, Span):
                    return element.value.offset, element.value.length
                if isinstance(element.value, bytes):
                    # A short value stands in the file as well; it is found by its bytes.
                    at = instance.buffer.find(element.value, instance.start)
                    return at, len(element.value)
                raise missing
            elements = element.value
    raise missing


async def frames(request: Request, item: Item, numbers: Sequence[int]) -> Answer:
    """Return frames as they are stored: raw samples, or each one's compressed bytes."""
    spans, rows = await asyncio.to_thread(_frames, item, numbers)
    ranges = read_accept(request.headers.get("accept", ""), request.param("accept"))
    kind = OCTETS if is_native(item.syntax) else FRAME_TYPES.get(item.syntax, "")
    for row in ranges:
        if (
            kind
            and row.takes_parts(kind)
            and row.syntax in ("", "*", item.syntax, *([EXPLICIT_LITTLE] if rows else []))
        ):
            return _parts_answer([_slices(item.path, part) for part in spans], kind, item.syntax, [])
        if kind and len(spans) == 1 and row.takes(kind) and row.type != "*/*":
            return Answer(200, _slices(item.path, spans[0]), {"Content-Type": kind})
        if row.takes_parts(OCTETS) or (len(spans) == 1 and row.takes(OCTETS)):
            # Compressed, and the client wants samples.
            from gateway.dicomweb.render import samples

            bodies = [await asyncio.to_thread(samples, item.path, number) for number in numbers]
            if not row.takes_parts(OCTETS):
                return Answer(200, bodies[0], {"Content-Type": OCTETS})
            return _parts_answer([_one(body) for body in bodies], OCTETS, EXPLICIT_LITTLE, [])
    raise _not_acceptable(request)


def _frames(item: Item, numbers: Sequence[int]) -> tuple[list[list[tuple[int, int]]], bool]:
    with mapped(item.path) as instance:
        spans = frame_spans(instance)
        if any(number > len(spans) for number in numbers):
            raise NotFound("HT-DCM-47", frames=len(spans))
        return [spans[number - 1] for number in numbers], is_native(item.syntax)


def read_frames(text: str) -> list[int]:
    """Return the frame numbers of an address: "1,2,5"; raises InvalidInput (HT-DCM-44)."""
    parts = text.replace("%2C", ",").split(",")
    if len(parts) > MOST_FRAMES or not all(
        part.isascii() and part.isdigit() and 0 < len(part) < 8 and int(part) > 0 for part in parts
    ):
        raise InvalidInput("HT-DCM-44", name="frames", value=text[:60])
    return [int(part) for part in parts]


async def _slices(path: Path, spans: Sequence[tuple[int, int]]) -> AsyncIterator[bytes]:
    with path.open("rb") as file:  # reading happens in a thread
        for offset, length in spans:
            await asyncio.to_thread(file.seek, offset)
            left = length
            while left > 0 and (chunk := await asyncio.to_thread(file.read, min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


def _parts_answer(
    bodies: Sequence[AsyncIterator[bytes]], kind: str, syntax: str, places: Sequence[str]
) -> Answer:
    boundary = secrets.token_hex(16)

    async def rows() -> AsyncIterator[bytes]:
        for number, body in enumerate(bodies):
            said = f"{kind}; transfer-syntax={syntax}" if syntax else kind
            place = f"Content-Location: {places[number]}\r\n" if places else ""
            yield f"--{boundary}\r\nContent-Type: {said}\r\n{place}\r\n".encode()
            async for chunk in body:
                yield chunk
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return Answer(200, rows(), {"Content-Type": f'{MULTIPART}; type="{kind}"; boundary={boundary}'})


def pictures_answer(pictures: AsyncIterator[tuple[str, bytes]], kind: str) -> Answer:
    """Return pictures, each with its address, as they are drawn."""
    boundary = secrets.token_hex(16)

    async def rows() -> AsyncIterator[bytes]:
        async for place, picture in pictures:
            yield f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Location: {place}\r\n\r\n".encode()
            yield picture + b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    return Answer(200, rows(), {"Content-Type": f'{MULTIPART}; type="{kind}"; boundary={boundary}'})


def _not_acceptable(request: Request) -> NotAcceptable:
    return NotAcceptable(
        "HT-DCM-41", value=(request.param("accept") or request.headers.get("accept", ""))[:80]
    )
