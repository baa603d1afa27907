"""Rules with a date: routing, time limits, phases, senders. One YAML file a pack; the newest in force counts.

A county's folder (setting `workflow_packs`) overrides a shipped pack of the same id. Every pack names its source.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from terminology.issues import InvalidInput, Issue

log = logging.getLogger("gateway.workflow")

SHIPPED = Path(__file__).parent / "packs"
LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Pack:
    """`rules` is the file's tree under that name; what it may hold is the business of the module that asks for it."""

    id: str
    version: str
    effective: date
    source: str
    rules: Any
    is_shipped: bool = True

    @property
    def name(self) -> str:
        return f"{self.id}|{self.version}"


@dataclass(frozen=True, slots=True)
class Packs:
    """The packs in force on one day, by id."""

    by_id: Mapping[str, Pack]

    def __getitem__(self, id: str) -> Pack:
        return self.by_id[id]

    def rules(self, id: str) -> Any:
        return self.by_id[id].rules

    def uri(self, id: str) -> str:
        """Return the name of a pack's version, as Provenance.policy tells it."""
        pack = self.by_id[id]
        return f"https://hutong.health/fhir/workflow-pack/{pack.id}/{pack.version}"


class PackShelf:
    """All versions of all packs. `folder`: the county's own; changes there take effect within two seconds."""

    def __init__(self, folder: Path | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self._clock = folder, clock
        self._own: list[Pack] = load_packs(folder) if folder is not None else []
        self._stamp = self._look()
        self._looked = clock()
        self._days: dict[date, Packs] = {}

    @cached_property
    def _shipped(self) -> list[Pack]:
        """Read when the first rule is asked for: a start does not pay for it, and what is shipped was tested."""
        return load_packs(SHIPPED, is_shipped=True)

    def at(self, day: date) -> Packs:
        """Return the packs in force on a day."""
        self._renew()
        found = self._days.get(day)
        if found is None:
            if len(self._days) > 64:
                self._days.clear()
            found = self._days[day] = Packs(_in_force(self._shipped, day) | _in_force(self._own, day))
        return found

    def _renew(self) -> None:
        if self.folder is None or self._clock() - self._looked < LOOK_SECONDS:
            return
        self._looked = self._clock()
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._own = load_packs(self.folder)
            except InvalidInput as error:
                # A file that is just being written, or broken: the packs stay as they were, and nobody's work stops.
                log.error("workflow packs were not read again: %s", error)
                return
            self._days.clear()

    def _look(self) -> tuple[tuple[str, int], ...]:
        if self.folder is None or not self.folder.is_dir():
            return ()
        return tuple((path.name, path.stat().st_mtime_ns) for path in sorted(self.folder.glob("*.yaml")))


def load_packs(folder: Path, *, is_shipped: bool = False) -> list[Pack]:
    """Return the packs of a folder; raises InvalidInput (HT-WF-30) with every file that is none."""
    found: list[Pack] = []
    problems: list[Issue] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            tree = read_yaml(path)
            found.append(
                Pack(
                    str(tree["pack"]), str(tree["version"]), _day(tree["effective"]), str(tree["source"]),
                    tree["rules"], is_shipped,
                )
            )  # fmt: skip
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            detail = f"{type(error).__name__}: {error}"[:200]
            problems.append(Issue("HT-WF-30", {"file": path.name, "detail": detail}))
    if problems:
        raise InvalidInput(problems)
    return found


def read_yaml(path: Path) -> Any:
    """Return the tree of a YAML file; libyaml reads it five times faster, where it is there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text("utf-8"), Loader=loader)  # noqa: S506  (both are the safe one)


def _day(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))


def _in_force(packs: Sequence[Pack], day: date) -> dict[str, Pack]:
    found: dict[str, Pack] = {}
    for pack in sorted(packs, key=lambda row: row.effective):
        if pack.effective <= day:
            found[pack.id] = pack
    return found
