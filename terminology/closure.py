"""$closure: a client's table of which of its codes stand below which, kept up to date call by call.

https://hl7.org/fhir/R4/conceptmap-operation-closure.html and terminology-service.html#closure. The answer is a
ConceptMap with the relationships that are new since the last call (or since `version`).
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from terminology.code_system import is_a
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, VersionConflict
from terminology.scope import Scope

MAX_CLOSURES = 200
MAX_CONCEPTS = 20_000
MAX_NAME = 200


@dataclass
class _Closure:
    """The codes of one table in order, and each relationship (system, lower, upper) with the version that added it."""

    version: int = 0
    concepts: dict[tuple[str, str], None] = field(default_factory=dict)
    relations: dict[tuple[str, str, str], int] = field(default_factory=dict)


class Closures:
    """All tables by name; the least recently used one makes room."""

    def __init__(self) -> None:
        self._tables: OrderedDict[str, _Closure] = OrderedDict()

    def update(self, scope: Scope, inputs: Inputs) -> Json:
        """Start a table (no concept, no version), add concepts to it, or repeat what was added since a version."""
        name = inputs.need("name")
        if len(name) > MAX_NAME:
            raise InvalidInput("HT-TX-05", name="name", length=len(name), limit=MAX_NAME)
        concepts = _concepts(inputs)
        since = inputs.text("version")
        if since is not None and concepts:
            raise InvalidInput("HT-TX-09", first="version", second="concept")
        if since is None and not concepts:
            self._tables[name] = _Closure()
            while len(self._tables) > MAX_CLOSURES:
                self._tables.popitem(last=False)
            return _map(name, 0, [])
        table = self._tables.get(name)
        if table is None:
            if since is not None:
                raise VersionConflict("HT-TX-13", name=name, version=since)
            table = self._tables[name] = _Closure()
        self._tables.move_to_end(name)
        if since is not None:
            return _repeat(name, table, since)
        return _add(scope, name, table, concepts)


def _concepts(inputs: Inputs) -> list[tuple[str, str]]:
    found = []
    for row in inputs.rows:
        if row["name"] != "concept":
            continue
        coding = Inputs(inputs.operation, [row]).coding("concept") or {}
        if not coding.get("system") or not coding.get("code"):
            raise InvalidInput("HT-TX-01", operation=inputs.operation, names="concept.system, concept.code")
        found.append((coding["system"], coding["code"]))
    return found


def _add(scope: Scope, name: str, table: _Closure, concepts: list[tuple[str, str]]) -> Json:
    if len(table.concepts) + len(concepts) > MAX_CONCEPTS:
        count = len(table.concepts) + len(concepts)
        raise InvalidInput("HT-TX-12", name="concept", count=count, limit=MAX_CONCEPTS)
    new: list[tuple[str, str, str]] = []
    version = table.version + 1
    for system_url, code in concepts:
        if (system_url, code) in table.concepts:
            continue
        system = scope.code_system(system_url, None)
        ordinal = system.locate(code) if system is not None else None
        if system is not None and ordinal is not None:
            for other_url, other_code in table.concepts:
                other = system.locate(other_code) if other_url == system_url else None
                if other is None or other == ordinal:
                    continue
                if is_a(system, ordinal, other):
                    new.append((system_url, code, other_code))
                elif is_a(system, other, ordinal):
                    new.append((system_url, other_code, code))
        table.concepts[system_url, code] = None
    fresh = [relation for relation in dict.fromkeys(new) if relation not in table.relations]
    if fresh or concepts:
        table.version = version
    table.relations.update(dict.fromkeys(fresh, version))
    return _map(name, table.version, fresh)


def _repeat(name: str, table: _Closure, since: str) -> Json:
    if not since.isascii() or not since.isdigit() or int(since) > table.version:
        raise VersionConflict("HT-TX-13", name=name, version=since)
    later = [relation for relation, version in table.relations.items() if version > int(since)]
    return _map(name, table.version, later)


def _map(name: str, version: int, relations: list[tuple[str, str, str]]) -> Json:
    """Return the ConceptMap: the lower code is subsumed by ("specializes" seen from it) the upper one."""
    groups: dict[str, dict[str, list[str]]] = {}
    for system, lower, upper in relations:
        groups.setdefault(system, {}).setdefault(lower, []).append(upper)
    answer: Json = {
        "resourceType": "ConceptMap",
        "version": str(version),
        "name": name,
        "status": "active",
        "experimental": True,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if groups:
        answer["group"] = [
            {
                "source": system,
                "target": system,
                "element": [
                    {
                        "code": lower,
                        "target": [{"code": upper, "equivalence": "subsumes"} for upper in uppers],
                    }
                    for lower, uppers in elements.items()
                ],
            }
            for system, elements in groups.items()
        ]
    return answer
