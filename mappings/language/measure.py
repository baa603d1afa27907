"""Coverage of one message: which filled fields no line of the map reads (docs/design.md, decision 11)."""

from collections.abc import Callable, Iterator
from typing import Any

from mappings.language.grouping import Group
from mappings.language.result import Coverage, Unread
from mappings.language.sources import Source
from mappings.language.sources.rows import ALL, RowSource
from mappings.language.sources.segments import SegmentSource
from mappings.language.sources.xml import WHOLE, XmlSource
from mappings.xml.tree import Element

# Separators and set ids say nothing about a patient; MSH-7…12 are read by the gateway itself.
_TECHNICAL = {
    "MSH": frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 17, 18, 19}),
    # ASTM: type and number of each record; the header is read by the gateway.
    "H": frozenset({1, 2, 3, 5, 10, 12, 13, 14}),
    **dict.fromkeys("PORCQMS", frozenset({1, 2})),
    "L": frozenset({1, 2, 3}),
}
# Of an XML message: what says how to read the rest (HL7 v3 structural attributes, the envelope of the interaction).
_STRUCTURAL = frozenset(
    [
        "classCode",
        "moodCode",
        "typeCode",
        "determinerCode",
        "contextControlCode",
        "contextConductionInd",
        "nullFlavor",
        "ITSVersion",
        "xsi:type",
        "xsi:schemaLocation",
        "codeSystemName",
        "codeSystemVersion",
        "inversionInd",
    ]
)
_ENVELOPE = frozenset(
    [
        "id",
        "creationTime",
        "interactionId",
        "processingCode",
        "processingModeCode",
        "acceptAckCode",
        "sender",
        "receiver",
        "versionCode",
        "realmCode",
        "typeId",
        "templateId",
    ]
)
_EXAMPLE = 60


def measure(source: Source, record: Any) -> Coverage:
    """Return the coverage of a grouped message or of a JSON body."""
    if isinstance(source, SegmentSource):
        return _segments(source, record)
    if isinstance(source, XmlSource):
        return _elements(source, record)
    assert isinstance(source, RowSource)
    return _rows(source, record)


def _segments(source: SegmentSource, root: Group) -> Coverage:
    unread: dict[str, tuple[int, str]] = {}
    kept: list[tuple[int, str]] = []
    count = 0
    groups = [root]
    while groups:
        group = groups.pop()
        for inner in group.groups.values():
            groups.extend(inner)
        for name, segments in group.items():
            read = source.reads.get((group.name, name), set())
            is_whole = 0 in read
            technical = _TECHNICAL.get(name, frozenset())
            for segment in segments:
                if name[0] == "Z":
                    kept.append((segment.number, segment.line))
                for number, value in enumerate(segment.fields):
                    if not value or not number:
                        continue
                    if is_whole or number in read or number in technical:
                        count += 1
                    elif number > 1 or not value.isdigit():
                        # A number in field 1 is the set id, which repeats the order of the segments.
                        field = f"{name}-{number}"
                        times, example = unread.get(field, (0, value[:_EXAMPLE]))
                        unread[field] = (times + 1, example)
    rows = tuple(Unread(field, times, example) for field, (times, example) in sorted(unread.items()))
    return Coverage(count, rows, tuple(line for _, line in sorted(kept)))


def _rows(source: RowSource, record: Any) -> Coverage:
    unread: dict[str, tuple[int, str]] = {}
    count = 0
    stack: list[tuple[Any, tuple[Any, ...]]] = [(record, ())]
    reads = source.reads
    while stack:
        value, path = stack.pop()
        if path in reads and not isinstance(value, dict):
            count += 1
            continue
        if isinstance(value, dict):
            # A path that ends at a block was read whole by its converter.
            if path in reads and path:
                count += 1
                continue
            stack.extend((part, (*path, key)) for key, part in value.items())
        elif isinstance(value, list):
            stack.extend((part, (*path, ALL)) for part in value)
        elif value not in (None, ""):
            field = ".".join("[]" if step == ALL else str(step) for step in path).replace(".[]", "[]")
            times, example = unread.get(field, (0, str(value)[:_EXAMPLE]))
            unread[field] = (times + 1, example)
    return Coverage(count, tuple(Unread(field, *rest) for field, rest in sorted(unread.items())))


def _elements(source: XmlSource, root: Element) -> Coverage:
    unread: dict[str, tuple[int, str]] = {}
    count = 0
    is_read = _reader(source.reads.places)
    stack: list[tuple[Element, tuple[str, ...]]] = [(root, ())]
    while stack:
        element, path = stack.pop()
        if is_read(path, WHOLE) or (path and element.name.casefold() in source.reads.names):
            count += 1
            continue
        for leaf, value in _leaves(element):
            # `value` is what the text of such an element is (Element.own_text).
            if is_read(path, leaf) or (leaf == "@value" and is_read(path, "")):
                count += 1
                continue
            field = "/".join((*path, leaf) if leaf else path)
            times, example = unread.get(field, (0, value[:_EXAMPLE]))
            unread[field] = (times + 1, example)
        stack.extend(
            (child, (*path, child.name)) for child in element.children if path or child.name not in _ENVELOPE
        )
    return Coverage(count, tuple(Unread(field, *rest) for field, rest in sorted(unread.items())))


def _reader(places: set[tuple[tuple[str, ...], str]]) -> Callable[[tuple[str, ...], str], bool]:
    """Return the test whether a place is read; a `*` step of a line stands for every name."""
    wild: dict[tuple[int, str], list[tuple[str, ...]]] = {}
    for names, leaf in places:
        if "*" in names:
            wild.setdefault((len(names), leaf), []).append(names)

    def is_read(path: tuple[str, ...], leaf: str) -> bool:
        if (path, leaf) in places:
            return True
        patterns = wild.get((len(path), leaf), ())
        return any(
            all(step in ("*", name) for step, name in zip(pattern, path, strict=True)) for pattern in patterns
        )

    return is_read


def _leaves(element: Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attributes.items():
        if name not in _STRUCTURAL and value.strip():
            yield f"@{name}", value.strip()
    if element.text.strip():
        yield "", element.text.strip()
