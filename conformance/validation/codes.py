"""What the validator asks of terminology, and the answer from R4's own code systems and value sets.

A running gateway passes in its terminology service; alone, the validator uses what the specification publishes plus
what the registry was given. "Unknown" (None) is an answer: nothing is refused for want of a code system.
"""

import gzip
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import msgspec

import terminology
from terminology.fhirjson import Json

# Answers kept for the next question; strangers choose the questions, so their number is bounded.
MAX_KEPT = 20_000
FOLDER = Path(terminology.__file__).parent / "fhir_r4"
UCUM = "http://unitsofmeasure.org"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
LANGUAGES = "urn:ietf:bcp:47"
MEDIA_TYPES = "urn:ietf:bcp:13"
CURRENCIES = "urn:iso:std:iso:4217"
COUNTRIES = "urn:iso:std:iso:3166"


class Terminology(Protocol):
    """Three questions; None means that the answer is not known here."""

    def knows(self, system: str, code: str) -> bool | None:
        """Tell whether the code is one of the system's."""

    def displays(self, system: str, code: str) -> frozenset[str] | None:
        """Return the names of a code in all languages."""

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Tell whether the value set holds the code; without system, whether it holds the code in any."""


class CodeSystem:
    """A CodeSystem's concepts by code, with their parents."""

    def __init__(self, resource: Json) -> None:
        self.resource = resource
        self.url: str = resource.get("url", "")
        self.is_complete = resource.get("content") == "complete"
        self.is_case_sensitive = resource.get("caseSensitive", True) is not False
        self.concepts: dict[str, Json] = {}
        self.parents: dict[str, set[str]] = {}
        self._read(resource.get("concept"), None, 0)

    def _read(self, rows: Any, parent: str | None, depth: int) -> None:
        for row in rows if isinstance(rows, list) and depth < 100 else ():
            if not isinstance(row, dict) or not isinstance(row.get("code"), str):
                continue
            code = row["code"]
            self.concepts.setdefault(code, row)
            above = self.parents.setdefault(code, set())
            if parent is not None:
                above.add(parent)
            for name, value in properties(row):
                if name in ("parent", "subsumedBy") and isinstance(value, str):
                    above.add(value)
            self._read(row.get("concept"), code, depth + 1)

    def find(self, code: str) -> Json | None:
        found = self.concepts.get(code)
        if found is None and not self.is_case_sensitive:
            found = next((row for key, row in self.concepts.items() if key.lower() == code.lower()), None)
        return found

    def is_under(self, code: str, above: str) -> bool:
        """Tell whether `code` is a descendant of `above`, or the same."""
        open_, seen = [code], set()
        while open_:
            current = open_.pop()
            if current == above:
                return True
            if current not in seen:
                seen.add(current)
                open_.extend(self.parents.get(current, ()))
        return False


def properties(concept: Json) -> Iterator[tuple[str, Any]]:
    """Yield the properties of a concept: code and value (of any type)."""
    rows = concept.get("property")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("code"), str):
            value = next((item for key, item in row.items() if key.startswith("value")), None)
            yield row["code"], value


class CoreTerminology:
    """R4's own code systems and value sets; `find` gives what was loaded beside them (kind, canonical) first."""

    def __init__(self, find: Callable[[str, str], Json | None] | None = None) -> None:
        self._find = find or (lambda _kind, _url: None)
        self._systems: dict[str, CodeSystem | None] = {}
        self._members: dict[tuple[str, str | None, str], bool | None] = {}

    def forget(self) -> None:
        """Drop what was derived from definitions that have changed."""
        self._systems.clear()
        self._members.clear()

    def code_system(self, url: str) -> CodeSystem | None:
        """Return a code system by its URL (a |version is ignored); None when it is not here."""
        if url in self._systems:
            return self._systems[url]
        own = self._find("CodeSystem", url)
        found = CodeSystem(own) if own is not None else _core_system(url.partition("|")[0])
        if len(self._systems) < MAX_KEPT:
            self._systems[url] = found
        return found

    def value_set(self, url: str) -> Json | None:
        return self._find("ValueSet", url) or core_resource("value_sets", url.partition("|")[0])

    def knows(self, system: str, code: str) -> bool | None:
        found = self.code_system(system)
        if found is not None and found.concepts:
            if found.find(code) is not None:
                return True
            return False if found.is_complete else None
        shape = SHAPES.get(system)
        # A well-formed code may still be unknown to its publisher; a malformed one cannot be known.
        return False if shape is not None and not shape(code) else None

    def displays(self, system: str, code: str) -> frozenset[str] | None:
        found = self.code_system(system)
        concept = found.find(code) if found is not None else None
        if concept is None:
            return None
        names = [concept.get("display"), *(row.get("value") for row in concept.get("designation", ()))]
        return frozenset(name for name in names if isinstance(name, str))

    def member_of(self, value_set: str, system: str | None, code: str) -> bool | None:
        key = (value_set, system, code)
        if key in self._members:
            return self._members[key]
        found = self._member(value_set, system, code, frozenset())
        if len(self._members) < MAX_KEPT and len(code) < 100:
            self._members[key] = found
        return found

    def _member(self, url: str, system: str | None, code: str, seen: frozenset[str]) -> bool | None:
        plain = url.partition("|")[0]
        if plain in seen:
            return None
        resource = self.value_set(url)
        if resource is None:
            return None
        compose = resource.get("compose")
        if not isinstance(compose, dict):
            return _in_expansion(resource.get("expansion"), system, code)
        inside: bool | None = False
        for part in compose.get("include", ()):
            found = self._in_part(part, system, code, seen | {plain})
            if found:
                inside = True
                break
            if found is None:
                inside = None
        if inside:
            for part in compose.get("exclude", ()):
                if self._in_part(part, system, code, seen | {plain}):
                    return False
        if inside is None and (listed := _in_expansion(resource.get("expansion"), system, code)):
            return listed
        return inside

    def _in_part(self, part: Json, system: str | None, code: str, seen: frozenset[str]) -> bool | None:
        own = part.get("system")
        answers: list[bool | None] = [
            self._member(url, system, code, seen) for url in part.get("valueSet", ())
        ]
        if isinstance(own, str):
            if system is not None and own.partition("|")[0] != system:
                return False
            answers.append(self._in_system(own, part, code))
        if any(answer is False for answer in answers):
            return False
        return None if not answers or None in answers else True

    def _in_system(self, own: str, part: Json, code: str) -> bool | None:
        if concepts := part.get("concept"):
            return any(isinstance(row, dict) and row.get("code") == code for row in concepts)
        found = self.code_system(own)
        filters = part.get("filter")
        if found is None or not found.concepts:
            shape = SHAPES.get(own)
            if shape is None:
                return None
            return False if not shape(code) else (None if filters or own in _OPEN else True)
        if filters:
            return _passes(found, code, filters)
        return self.knows(own, code)


def _in_expansion(expansion: Any, system: str | None, code: str) -> bool | None:
    if not isinstance(expansion, dict):
        return None
    open_ = list(expansion.get("contains", ()))
    while open_:
        row = open_.pop()
        if row.get("code") == code and (system is None or row.get("system") == system):
            return True
        open_.extend(row.get("contains", ()))
    return False


def _passes(system: CodeSystem, code: str, filters: list[Json]) -> bool | None:
    concept = system.find(code)
    if concept is None:
        return False if system.is_complete else None
    answers = [_passes_one(system, code, concept, row) for row in filters]
    return False if False in answers else (None if None in answers else True)


def _passes_one(system: CodeSystem, code: str, concept: Json, row: Json) -> bool | None:
    """https://hl7.org/fhir/R4/valueset-filter-operator.html; None for an operator or property we cannot judge."""
    name, operator, value = str(row.get("property")), row.get("op"), str(row.get("value", ""))
    if name in ("concept", "code", "parent", "child"):
        if operator in ("is-a", "descendent-of"):
            return system.is_under(code, value) and (operator == "is-a" or code != value)
        if operator == "is-not-a":
            return not system.is_under(code, value)
        if operator == "=":
            return bool(value in system.parents.get(code, ()) if name == "parent" else code == value)
    values = [
        str(item).lower() if isinstance(item, bool) else str(item)
        for key, item in properties(concept)
        if key == name
    ]
    if name in ("display", "code"):
        values = [str(concept.get(name, ""))]
    if operator == "=":
        return bool(value in values)
    if operator in ("in", "not-in"):
        listed = {one.strip() for one in value.split(",")}
        return bool(any(item in listed for item in values) == (operator == "in"))
    if operator == "exists":
        return bool(values) == (value == "true")
    if operator == "regex":
        return _matches(value, values)
    return None


def _matches(pattern: str, values: list[str]) -> bool | None:
    # Patterns come with value sets that strangers load: long ones are not tried.
    try:
        compiled = re.compile(pattern) if len(pattern) < 200 else None
    except re.error:
        return None
    return any(compiled.fullmatch(item[:200]) for item in values) if compiled else None


class _Url(msgspec.Struct):
    url: str = ""


@cache
def _lines(kind: str) -> dict[str, bytes]:
    """The core resources as JSON lines by URL; each is parsed when somebody asks for it."""
    url = msgspec.json.Decoder(_Url).decode
    raw = gzip.decompress((FOLDER / f"{kind}.jsonl.gz").read_bytes())
    return {url(line).url: line for line in raw.splitlines() if line}


def core_resource(kind: str, url: str) -> Json | None:
    """Return a CodeSystem ("code_systems") or ValueSet ("value_sets") of the R4 package by canonical URL."""
    return _core_resource(kind, url) if url in _lines(kind) else None


@cache
def _core_resource(kind: str, url: str) -> Json:
    found: Json = msgspec.json.decode(_lines(kind)[url])
    return found


@cache
def _core_systems() -> dict[str, CodeSystem]:
    return {}


def _core_system(url: str) -> CodeSystem | None:
    known = _core_systems()
    if url not in known and (resource := core_resource("code_systems", url)) is not None:
        known[url] = CodeSystem(resource)
    return known.get(url)


def _is_ucum(code: str) -> bool:
    from terminology.ucum import is_valid

    return is_valid(code)


_VERHOEFF_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_TURN = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def is_snomed_id(code: str) -> bool:
    """6 to 18 digits with a Verhoeff check digit, or a post-coordinated expression of such (SNOMED CT TIG §5)."""
    if any(sign in code for sign in ":+=|") and len(code) < 4000:
        return all(
            _is_sctid(found)
            for found in re.findall(
                r"(?<![#\d.])\d{6,18}(?![\d.])", re.sub(r"\|[^|]*\||\"[^\"]*\"", " ", code)
            )
        )
    return _is_sctid(code)


def _is_sctid(code: str) -> bool:
    if not (code.isascii() and code.isdigit() and 6 <= len(code) <= 18 and code[0] != "0"):
        return False
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_VERHOEFF_PRODUCT[check][int(_VERHOEFF_TURN[place % 8][int(digit)])])
    return check == 0


def is_loinc(code: str) -> bool:
    """Digits with a mod 10 check digit (LOINC Users' Guide); LP, LA, LL and LG parts and answers likewise."""
    match = re.fullmatch(r"(?:L[APLG])?(\d{1,8})-(\d)", code)
    if match is None:
        return False
    total = 0
    for place, digit in enumerate(reversed(match[1])):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return (10 - total % 10) % 10 == int(match[2])


# Systems without a list here whose codes have a form of their own.
SHAPES: dict[str, Callable[[str], bool]] = {
    UCUM: _is_ucum,
    SNOMED: is_snomed_id,
    LOINC: is_loinc,
    LANGUAGES: re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*|[xi]-[A-Za-z0-9-]+").fullmatch,  # type: ignore[dict-item]  # a match is true
    MEDIA_TYPES: re.compile(
        r"xml|json|ttl|[\w!#$&^.+-]+/[\w!#$&^.+*-]+(\s*;\s*[\w!#$&^.+-]+\s*=\s*(\"[^\"]*\"|[^;\s]+))*"
    ).fullmatch,  # type: ignore[dict-item]
    CURRENCIES: re.compile(r"[A-Z]{3}").fullmatch,  # type: ignore[dict-item]
    COUNTRIES: re.compile(r"[A-Z]{2,3}|[0-9]{3}").fullmatch,  # type: ignore[dict-item]
    "http://hl7.org/fhir/sid/icd-10": re.compile(
        r"[A-Z][0-9][0-9A-Z](\.[0-9A-Zx+*]{1,5})?[+*]?|[A-Z][0-9]{2}-[A-Z][0-9]{2}|[IVX]+"
    ).fullmatch,  # type: ignore[dict-item]
    "http://hl7.org/fhir/sid/icd-10-cm": re.compile(
        r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?|[A-Z][0-9][0-9A-Z]-[A-Z][0-9][0-9A-Z]"
    ).fullmatch,  # type: ignore[dict-item]
}
# A well-formed code of these is not thereby one of the publisher's.
_OPEN = frozenset({SNOMED, LOINC, "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm"})
