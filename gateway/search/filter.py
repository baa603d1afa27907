"""`_filter`: the expression language (https://hl7.org/fhir/R4/search_filter.html).

`given eq "peter" and (birthdate ge 2014-10-10 or not(active eq false))`
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.search import date, string, token
from gateway.search.escape import escape
from gateway.search.parameters import Parameter
from gateway.search.query import All, Condition, Date, Not, String
from gateway.search.reference import any_of
from terminology.hanzi import fold
from terminology.issues import InvalidInput

if TYPE_CHECKING:
    from gateway.search.criterion import Criteria

TOKEN = re.compile(r'\s*(?:(?P<paren>[()\[\]])|(?P<text>"(?:[^"\\]|\\.)*")|(?P<word>[^\s()\[\]"]+))', re.S)
MAX_DEPTH = 24
MAX_LENGTH = 4_000
OPERATORS = frozenset(
    [
        "eq",
        "ne",
        "co",
        "sw",
        "ew",
        "gt",
        "lt",
        "ge",
        "le",
        "ap",
        "sa",
        "eb",
        "pr",
        "po",
        "ss",
        "sb",
        "in",
        "ni",
        "re",
    ]
)
ORDERED = frozenset(("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))


def parse(text: str, types: Sequence[str], criteria: "Criteria") -> Condition:
    """Return the condition of a filter; raises InvalidInput with the place where reading stopped."""
    if len(text) > MAX_LENGTH:
        raise InvalidInput("HT-SEARCH-33", at=MAX_LENGTH, found="…", expected=f"≤ {MAX_LENGTH}")
    reader = _Filter(text, types, criteria)
    found = reader.logical(0)
    if reader.peek() is not None:
        reader.fail("and, or, )")
    return found


class _Filter:
    """Recursive descent over the grammar; `and` binds closer than `or`."""

    def __init__(self, text: str, types: Sequence[str], criteria: "Criteria") -> None:
        self.tokens: list[tuple[int, str]] = []
        position = 0
        text = text.rstrip()
        while position < len(text):
            found = TOKEN.match(text, position)
            if found is None:
                raise InvalidInput(
                    "HT-SEARCH-33", at=position, found=text[position : position + 20], expected='"'
                )
            self.tokens.append(
                (found.start() + len(found.group()) - len(found.group().lstrip()), found.group().lstrip())
            )
            position = found.end()
        self.at = 0
        self.types = types
        self.criteria = criteria

    def peek(self) -> str | None:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else None

    def next(self) -> str:
        found = self.peek()
        if found is None:
            self.fail("…")
        self.at += 1
        return found or ""

    def fail(self, expected: str) -> None:
        position, found = self.tokens[self.at] if self.at < len(self.tokens) else (MAX_LENGTH, "")
        raise InvalidInput("HT-SEARCH-33", at=position, found=found[:40], expected=expected)

    def logical(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise InvalidInput("HT-SEARCH-05", name="_filter")
        alternatives: list[list[Condition]] = [[self.unit(depth)]]
        while (word := self.peek()) in ("and", "or"):
            self.next()
            if word == "or":
                alternatives.append([self.unit(depth)])
            else:
                alternatives[-1].append(self.unit(depth))
        rows = [row[0] if len(row) == 1 else All(tuple(row)) for row in alternatives]
        return any_of(rows)

    def unit(self, depth: int) -> Condition:
        word = self.peek()
        if word == "not":
            self.next()
            if self.peek() != "(":
                self.fail("(")
            return Not(self.unit(depth + 1))
        if word == "(":
            self.next()
            found = self.logical(depth + 1)
            if self.next() != ")":
                self.at -= 1
                self.fail(")")
            return found
        return self.comparison(self.types)

    def comparison(self, types: Sequence[str]) -> Condition:
        """`path op value`, where the path may chain: `subject.name co "li"`."""
        path = self.next()
        if path in "()[]" or path.startswith('"'):
            self.at -= 1
            self.fail("a search parameter")
        operator = self.next()
        if operator not in OPERATORS:
            self.at -= 1
            self.fail(", ".join(sorted(OPERATORS)))
        raw = self.next()
        if raw in "()[]":
            self.at -= 1
            self.fail("a value")
        value = raw[1:-1].replace('\\"', '"').replace("\\\\", "\\") if raw.startswith('"') else raw
        if "." in path:
            return self.chained(types, path, operator, value)
        if not self.criteria.is_known(types, path):
            raise InvalidInput("HT-SEARCH-02", name=path[:80], type=",".join(types) or "*", near="?")
        return self.criteria._each_type(types, lambda kind: self.one(kind, path, operator, value))

    def chained(self, types: Sequence[str], path: str, operator: str, value: str) -> Condition:
        """A chained path is the chain of search.html#chaining; its last parameter takes prefix or modifier from the operator."""
        head, _, last = path.rpartition(".")
        if operator in ORDERED:
            prefix = "" if operator == "eq" else operator
            name, text = f"{head}.{last}", prefix + escape(value)
        elif operator in ("co", "sw", "in", "ss", "sb", "pr"):
            modifier = {
                "co": ":contains",
                "sw": "",
                "in": ":in",
                "ss": ":above",
                "sb": ":below",
                "pr": ":missing",
            }
            name, text = f"{head}.{last}{modifier[operator]}", escape(value)
            if operator == "pr":
                text = "false" if value == "true" else "true"
        else:
            raise InvalidInput("HT-SEARCH-34", name=path[:80], operator=operator, type="chain")
        return self.criteria.read(types, name, text)

    def one(self, kind: str, code: str, operator: str, value: str) -> Condition:
        """One comparison of a parameter of type `kind`, as search_filter.html#ops says for its search type."""
        read = self.criteria
        parameter = read.parameters.get(kind, code) or Parameter(code, "special", "")
        if operator == "pr":
            return read.single(kind, code, "missing", "false" if value == "true" else "true")
        if operator in ("in", "ni"):
            found = read.single(kind, code, "in", escape(value))
            return Not(found) if operator == "ni" else found
        if operator in ("ss", "sb"):
            return read.single(kind, code, "above" if operator == "ss" else "below", value)
        if parameter.type == "string" and parameter.paths:
            return self.text(parameter, operator, value)
        if parameter.type in ("date", "quantity", "number") or code == "_lastUpdated":
            if operator in ORDERED:
                return read.value(parameter, "", ("" if operator == "eq" else operator) + value)
            if operator == "po" and parameter.type == "date":
                found = date.parse(
                    code,
                    parameter.paths,
                    value,
                    offset_minutes=read.parameters.options.offset_minutes,
                    now=read.now,
                )
                assert isinstance(found, Date)
                return Date(found.paths, "ap", found.low, found.high)
        elif operator in ("eq", "re") or (operator == "ne" and parameter.type != "reference"):
            plain = value if parameter.type in ("token", "composite", "special") else escape(value)
            found = read.value(parameter, "", plain)
            return Not(found) if operator == "ne" else found
        elif operator == "co" and parameter.type == "token" and parameter.paths:
            return token.parse_text(code, parameter.paths, value)
        raise InvalidInput("HT-SEARCH-34", name=code[:80], operator=operator, type=parameter.type)

    def text(self, parameter: Parameter, operator: str, value: str) -> Condition:
        modes = {"co": "contains", "sw": "prefix", "ew": "suffix", "eq": "whole", "ne": "whole"}
        folded = fold(value)
        if operator not in modes or not folded:
            raise InvalidInput("HT-SEARCH-34", name=parameter.code, operator=operator, type="string")
        if parameter.code == "pinyin":
            return string.parse_pinyin(parameter.code, parameter.paths, value)
        found = String(parameter.paths, folded, modes[operator])  # type: ignore[arg-type]  # the table's values are the modes
        return Not(found) if operator == "ne" else found
