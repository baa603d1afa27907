"""What a test came to: one model for TestScripts, YAML tests and everything that reports them.

A requirement's verdict uses the same states and three more (waived, attested, not-applicable). What was skipped was
not evaluated, and that never counts as passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from conformance.testing.client import Exchange
from terminology.issues import Issue

State = Literal["pass", "fail", "error", "not-evaluated", "waived", "attested", "not-applicable"]
STATES: tuple[State, ...] = (
    "pass",
    "fail",
    "error",
    "not-evaluated",
    "waived",
    "attested",
    "not-applicable",
)
# The worst first: a test is as good as its worst step.
_RANK: tuple[State, ...] = ("error", "fail", "not-evaluated")


@dataclass(slots=True)
class Step:
    """One operation or judgement. `warns`: a finding that does not fail the test (TestScript warningOnly)."""

    kind: str
    name: str
    state: State
    issues: tuple[Issue, ...] = ()
    warns: bool = False
    exchange: Exchange | None = None


@dataclass(slots=True)
class Result:
    """One test. `requirements`: the ids that it is evidence for; `seconds`: how long it took."""

    id: str
    zh: str
    en: str
    steps: list[Step] = field(default_factory=list)
    requirements: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    is_negative: bool = False
    seconds: float = 0.0

    @property
    def state(self) -> State:
        """The worst of the steps; a test that judged nothing was not evaluated."""
        return worst([step.state for step in self.steps if not step.warns], is_judged=self._is_judged)

    @property
    def issues(self) -> list[Issue]:
        return [issue for step in self.steps for issue in step.issues]

    @property
    def _is_judged(self) -> bool:
        return any(step.kind in JUDGING and step.state in ("pass", "fail") for step in self.steps)


# Kinds of steps that judge something; sending alone proves nothing.
JUDGING = frozenset({"assert", "expect", "validate", "attest"})


@dataclass(slots=True)
class Run:
    """All tests of one run against one target. `started`: ISO 8601 with offset; `suite_hash`: SHA-256 of the tests."""

    id: str
    target: str
    started: str
    results: list[Result]
    suite_hash: str = ""
    roles: tuple[str, ...] = ()
    notices: list[Issue] = field(default_factory=list)

    def count(self, state: State) -> int:
        return sum(1 for result in self.results if result.state == state)


def worst(states: Sequence[State], *, is_judged: bool = True) -> State:
    """Return the worst of these states; pass only when something was judged."""
    for state in _RANK:
        if state in states:
            return state
    return "pass" if is_judged and states else "not-evaluated"
