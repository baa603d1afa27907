"""Facts of the v2 → FHIR pairs: what ReportStream's Bundle says, leaf by leaf, and which of it our resources say too.

A fact is a path and a value ("Patient.birthDate", "1970-10"). Not counted, because they aren't of the message: resource
ids and references; Provenance and the Organization "CDC PRIME - Atlanta", which ReportStream writes about its own run;
its own extensions (reportstream.cdc.gov), which repeat v2 fields. A fact is present when the same value stands in our
resources; a text also when it is part of one (notes of several repetitions are joined).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from mappings.language.converters import Sender
from terminology.fhirjson import encode

PAIRS = Path(__file__).parents[1] / "data" / "v2-pairs"
_OWN = "reportstream.cdc.gov"
_PREFIX = re.compile(r"^urn:(oid|uuid):")


@dataclass(frozen=True)
class Fact:
    path: str
    value: str


@dataclass(frozen=True)
class Comparison:
    """`missing`: expected facts that our resources don't say."""

    name: str
    expected: int
    missing: tuple[Fact, ...]


def maps() -> ActiveMaps:
    """The shipped maps, with ReportStream's default zone, so that times without offset can be compared."""
    return ActiveMaps(sender=Sender(zone="UTC"))


def names() -> list[str]:
    return sorted(path.stem for path in PAIRS.glob("*.hl7"))


def compare(name: str, active: ActiveMaps) -> Comparison:
    """Return what one pair's expected Bundle says and ours doesn't."""
    expected = json.loads((PAIRS / f"{name}.fhir").read_text(encoding="utf-8"))
    result = active.run(parse((PAIRS / f"{name}.hl7").read_bytes()))
    ours = json.loads(encode([entry.resource for entry in result.entries]))
    values = {_folded(fact.value) for resource in ours for fact in _facts(resource, "", is_own=False)}
    texts = [value for value in values if " " in value or "\n" in value]
    wanted = [fact for entry in expected["entry"] for fact in facts(entry["resource"])]
    missing = tuple(
        fact
        for fact in wanted
        if _folded(fact.value) not in values
        and not (fact.path.endswith(".text") and any(fact.value in text for text in texts))
    )
    return Comparison(name, len(wanted), missing)


def facts(resource: dict[str, Any]) -> Iterator[Fact]:
    """Yield the facts of an expected resource."""
    if resource["resourceType"] == "Provenance" or "CDC PRIME - Atlanta" in json.dumps(resource):
        return
    yield from (fact for fact in _facts(resource, resource["resourceType"], is_own=True))


def _facts(value: Any, path: str, *, is_own: bool) -> Iterator[Fact]:
    if isinstance(value, dict):
        if is_own and _OWN in value.get("url", ""):
            return
        for name, part in value.items():
            if name in ("id", "reference", "resourceType") or (name == "url" and path.endswith("extension")):
                continue
            yield from _facts(part, f"{path}.{name}", is_own=is_own)
    elif isinstance(value, list):
        for part in value:
            yield from _facts(part, path, is_own=is_own)
    elif value is not None:
        yield Fact(path, str(value).lower() if isinstance(value, bool) else str(value))


def _folded(value: str) -> str:
    return _PREFIX.sub("", value)
