"""Confidentiality by rule (敏感数据): what tells of HIV, syphilis, hepatitis or addiction carries the security label R.

The label is set on the one write path, whoever writes; one that somebody set is never taken away.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from conformance.recognition.record import codings
from gateway.rest.labels import CONFIDENTIALITY, HIGH
from gateway.store.layer import Layer
from gateway.store.protocol import Commit, Delete, Put, Store, Version
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json

TYPES = frozenset(
    {"Condition", "Observation", "DiagnosticReport", "ServiceRequest", "EpisodeOfCare", "RiskAssessment"}
)


@dataclass(frozen=True, slots=True)
class Codes:
    """`beginnings` of diagnoses (ICD-10) and codes of `tests` that are sensitive, and the `label` that they get."""

    label: str
    beginnings: tuple[str, ...]
    tests: frozenset[str]


class LabellingStore(Layer):
    """A store that labels what is sensitive before it is written; all else is the store's own."""

    def __init__(self, store: Store, packs: Callable[[], Packs]) -> None:
        super().__init__(store)
        self._packs = packs
        self._known: tuple[Packs, Codes] | None = None

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        if not any(_may_be_sensitive(change) for change in commit.changes):
            return await self._store.commit(commit)
        codes = self._codes()
        changes = [
            replace(change, resource=labelled(change.resource, codes))
            if isinstance(change, Put) and _may_be_sensitive(change)
            else change
            for change in commit.changes
        ]
        return await self._store.commit(replace(commit, changes=changes))

    def _codes(self) -> "Codes":
        """Return what is sensitive under the packs in force; the packs of a day are one object."""
        packs = self._packs()
        if self._known is None or self._known[0] is not packs:
            self._known = packs, codes_of_packs(packs)
        return self._known[1]


def codes_of_packs(packs: Packs) -> Codes:
    """Return what is sensitive by the packs `sensitive` and `infectious-diseases`."""
    rules = packs.rules("sensitive")
    marked = [row for row in packs.rules("infectious-diseases")["diseases"] if row.get("sensitive")]
    return Codes(
        str(rules["label"]),
        tuple(rules["icd10"]) + tuple(code for row in marked for code in row["icd10"]),
        frozenset(rules["codes"]) | {code for row in marked for code in row.get("codes", ())},
    )


def labelled(resource: Json, codes: Codes) -> Json:
    """Return the resource with the label where it is sensitive; the resource itself otherwise."""
    if is_restricted(resource) or not is_sensitive(resource, codes):
        return resource
    meta = dict(resource.get("meta") or {})
    label = {"system": CONFIDENTIALITY, "code": codes.label}
    return resource | {"meta": meta | {"security": [*meta.get("security", ()), label]}}


def is_sensitive(resource: Json, codes: Codes) -> bool:
    """Whether a test of the resource is a sensitive one, or its diagnosis begins as one."""
    is_diagnosis = resource["resourceType"] in ("Condition", "EpisodeOfCare")
    return any(
        code in codes.tests or (is_diagnosis and code.upper().startswith(codes.beginnings))
        for code in _codes(resource)
    )


def is_restricted(resource: Json) -> bool:
    """Whether a resource carries R or V."""
    return any(
        row.get("system") == CONFIDENTIALITY and row.get("code") in HIGH
        for row in (resource.get("meta") or {}).get("security") or ()
    )


def masked(name: str) -> str:
    """Return a name as lists show it where it is nobody's business: 张三丰 → 张**."""
    return name[:1] + "*" * (len(name) - 1)


def _may_be_sensitive(change: Put | Delete) -> bool:
    return isinstance(change, Put) and change.resource.get("resourceType") in TYPES


def _codes(resource: Json) -> Iterator[str]:
    for part in (resource, *(resource.get("component") or ())):
        for concept in (part.get("code"), *(part.get("conclusionCode") or ())):
            for row in codings(concept):
                yield str(row.get("code", ""))
