"""The expression grammar of maps: what may stand to the right of an element.

    line      := "=" any text                        a constant
               | expr
    expr      := value ("when" condition)?
    value     := either ("|" converter argument*)*
    either    := sum ("or" sum)*                     the first that isn't empty
    sum       := atom ("+" atom)*                    texts joined; empty when all paths in it are empty
    atom      := "(" expr ")" | "ref" name | "refs" name | text in quotes | number | true | false | path
    condition := conj ("or" conj)*
    conj      := test ("and" test)*
    test      := "not" test | "(" condition ")" | value (("=" | "!=") operand | "in" "(" operand, … ")")?

The grammar is closed: nothing of a map is ever evaluated by Python. Paths belong to the reader of the map's format.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Constant:
    value: str | bool | int | Decimal


@dataclass(frozen=True)
class Field:
    """A path of the reader; `text` as written."""

    path: Any
    text: str


@dataclass(frozen=True)
class Either:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Sum:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Pipe:
    subject: "Node"
    converter: str
    arguments: tuple[str | int | Decimal, ...]


@dataclass(frozen=True)
class Ref:
    """`is_all`: `refs`, a list of every such resource made in this scope."""

    name: str
    is_all: bool


@dataclass(frozen=True)
class When:
    value: "Node"
    condition: "Node"


@dataclass(frozen=True)
class Compare:
    """`operator`: "=" or "in" (also for one operand), negated by Not."""

    subject: "Node"
    operands: tuple["Node", ...]


@dataclass(frozen=True)
class And:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Or:
    parts: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    part: "Node"


Node = Constant | Field | Either | Sum | Pipe | Ref | When | Compare | And | Or | Not
PathReader = Callable[[str, int], tuple[Any, int] | None]

LIMIT = 4000
DEPTH = 20

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?![A-Za-z0-9_.\[-])")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?![\w.-])")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"|\'((?:[^\'\\]|\\.)*)\'')
_ARGUMENT = re.compile(r"[^\s|()\"'=,]+")
KEYWORDS = {"or", "and", "not", "in", "when", "ref", "refs", "true", "false"}
_BACKSLASH = {"n": "\n", "t": "\t", "r": "\r"}


class ExpressionError(ValueError):
    """The text isn't in the grammar; `at` is the 0-based place, `expected` says what could stand there."""

    def __init__(self, expected: str, at: int) -> None:
        super().__init__(expected)
        self.expected = expected
        self.at = at


def parse_expression(text: str, read_path: PathReader) -> Node:
    """Return the tree of one line; raises ExpressionError."""
    if text.startswith("="):
        return Constant(text[1:].strip())
    return _whole(text, read_path, _Parser.expression)


def parse_condition(text: str, read_path: PathReader) -> Node:
    """Return the tree of a `when`; raises ExpressionError."""
    return _whole(text, read_path, _Parser.condition)


def _whole(text: str, read_path: PathReader, rule: Callable[["_Parser"], Node]) -> Node:
    if len(text) > LIMIT:
        raise ExpressionError(f"at most {LIMIT} characters", LIMIT)
    parser = _Parser(text, read_path)
    node = rule(parser)
    parser.skip()
    if parser.at != len(text):
        raise ExpressionError("the end, `or`, `+`, `|` or `when`", parser.at)
    return node


class _Parser:
    def __init__(self, text: str, read_path: PathReader) -> None:
        self.text = text
        self.read_path = read_path
        self.at = 0
        self.depth = 0

    def skip(self) -> None:
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def sign(self, sign: str) -> bool:
        self.skip()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def word(self, *words: str) -> str | None:
        self.skip()
        match = _WORD.match(self.text, self.at)
        if match is None or match[0] not in words:
            return None
        self.at = match.end()
        return match[0]

    def expression(self) -> Node:
        value = self.value()
        return When(value, self.condition()) if self.word("when") else value

    def value(self) -> Node:
        node = self.either()
        while self.sign("|"):
            self.skip()
            match = _WORD.match(self.text, self.at)
            if match is None:
                raise ExpressionError("the name of a converter", self.at)
            self.at = match.end()
            node = Pipe(node, match[0], self.arguments())
        return node

    def arguments(self) -> tuple[str | int | Decimal, ...]:
        found: list[str | int | Decimal] = []
        while True:
            self.skip()
            quoted = _QUOTED.match(self.text, self.at)
            if quoted:
                self.at = quoted.end()
                found.append(_unquoted(quoted))
                continue
            match = _ARGUMENT.match(self.text, self.at)
            if match is None or match[0] in KEYWORDS or match[0].startswith("!"):
                return tuple(found)
            self.at = match.end()
            found.append(match[0])

    def either(self) -> Node:
        parts = [self.sum()]
        while self.word("or"):
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def sum(self) -> Node:
        parts = [self.atom()]
        while self.sign("+"):
            parts.append(self.atom())
        return parts[0] if len(parts) == 1 else Sum(tuple(parts))

    def atom(self) -> Node:
        self.skip()
        if self.sign("("):
            self.enter()
            node = self.expression()
            self.close()
            return node
        quoted = _QUOTED.match(self.text, self.at)
        if quoted:
            self.at = quoted.end()
            return Constant(_unquoted(quoted))
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            return Constant(Decimal(number[0]) if "." in number[0] else int(number[0]))
        word = self.word("ref", "refs", "true", "false")
        if word in ("true", "false"):
            return Constant(word == "true")
        if word:
            self.skip()
            name = _WORD.match(self.text, self.at)
            if name is None:
                raise ExpressionError("the id of a resource of this map", self.at)
            self.at = name.end()
            return Ref(name[0], word == "refs")
        start = self.at
        found = self.read_path(self.text, start)
        if found is None:
            raise ExpressionError("a path, a text in quotes, `ref` or `(`", start)
        path, self.at = found
        return Field(path, self.text[start : self.at])

    def condition(self) -> Node:
        parts = [self.conjunction()]
        while self.word("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def conjunction(self) -> Node:
        parts = [self.test()]
        while self.word("and"):
            parts.append(self.test())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def test(self) -> Node:
        if self.word("not"):
            self.enter()
            node: Node = Not(self.test())
            self.depth -= 1
            return node
        start = self.at
        if self.sign("("):
            self.enter()
            node = self.condition()
            self.close()
            self.skip()
            # "(A or B) | lower = …" is a value in brackets; a comparison may also follow the bracket.
            if self.text[self.at : self.at + 1] not in ("|", "=", "!", "+") and not self._follows_in():
                return node
            self.at = start
        subject = self.subject()
        if self.sign("!="):
            return Not(Compare(subject, (self.atom(),)))
        if self.sign("="):
            return Compare(subject, (self.atom(),))
        if self.word("in"):
            return Compare(subject, self.operands())
        return subject

    def _follows_in(self) -> bool:
        at = self.at
        found = self.word("in")
        self.at = at
        return found is not None

    def subject(self) -> Node:
        node = self.sum()
        while self.sign("|"):
            self.skip()
            match = _WORD.match(self.text, self.at)
            if match is None:
                raise ExpressionError("the name of a converter", self.at)
            self.at = match.end()
            node = Pipe(node, match[0], self.arguments())
        return node

    def operands(self) -> tuple[Node, ...]:
        if not self.sign("("):
            raise ExpressionError("`(` and a list of values", self.at)
        found = [self.atom()]
        while self.sign(","):
            found.append(self.atom())
        if not self.sign(")"):
            raise ExpressionError("`,` or `)`", self.at)
        return tuple(found)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise ExpressionError(f"at most {DEPTH} levels of brackets", self.at)

    def close(self) -> None:
        self.depth -= 1
        if not self.sign(")"):
            raise ExpressionError("`)`", self.at)


def _unquoted(match: re.Match[str]) -> str:
    text = match[1] if match[1] is not None else match[2]
    return re.sub(r"\\(.)", lambda found: _BACKSLASH.get(found[1], found[1]), text)
