"""Read a catalogue from a file: CSV, XLSX, FHIR, package, ClaML, LOINC, RF2, told apart by name and content."""

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from terminology.catalogue import claml, delimited, fhir, loinc, rf2, spreadsheet
from terminology.catalogue.check import check
from terminology.catalogue.row import Table
from terminology.issues import InvalidInput, TooLarge

MAX_BYTES = 1 << 30
"""The largest file that is read; the SNOMED CT international release has 600 MB."""

Reader = Callable[[bytes, Mapping[str, Any]], Table]

READERS: dict[str, Reader] = {
    "csv": delimited.read,
    "tsv": delimited.read,
    "txt": delimited.read,
    "xlsx": spreadsheet.read,
    "json": fhir.read_json,
    "ndjson": fhir.read_lines,
    "tgz": fhir.read_package,
    "xml": claml.read,
    "zip": loinc.read,
    "rf2": rf2.read,
}


def load_table(name: str, content: bytes, columns: Mapping[str, Any] | None = None) -> Table:
    """Return the checked rows of a file; `name` tells its format, `columns` is a column map (catalogue/columns.py).

    Raises InvalidInput HT-CAT-03 when the format is unknown or the content is of another format; problems of single
    rows are in the table, with their lines.
    """
    if len(content) > MAX_BYTES:
        raise TooLarge("HT-CAT-04", size=len(content), limit=MAX_BYTES)
    reader = READERS.get(format_of(name, content))
    if reader is None:
        raise InvalidInput("HT-CAT-03", name=PurePath(name).name, formats=", ".join(READERS))
    return check(reader(content, columns or {}))


def format_of(name: str, content: bytes) -> str:
    """Return the key of READERS; a zip is RF2, LOINC or a workbook by what lies in it."""
    lowered = name.lower()
    if content[:4] == b"PK\x03\x04":
        return "xlsx" if lowered.endswith(".xlsx") else "rf2" if rf2.is_release(content) else "zip"
    if content[:2] == b"\x1f\x8b":
        return "tgz" if lowered.endswith((".tgz", ".tar.gz")) else format_of(lowered.removesuffix(".gz"), b"")
    return lowered.rpartition(".")[2]
