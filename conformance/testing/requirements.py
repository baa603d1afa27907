"""The requirements register: what a role has to do, where that comes from, and which tests are evidence for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from conformance.testing.yaml_test import LOADER, YamlTest
from terminology.issues import InvalidInput

REGISTER = Path(__file__).parent.parent / "requirements"
LEVELS = ("MUST", "SHOULD", "MAY")
Level = Literal["MUST", "SHOULD", "MAY"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """`source`: the clause it comes from; `since`: the interface version that brought it."""

    id: str
    zh: str
    en: str
    source: str
    level: Level
    roles: tuple[str, ...]
    since: str


@cache
def load_register() -> dict[str, Requirement]:
    """Return the shipped requirements by id."""
    return load_requirements(sorted(REGISTER.glob("*.yaml")))


def load_requirements(paths: Iterable[Path]) -> dict[str, Requirement]:
    """Return the requirements of these files; raises InvalidInput for a row that lacks something or comes twice."""
    found: dict[str, Requirement] = {}
    for path in paths:
        try:
            rows = yaml.load(path.read_text("utf-8"), Loader=LOADER)  # noqa: S506  # both are safe loaders
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise InvalidInput("HT-CT-33", name=path.name, detail=str(error)[:200]) from None
        if not isinstance(rows, list):
            raise InvalidInput("HT-CT-33", name=path.name, detail="not a list")
        for row in rows:
            try:
                made = Requirement(**{**row, "roles": tuple(row["roles"]), "since": str(row["since"])})
            except (TypeError, KeyError) as error:
                raise InvalidInput("HT-CT-33", name=path.name, detail=str(error)[:200]) from None
            if made.level not in LEVELS or not made.roles or made.id in found:
                raise InvalidInput("HT-CT-33", name=path.name, detail=made.id)
            found[made.id] = made
    return found


@dataclass(frozen=True, slots=True)
class Coverage:
    """`untested`: requirements without a test; `unknown`: ids that tests name and the register lacks."""

    tested: dict[str, tuple[str, ...]]
    untested: tuple[Requirement, ...]
    unknown: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """True when every MUST has a test and every test names known requirements only."""
        return not self.unknown and not any(row.level == "MUST" for row in self.untested)


def coverage(register: dict[str, Requirement], tests: Iterable[YamlTest]) -> Coverage:
    """Return which requirements the tests are evidence for."""
    tested: dict[str, list[str]] = {}
    for test in tests:
        for id in test.requirements:
            tested.setdefault(id, []).append(test.id)
    return Coverage(
        {id: tuple(names) for id, names in tested.items()},
        tuple(row for row in register.values() if row.id not in tested),
        tuple(sorted(set(tested) - set(register))),
    )
