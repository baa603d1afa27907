"""The elements of an XML message as maps see them: local names, so that no line needs a prefix.

Vendors use any prefix, none, or one that they never declared; what an element means is told by its name and place.
`xsi:type` keeps its prefix whatever the document calls that namespace, because a plain `type` may stand beside it.
"""

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr


class Element:
    """One element. `kids`: children by local name, in document order; `children`: all of them.

    `text` stands before the first child, `tail` after the element; `line` is its line in the document.
    """

    __slots__ = ("_named", "attributes", "children", "kids", "line", "name", "parent", "tail", "text")
    # A value of a map is remembered by its hash; a tree must never be kept alive by that.
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, name: str, attributes: dict[str, str], parent: "Element | None", line: int = 0
    ) -> None:
        self.name = name
        self.attributes = attributes
        self.parent = parent
        self.line = line
        self.kids: dict[str, list[Element]] = {}
        self.children: list[Element] = []
        self.text = ""
        self.tail = ""
        self._named: dict[str, list[Element]] | None = None

    def get(self, name: str) -> str:
        """Return an attribute, "" when it is absent, without outer blanks."""
        return self.attributes.get(name, "").strip()

    def first(self, name: str) -> "Element | None":
        """Return the first child of a name."""
        found = self.kids.get(name)
        return found[0] if found else None

    def all(self, name: str) -> "list[Element]":
        return self.kids.get(name, [])

    def down(self, *names: str) -> "Element | None":
        """Return the first descendant along these names, None when one is missing."""
        found: Element | None = self
        for name in names:
            found = found.first(name) if found is not None else None
        return found

    def content(self) -> str:
        """Return all text inside, in order, without outer blanks."""
        if not self.children:
            return self.text.strip()
        return "".join(self._pieces()).strip()

    def own_text(self) -> str:
        """Return the text of a leaf, or the `value` attribute that stands for it in HL7 v3."""
        if not self.children and (found := self.text.strip()):
            return found
        return self.attributes.get("value", "").strip() or (self.content() if self.children else "")

    def walk(self) -> Iterator["Element"]:
        """Yield this element and all below it, in document order."""
        stack = [self]
        while stack:
            found = stack.pop()
            yield found
            stack.extend(reversed(found.children))

    def named(self, name: str) -> "list[Element]":
        """Return the elements below of a name in small letters, in document order; the whole tree is indexed once."""
        if self._named is None:
            self._named = {}
            for found in self.walk():
                if found is not self:
                    self._named.setdefault(found.name.casefold(), []).append(found)
        return self._named.get(name, [])

    @property
    def place(self) -> str:
        """The path below the root, repetitions numbered from 1: "component[2]/section/code"; "." is the root."""
        steps: list[str] = []
        here = self
        while here.parent is not None:
            alike = here.parent.kids[here.name]
            number = f"[{_index(alike, here) + 1}]" if len(alike) > 1 else ""
            steps.append(here.name + number)
            here = here.parent
        return "/".join(reversed(steps)) or "."

    def xml(self, namespace: str = "") -> str:
        """Return the element as XML of its own, without prefixes; `namespace` becomes its default one."""
        shown = "".join(
            f" {name}={quoteattr(value)}" for name, value in self.attributes.items() if ":" not in name
        )
        space = f" xmlns={quoteattr(namespace)}" if namespace else ""
        inner = escape(self.text) + "".join(child.xml() + escape(child.tail) for child in self.children)
        return f"<{self.name}{space}{shown}>{inner}</{self.name}>"

    def __repr__(self) -> str:
        """The element as written, without line breaks of its own: equal trees look equal."""
        attributes = "".join(f" {name}={value!r}" for name, value in self.attributes.items())
        inner = self.text + "".join(repr(child) + child.tail for child in self.children)
        return f"<{self.name}{attributes}>{inner}</{self.name}>"

    def _pieces(self) -> Iterator[str]:
        yield self.text
        for child in self.children:
            yield from child._pieces()
            yield child.tail


def _index(elements: list[Element], wanted: Element) -> int:
    return next(number for number, one in enumerate(elements) if one is wanted)
