"""`_include` and `_revinclude`: what comes along with the matches (https://hl7.org/fhir/R4/search.html#include)."""

from collections.abc import Iterable

from conformance.definitions import resource_types
from gateway.search.parameters import Parameters
from gateway.search.query import Include
from terminology.issues import InvalidInput

MAX_ROUNDS = 8
"""Rounds of `:iterate`; each round includes only what is not there yet, so a cycle ends by itself."""

MAX_INCLUDED = 1_000
"""Resources that one page may bring along; the answer says when there were more."""


def parse(name: str, value: str, *, parameters: Parameters) -> Include:
    """Return one include; raises InvalidInput when type, parameter or modifier is unknown."""
    base, _, modifier = name.partition(":")
    if modifier not in ("", "iterate", "recurse"):
        raise InvalidInput("HT-SEARCH-20", name=base, modifier=modifier[:80], known="iterate")
    reverse, iterates = base == "_revinclude", modifier != ""
    if value == "*":
        return Include(None, None, None, reverse, iterates, f"{name}=*")
    source, _, rest = value.partition(":")
    code, _, target = rest.partition(":")
    known = resource_types()
    if source not in known or (target and target not in known) or not code:
        raise InvalidInput("HT-SEARCH-27", name=base, value=value[:120])
    if code == "*":
        return Include(source, None, target or None, reverse, iterates, f"{name}={value}")
    parameter = parameters.get(source, code)
    if parameter is None or parameter.type != "reference":
        raise InvalidInput("HT-SEARCH-28", name=base, parameter=code[:80], type=source)
    if (
        target
        and parameter.targets
        and target not in parameter.targets
        and "Resource" not in parameter.targets
    ):
        raise InvalidInput("HT-SEARCH-29", name=base, parameter=code, type=source, target=target)
    if not target and len(parameter.targets) == 1 and parameter.targets[0] in known:
        target = parameter.targets[0]
    return Include(source, parameter.paths, target or None, reverse, iterates, f"{name}={value}")


def paths(include: Include, types: Iterable[str], parameters: Parameters) -> frozenset[str]:
    """Return the paths to follow: those of the include, or for `*` all references of its source (or of `types`)."""
    if include.paths is not None:
        return frozenset(include.paths)
    if include.source is not None:
        return parameters.reference_paths(include.source)
    every = resource_types() if include.is_reverse else types
    return frozenset(path for kind in every for path in parameters.reference_paths(kind))
