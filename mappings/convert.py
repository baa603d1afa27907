"""Bytes in any format that has a reader → results: the preview behind `POST /fhir/$convert` and `hutong map run`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mappings.ecg.formats import format_of as is_ecg
from mappings.hl7v2 import parse
from mappings.hl7v2.batch import is_batch, split
from mappings.hl7v2.charset import decode as decode_text
from mappings.language.active import ActiveMaps
from mappings.language.compile import Map
from mappings.language.result import Result
from mappings.language.sources.rows import RowSource
from mappings.rows import charset_issues, read_rows, read_sheets
from mappings.xlsx import is_workbook
from terminology.fhirjson import Json
from terminology.issues import UnmappableMessage


@dataclass(frozen=True, slots=True)
class Preview:
    """What a preview asks of a reader. `map`: the one that was named, else the reader finds it; `format` as asked.

    `waveform`: an ECG's Observation holds its samples.
    """

    maps: ActiveMaps
    format: str
    map: Map | None
    explain: bool
    limit: int
    waveform: bool = False


# A preview shows the first rows of a sheet; one that is much larger is refused before it is read to its end.
MOST_PREVIEWED = 20_000

Read = Callable[[bytes, Preview], Iterator[Result]]


def convert(
    body: bytes,
    maps: ActiveMaps,
    *,
    adapter: str = "",
    explain: bool = False,
    limit: int = 1000,
    waveform: bool = False,
) -> Iterator[Result]:
    """Yield a Result for each message or row of `body`, at most `limit`.

    `adapter`: a format (`READERS`), the name of a map, or "" to look at the bytes. Raises MalformedMessage when the
    bytes aren't of that format, UnmappableMessage when no map takes them. `waveform`: an ECG's Observation holds its
    samples.
    """
    map = maps.get(adapter) if adapter and adapter not in READERS else None
    format = map.format if map is not None else adapter or guess_format(body)
    yield from READERS[format](body, Preview(maps, format, map, explain, limit, waveform))


def _messages(body: bytes, asked: Preview) -> Iterator[Result]:
    maps = asked.maps
    for raw in split(body, limit=asked.limit).messages if is_batch(body) else (body,):
        message = parse(raw, fallback=maps.sender.fallback_charset)
        if asked.map is not None:
            yield asked.map.convert(message, maps.sender, maps.translator, explain=asked.explain)
        else:
            yield maps.run(message, explain=asked.explain)


def _records(body: bytes, asked: Preview) -> Iterator[Result]:
    from mappings.astm import parse as parse_astm

    maps = asked.maps
    for message in parse_astm(body, fallback=maps.sender.fallback_charset)[: asked.limit]:
        if asked.map is not None:
            yield asked.map.convert(message, maps.sender, maps.translator, explain=asked.explain)
        else:
            yield maps.run(message, explain=asked.explain)


def _rows(body: bytes, asked: Preview) -> Iterator[Result]:
    maps = asked.maps
    most = max(asked.limit, MOST_PREVIEWED)
    for sheet in read_sheets(body, most=most) if asked.format == "table" else [read_rows(body, most=most)]:
        map, is_folded = choose_map(maps, asked.format, sheet.columns, asked.map)
        for number, row in enumerate(sheet.rows[: asked.limit]):
            result = map.convert(
                folded(row) if is_folded else row, maps.sender, maps.translator, explain=asked.explain
            )
            result.codec, result.is_guessed = sheet.codec, sheet.is_guessed
            own = [sheet.problems[number]] if number in sheet.problems else []
            result.issues = [*sheet.issues, *own, *result.issues]
            yield result


def _json(body: bytes, asked: Preview) -> Iterator[Result]:
    """A vendor's body, its envelope taken off; objects line by line are rows."""
    import msgspec

    from mappings.json_bodies import read_body
    from terminology.fhirjson import decode as decode_json

    maps, text = asked.maps, decode_text(body)
    try:
        tree = decode_json(text.text.lstrip("\ufeff \t\r\n"))
    except (msgspec.DecodeError, RecursionError):
        yield from _rows(body, asked)
        return
    found = read_body(tree, maps, name=asked.map.name if asked.map is not None else "")
    for item in found.items[: asked.limit]:
        result = found.map.convert(item, maps.sender, maps.translator, explain=asked.explain)
        result.codec, result.is_guessed = text.codec, text.is_guessed
        result.issues = [*charset_issues(text), *result.issues]
        yield result


def _xml(body: bytes, asked: Preview) -> Iterator[Result]:
    from mappings.hl7v3.convert import convert_interaction
    from mappings.hl7v3.envelope import read_interaction

    maps = asked.maps
    found = read_interaction(body, fallback=maps.sender.fallback_charset)
    if found.root.name == "ClinicalDocument" and asked.map is None:
        from mappings.cda.receive import received

        yield received(found.message).convert(maps, explain=asked.explain)
        return
    name = asked.map.name if asked.map is not None else ""
    yield convert_interaction(found, maps, name=name, explain=asked.explain)


def _dicom(body: bytes, asked: Preview) -> Iterator[Result]:
    """One file; nothing else of its study is known."""
    from mappings.dicom import read_instance
    from mappings.dicom.read import require_uids
    from mappings.dicom.study import alone
    from mappings.ecg.dicom import is_electrocardiogram, with_electrocardiogram

    instance = read_instance(body)
    require_uids(instance)
    named = asked.map.name if asked.map is not None else None
    result = asked.maps.run_dicom(instance, alone(instance), named=named, explain=asked.explain)
    if is_electrocardiogram(instance):
        result = with_electrocardiogram(
            result, body, asked.maps, waveform=asked.waveform, explain=asked.explain
        )
    yield result


def _ecg(body: bytes, asked: Preview) -> Iterator[Result]:
    from mappings.ecg.convert import convert_ecg, examine

    examined = examine(body, adapter=asked.format)
    name = asked.map.name if asked.map is not None else ""
    yield convert_ecg(examined, asked.maps, map=name, waveform=asked.waveform, explain=asked.explain)


READERS: dict[str, Read] = {
    "hl7v2": _messages,
    "astm": _records,
    "hl7v3": _xml,
    "rhin": _xml,
    "cda": _xml,
    "xml": _xml,
    "json": _json,
    "table": _rows,
    "dicom": _dicom,
    "ecg": _ecg,
    "aecg": _ecg,
    "scp": _ecg,
}
"""The formats by the name of `?adapter=`; also the kinds of `POST /messages/{kind}`."""
FORMATS = tuple(READERS)

# A frame that begins with a header record, or the header record itself: `H|\\^&`.
_ASTM_HEADER = re.compile(rb"(?:^|\x02[0-7])[\x05\r\n]*H[^\w\s]{4}")


def guess_format(body: bytes) -> str:
    """Return the format that the first bytes speak for; a sheet when nothing else does."""
    if body[128:132] == b"DICM":
        return "dicom"
    if is_ecg(body):
        return "ecg"
    start = body[:64].lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    if start[:3] in (b"MSH", b"FHS", b"BHS") or b"M\x00S\x00H" in start:
        return "hl7v2"
    if _ASTM_HEADER.search(body[:64]):
        return "astm"
    if start[:1] == b"<" or start[:4] in (b"\xff\xfe<\x00", b"\xfe\xff\x00<"):
        return "xml"
    if is_workbook(body):
        return "table"
    return "json" if start[:1] in (b"{", b"[") else "table"


# What stands before the root element of XML, and the name of that element.
_PROLOGUE = re.compile(rb"<!--.*?-->|<\?.*?\?>|<![^>\[]*>", re.DOTALL)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([\w.-]+)")
MOST_PROLOGUE = 16_384


def guess_kind(body: bytes) -> str:
    """Return the kind of message (`POST /messages/{kind}`): the format, and of XML what its root element speaks for."""
    format = guess_format(body)
    if format != "xml":
        return format
    from mappings.hl7v3.actions import hospital, region

    start = body[:MOST_PROLOGUE]
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        start = start.decode("utf-16", "ignore").encode()
    root = _ROOT.search(_PROLOGUE.sub(b"", start))
    name = root[1].decode("ascii", "ignore") if root else ""
    if name == "ClinicalDocument":
        return "cda"
    if name == "Envelope" or name in hospital().by_root:
        return "hl7v3"
    return "rhin" if name in region().by_root else "xml"


def choose_map(
    maps: ActiveMaps, format: str, columns: tuple[str, ...], named: Map | None = None
) -> tuple[Map, bool]:
    """Return the map of rows with these columns, and whether their names must be folded to small letters for it.

    SQL names know no case: `SFZH` of an Oracle view is the `sfzh` of a map. Raises UnmappableMessage when no map reads
    at least three of the columns.
    """
    small = tuple(folded_name(name) for name in columns)
    if named is not None:
        return named, small != columns and _known(named, small) > _known(named, columns)
    try:
        return find_by_columns(maps, format, columns), False
    except UnmappableMessage:
        if small == columns:
            raise
        try:
            return find_by_columns(maps, format, small), True
        except UnmappableMessage:
            pass
        raise


def folded(row: Json) -> Json:
    """Return the row with ASCII names in small letters; of two names that become one, the filled one counts."""
    return {folded_name(name): value for name, value in row.items()}


def folded_name(name: str) -> str:
    return name.lower() if name.isascii() else name


def _known(map: Map, columns: tuple[str, ...]) -> int:
    source = map.source
    return (
        len(set(columns) & {path[0] for path in source.reads if path}) if isinstance(source, RowSource) else 0
    )


def find_by_columns(maps: ActiveMaps, format: str, columns: tuple[str, ...]) -> Map:
    """Return the map that reads most of the columns; raises UnmappableMessage when none reads at least three.

    A row is a row: a sheet's map also takes the same row as a JSON object.
    """
    given = set(columns)
    best: tuple[tuple[int, int], Map] | None = None
    for map in maps.all("json", "table"):
        known = _known(map, columns)
        # Of equals the one that asks for less: a row with a person only is no follow-up visit.
        score = (known, -len(map.source.reads) if isinstance(map.source, RowSource) else 0)
        if known >= min(3, len(given)) and known and (best is None or score > best[0]):
            best = (score, map)
    if best is None:
        names = ", ".join(map.name for map in maps.all("json", "table")) or "-"
        raise UnmappableMessage("HT-MAP-35", kind=f"{format}: {', '.join(columns)[:120]}", known=names)
    return best[1]
