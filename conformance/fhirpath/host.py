"""What an expression may ask of its surroundings, and how much it may cost.

The engine itself reads nothing and knows no service: references, terminology, profiles, the clock and the trace sink are
passed in (docs/fhirpath.md#host).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from conformance.fhirpath.model import Type, items_of
from terminology.fhirjson import Json
from terminology.issues import TooCostly


@dataclass(frozen=True)
class Limits:
    """`steps`: items visited; `seconds`: wall time; `items`: length of a collection; `text`: characters of a string;
    `regex_seconds`: one regular expression.
    """

    steps: int = 5_000_000
    seconds: float = 10.0
    items: int = 200_000
    text: int = 2_000_000
    regex_seconds: float = 0.5


@dataclass(frozen=True)
class Host:
    """Hooks; each may be absent, then a function that needs it says so (HT-FP-14) or uses what is built in.

    `resolve(reference)` → resource or None. `member_of(value, value_set)` and `subsumes(left, right)` (Coding or code as
    JSON) → True, False or None for unknown. `conforms_to(resource, profile_url)` → bool, None when the profile is
    unknown. `terminologies[name](*arguments)` serves `%terminologies.name(…)` and returns a resource. `trace(name,
    values)` receives JSON values. `now()` returns an aware datetime. `check_html(text)` replaces the built-in narrative
    check.
    """

    resolve: Callable[[str], Json | None] | None = None
    member_of: Callable[[Any, str], bool | None] | None = None
    subsumes: Callable[[Any, Any], bool | None] | None = None
    conforms_to: Callable[[Json, str], bool | None] | None = None
    terminologies: dict[str, Callable[..., Any]] = field(default_factory=dict)
    trace: Callable[[str, list[Any]], None] | None = None
    now: Callable[[], datetime] = field(default=lambda: datetime.now().astimezone())
    check_html: Callable[[str], bool] | None = None
    limits: Limits = Limits()


DEFAULT = Host()


class Run:
    """One evaluation: where `$this` stands, what `%resource` means, what is left of the budget."""

    __slots__ = (
        "bundled",
        "deadline",
        "env",
        "host",
        "index",
        "moment",
        "reserve",
        "root",
        "slots",
        "this",
        "total",
        "type",
        "variables",
    )

    def __init__(self, this: list[Any], type: Type | None, env: dict[str, Any], host: Host) -> None:
        self.this = this
        self.root = this
        self.type = type
        self.env = env
        self.host = host
        self.index: int | None = 0
        self.total: list[Any] = []
        self.variables: dict[str, list[Any]] | None = None
        self.bundled: dict[str, Any] | None = None
        self.slots: dict[int, list[Any]] = {}
        self.reserve = host.limits.steps
        self.deadline = 0.0
        self.moment: datetime | None = None

    def variable(self, name: str) -> list[Any] | None:
        """Return an environment variable as a collection, None when nobody set it.

        %context, %resource and %rootResource are the input unless given; %rootResource is %resource when only that is.
        """
        if self.variables is None:
            self.variables = {}
        found = self.variables.get(name)
        if found is None:
            given = self.env.get(name)
            if given is not None:
                found = items_of(given, self.type if name == "context" else None)
            elif name == "rootResource":
                found = self.variable("resource")
            elif name in ("context", "resource"):
                found = self.root
            if found is not None:
                self.variables[name] = found
        return found

    def spend(self, steps: int) -> None:
        """Take `steps` from the budget. Raises TooCostly HT-FP-22 (steps) and HT-FP-24 (time)."""
        before = self.reserve
        self.reserve = before - steps
        # The clock is read once in about a thousand steps, and first when the evaluation is no longer small.
        if before >> 10 != self.reserve >> 10:
            self._check()

    def bound(self, found: list[Any]) -> list[Any]:
        """Return `found` unless it is longer than allowed."""
        if len(found) > self.host.limits.items:
            raise TooCostly("HT-FP-25", limit=self.host.limits.items)
        return found

    def bound_text(self, length: int) -> None:
        if length > self.host.limits.text:
            raise TooCostly("HT-FP-26", limit=self.host.limits.text)

    def now(self) -> datetime:
        """The same moment throughout an evaluation (https://hl7.org/fhirpath/N1/#current-date-and-time-functions)."""
        if self.moment is None:
            self.moment = self.host.now()
        return self.moment

    def _check(self) -> None:
        limits = self.host.limits
        if self.reserve < 0:
            raise TooCostly("HT-FP-22", limit=limits.steps)
        clock = time.monotonic()
        if not self.deadline:
            self.deadline = clock + limits.seconds
        elif clock > self.deadline:
            raise TooCostly("HT-FP-24", limit=limits.seconds)
