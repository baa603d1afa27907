"""Which XML messages a map takes: `source: {root, namespace, template, where}`."""

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from mappings.language.expression import (
    And,
    Compare,
    Constant,
    ExpressionError,
    Field,
    Node,
    Not,
    Or,
    parse_condition,
)
from mappings.language.sources.xml_path import XmlPath, find, read, walk
from mappings.xml.parse import XmlMessage
from mappings.xml.tree import Element

Test = Callable[[Element], bool]


class WhereError(ValueError):
    """A `where` that isn't a condition over paths and texts; the text says why."""


def particularity(source: Mapping[str, tuple[str, ...]], message: XmlMessage) -> int:
    """Return how much a map's `source` asks of a message that it takes, 0 when it doesn't take it.

    A map without `root` takes nothing: it is there to be extended.
    """
    roots = source.get("root", ())
    fitting = [root for root in roots if fnmatchcase(message.root.name, root)]
    if not fitting:
        return 0
    asked = 1 + (message.root.name in fitting)
    namespaces = source.get("namespace", ())
    if namespaces:
        if message.namespace not in namespaces:
            return 0
        asked += 1
    templates = source.get("template", ())
    if templates:
        if not any(given.get("root") in templates for given in message.root.all("templateId")):
            return 0
        asked += 2
    for text in source.get("where", ()):
        if not condition(text)(message.root):
            return 0
        asked += 2
    return asked


@lru_cache(maxsize=1024)
def condition(text: str) -> Test:
    """Return a `where` as a function; raises WhereError."""
    try:
        return _test(parse_condition(text, read))
    except ExpressionError as error:
        raise WhereError(f"where: {text!r}: {error.expected} at column {error.at + 1}") from None


def _test(node: Node) -> Test:
    if isinstance(node, And):
        tests = [_test(part) for part in node.parts]
        return lambda root: all(test(root) for test in tests)
    if isinstance(node, Or):
        tests = [_test(part) for part in node.parts]
        return lambda root: any(test(root) for test in tests)
    if isinstance(node, Not):
        inner = _test(node.part)
        return lambda root: not inner(root)
    if isinstance(node, Compare) and isinstance(node.subject, Field):
        path: XmlPath = node.subject.path
        texts = {str(one.value) for one in node.operands if isinstance(one, Constant)}
        return lambda root: any(value in texts for value in _values(root, path))
    if isinstance(node, Field):
        there: XmlPath = node.path
        if not there.leaf:
            return lambda root: find(root, there.steps) is not None
        return lambda root: any(_values(root, there))
    raise WhereError("where: only paths, texts, =, !=, in, and, or, not")


def _values(root: Element, path: XmlPath) -> list[str]:
    found = walk(root, path.steps)
    if path.leaf and path.leaf != "text()":
        return [one.get(path.leaf) for one in found]
    return [one.own_text() for one in found]
