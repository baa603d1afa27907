"""FHIR CodeSystem resources: alone, in a Bundle, as NDJSON, or in an NPM package (.tgz)."""

import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from terminology.catalogue.row import Name, Row, Table
from terminology.fhirjson import Json, decode
from terminology.issues import InvalidInput
from terminology.shapes import check_shape

MAX_DEPTH = 64
MAX_MEMBER = 256 << 20
INACTIVE_STATUS = frozenset({"retired", "inactive"})


def read_json(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the concepts of a CodeSystem, or of the one in a Bundle that `columns["url"]` names."""
    try:
        value = decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    return _table(list(_code_systems(value)), columns)


def read_lines(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the concepts of the CodeSystem in an NDJSON file (https://hl7.org/fhir/R4/nd-json.html)."""
    systems: list[Json] = []
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                systems.extend(_code_systems(decode(line)))
            except (msgspec.DecodeError, RecursionError) as error:
                raise InvalidInput("HT-CAT-05", reason=f"line {number}: {error}") from None
    return _table(systems, columns)


def read_package(content: bytes, columns: Mapping[str, Any]) -> Table:
    """Return the concepts of a CodeSystem in an NPM package; nothing is unpacked to disk."""
    systems: list[Json] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                if member.isfile() and member.name.endswith(".json") and member.size <= MAX_MEMBER:
                    file = archive.extractfile(member)
                    body = file.read() if file else b""
                    if b'"CodeSystem"' in body:
                        systems.extend(_code_systems(decode(body)))
    except (tarfile.TarError, OSError, EOFError, zlib.error, msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput("HT-CAT-05", reason=str(error)) from None
    return _table(systems, columns)


def _code_systems(value: Any) -> Iterator[Json]:
    if not isinstance(value, dict):
        return
    if value.get("resourceType") == "Bundle":
        entries = value.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            yield from _code_systems(entry.get("resource") if isinstance(entry, dict) else None)
    elif value.get("resourceType") == "CodeSystem":
        yield value


def _table(systems: list[Json], columns: Mapping[str, Any]) -> Table:
    wanted = columns.get("url")
    chosen = [system for system in systems if wanted is None or system.get("url") == wanted]
    if len(chosen) != 1:
        raise InvalidInput(
            "HT-CAT-16", count=len(chosen), urls=", ".join(str(system.get("url")) for system in systems[:20])
        )
    check_shape(chosen[0], "file")
    rows: list[Row] = []
    _walk(chosen[0].get("concept", ()), (), rows, MAX_DEPTH)
    return Table(tuple(rows))


def _walk(concepts: Any, above: tuple[str, ...], rows: list[Row], depth: int) -> None:
    if depth == 0:
        raise InvalidInput("HT-CAT-17", limit=MAX_DEPTH)
    for concept in concepts if isinstance(concepts, list) else ():
        if not isinstance(concept, dict) or not isinstance(concept.get("code"), str):
            raise InvalidInput("HT-CAT-18", concept=str(concept)[:80])
        properties: dict[str, Any] = {}
        parents = list(above)
        for row in concept.get("property", ()):
            value = next((row[key] for key in row if key.startswith("value")), None)
            if isinstance(value, dict):
                value = value.get("code")
            if value is None or isinstance(value, list) or not row.get("code"):
                continue
            if row["code"] in ("parent", "subsumedBy"):
                parents.append(str(value))
            elif row.get("code") in properties:
                held = properties[row["code"]]
                properties[row["code"]] = [*(held if isinstance(held, list) else [held]), value]
            else:
                properties[row["code"]] = value
        rows.append(
            Row(
                code=concept["code"],
                display=concept.get("display") or concept["code"],
                parents=tuple(dict.fromkeys(parents)),
                names=tuple(
                    Name(row["value"], row.get("language", ""), (row.get("use") or {}).get("code", ""))
                    for row in concept.get("designation", ())
                    if row.get("value")
                ),
                properties=properties,
                definition=concept.get("definition"),
                is_inactive=properties.get("inactive") is True or properties.get("status") in INACTIVE_STATUS,
            )
        )
        _walk(concept.get("concept", ()), (concept["code"],), rows, depth - 1)
