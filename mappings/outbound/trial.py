"""The tests inside a map that runs back: a Bundle and what must stand in the message, asked of its bytes.

HL7 v2: `PID-5.1`, `OBX[2]-5`, `OBX[]-5` (of every such segment). XML and JSON: `a.b[2].@c`, `items[].code`.
"""

import re
from datetime import datetime
from pathlib import Path
from typing import Any

from mappings.hl7v2 import parse
from mappings.language.document import Trial
from mappings.language.errors import problem
from mappings.language.sources.focus import Focus
from mappings.language.trial import is_expected
from mappings.language.yaml_tree import plain
from mappings.outbound.compile import Envelope, OutboundMap, Written
from mappings.outbound.xml import shown
from terminology.fhirjson import decode
from terminology.issues import FhirError, Issue
from terminology.translate import Translator

# What the tests of a map find in `$id`, `$now` and the others.
ENVELOPE = Envelope(
    id="T1",
    now=datetime.fromisoformat("2026-03-15T08:30:00+08:00"),
    topic="report-final",
    sender=("HUTONG", "XYLYGT"),
    receiver=("HIS", "H1"),
)
_ALL = re.compile(r"([A-Z][A-Z0-9]{2})\[\]-(.+)")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d*)\]")


def run_outbound_trials(map: OutboundMap, translator: Translator) -> list[Issue]:
    """Return what failed (HT-MAP-30, HT-MAP-31); nothing when all tests of the map pass."""
    return [issue for trial in map.document.trials for issue in run_outbound_trial(map, trial, translator)]


def run_outbound_trial(map: OutboundMap, trial: Trial, translator: Translator) -> list[Issue]:
    try:
        bundle = _bundle(trial, map.document.path)
        written = map.write(Focus.of_bundle(bundle, "|".join(map.focus)), ENVELOPE, translator)
        issues = []
        for path, expected in trial.expect.entries.items():
            wanted, found = plain(expected), ask(path, written)
            if not is_expected(found, wanted):
                issues.append(
                    problem(
                        "HT-MAP-30", trial.expect.places[path], expression=path, expected=wanted, found=found
                    )
                )
        return issues
    except (FhirError, OSError, ValueError) as error:
        return [problem("HT-MAP-31", trial.place, reason=str(error)[:200])]


def ask(path: str, written: Written) -> list[Any]:
    """Return the values at a path of a written message; of HL7 v2 from its bytes, so that charset and escapes count."""
    if isinstance(written.content, dict):
        return [value for value in _walk(written.content, _STEP.findall(path)) if not isinstance(value, dict)]
    message = parse(written.body)
    every = _ALL.fullmatch(path)
    if every is None:
        found = message.get(path)
        return [] if found is None else [found]
    count = sum(1 for _ in message.all(every[1]))
    texts = [message.get(f"{every[1]}[{number}]-{every[2]}") for number in range(1, count + 1)]
    return [text for text in texts if text is not None]


def _walk(value: Any, steps: list[tuple[str, str]]) -> list[Any]:
    if isinstance(value, list) and not (steps and not steps[0][0]):
        return [found for item in value for found in _walk(item, steps)]
    if not steps:
        return [] if value is None else [value if isinstance(value, (dict, bool)) else shown(value)]
    name, number = steps[0]
    if name:
        return _walk(value[name], steps[1:]) if isinstance(value, dict) and name in value else []
    items = value if isinstance(value, list) else [value]
    if not number:
        return [found for item in items for found in _walk(item, steps[1:])]
    return _walk(items[int(number) - 1], steps[1:]) if 0 < int(number) <= len(items) else []


def _bundle(trial: Trial, path: Path | None) -> Any:
    if trial.record is not None:
        return plain(trial.record)
    if trial.file is None or path is None:
        raise ValueError("a test of a map that runs back has a `bundle`, or a `file` beside the map")
    file = (path.parent / trial.file.text).resolve()
    if not file.is_relative_to(path.parent.parent.resolve()):
        raise OSError(f"{trial.file.text} lies outside the map's folder")
    return decode(file.read_bytes())
