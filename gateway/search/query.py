"""A search as a value: what is asked, before any store decides how to find it.

Conditions speak of index values, not of parameters: each names the paths ("Observation.subject") whose extracted
values (gateway/search/extract.py) it tests. Two parameters that read the same element share its values, and a store
needs four kinds of rows: tokens (references and uris too), strings, dates and quantities.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from terminology.issues import Issue

Paths = tuple[str, ...]
Op = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
Total = Literal["none", "estimate", "accurate"]

# Most names and values need no escape, and to see it is cheaper than to quote them.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.~:\-]*", re.ASCII)
PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.~:,|/$\-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class All:
    """Every item holds; none at all is true for every resource."""

    items: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one item holds; none at all is never true."""

    items: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    item: "Condition"


@dataclass(frozen=True, slots=True)
class Present:
    """The resource has a value at one of the paths. `kind`: which rows hold it."""

    paths: Paths
    kind: Literal["token", "string", "date", "quantity"]


@dataclass(frozen=True, slots=True)
class Id:
    """The logical id is one of `ids`."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """The resource type is one of `types`."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """meta.lastUpdated against [low, high) in microseconds since 1970 UTC."""

    op: Op
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Token:
    """One of the pairs (system, code). System None: any, "": none; code None: any.

    References are tokens too: system is the resource type, code the id; a URL has no system, the version of a
    canonical is its system.
    """

    paths: Paths
    pairs: tuple[tuple[str | None, str | None], ...]


@dataclass(frozen=True, slots=True)
class Display:
    """The text beside a code starts with `text` (folded)."""

    paths: Paths
    text: str


@dataclass(frozen=True, slots=True)
class Below:
    """A URI equal to `uri` or under it: "http://a/b" finds "http://a/b/c", not "http://a/bc"."""

    paths: Paths
    uri: str


@dataclass(frozen=True, slots=True)
class String:
    """`value` is folded, except for `exact`; `whole` and `suffix` come from `_filter`."""

    paths: Paths
    value: str
    mode: Literal["prefix", "exact", "contains", "whole", "suffix"]


@dataclass(frozen=True, slots=True)
class Date:
    """The value's interval against [low, high) in microseconds since 1970 UTC (search.html#prefix)."""

    paths: Paths
    op: Op
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Quantity:
    """The value's interval against [low, high]; `low == high` for every prefix but eq, ne and ap.

    `unit` None: any. Else pairs as stored: ("ucum", canonical unit) compares normalised values, (system, code) with
    system "" = any compares the values as written.
    """

    paths: Paths
    op: Op
    low: float
    high: float
    unit: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """A composite: all items hold for values of the same repetition of the element that contains them."""

    items: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference at one of the paths leads to a resource of one of `types` for which `item` holds."""

    paths: Paths
    types: tuple[str, ...]
    item: "Condition"


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of `type` refers to this one from one of `paths`, and `item` holds for it."""

    type: str
    paths: Paths
    item: "Condition"


@dataclass(frozen=True, slots=True)
class Near:
    """Within `km` of a point (WGS 84 degrees), by the great circle."""

    paths: Paths
    latitude: float
    longitude: float
    km: float


@dataclass(frozen=True, slots=True)
class Text:
    """All `phrases` occur in the narrative or in all text of the resource; a phrase is a run of words."""

    field: Literal["narrative", "content"]
    phrases: tuple[tuple[str, ...], ...]


Condition = (
    All
    | AnyOf
    | Not
    | Present
    | Id
    | Kind
    | Updated
    | Token
    | Display
    | Below
    | String
    | Date
    | Quantity
    | Together
    | Chain
    | Has
    | Near
    | Text
)


@dataclass(frozen=True, slots=True)
class Sort:
    """One key of the order. `kind` tells which values are compared; `id` and `updated` need no paths."""

    code: str
    kind: Literal["token", "string", "date", "quantity", "id", "updated"]
    paths: Paths = ()
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` (or `_revinclude`) of `source`'s references at `paths`, to `target` types only when given.

    `source` None: any type; `paths` None: all references (`*`).
    """

    source: str | None
    paths: Paths | None
    target: str | None = None
    is_reverse: bool = False
    iterates: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """Search in `types` (none: all), page by page.

    `count` is the page size, 0 asks for the total only. `used` are the parameters that took effect, in order, for
    the self link; `warnings` name what was ignored.
    """

    types: tuple[str, ...]
    where: tuple[Condition, ...] = ()
    sort: tuple[Sort, ...] = ()
    count: int = 50
    total: Total | None = None
    includes: tuple[Include, ...] = ()
    cursor: str | None = None
    used: tuple[tuple[str, str], ...] = ()
    warnings: tuple[Issue, ...] = ()

    def narrowed(self, conditions: Sequence[Condition]) -> "Query":
        """Return the same search with further conditions, as access rules add them."""
        return replace(self, where=(*self.where, *conditions))

    def self_link(self) -> str:
        """Return the query string that was really used, without the leading "?"."""
        return "&".join(
            f"{name if PLAIN_NAME.fullmatch(name) else quote(name, safe=':._-')}"
            f"={value if PLAIN_VALUE.fullmatch(value) else quote(value, safe=':,|/._-$')}"
            for name, value in self.used
        )
