"""ValueSet.compose.include.filter over a code system resource (https://hl7.org/fhir/R4/valueset-filter-operator.html).

A table of functions from operator to the test of one concept; `MemoryCodeSystem.select` runs them over all concepts,
hierarchical operators walk the hierarchy instead.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from terminology.code_system import Filter, InvalidRegex, UnsupportedFilter
from terminology.concept_status import text_of

if TYPE_CHECKING:
    from terminology.memory import MemoryCodeSystem

HIERARCHICAL = frozenset({"is-a", "descendent-of", "is-not-a", "child-of", "descendent-leaf", "generalizes"})
COMPARING = frozenset({"=", "in", "not-in", "regex", "exists"})

# Computed from several properties, so they work whether or not the code system declares them.
COMPUTED = frozenset({"notSelectable", "status", "inactive", "deprecated"})

MAX_REGEX_LENGTH = 1000


def select(system: "MemoryCodeSystem", filter: Filter) -> Iterable[int]:
    """Return the ordinals that a filter keeps; raises UnsupportedFilter or InvalidRegex."""
    if filter.property in ("concept", "code"):
        if filter.op in HIERARCHICAL:
            return _by_hierarchy(system, filter)
        if filter.op in COMPARING - {"exists"}:
            return _by_texts(system, filter, lambda ordinal: [system.code(ordinal)])
    if filter.property in ("parent", "child") and filter.op in ("exists", "="):
        return _by_relation(system, filter)
    if filter.op in COMPARING:
        texts = _texts(system, filter.property)
        if texts is not None:
            return _by_texts(system, filter, texts)
    raise UnsupportedFilter


def _by_hierarchy(system: "MemoryCodeSystem", filter: Filter) -> Iterable[int]:
    start = system.locate(filter.value)
    if start is None:
        return range(len(system)) if filter.op == "is-not-a" else ()
    hierarchy = system.hierarchy
    match filter.op:
        case "is-a":
            return [start, *hierarchy.descendants(start)]
        case "descendent-of":
            return list(hierarchy.descendants(start))
        case "is-not-a":
            return set(range(len(system))) - {start, *hierarchy.descendants(start)}
        case "child-of":
            return hierarchy.children(start)
        case "descendent-leaf":
            return [ordinal for ordinal in hierarchy.descendants(start) if not hierarchy.children(ordinal)]
        case _:
            return [start, *hierarchy.ancestors(start)]


def _by_relation(system: "MemoryCodeSystem", filter: Filter) -> Iterable[int]:
    """`parent` and `child`: whether there is one, or which one."""
    relatives = system.parents if filter.property == "parent" else system.children
    if filter.op == "exists":
        wanted = filter.value == "true"
        return [ordinal for ordinal in range(len(system)) if bool(relatives(ordinal)) == wanted]
    other = system.locate(filter.value)
    if other is None:
        return ()
    return system.children(other) if filter.property == "parent" else system.parents(other)


def _by_texts(system: "MemoryCodeSystem", filter: Filter, texts: Callable[[int], list[str]]) -> Iterable[int]:
    test = _test(filter)
    return [ordinal for ordinal in range(len(system)) if test(texts(ordinal))]


def _test(filter: Filter) -> Callable[[list[str]], bool]:
    value = filter.value
    match filter.op:
        case "=":
            return lambda texts: value in texts
        case "in":
            wanted = _listed(value)
            return lambda texts: any(text in wanted for text in texts)
        case "not-in":
            unwanted = _listed(value)
            return lambda texts: not any(text in unwanted for text in texts)
        case "exists":
            return lambda texts: bool(texts) == (value == "true")
        case _:
            matches = compile_regex(value)
            return lambda texts: any(matches(text) for text in texts)


def _listed(value: str) -> frozenset[str]:
    return frozenset(part.strip() for part in value.split(","))


def _texts(system: "MemoryCodeSystem", name: str) -> Callable[[int], list[str]] | None:
    """Return what reads a property's values of a concept; None when the code system has no such property."""
    match name:
        case "notSelectable":
            return lambda ordinal: system.property_texts(
                ordinal, "notSelectable", "abstract", "not-selectable"
            )
        case "status":
            return lambda ordinal: [text for text in [system.status(ordinal)] if text is not None]
        case "inactive":
            return lambda ordinal: ["true" if system.is_inactive(ordinal) else "false"]
        case "deprecated":
            return lambda ordinal: ["true" if system.is_deprecated(ordinal) else "false"]
        case "display":
            return lambda ordinal: [text for text in [system.display(ordinal)] if text is not None]
    if name in system.property_codes:
        return lambda ordinal: [text_of(row) for row in system.properties(ordinal) if row.get("code") == name]
    return None


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Callable[[str], bool]:
    """Return the test of an anchored regular expression; raises InvalidRegex.

    A stranger writes it, so it runs in an engine whose time grows with the text only: no back-references, no
    look-around.
    """
    import re2

    if len(pattern) > MAX_REGEX_LENGTH:
        raise InvalidRegex(f"longer than {MAX_REGEX_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise InvalidRegex(text or "not understood") from None
    except re.error as error:
        raise InvalidRegex(str(error)) from None
    return lambda text: compiled.fullmatch(text) is not None
