"""From text to tree: precedence by an explicit stack, so that only parentheses cost depth.

https://hl7.org/fhirpath/N1/#operator-precedence
"""

from decimal import Decimal

from conformance.fhirpath.quantity import CALENDAR_UNITS, Quantity
from conformance.fhirpath.temporal import Date, DateTime, Temporal, Time
from conformance.fhirpath.tokens import Token, tokens
from conformance.fhirpath.tree import (
    Call,
    Chain,
    Empty,
    Expression,
    Indexer,
    Literal,
    Member,
    Operation,
    Polarity,
    Special,
    TypeName,
    Variable,
)
from terminology.issues import InvalidInput, TooCostly

MAX_LENGTH = 100_000
MAX_DEPTH = 60
MAX_INTEGER = 2**31 - 1

LEVELS = {
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4,
    "=": 5, "~": 5, "!=": 5, "!~": 5, "<": 6, "<=": 6, ">": 6, ">=": 6,
    "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9, "*": 10, "/": 10, "div": 10, "mod": 10,
}  # fmt: skip
TYPE_LEVEL = 8


def parse(expression: str) -> Expression:
    """Return the tree of an expression. Raises InvalidInput HT-FP-01, TooCostly HT-FP-20 and HT-FP-21."""
    if len(expression) > MAX_LENGTH:
        raise TooCostly("HT-FP-20", length=len(expression), limit=MAX_LENGTH)
    reader = _Reader(tokens(expression))
    tree = reader.expression(0)
    reader.expect("end", "")
    return tree


class _Reader:
    def __init__(self, words: list[Token]) -> None:
        self.words = words
        self.at = 0

    def expression(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise TooCostly("HT-FP-21", limit=MAX_DEPTH)
        operands: list[Expression | TypeName] = [self.polarity(depth)]
        operators: list[Token] = []
        while True:
            word = self.words[self.at]
            level = LEVELS.get(word.text, 0) if word.kind in ("word", "symbol") else 0
            while operators and LEVELS[operators[-1].text] >= level:
                _join(operands, operators.pop())
            if level == 0:
                break
            self.at += 1
            operators.append(word)
            operands.append(self.type_name() if level == TYPE_LEVEL else self.polarity(depth))
        (found,) = operands
        assert not isinstance(found, TypeName)
        return found

    def polarity(self, depth: int) -> Expression:
        signs: list[Token] = []
        while self.sees("+") or self.sees("-"):
            signs.append(self.next())
        if len(signs) > MAX_DEPTH:
            raise TooCostly("HT-FP-21", limit=MAX_DEPTH)
        found = self.term(depth)
        for sign in reversed(signs):
            found = Polarity(sign.text, found, sign.at)
        return found

    def term(self, depth: int) -> Expression:
        start = self.words[self.at].at
        head = self.primary(depth)
        steps: list[Member | Call | Indexer] = []
        while True:
            if self.sees("."):
                self.at += 1
                steps.append(self.invocation(depth))
            elif self.sees("["):
                at = self.next().at
                steps.append(Indexer(self.expression(depth + 1), at))
                self.expect("symbol", "]")
            elif not steps:
                return head
            elif isinstance(head, Chain):
                return Chain(head.head, (*head.steps, *steps), start)
            else:
                return Chain(head, tuple(steps), start)

    def primary(self, depth: int) -> Expression:
        word = self.words[self.at]
        if word.kind == "number":
            return self.number()
        if word.kind in ("string", "date", "dateTime", "time"):
            self.at += 1
            return Literal(_literal(word), word.at)
        if word.kind == "variable":
            self.at += 1
            return Variable(word.text, word.at)
        if word.kind == "special":
            self.at += 1
            return Special(word.text[1:], word.at)
        if self.sees("("):
            self.at += 1
            found = self.expression(depth + 1)
            self.expect("symbol", ")")
            return found
        if self.sees("{"):
            self.at += 1
            self.expect("symbol", "}")
            return Empty(word.at)
        if word.kind == "word" and word.text in ("true", "false"):
            self.at += 1
            return Literal(word.text == "true", word.at)
        if word.kind == "word" and word.text in LEVELS and word.text not in ("as", "is", "in", "contains"):
            self.fail("an operand")
        return self.invocation(depth)

    def invocation(self, depth: int) -> Member | Call:
        word = self.next()
        if word.kind not in ("word", "quoted"):
            self.at -= 1
            self.fail("a name")
        if word.kind == "word" and self.sees("("):
            self.at += 1
            arguments: list[Expression] = []
            while not self.sees(")") or arguments:
                arguments.append(self.argument(depth, is_key=word.text == "sort"))
                if not self.sees(","):
                    break
                self.at += 1
            self.expect("symbol", ")")
            return Call(word.text, tuple(arguments), word.at)
        return Member(word.text, word.at)

    def argument(self, depth: int, *, is_key: bool) -> Expression:
        found = self.expression(depth + 1)
        word = self.words[self.at]
        if is_key and word.kind == "word" and word.text in ("asc", "desc"):
            self.at += 1
            return Polarity("desc", found, word.at) if word.text == "desc" else found
        return found

    def number(self) -> Literal:
        word, unit = self.next(), self.words[self.at]
        value = Decimal(word.text)
        if unit.kind == "string":
            self.at += 1
            return Literal(Quantity(value, unit.text, is_calendar=unit.text in CALENDAR_UNITS), word.at)
        if unit.kind == "word" and unit.text in CALENDAR_UNITS:
            self.at += 1
            return Literal(Quantity(value, unit.text, is_calendar=True), word.at)
        # A whole number beyond 32 bits is no FHIRPath Integer, but still a Decimal.
        if "." in word.text or value > MAX_INTEGER:
            return Literal(value, word.at)
        return Literal(int(word.text), word.at)

    def type_name(self) -> TypeName:
        word = self.next()
        if word.kind not in ("word", "quoted"):
            self.at -= 1
            self.fail("a type name")
        parts = [word.text]
        while self.sees("."):
            self.at += 1
            part = self.next()
            if part.kind not in ("word", "quoted"):
                self.at -= 1
                self.fail("a type name")
            parts.append(part.text)
        return TypeName(".".join(parts), word.at)

    def next(self) -> Token:
        self.at += 1
        return self.words[self.at - 1]

    def sees(self, symbol: str) -> bool:
        word = self.words[self.at]
        return word.kind == "symbol" and word.text == symbol

    def expect(self, kind: str, text: str) -> None:
        word = self.words[self.at]
        if word.kind != kind or (text and word.text != text):
            self.fail(text or "the end")
        self.at += 1

    def fail(self, expected: str) -> None:
        word = self.words[self.at]
        raise InvalidInput("HT-FP-01", position=word.at, found=word.text or "the end", expected=expected)


def _join(operands: list[Expression | TypeName], operator: Token) -> None:
    right, left = operands.pop(), operands.pop()
    assert not isinstance(left, TypeName)
    level = LEVELS[operator.text]
    if not isinstance(left, Operation) or left.level != level:
        left = Operation(level, left, at=left.at)
    left.rest.append((operator.text, right, operator.at))
    operands.append(left)


def _literal(word: Token) -> object:
    if word.kind == "string":
        return word.text
    text = word.text.removeprefix("@T").removeprefix("@")
    value: Temporal | None
    if word.kind == "date":
        value = Date.parse(text)
    else:
        value = Time.parse(text) if word.kind == "time" else DateTime.parse(text)
    if value is None:
        raise InvalidInput(
            "HT-FP-01", position=word.at, found=word.text, expected="a date or time of the calendar"
        )
    return value
