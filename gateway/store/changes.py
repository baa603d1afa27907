"""Deciding a commit against what is there: versions expected, versions to come (docs/design.md, decision 5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.store.protocol import Delete, Method, Put
from gateway.store.stamp import is_same
from terminology.issues import InvalidInput, VersionConflict


@dataclass(frozen=True, slots=True)
class Current:
    """The newest version of a resource. `body` is loaded only where `unless_same` needs it."""

    row: int
    version: int
    is_deleted: bool
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one change comes to: write `version` (after `replaces`, a row number or 0), or nothing when `keeps`.

    `keeps`: the current version answers for the change; None together with version 0: there was nothing to delete.
    """

    type: str
    id: str
    version: int = 0
    method: Method = "PUT"
    replaces: int = 0
    keeps: Current | None = None


def key(change: Put | Delete) -> tuple[str, str]:
    if isinstance(change, Put):
        return change.resource["resourceType"], change.resource["id"]
    return change.type, change.id


def decide(changes: Sequence[Put | Delete], current: Mapping[tuple[str, str], Current | None]) -> list[Step]:
    """Return a step for each change; raises VersionConflict or InvalidInput, and then nothing may be written."""
    steps: list[Step] = []
    seen: set[tuple[str, str]] = set()
    for change in changes:
        type, id = key(change)
        if (type, id) in seen:
            raise InvalidInput("HT-STORE-04", type=type, id=id)
        seen.add((type, id))
        steps.append(_step(change, type, id, current.get((type, id))))
    return steps


def _step(change: Put | Delete, type: str, id: str, found: Current | None) -> Step:
    is_there = found is not None and not found.is_deleted
    number = found.version if found is not None else 0
    if (
        change.expected is not None
        and change.expected != number
        and not (change.expected == 0 and not is_there)
    ):
        raise VersionConflict(
            "HT-STORE-01", type=type, id=id, current=number if is_there else 0, expected=change.expected
        )
    replaces = found.row if found is not None else 0
    if isinstance(change, Delete):
        return Step(type, id, number + 1, "DELETE", replaces) if is_there else Step(type, id)
    if (
        change.unless_same
        and is_there
        and found is not None
        and found.body is not None
        and is_same(change.resource, found.body)
    ):
        return Step(type, id, keeps=found)
    return Step(type, id, number + 1, change.method, replaces)
