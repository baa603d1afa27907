"""The members of a value set as data: runs of ordinals of code systems, each code once.

`terminology.expansion` makes them from ValueSet.compose.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from terminology.code_system import CodeSystem, Selection
from terminology.fhirjson import Json
from terminology.supplement import SupplementedCodeSystem

Key = tuple[str, str | None, str]


@dataclass(frozen=True)
class Member:
    """One code of a value set. `row`: its compose.include.concept; `value_set`: the one that lists it.

    `shows_version`: another version of its code system is a member too, so the version must be told.
    """

    system: CodeSystem
    ordinal: int
    row: Json | None
    value_set: Json
    shows_version: bool = False

    @property
    def code(self) -> str:
        return self.system.code(self.ordinal)


@dataclass(frozen=True)
class Run:
    """Members of one code system, in order. `is_whole`: all its codes were meant, so gaps in the tree are closed."""

    system: CodeSystem
    ordinals: Selection | Sequence[int]
    value_set: Json
    rows: dict[int, Json] = field(default_factory=dict)
    is_whole: bool = False
    is_ranked: bool = False
    shows_version: bool = False

    @property
    def selection(self) -> Selection | None:
        return None if isinstance(self.ordinals, (list, tuple)) else self.ordinals  # type: ignore[return-value]

    def member(self, ordinal: int) -> Member:
        return Member(self.system, ordinal, self.rows.get(ordinal), self.value_set, self.shows_version)

    def without(self, unwanted: "Unwanted") -> "Run":
        """Return the run without what an exclusion names."""
        if unwanted.whole and (unwanted.version is None or unwanted.version == self.system.version):
            return replace(self, ordinals=[]) if unwanted.url == self.system.url else self
        selection = self.selection
        same = base_of(unwanted.system) is base_of(self.system)
        if selection is not None and same and unwanted.selection is not None:
            return replace(self, ordinals=selection - unwanted.selection)
        kept = [ordinal for ordinal in self.ordinals if not unwanted.names(self.system, ordinal)]
        return self if len(kept) == len(self.ordinals) else replace(self, ordinals=kept)

    def within(self, keys: "Keys") -> "Run":
        """Return the run restricted to the (system, code) pairs of imported value sets."""
        return replace(
            self, ordinals=[o for o in self.ordinals if keys.has(self.system.url, self.system.code(o))], is_whole=False
        )  # fmt: skip


@dataclass(frozen=True)
class Unwanted:
    """What one exclude takes away: a whole code system, a selection of one, or (url, version, code) keys."""

    url: str = ""
    version: str | None = None
    whole: bool = False
    system: CodeSystem | None = None
    selection: Selection | None = None
    keys: frozenset[Key] = frozenset()
    by_version: bool = False

    def names(self, system: CodeSystem, ordinal: int) -> bool:
        code = system.code(ordinal)
        if (system.url, system.version if self.by_version else None, code) in self.keys:
            return True
        if self.system is None or self.selection is None or self.system.url != system.url:
            return False
        if self.by_version and self.system.version != system.version:
            return False
        other = self.system.locate(code)
        return other is not None and other in self.selection


class Keys:
    """The (system, code) pairs of some runs."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = list(runs)

    @cached_property
    def _pairs(self) -> frozenset[tuple[str, str]]:
        return frozenset((run.system.url, run.system.code(o)) for run in self._runs for o in run.ordinals)

    def has(self, url: str, code: str) -> bool:
        return (url, code) in self._pairs


@dataclass
class Members:
    """All members of a value set.

    `used`: expansion parameters that evaluation produced, as (name, value) in order; `reasons`: why the list isn't
    closed; `can_nest`: the members may be shown as a tree.
    """

    runs: list[Run] = field(default_factory=list)
    used: dict[tuple[str, str], None] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    supplements: dict[str, None] = field(default_factory=dict)
    by_version: bool = False
    versions_match: bool = False
    can_nest: bool = True

    @cached_property
    def _listed(self) -> list[Member] | None:
        """Every member once; None when there is one run, which needs no comparison."""
        if len(self.runs) < 2:
            return None
        found: dict[Key, Member] = {}
        for run in self.runs:
            for ordinal in run.ordinals:
                member = run.member(ordinal)
                if self.key(member) in found:
                    # One code in two places of the tree: a list is all that can be shown.
                    self.can_nest = False
                else:
                    found[self.key(member)] = member
        return list(found.values())

    def __len__(self) -> int:
        if self._listed is not None:
            return len(self._listed)
        return len(self.runs[0].ordinals) if self.runs else 0

    def __iter__(self) -> Iterator[Member]:
        if self._listed is not None:
            return iter(self._listed)
        return (run.member(ordinal) for run in self.runs for ordinal in run.ordinals)

    def page(self, offset: int, count: int) -> list[Member]:
        """Return `count` members from `offset` on."""
        if self._listed is not None:
            return self._listed[offset : offset + count]
        if not self.runs:
            return []
        run = self.runs[0]
        ordinals = run.ordinals
        if isinstance(ordinals, (list, tuple)):
            return [run.member(ordinal) for ordinal in ordinals[offset : offset + count]]
        return [run.member(ordinal) for ordinal in ordinals.page(offset, count)]  # type: ignore[union-attr]

    def key(self, member: Member) -> Key:
        by_version = self.by_version and not self.versions_match
        return member.system.url, member.system.version if by_version else None, member.code

    def systems_of(self, code: str) -> list[str]:
        """Return the code systems in which a code is a member."""
        found = (run.system.url for run in self.runs if self._has(run, code))
        return list(dict.fromkeys(found))

    @staticmethod
    def _has(run: Run, code: str) -> bool:
        ordinal = run.system.locate(code)
        return ordinal is not None and ordinal in run.ordinals

    def use(self, name: str, value: str) -> None:
        self.used[name, value] = None


def joined(runs: Iterable[Run]) -> list[Run]:
    """Join neighbouring selections of one code system into one: most value sets then need no comparison of codes."""
    found: list[Run] = []
    for run in runs:
        last = found[-1] if found else None
        if last is not None and base_of(last.system) is base_of(run.system):
            first, second = last.selection, run.selection
            if first is not None and second is not None and last.is_whole == run.is_whole:
                found[-1] = replace(last, ordinals=first | second)
                continue
        found.append(run)
    return found


def base_of(system: CodeSystem | None) -> CodeSystem | None:
    """Return the provider below the supplements: ordinals and selections belong to it."""
    return system.base if isinstance(system, SupplementedCodeSystem) else system
