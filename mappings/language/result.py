"""What a mapping says: resources, how each is to be written, and what was not understood.

`gateway/ingest` turns a Result into one store commit with Provenance; nothing here reads or writes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, NamedTuple

from terminology.fhirjson import Json
from terminology.issues import Issue

Write = Literal["replace", "merge", "create", "status", "retire", "link", "unlink", "gather"]
"""How an entry meets what is stored under its id.

replace: it becomes the current version, unless it is stale (`Entry.is_stale`).
merge:   its elements replace the stored ones of the same name, `cleared` elements are removed, all others stay.
create:  written only when nothing is stored: a name on an order never overwrites the full record of a doctor.
gather:  merge, and lists gain the rows that they lack: a report whose results come one by one.
status:  only `status` and `statusReason` change; everything else of the stored resource stays.
retire:  the same, of what is stored; nothing is written when it isn't.
link:    merge, and its `link` rows are added to the stored ones: A40 retires a Patient, nothing is deleted.
unlink:  merge, and its `link` rows are taken away from the stored ones: A37 says that two Patients are not the same.
With nothing stored each of them but retire creates the resource as it is, so that a cancel that overtakes its order still counts.
"""

# On an Identifier whose number fails its check: it stays to be seen, and identifies nobody.
INVALID_IDENTIFIER = "https://hutong.health/fhir/StructureDefinition/invalid-identifier"
STATUS_ELEMENTS = ("status", "statusReason")


@dataclass(frozen=True, slots=True)
class Rule:
    """What is the same for every entry that one resource of a map makes.

    `ranks`: status → rank, for types whose status only moves on; `is_shared`: the id doesn't depend on the sender;
    `matches_old`: replaced numbers (`use: old`) find the record too, and first (a message that gives a new number);
    `only_new`: elements that count only when nothing is stored (a renumbered visit keeps the status that it has).
    """

    name: str
    type: str
    write: Write = "replace"
    match_by_identifier: bool = False
    ranks: Mapping[str, int] | None = None
    is_shared: bool = False
    line: str = ""
    only_new: tuple[str, ...] = ()
    matches_old: bool = False


class Entry:
    """One resource of a message. The top-level dict is fresh; values below may be shared between messages: copy, don't
    change them in place.

    `recency`: the instant that orders versions of equal rank (ISO 8601 with offset, seconds or finer), None when the
    message tells none. `cleared`: elements that the sender deletes explicitly (HL7 null `""`).
    """

    __slots__ = ("cleared", "recency", "resource", "rule")

    def __init__(
        self, resource: Json, rule: Rule, recency: str | None = None, cleared: tuple[str, ...] = ()
    ) -> None:
        self.resource = resource
        self.rule = rule
        self.recency = recency
        self.cleared = cleared

    @property
    def type(self) -> str:
        return self.rule.type

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def reference(self) -> str:
        return f"{self.rule.type}/{self.resource['id']}"

    @property
    def match(self) -> list[tuple[str | None, str]]:
        """(system, value) of every identifier by which an existing resource is the same one; [] = match by id only.

        When a stored resource carries one of them under another id, the entry is written to that id and references
        within the result follow (`Result.rename`).
        """
        if not self.rule.match_by_identifier:
            return []
        rows = [
            row for row in self.resource.get("identifier", ()) if row.get("value") and not _is_invalid(row)
        ]
        if self.rule.matches_old:
            rows.sort(key=lambda row: row.get("use") != "old")
        else:
            rows = [row for row in rows if row.get("use") != "old"]
        return [(row.get("system"), row["value"]) for row in rows]

    def rank(self, status: str | None) -> int:
        """Return how far a status is on its way: registered 0 … corrected 4; 0 for an unknown one."""
        return self.rule.ranks.get(status or "", 0) if self.rule.ranks else 0

    def is_stale(self, stored: Json, stored_recency: str | None) -> bool:
        """Tell whether this entry must not replace `stored`: a lower rank, or the same rank and an older instant.

        Entries of types without ranks are stale when they are older.
        """
        if "status" not in self.rule.only_new:
            own, other = self.rank(self.resource.get("status")), self.rank(stored.get("status"))
            if own != other:
                return own < other
        return bool(self.recency and stored_recency and _instant(self.recency) < _instant(stored_recency))

    def applied_to(self, stored: Json | None) -> Json:
        """Return the resource to be stored in the place of `stored` (None: nothing is there). `stored` is untouched."""
        if stored is None or self.rule.write == "replace":
            return self.resource if self.rule.write != "unlink" else _without_link(self.resource)
        if self.rule.write == "create":
            return stored
        if self.rule.write in ("status", "retire"):
            changed = {name: self.resource[name] for name in STATUS_ELEMENTS if name in self.resource}
            return {**stored, **changed}
        own = {name: value for name, value in self.resource.items() if name not in self.rule.only_new}
        if self.rule.write == "gather":
            own = {name: _gathered(stored.get(name), value) for name, value in own.items()}
        merged = {name: value for name, value in stored.items() if name not in self.cleared} | own
        if self.rule.write in ("link", "unlink"):
            merged = _without_link(merged)
            if links := self._links(stored.get("link", ())):
                merged["link"] = links
        return merged

    def _links(self, known: Sequence[Json]) -> list[Json]:
        own = self.resource.get("link", ())
        if self.rule.write == "link":
            return [*known, *(row for row in own if row not in known)]
        gone = {row["other"].get("reference") for row in own}
        return [row for row in known if row["other"].get("reference") not in gone]


def _gathered(known: object, more: object) -> object:
    """Return a list with the rows of both, the stored ones first; anything else is the newer one."""
    if not (isinstance(known, list) and isinstance(more, list)):
        return more
    return [*known, *(row for row in more if row not in known)]


class Unmapped(NamedTuple):
    """A code that no table knows; its coding stays in the resource. `domain`: terminology domain or map table."""

    domain: str
    system: str | None
    code: str | None
    display: str | None
    source: str


class Unread(NamedTuple):
    """A field with content that no line of the map reads: `OBX-17`, how often, and the first such text as sent."""

    field: str
    times: int
    example: str


class Leaf(NamedTuple):
    """One value of the output with its origin. `line`: "lab-oru-r01.yaml:31"; `sources`: fields read ("OBX[2]-5");
    no source means a constant of the map."""

    entry: int
    path: str
    line: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Coverage:
    """Which fields of the message were read. `read` counts filled fields that some line reads; `kept`: Z segments as sent."""

    read: int
    unread: tuple[Unread, ...]
    kept: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        total = self.read + sum(row.times for row in self.unread)
        return self.read / total if total else 1.0


@dataclass
class Result:
    """The outcome of one message or row.

    `facility`: namespace of the ids; `declared`, `codec`, `is_guessed`: charset facts for Provenance; `issues`:
    warnings; `measure`: computes `coverage` when asked.
    """

    entries: list[Entry]
    mapping: str
    version: str
    facility: str
    control_id: str | None = None
    kind: str = ""
    declared: str | None = None
    codec: str = "utf-8"
    is_guessed: bool = False
    issues: Sequence[Issue] = ()
    unmapped: Sequence[Unmapped] = ()
    trace: Sequence[Leaf] | None = None
    measure: Callable[[], Coverage] = field(default=lambda: Coverage(0, ()), repr=False)

    @cached_property
    def coverage(self) -> Coverage:
        return self.measure()

    def bundle(self, *, base: str = "") -> Json:
        """Return the entries as a transaction Bundle, for previews and exports; `base`: the server's, for fullUrl.

        What only retires a stored resource is left out: as a PUT it would overwrite it.
        """
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    **({"fullUrl": f"{base}/{entry.reference}"} if base else {}),
                    "resource": entry.resource,
                    "request": {"method": "PUT", "url": entry.reference},
                }
                for entry in self.entries
                if entry.rule.write != "retire"
            ],
        }

    def rename(self, references: Mapping[str, str]) -> "Result":
        """Return the result with ids replaced: {"Patient/abc": "Patient/42"}, in the resources and in what refers to them."""
        entries = []
        for entry in self.entries:
            resource = _renamed(entry.resource, references)
            target = references.get(entry.reference)
            if target:
                resource = {**resource, "id": target.partition("/")[2]}
            entries.append(Entry(resource, entry.rule, entry.recency, entry.cleared))
        return replace(self, entries=entries)


def _without_link(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "link"}


def _is_invalid(identifier: Json) -> bool:
    return any(row.get("url") == INVALID_IDENTIFIER for row in identifier.get("extension", ()))


def _renamed(value: object, references: Mapping[str, str]) -> Json:
    changed = _replace(value, references)
    assert isinstance(changed, dict)
    return changed


def _replace(value: object, references: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        return {
            key: references.get(part, part)
            if key == "reference" and isinstance(part, str)
            else _replace(part, references)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [_replace(part, references) for part in value]
    return value


def _instant(text: str) -> tuple[float, str]:
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp(), ""
    except ValueError:
        return 0.0, text
