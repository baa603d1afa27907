"""What generated code calls to read XML elements; the traced variant notes where every value stood."""

from typing import Any

from mappings.language.sources.xml_path import Steps, find, walk
from mappings.xml.tree import Element

# What says nothing by itself: an element that has only these is empty.
SILENT = frozenset({"nullFlavor", "xsi:type", "classCode", "typeCode", "moodCode", "determinerCode"})


class Elements:
    """The run-time half of the XML source."""

    def functions(self) -> dict[str, Any]:
        return {
            "element": self.element,
            "elements": self.elements,
            "attribute": self.attribute,
            "attributes": self.attributes,
            "content": self.content,
            "contents": self.contents,
            "exists": exists,
        }

    def element(self, node: Element, steps: Steps) -> Element | None:
        """Return the first element at a path that says something."""
        found = find(node, steps)
        if found is None or not is_silent(found):
            return found
        return next((other for other in walk(node, steps) if not is_silent(other)), None)

    def elements(self, node: Element, steps: Steps) -> list[Element]:
        return [found for found in walk(node, steps) if not is_silent(found)]

    def attribute(self, node: Element, steps: Steps, name: str) -> str:
        found = find(node, steps)
        if found is None:
            return ""
        value = found.attributes.get(name)
        if value:
            return value.strip()
        return next((value for other in walk(node, steps) if (value := other.get(name))), "")

    def attributes(self, node: Element, steps: Steps, name: str) -> list[str]:
        return [value for found in walk(node, steps) if (value := found.get(name))]

    def content(self, node: Element, steps: Steps, is_whole: bool) -> str:
        """Return the text of the first element that has one; `is_whole`: with that of its children."""
        found = find(node, steps)
        if found is None:
            return ""
        return _text(found, is_whole) or next(
            (text for other in walk(node, steps) if (text := _text(other, is_whole))), ""
        )

    def contents(self, node: Element, steps: Steps, is_whole: bool) -> list[str]:
        return [text for found in walk(node, steps) if (text := _text(found, is_whole))]


class TracedElements(Elements):
    """The same with a log of every place that is read."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def plain(self, value: Any) -> Any:
        return value

    def functions(self) -> dict[str, Any]:
        # Walking an `each` reads nothing yet.
        return {**super().functions(), "loop": super().elements}

    def element(self, node: Element, steps: Steps) -> Element | None:
        found = super().element(node, steps)
        if found is not None:
            self.log.append(found.place)
        return found

    def elements(self, node: Element, steps: Steps) -> list[Element]:
        found = super().elements(node, steps)
        self.log.extend(one.place for one in found)
        return found

    def attribute(self, node: Element, steps: Steps, name: str) -> str:
        for found in walk(node, steps):
            if value := found.get(name):
                self.log.append(f"{found.place}/@{name}")
                return value
        return ""

    def attributes(self, node: Element, steps: Steps, name: str) -> list[str]:
        self.log.extend(f"{found.place}/@{name}" for found in walk(node, steps) if found.get(name))
        return super().attributes(node, steps, name)

    def content(self, node: Element, steps: Steps, is_whole: bool) -> str:
        for found in walk(node, steps):
            if text := _text(found, is_whole):
                self.log.append(found.place)
                return text
        return ""

    def contents(self, node: Element, steps: Steps, is_whole: bool) -> list[str]:
        self.log.extend(found.place for found in walk(node, steps) if _text(found, is_whole))
        return super().contents(node, steps, is_whole)


def is_silent(element: Element) -> bool:
    """Tell whether an element says nothing: no text, no child, no attribute but structural ones."""
    return not (
        element.children
        or (element.attributes and not element.attributes.keys() <= SILENT)
        or element.text.strip()
    )


def exists(node: Element, steps: Steps) -> bool:
    return find(node, steps) is not None


def _text(element: Element, is_whole: bool) -> str:
    return element.content() if is_whole else element.own_text()
