"""One validation: what is passed in, what has been found, and where a value stands."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from conformance.validation.path import Path
from conformance.validation.tables import Spec, Table
from terminology.fhirjson import Json
from terminology.issues import Issue, Severity

if TYPE_CHECKING:
    from conformance.validation.codes import Terminology
    from conformance.validation.registry import ProfileRegistry

# A hostile resource shall not become a report of a hundred thousand lines.
MAX_ISSUES = 1000


@dataclass(frozen=True)
class Policy:
    """What the house decides where the specification leaves it open.

    `unknown_extensions`: an extension whose definition nobody loaded is refused, as the reference validator does, or
    told as information: on writes, where a sender's own extensions must not block his data.
    `html_in_strings`: markup in a plain string is a warning, or refused. `best_practice`: report dom-6 and its kind.
    """

    unknown_extensions: Literal["allow", "refuse"] = "refuse"
    html_in_strings: Literal["warn", "refuse"] = "warn"
    best_practice: bool = True


class Scope:
    """A resource and what surrounds it: its container and how it is held there.

    `held`: "" for the outermost resource, else contained, entry or parameter. `entry` is the Bundle.entry.
    """

    __slots__ = ("_contained", "entry", "held", "parent", "path", "resource", "type")

    def __init__(
        self, resource: Json, path: Path, parent: "Scope | None", held: str, entry: Json | None
    ) -> None:
        self.resource = resource
        self.type: str = resource["resourceType"]
        self.path = path
        self.parent = parent
        self.held = held
        self.entry = entry
        self._contained: dict[str, Json] | None = None

    @property
    def root(self) -> "Scope":
        """The outermost resource of the input."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def host(self) -> "Scope":
        """The resource that `#id` and %rootResource mean: for a contained resource the one that contains it."""
        scope = self
        while scope.held == "contained" and scope.parent is not None:
            scope = scope.parent
        return scope

    @property
    def bundle(self) -> "Scope | None":
        """The nearest Bundle around this resource."""
        scope = self.parent
        while scope is not None and scope.type != "Bundle":
            scope = scope.parent
        return scope

    @property
    def contained(self) -> dict[str, Json]:
        """The contained resources of the host by id."""
        host = self.host
        if host._contained is None:
            rows = host.resource.get("contained")
            host._contained = {
                row["id"]: row
                for row in (rows if isinstance(rows, list) else ())
                if isinstance(row, dict) and isinstance(row.get("id"), str)
            }
        return host._contained


class Node:
    """A complex value on its way through the rules; `spec` is None for a resource."""

    __slots__ = ("parent", "path", "scope", "spec", "table", "value")

    def __init__(
        self, value: Json, table: Table, path: Path, scope: Scope, spec: Spec | None, parent: "Node | None"
    ) -> None:
        self.value = value
        self.table = table
        self.path = path
        self.scope = scope
        self.spec = spec
        self.parent = parent

    @property
    def type(self) -> str:
        """The type's name; a backbone element's path."""
        return self.table.path

    def text(self, name: str) -> str | None:
        """Return a string member, None when absent or no string (the structure check has told that)."""
        value = self.value.get(name)
        return value if isinstance(value, str) else None

    def objects(self, name: str) -> Iterator[tuple[Json, Path]]:
        """Yield the objects of a repeating member with their places."""
        yield from objects(self.value, name, self.path)


def objects(value: Json, name: str, path: Path) -> Iterator[tuple[Json, Path]]:
    items = value.get(name)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield item, Path(path, name, index)


@dataclass
class Run:
    """What the rules work with; rules add to `issues` through `report`."""

    terminology: "Terminology"
    registry: "ProfileRegistry"
    policy: Policy = Policy()
    issues: list[Issue] = field(default_factory=list)
    # Findings that several rules of one run share, keyed by who keeps them.
    memory: dict[Any, Any] = field(default_factory=dict)
    # Limits such as "at most a year from now" are counted from here; the same moment throughout a run.
    now: datetime = field(default_factory=lambda: datetime.now().astimezone())

    def report(
        self, code: str, path: Path | str | None, severity: Severity = "error", /, **values: Any
    ) -> None:
        if len(self.issues) < MAX_ISSUES:
            self.issues.append(Issue(code, values, severity, str(path) if path is not None else None))


Rule = Callable[[Node, Run], None]
# value, its place, the node that holds it, the property it stands in
ValueRule = Callable[[Any, Path, Node, Spec, Run], None]
