"""The tests inside a map: messages and what must come out, asked in FHIRPath. A map that fails one isn't activated."""

import re
from decimal import Decimal
from typing import Any

from conformance.definitions import is_resource
from mappings.hl7v2 import parse
from mappings.language.compile import Map
from mappings.language.converters import Sender
from mappings.language.document import Trial
from mappings.language.errors import problem
from mappings.language.result import Result
from mappings.language.yaml_tree import plain
from mappings.xml.parse import parse as parse_xml
from terminology.issues import FhirError, Issue
from terminology.translate import Translator

_FIRST = re.compile(r"[A-Z][A-Za-z]*")


def run_trials(map: Map, translator: Translator, *, sender: Sender | None = None) -> list[Issue]:
    """Return what failed (HT-MAP-30, HT-MAP-31); nothing when all tests of the map pass."""
    return [
        issue
        for trial in map.document.trials
        for issue in run_trial(map, trial, translator, sender or Sender())
    ]


def run_trial(map: Map, trial: Trial, translator: Translator, sender: Sender) -> list[Issue]:
    try:
        result = map.convert(record_of(map, trial), sender, translator)
    except (FhirError, OSError) as error:
        return [problem("HT-MAP-31", trial.place, reason=str(error)[:200])]
    issues = []
    for expression, expected in trial.expect.entries.items():
        place = trial.expect.places[expression]
        wanted = plain(expected)
        try:
            found = ask(expression, result)
        except FhirError as error:
            issues.append(problem("HT-MAP-31", place, reason=str(error)[:200]))
            continue
        if not is_expected(found, wanted):
            shown = ", ".join(str(value) for value in found[:5]) or "-"
            values = {"expression": expression, "expected": str(wanted), "found": shown[:200]}
            issues.append(problem("HT-MAP-30", place, **values))
    return issues


def ask(expression: str, result: Result) -> list[Any]:
    """Return the values of a FHIRPath expression over the entries of a result; over its Bundle when it begins so."""
    from conformance.fhirpath import compile

    compiled = compile(expression)
    if expression.startswith("Bundle"):
        return list(compiled(result.bundle()))
    # An expression that begins with a type speaks of the resources of that type.
    first = _FIRST.match(expression)
    type = first[0] if first and is_resource(first[0]) else None
    return [
        value
        for entry in result.entries
        if type is None or entry.type == type
        for value in compiled(entry.resource)
    ]


def is_expected(found: list[Any], wanted: Any) -> bool:
    """Compare as JSON values; numbers by value; one value may stand for a list of one; null means nothing."""
    expected = wanted if isinstance(wanted, list) else [] if wanted is None else [wanted]
    return len(found) == len(expected) and all(
        _same(one, other) for one, other in zip(found, expected, strict=True)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, Decimal)) and isinstance(other, (int, Decimal)):
        return one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return is_expected(one, other)
    # YAML reads an unquoted 2026-03-15 or 130 as it likes; the text decides.
    return str(one) == str(other)


def record_of(map: Map, trial: Trial) -> Any:
    """Return what a test gives its map: the record, or its message or file as the format's reader reads it."""
    if trial.record is not None:
        return plain(trial.record)
    if trial.message is not None and map.format != "hl7v2":
        return _parsed(map, trial.message.text.strip().encode())
    if trial.message is not None:
        return parse(trial.message.text.strip().replace("\r\n", "\n").replace("\n", "\r"))
    assert trial.file is not None
    folder = map.document.path.parent if map.document.path else None
    if folder is None:
        raise OSError("a map that isn't a file can't name one")
    path = (folder / trial.file.text).resolve()
    if not path.is_relative_to(folder.parent.resolve()):
        raise OSError(f"{trial.file.text} lies outside the map's folder")
    return _parsed(map, path.read_bytes())


def _parsed(map: Map, raw: bytes) -> Any:
    if map.format == "hl7v2":
        return parse(raw)
    if map.format == "xml":
        return parse_xml(raw)
    if map.format == "astm":
        from mappings.astm import parse as parse_astm

        return parse_astm(raw)[0]
    if map.format == "dicom":
        from mappings.dicom import read_instance
        from mappings.dicom.study import alone

        return alone(read_instance(raw))
    if map.format == "ecg":
        from mappings.ecg.convert import day_of, examine
        from mappings.ecg.record import to_record

        examined = examine(raw)
        return to_record(examined.recording, raw, day=day_of(examined.recording), waveform=True)
    from mappings.rows import read_rows, read_sheets

    # A JSON body is one record, envelope and all; of a sheet the first row counts.
    return (read_sheets(raw)[0] if map.format == "table" else read_rows(raw)).rows[0]
