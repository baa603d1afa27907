"""Reading ValueSet.compose: its parts in the order in which they are evaluated, and their filters."""

from collections.abc import Sequence
from functools import cmp_to_key
from typing import Any

from terminology.code_system import (
    CodeSystem,
    Filter,
    InvalidRegex,
    NotEnumerable,
    Selection,
    UnsupportedFilter,
)
from terminology.concept_status import text_of
from terminology.fhirjson import Json
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope
from terminology.versions import compare

FILTER_OP = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.compose.include.filter.op"


def includes(value_set: Json) -> list[Json]:
    """Return compose.include; of several versions of one code system the latest comes first."""
    parts = list((value_set.get("compose") or {}).get("include") or ())

    def order(first: Json, second: Json) -> int:
        if first.get("system") == second.get("system") and first.get("version") and second.get("version"):
            return -compare(first["version"], second["version"])
        return 0

    return sorted(parts, key=cmp_to_key(order))


def excludes(value_set: Json) -> list[Json]:
    return list((value_set.get("compose") or {}).get("exclude") or ())


def excludes_inactive(value_set: Json) -> bool:
    """compose.inactive = false: inactive codes are no members."""
    return (value_set.get("compose") or {}).get("inactive") in (False, "false")


def check_locked_date(scope: Scope, value_set: Json) -> None:
    """Refuse a value set that fixes a date: R4 code systems don't tell which codes were there on a date."""
    if (value_set.get("compose") or {}).get("lockedDate"):
        raise TerminologyProblem(
            scope.issue("error", "business-rule", "business-rule", "LOCKED_DATE", value_set.get("url", "")),
            in_answer=True,
        )


def operator(row: Json) -> str:
    """Return a filter's operator: the element, or R5's in its cross-version extension."""
    for extension in (row.get("_op") or {}).get("extension") or ():
        if extension.get("url") == FILTER_OP:
            return text_of(extension)
    return str(row.get("op", ""))


def filters(scope: Scope, system: CodeSystem, part: Json, path: str) -> list[Filter]:
    """Return the filters of an include; raises TerminologyProblem for one without a value."""
    found = []
    for number, row in enumerate(part.get("filter") or ()):
        op = operator(row)
        if not row.get("value"):
            raise TerminologyProblem(
                scope.issue(
                    "error", "invalid", "vs-invalid", "UNABLE_TO_HANDLE_SYSTEM_FILTER_WITH_NO_VALUE", system.url,
                    row.get("property"), op, path=f"ValueSet.compose.{path}.filter[{number}]",
                ),
                status=400,
            )  # fmt: skip
        found.append(Filter(str(row.get("property", "")), op, row["value"]))
    return found


def select(scope: Scope, system: CodeSystem, part: Json, path: str) -> Selection:
    """Return the concepts that all filters of an include keep (all concepts when there is none)."""
    selection: Selection | None = None
    for number, filter in enumerate(filters(scope, system, part, path)):
        try:
            kept = system.select(filter)
        except (UnsupportedFilter, InvalidRegex) as error:
            place = f"ValueSet.compose.{path}.filter[{number}]"
            raise TerminologyProblem(_filter_issue(scope, filter, error, place), status=400) from None
        selection = kept if selection is None else selection & kept
    if selection is not None:
        return selection
    try:
        return system.all()
    except NotEnumerable:
        raise TerminologyProblem(
            scope.issue("error", "not-supported", "not-supported", "CODESYSTEM_NOT_ENUMERABLE", system.url)
        ) from None


def _filter_issue(scope: Scope, filter: Filter, error: Exception, path: str) -> Any:
    if isinstance(error, InvalidRegex):
        return scope.issue(
            "error", "invalid", "vs-invalid", "INVALID_REGEX", filter.value, str(error), path=path
        )
    return scope.issue(
        "error", "not-supported", "vs-invalid", "FILTER_NOT_UNDERSTOOD", filter.property, filter.op, filter.value,
        path=path,
    )  # fmt: skip


def listed(part: Json) -> Sequence[Json]:
    return part.get("concept") or ()


def imports(part: Json) -> Sequence[str]:
    return part.get("valueSet") or ()
