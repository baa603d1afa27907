"""From the parameters of a URL to a Query (https://hl7.org/fhir/R4/search.html).

Unknown parameters are refused (strict) or named in the query's warnings and left out of the self link (lenient); a
known parameter with a value or modifier that cannot be honoured is refused always, with all problems at once.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from time import time_ns
from typing import Protocol

from conformance.definitions import compartment as compartment_parameters
from conformance.definitions import resource_types
from gateway.search import filter as filters
from gateway.search import include, sort
from gateway.search.criterion import Criteria
from gateway.search.parameters import Parameters
from gateway.search.query import All, AnyOf, Condition, Id, Include, Kind, Query, Sort, Token, Total
from terminology.issues import InvalidInput, Issue

DEFAULT_COUNT = 50
MAX_COUNT = 1_000
MAX_PARAMETERS = 200

# These shape the answer, not the matches; the REST layer reads them.
SHAPING = frozenset(("_summary", "_elements", "_format", "_pretty"))
CURSOR = "_cursor"


class Terminology(Protocol):
    """What `:in`, `:not-in`, `:above` and `:below` ask. Unknown value sets raise a FhirError."""

    def expand(self, value_set: str) -> Sequence[tuple[str, str | None]]:
        """Return the (system, code) pairs of a value set by URL or `ValueSet/id`; code None: every code of the system."""

    def below(self, system: str, code: str) -> Sequence[str]:
        """Return the codes that `code` subsumes, itself included."""

    def above(self, system: str, code: str) -> Sequence[str]:
        """Return the codes that subsume `code`, itself included."""


DEFAULTS = Parameters()


def parse(
    resource_type: str | None,
    params: Sequence[tuple[str, str]],
    *,
    strict: bool = False,
    parameters: Parameters = DEFAULTS,
    terminology: Terminology | None = None,
    compartment: tuple[str, str] | None = None,
    now: int | None = None,
    default_count: int = DEFAULT_COUNT,
    max_count: int = MAX_COUNT,
) -> Query:
    """Return the search in `resource_type` (None: `_type` or everything) that `params` ask for.

    `compartment`: ("Patient", "123") keeps to what belongs to it. `now` in microseconds since 1970 (for `ap`).
    Raises InvalidInput with one issue for each problem.
    """
    reader = _Reader(resource_type, parameters, terminology, strict=strict, max_count=max_count)
    reader.now = now if now is not None else time_ns() // 1000
    return reader.read(params, compartment, default_count)


class _Reader:
    def __init__(
        self,
        resource_type: str | None,
        parameters: Parameters,
        terminology: Terminology | None,
        *,
        strict: bool,
        max_count: int,
    ) -> None:
        self.types: tuple[str, ...] = (resource_type,) if resource_type else ()
        self.resource_type = resource_type
        self.parameters = parameters
        self.terminology = terminology
        self.strict = strict
        self.max_count = max_count
        self.now = 0
        self.problems: list[Issue] = []
        self.warnings: list[Issue] = []
        self.used: list[tuple[str, str]] = []
        self.where: list[Condition] = []
        self.sort: tuple[Sort, ...] = ()
        self.includes: list[Include] = []
        self.count: int | None = None
        self.total: Total | None = None
        self.cursor: str | None = None

    def read(
        self, params: Sequence[tuple[str, str]], compartment: tuple[str, str] | None, default_count: int
    ) -> Query:
        if len(params) > MAX_PARAMETERS:
            raise InvalidInput("HT-SEARCH-04", count=len(params), most=MAX_PARAMETERS)
        for name, value in params:
            if name == "_type" and self.resource_type is None:
                self._attempt(name, value, self._type)
        self.criteria = Criteria(self.parameters, self.terminology, self.now)
        for name, value in params:
            if name != "_type" or self.resource_type is not None:
                self._attempt(name, value, self._parameter)
        if self.problems:
            raise InvalidInput(self.problems)
        if compartment is not None:
            self._compartment(*compartment)
        return Query(
            types=self.types,
            where=tuple(self.where),
            sort=self.sort,
            count=default_count if self.count is None else self.count,
            total=self.total,
            includes=tuple(self.includes),
            cursor=self.cursor,
            used=tuple(self.used),
            warnings=tuple(self.warnings),
        )

    def _attempt(self, name: str, value: str, read: "object") -> None:
        """Read one parameter; its problems join those of the others."""
        try:
            read(name, value)  # type: ignore[operator]  # one of the three bound readers below
        except InvalidInput as error:
            self.problems += error.issues
        except RecursionError:
            self.problems.append(Issue("HT-SEARCH-05", {"name": name[:80]}))

    def _type(self, name: str, value: str) -> None:
        known = resource_types()
        for kind in value.split(","):
            if kind not in known:
                raise InvalidInput("HT-SEARCH-06", type=kind[:80])
        self.types = tuple(dict.fromkeys((*self.types, *value.split(","))))
        self.used.append((name, value))

    def _parameter(self, name: str, value: str) -> None:
        if name in SHAPING:
            self.used.append((name, value))
        elif name == "_count":
            self._count(value)
        elif name == CURSOR:
            self.cursor = value
        elif name == "_total":
            if value not in ("none", "estimate", "accurate"):
                raise InvalidInput(
                    "HT-SEARCH-07", name=name, value=value[:80], known="none, estimate, accurate"
                )
            self.total = value  # type: ignore[assignment]  # just tested
            self.used.append((name, value))
        elif name == "_sort":
            self._sort(name, value)
        elif name.partition(":")[0] in ("_include", "_revinclude"):
            self.includes.append(include.parse(name, value, parameters=self.parameters))
            self.used.append((name, value))
        elif name in ("_contained", "_containedType"):
            # Contained resources are not indexed (search.html#contained allows it).
            if (name, value) not in (("_contained", "false"), ("_containedType", "container")):
                issue = Issue(
                    "HT-SEARCH-39", {"name": name, "value": value[:80]}, "error" if self.strict else "warning"
                )
                (self.problems if self.strict else self.warnings).append(issue)
        elif value == "":
            # An empty value asks nothing; browsers send it for an empty field.
            self.warnings.append(Issue("HT-SEARCH-03", {"name": name[:80]}, "warning"))
        elif name == "_filter":
            self.where.append(filters.parse(value, self.types, self.criteria))
            self.used.append((name, value))
        else:
            self._criterion(name, value)

    def _criterion(self, name: str, value: str) -> None:
        if self.criteria.is_known(self.types, name):
            self.where.append(self.criteria.read(self.types, name, value))
            self.used.append((name, value))
            for code in self.criteria.pending(self.types, name):
                self.warnings.append(Issue("HT-SEARCH-43", {"name": code}, "warning"))
        else:
            self._ignore(name)

    def _ignore(self, name: str) -> None:
        """An unknown parameter: refused when strict, reported when lenient (search.html#errors)."""
        stem = name.partition(":")[0].partition(".")[0]
        near = get_close_matches(stem, self.criteria.codes(self.types), n=1, cutoff=0.5)
        values = {"name": name[:80], "type": ",".join(self.types) or "*", "near": near[0] if near else "?"}
        code = "HT-SEARCH-01" if near else "HT-SEARCH-02"
        if self.strict:
            self.problems.append(Issue(code, values))
        else:
            self.warnings.append(Issue(code, values, "warning"))

    def _count(self, value: str) -> None:
        if not value.isascii() or not value.isdigit() or len(value) > 9:
            raise InvalidInput("HT-SEARCH-08", value=value[:80])
        self.count = int(value)
        if self.count > self.max_count:
            self.warnings.append(
                Issue("HT-SEARCH-09", {"value": value, "most": self.max_count}, "information")
            )
            self.count = self.max_count
        self.used = [row for row in self.used if row[0] != "_count"]
        self.used.append(("_count", str(self.count)))

    def _sort(self, name: str, value: str) -> None:
        keys: list[Sort] = []
        for key in value.split(","):
            found = sort.parse(key, self.types, parameters=self.parameters)
            if found is None:
                self._ignore(key.lstrip("-"))
            else:
                keys.append(found)
        self.sort = tuple(dict.fromkeys(keys))[:8]
        if self.sort:
            shown = ",".join(("-" if key.descending else "") + key.code for key in self.sort)
            self.used.append((name, shown))

    def _compartment(self, code: str, id: str) -> None:
        """Keep to a compartment (https://hl7.org/fhir/R4/compartmentdefinition.html)."""
        rows = compartment_parameters(code)
        types = self.types or tuple(sorted({*rows, code}))
        self.types = types
        alternatives: list[Condition] = []
        for kind in types:
            inside: list[Condition] = [Id((id,))] if kind == code else []
            for name in rows.get(kind, ()):
                parameter = self.parameters.get(kind, name)
                if parameter is not None and parameter.paths:
                    inside.append(Token(parameter.paths, ((code, id),)))
            if inside:
                condition: Condition = inside[0] if len(inside) == 1 else AnyOf(tuple(inside))
                alternatives.append(condition if len(types) == 1 else All((Kind((kind,)), condition)))
        self.where.append(alternatives[0] if len(alternatives) == 1 else AnyOf(tuple(alternatives)))
