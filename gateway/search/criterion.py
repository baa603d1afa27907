"""One `name=value` of a search: parameter, modifier, chain, values joined by commas.

https://hl7.org/fhir/R4/search.html#modifiers, #chaining, #escaping
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from conformance.definitions import resource_types
from gateway.search import chain, date, has, quantity, reference, special, string, text, token, uri
from gateway.search.escape import split, unescape
from gateway.search.parameters import Parameter, Parameters
from gateway.search.query import All, AnyOf, Condition, Id, Kind, Not, Present, Together, Token
from terminology.hanzi import fold
from terminology.issues import InvalidInput, TooCostly

if TYPE_CHECKING:
    from gateway.search.parse import Terminology

MAX_VALUES = 1_000
"""Values joined by commas in one parameter."""

MAX_CODES = 10_000
"""Codes of one value set or hierarchy."""

MODIFIERS: dict[str, tuple[str, ...]] = {
    "string": ("exact", "contains"),
    "token": ("text", "not", "in", "not-in", "above", "below", "of-type"),
    "reference": ("identifier",),
    "uri": ("above", "below"),
    "date": (),
    "number": (),
    "quantity": (),
    "composite": (),
    "special": (),
}


class Criteria:
    """Reads criteria for one request: the parameters in force, the terminology, the clock (microseconds)."""

    def __init__(self, parameters: Parameters, terminology: "Terminology | None", now: int) -> None:
        self.parameters = parameters
        self.terminology = terminology
        self.now = now

    def codes(self, types: Sequence[str]) -> list[str]:
        """Return the parameter codes that all of `types` know."""
        kinds = types or ("Resource",)
        common = set(self.parameters.of(kinds[0]))
        for kind in kinds[1:]:
            common &= self.parameters.of(kind).keys()
        return sorted({*common, "_has", "_list"} - {"_query"})

    def is_known(self, types: Sequence[str], name: str) -> bool:
        """Return whether the parameter of `name` (modifiers and chain aside) exists for all of `types`."""
        code = name.partition(".")[0].partition(":")[0]
        if code in ("_has", "_list"):
            return True
        if code == "_query":
            return False
        return all(self.parameters.get(kind, code) is not None for kind in types or ("Resource",))

    def pending(self, types: Sequence[str], name: str) -> list[str]:
        """Return the code when it is a posted parameter that has not reached all old resources yet."""
        code = name.partition(".")[0].partition(":")[0]
        found = (self.parameters.get(kind, code) for kind in types)
        return [code] if any(p is not None and not p.is_ready for p in found) else []

    def read(self, types: Sequence[str], name: str, value: str) -> Condition:
        """Return the condition for resources of `types` (none: any); raises InvalidInput."""
        if name.startswith("_has:") or name == "_has":
            return has.parse(name, value, types, self)
        head, dot, tail = name.partition(".")
        if dot:
            return self._each_type(types, lambda kind: chain.parse(kind, head, tail, value, self))
        code, _, modifier = head.partition(":")
        return self._each_type(types, lambda kind: self.single(kind, code, modifier, value))

    def _each_type(self, types: Sequence[str], read: Callable[[str], Condition]) -> Condition:
        if len(types) <= 1:
            return read(types[0] if types else "Resource")
        found = {kind: read(kind) for kind in types}
        if len(set(found.values())) == 1:
            return next(iter(found.values()))
        return AnyOf(tuple(All((Kind((kind,)), condition)) for kind, condition in found.items()))

    def single(self, kind: str, code: str, modifier: str, value: str) -> Condition:
        """Return the condition of a parameter without chain: `code:modifier=a,b`."""
        parameter = Parameter(code, "special", "") if code == "_list" else self.parameters.get(kind, code)
        if parameter is None:
            raise InvalidInput("HT-SEARCH-02", name=code[:80], type=kind, near="?")
        if modifier == "missing":
            return self._missing(parameter, value)
        values = split(value, ",")
        if len(values) > MAX_VALUES:
            raise TooCostly("HT-SEARCH-22", name=code, count=len(values), most=MAX_VALUES)
        if modifier in ("not", "not-in") and self._allows(parameter, modifier):
            inner = "in" if modifier == "not-in" else ""
            return Not(self._any(parameter, inner, values))
        return self._any(parameter, modifier, values)

    def _any(self, parameter: Parameter, modifier: str, values: list[str]) -> Condition:
        found = [self.value(parameter, modifier, value) for value in values if value]
        if not found:
            raise InvalidInput("HT-SEARCH-11", name=parameter.code)
        if len(found) > 1 and all(isinstance(item, Id) for item in found):
            return Id(tuple(id for item in found if isinstance(item, Id) for id in item.ids))
        if len(found) > 1 and all(isinstance(item, Token) and item.paths == found[0].paths for item in found):  # type: ignore[union-attr]  # all are Tokens
            pairs = [pair for item in found if isinstance(item, Token) for pair in item.pairs]
            return Token(found[0].paths, tuple(dict.fromkeys(pairs)))  # type: ignore[union-attr]  # as above
        return reference.any_of(found)

    def _allows(self, parameter: Parameter, modifier: str) -> bool:
        if modifier in MODIFIERS.get(parameter.type, ()):
            return True
        known = [*MODIFIERS.get(parameter.type, ()), "missing"]
        raise InvalidInput(
            "HT-SEARCH-20", name=parameter.code, modifier=modifier[:80], known=", ".join(known)
        )

    def _missing(self, parameter: Parameter, value: str) -> Condition:
        if value not in ("true", "false"):
            raise InvalidInput("HT-SEARCH-21", name=parameter.code, value=value[:80])
        is_missing = value == "true"
        if parameter.code in ("_id", "_lastUpdated"):
            return special.NOTHING if is_missing else special.EVERYTHING
        if parameter.type == "composite" or not parameter.paths:
            raise InvalidInput("HT-SEARCH-20", name=parameter.code, modifier="missing", known="-")
        paths = parameter.paths
        if parameter.type == "reference":
            paths = (*paths, *(path + reference.IDENTIFIER for path in paths))
        if parameter.type == "special":
            paths = tuple(f"{path}.latitude" for path in paths)
        present = Present(paths, parameter.kind)
        return Not(present) if is_missing else present

    def value(self, parameter: Parameter, modifier: str, value: str) -> Condition:
        """Return the condition of one value (no comma) with its escapes still in it."""
        name, paths = parameter.code, parameter.paths
        if name == "_id":
            if modifier:
                self._allows(Parameter(name, "composite", ""), modifier)
            return special.parse_id(unescape(value))
        if name == "_lastUpdated":
            if modifier:
                self._allows(Parameter(name, "date", ""), modifier)
            return special.parse_updated(
                unescape(value), offset_minutes=self.parameters.options.offset_minutes, now=self.now
            )
        if name == "_list":
            return special.parse_list(unescape(value))
        if name in ("_text", "_content"):
            return text.parse(name, "narrative" if name == "_text" else "content", unescape(value))
        if parameter.type == "reference" and modifier in resource_types():
            return self._typed_reference(parameter, modifier, value)
        if modifier:
            self._allows(parameter, modifier)
        if parameter.type == "composite":
            return self._composite(parameter, value)
        if parameter.type == "token":
            return self._token(parameter, modifier, value)
        if parameter.type == "string":
            if name == "pinyin":
                return string.parse_pinyin(name, paths, unescape(value))
            return string.parse(name, paths, unescape(value), modifier)
        if parameter.type == "date":
            offset = self.parameters.options.offset_minutes
            return date.parse(name, paths, unescape(value), offset_minutes=offset, now=self.now)
        if parameter.type in ("quantity", "number"):
            return quantity.parse(name, paths, value, is_number=parameter.type == "number")
        if parameter.type == "uri":
            return uri.parse(name, paths, unescape(value), modifier)
        if parameter.type == "reference":
            if modifier == "identifier":
                return reference.parse_identifier(name, paths, value)
            bases = self.parameters.options.bases
            return reference.parse(name, paths, unescape(value), targets=parameter.targets, bases=bases)
        return special.parse_near(name, paths, value)

    def _typed_reference(self, parameter: Parameter, kind: str, value: str) -> Condition:
        """`subject:Patient=23` (search.html#reference)."""
        if parameter.targets and kind not in parameter.targets and "Resource" not in parameter.targets:
            raise InvalidInput(
                "HT-SEARCH-24", name=parameter.code, type=kind, known=", ".join(parameter.targets[:8])
            )
        text = unescape(value).removeprefix(f"{kind}/")
        if not reference.ID.fullmatch(text):
            raise InvalidInput("HT-SEARCH-16", name=parameter.code, value=value[:80])
        return Token(parameter.paths, ((kind, text),))

    def _token(self, parameter: Parameter, modifier: str, value: str) -> Condition:
        name, paths = parameter.code, parameter.paths
        if modifier == "text":
            return token.parse_text(name, paths, value)
        if modifier == "of-type":
            return token.parse_of_type(name, paths, value)
        if modifier == "":
            return token.parse(name, paths, value)
        if self.terminology is None:
            raise InvalidInput("HT-SEARCH-23", name=name, modifier=modifier)
        pairs: list[tuple[str | None, str | None]]
        if modifier == "in":
            pairs = [
                (system, fold(code) if code is not None else None)
                for system, code in self.terminology.expand(unescape(value))
            ]
        else:
            system, code = token.pair(name, value)
            raw = unescape(split(value, "|")[-1])
            if not system or code is None:
                raise InvalidInput("HT-SEARCH-25", name=name, modifier=modifier, value=value[:80])
            ask = self.terminology.below if modifier == "below" else self.terminology.above
            pairs = [(system, fold(found)) for found in ask(system, raw)]
        if len(pairs) > MAX_CODES:
            raise TooCostly("HT-SEARCH-22", name=name, count=len(pairs), most=MAX_CODES)
        return Token(paths, tuple(dict.fromkeys(pairs))) if pairs else special.NOTHING

    def _composite(self, parameter: Parameter, value: str) -> Condition:
        """`a$b`: all parts hold within one repetition of the composite's context (search.html#composite)."""
        values = split(value, "$")
        alternatives: list[Condition] = []
        for parts in parameter.alternatives:
            if len(parts) != len(values) or not all(values):
                raise InvalidInput(
                    "HT-SEARCH-19", name=parameter.code, value=value[:80], count=len(parts), given=len(values)
                )
            free: list[Condition] = []
            tied: list[Condition] = []
            for part, text_value in zip(parts, values, strict=True):
                condition = self.value(part.parameter, "", text_value)
                (tied if part.is_tied else free).append(condition)
            if tied:
                free.append(Together(tuple(tied)))
            alternatives.append(free[0] if len(free) == 1 else All(tuple(free)))
        return reference.any_of(alternatives)
