"""Bytes in any format that has a reader → results: the preview behind `POST /fhir/$convert` and `hutong map run`."""

from collections.abc import Iterator

from mappings.hl7v2 import parse
from mappings.hl7v2.batch import is_batch, split
from mappings.language.active import ActiveMaps
from mappings.language.compile import Map
from mappings.language.result import Result
from mappings.language.sources.rows import RowSource
from mappings.rows import read_rows
from terminology.issues import UnmappableMessage

FORMATS = ("hl7v2", "json", "table")


def convert(
    body: bytes, maps: ActiveMaps, *, adapter: str = "", explain: bool = False, limit: int = 1000
) -> Iterator[Result]:
    """Yield a Result for each message or row of `body`, at most `limit`.

    `adapter`: a format ("hl7v2", "json", "table"), the name of a map, or "" to look at the bytes. Raises
    MalformedMessage when the bytes aren't of that format, UnmappableMessage when no map takes them.
    """
    named = adapter if adapter and adapter not in FORMATS else None
    format = maps.get(named).format if named else adapter or guess_format(body)
    if format == "hl7v2":
        messages = split(body, limit=limit).messages if is_batch(body) else (body,)
        for raw in messages:
            message = parse(raw, fallback=maps.sender.fallback_charset)
            if named:
                yield maps.get(named).convert(message, maps.sender, maps.translator, explain=explain)
            else:
                yield maps.run(message, explain=explain)
        return
    sheet = read_rows(body)
    map = maps.get(named) if named else find_by_columns(maps, format, sheet.columns)
    for row in sheet.rows[:limit]:
        result = map.convert(row, maps.sender, maps.translator, explain=explain)
        result.codec, result.is_guessed = sheet.codec, sheet.is_guessed
        result.issues = [*sheet.issues, *result.issues]
        yield result


def guess_format(body: bytes) -> str:
    """Return the format that the first bytes speak for; a sheet when nothing else does."""
    start = body[:64].lstrip(b"\xef\xbb\xbf\x0b \t\r\n")
    if start[:3] in (b"MSH", b"FHS", b"BHS") or b"M\x00S\x00H" in start:
        return "hl7v2"
    return "json" if start[:1] in (b"{", b"[") else "table"


def find_by_columns(maps: ActiveMaps, format: str, columns: tuple[str, ...]) -> Map:
    """Return the map that reads most of the columns; raises UnmappableMessage when none reads at least three.

    A row is a row: a sheet's map also takes the same row as a JSON object.
    """
    given = set(columns)
    best: tuple[int, Map] | None = None
    for map in maps.all("json", "table"):
        source = map.source
        assert isinstance(source, RowSource)
        known = len(given & {path[0] for path in source.reads if path})
        if known >= min(3, len(given)) and known and (best is None or known > best[0]):
            best = (known, map)
    if best is None:
        names = ", ".join(map.name for map in maps.all("json", "table")) or "-"
        raise UnmappableMessage("HT-MAP-35", kind=f"{format}: {', '.join(columns)[:120]}", known=names)
    return best[1]
