"""XPath-lite: the paths of XML maps, parsed to steps, and the walks that follow them.

    path      := ("/" | ".")? step ("/" step)*          "/a" begins at the root, "a" at the element of the `each`
    step      := name predicate* | "*" predicate* | ".."
    last step := "@" name | "text()"                    an attribute; the text, also of an element that has children
    predicate := "[" number "]" | "[]" | "[" test "]"   [] = all of them, as in the other formats
    test      := place | place ("=" | "!=") text ("," text)*         place := a/b/@c, a/b, @c

A path is the first match in document order that has a value, as string() of XPath; a prefix in a name is for readers.
There is no `//`, no axis and no function: each step costs one look into a dictionary.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mappings.language.expression import KEYWORDS
from mappings.xml.tree import Element

_WORD = r"[^\W\d][\w.-]*"
_NAME = rf"(?:{_WORD}:)?{_WORD}"
_STEP = re.compile(rf"(?P<name>{_NAME}(?!\()|\.\.|\*)")
_LEAF = re.compile(rf"@(?P<attribute>{_NAME})|text\(\)")
_NUMBER = re.compile(r"\[\s*(\d*)\s*\]")
_TEXT = r"""(?:"[^"\n]*"|'[^'\n]*')"""
_TEST = re.compile(
    rf"\[\s*(?P<place>(?:{_NAME}/)*(?:@{_NAME}|{_NAME}))\s*"
    rf"(?:(?P<sign>!?=)\s*(?P<texts>{_TEXT}(?:\s*,\s*{_TEXT})*)\s*)?\]"
)
LONGEST = 30


class Test(NamedTuple):
    """A predicate: names of elements, the attribute ("" = the text), the texts (none = it is there), is negated."""

    names: tuple[str, ...]
    attribute: str
    texts: tuple[str, ...]
    is_negated: bool


class Choice(NamedTuple):
    """A step that chooses among the children of a name. `number`: 1-based, 0 = any."""

    name: str
    tests: tuple[Test, ...]
    number: int


Step = str | Choice
Steps = tuple[Step, ...]


class XmlPath(NamedTuple):
    """`leaf`: an attribute's name, "text()" or "" for the element itself; `is_all`: a `[]` stands in it."""

    steps: Steps
    leaf: str
    from_root: bool
    is_all: bool
    # Where every `[]` stands: how many steps lead to it.
    marks: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        return self.text


def read(text: str, at: int) -> tuple[XmlPath, int] | None:
    """Return the path that begins at `at` and where it ends; None when there is none."""
    start = at
    from_root = text.startswith("/", at)
    at += from_root
    steps: list[Step] = []
    marks: list[int] = []
    leaf = ""
    if text.startswith(".", at) and not text.startswith("..", at):
        at += 1
        if not text.startswith("/", at):
            return XmlPath((), "", from_root, False, (), text[start:at]), at
        at += 1
    while True:
        found = _LEAF.match(text, at)
        if found:
            leaf = _attribute(found["attribute"]) if found["attribute"] else "text()"
            at = found.end()
            break
        step = _STEP.match(text, at)
        if step is None:
            return None
        made, at, is_all = _step(step, text)
        if made is None or len(steps) >= LONGEST:
            return None
        steps.append(made)
        if is_all:
            marks.append(len(steps))
        if not text.startswith("/", at):
            break
        at += 1
    whole = text[start:at]
    if whole in KEYWORDS:
        return None
    return XmlPath(tuple(steps), leaf, from_root, bool(marks), tuple(marks), whole), at


def _step(found: re.Match[str], text: str) -> tuple[Step | None, int, bool]:
    name, at = found["name"].rpartition(":")[2], found.end()
    number, is_all = 0, False
    tests: list[Test] = []
    while text.startswith("[", at):
        numbered = _NUMBER.match(text, at)
        if numbered:
            is_all = is_all or not numbered[1]
            number = int(numbered[1] or 0) or number
            if numbered[1] == "0":
                return None, at, False
            at = numbered.end()
            continue
        test = _TEST.match(text, at)
        if test is None:
            return None, at, False
        tests.append(_test(test))
        at = test.end()
    if not tests and not number and name not in ("*", ".."):
        return name, at, is_all
    return Choice(name, tuple(tests), number), at, is_all


def _test(found: re.Match[str]) -> Test:
    *names, last = found["place"].split("/")
    texts = tuple(part[1:-1] for part in re.findall(_TEXT, found["texts"] or ""))
    attribute = _attribute(last[1:]) if last.startswith("@") else ""
    if not attribute:
        names.append(last)
    bare = tuple(name.rpartition(":")[2] for name in names)
    return Test(bare, attribute, texts, found["sign"] == "!=")


def _attribute(name: str) -> str:
    return name if name.startswith(("xsi:", "xml:")) else name.rpartition(":")[2]


# Walks


def find(node: Element, steps: Steps) -> Element | None:
    """Return the first element at a path; None when there is none."""
    here = node
    for at, step in enumerate(steps):
        if type(step) is str:
            kids = here.kids.get(step)
            if kids is None:
                return None
            if len(kids) == 1:
                here = kids[0]
                continue
        return next(walk(here, steps, at), None)
    return here


def walk(node: Element, steps: Steps, at: int = 0) -> Iterator[Element]:
    """Yield every element at a path, in document order."""
    if at == len(steps):
        yield node
        return
    step = steps[at]
    for kid in node.kids.get(step, ()) if type(step) is str else chosen(node, step):  # type: ignore[arg-type]  # a Choice
        yield from walk(kid, steps, at + 1)


def chosen(node: Element, step: Choice) -> list[Element]:
    """Return the children that a step with predicates chooses."""
    # Generated code holds the steps as plain tuples: they are constants of the function then.
    name, tests, number = step
    if name == "..":
        return [node.parent] if node.parent is not None else []
    found = node.children if name == "*" else node.kids.get(name, [])
    for test in tests:
        names, attribute, texts, is_negated = test
        if texts and attribute and not names:
            # [@de="…"], by far the most frequent one.
            found = [
                kid for kid in found if (kid.attributes.get(attribute, "").strip() in texts) is not is_negated
            ]
        else:
            found = [kid for kid in found if holds(kid, test)]
    return found[number - 1 : number] if number else found


def holds(node: Element, test: Test) -> bool:
    """Tell whether an element passes a predicate; `!=` also holds where nothing is there."""
    names, attribute, texts, is_negated = test
    values = ((found.get(attribute) if attribute else found.own_text()) for found in walk(node, names))
    if texts:
        return any(value in texts for value in values) is not is_negated
    return any(values) if attribute else find(node, names) is not None
