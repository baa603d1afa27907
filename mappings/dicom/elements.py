"""A DICOM data set as elements: tag, VR, and where its value stands (PS3.5 §7). Everything is bounded.

The buffer may be bytes or a memory-mapped file; a value longer than `LARGE` is named by its place and not read.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from mappings.dicom.syntax import Encoding
from terminology.issues import MalformedMessage, TooLarge

LARGE = 64 * 1024
MOST_ELEMENTS = 200_000
DEPTH = 24
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
# PS3.5 §7.1.2: these VRs have two reserved bytes and a length of four.
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


class Span(NamedTuple):
    """Where a long value stands; `fragments` of an encapsulated one: (offset, length) of each, the offset table first."""

    offset: int
    length: int
    fragments: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """`value`: bytes, a Span, or the items of a sequence."""

    tag: int
    vr: str
    value: "bytes | Span | list[list[Element]]"

    @property
    def label(self) -> str:
        return label(self.tag)


def label(tag: int) -> str:
    """Return a tag as people write it: "(0008,0018)"."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


class Walker:
    """Reads the elements of one buffer. `vr_of`: the dictionary's VR of a tag, for implicit VR."""

    def __init__(self, buffer: Any, encoding: Encoding, vr_of: Callable[[int], str]) -> None:
        self.buffer, self.size = buffer, len(buffer)
        self.is_explicit, self.vr_of = encoding.is_explicit, vr_of
        order = "<" if encoding.is_little else ">"
        self._head = struct.Struct(f"{order}HH").unpack_from
        self._short = struct.Struct(f"{order}H").unpack_from
        self._long = struct.Struct(f"{order}L").unpack_from
        self._count = 0

    def elements(self, at: int, end: int) -> list[Element]:
        """Return the elements between two offsets, the last one being the pixels when they stand there.

        Raises MalformedMessage where an element does not fit (HT-DCM-03) and TooLarge over the bounds (HT-DCM-06).
        """
        return self._dataset(at, end, 0, is_open=False)[0]

    def next(self, at: int, end: int) -> tuple[Element, int]:
        """Return the element at an offset and where it ends."""
        tag, vr, length, start = self._header(at, end)
        return self._element(tag, vr, length, start, end, 0)

    def _dataset(self, at: int, end: int, depth: int, *, is_open: bool) -> tuple[list[Element], int]:
        """Read elements up to `end`, or of an open item up to its delimiter; return them and where they ended."""
        if depth > DEPTH:
            raise TooLarge("HT-DCM-06", what="sequence depth", limit=DEPTH)
        found: list[Element] = []
        while at < end:
            tag, vr, length, start = self._header(at, end)
            if tag == ITEM_END and is_open:
                return found, start
            self._count += 1
            if self._count > MOST_ELEMENTS:
                raise TooLarge("HT-DCM-06", what="elements", limit=MOST_ELEMENTS)
            element, at = self._element(tag, vr, length, start, end, depth)
            found.append(element)
            if tag == PIXEL_DATA and depth == 0:
                # What may follow are padding and signatures: nothing that a map reads.
                return found, at
        if is_open:
            raise MalformedMessage("HT-DCM-03", source="(FFFE,E00D)", offset=at)
        return found, at

    def _header(self, at: int, end: int) -> tuple[int, str, int, int]:
        if at + 8 > end:
            raise MalformedMessage("HT-DCM-03", source="-", offset=at)
        group, number = self._head(self.buffer, at)
        tag = group << 16 | number
        if group == 0xFFFE or not self.is_explicit:
            vr = "" if group == 0xFFFE else self.vr_of(tag)
            return tag, vr, self._long(self.buffer, at + 4)[0], at + 8
        written = bytes(self.buffer[at + 4 : at + 6])
        if written not in VRS:
            raise MalformedMessage("HT-DCM-04", source=label(tag), offset=at)
        if written not in _LONG:
            return tag, written.decode(), self._short(self.buffer, at + 6)[0], at + 8
        if at + 12 > end:
            raise MalformedMessage("HT-DCM-03", source=label(tag), offset=at)
        return tag, written.decode(), self._long(self.buffer, at + 8)[0], at + 12

    def _element(
        self, tag: int, vr: str, length: int, start: int, end: int, depth: int
    ) -> tuple[Element, int]:
        is_open = length == UNDEFINED
        if not is_open and start + length > end:
            raise MalformedMessage("HT-DCM-03", source=label(tag), offset=start)
        if vr == "SQ" or (is_open and vr == "UN"):
            if vr == "UN":
                return self._unknown_sequence(tag, start, end, depth)
            items, at = self._items(start, end if is_open else start + length, depth, is_open=is_open)
            return Element(tag, "SQ", items), at
        if is_open:
            fragments, at = self._fragments(tag, start, end)
            return Element(tag, vr, Span(start, at - start, fragments)), at
        at = start + length
        if length > LARGE or (tag == PIXEL_DATA and depth == 0):
            return Element(tag, vr, Span(start, length)), at
        return Element(tag, vr, bytes(self.buffer[start:at])), at

    def _unknown_sequence(self, tag: int, start: int, end: int, depth: int) -> tuple[Element, int]:
        """UN of undefined length is a sequence in implicit VR, whatever the rest is in (PS3.5 §6.2.2 note 4)."""
        explicit, self.is_explicit = self.is_explicit, False
        try:
            items, at = self._items(start, end, depth, is_open=True)
        finally:
            self.is_explicit = explicit
        return Element(tag, "SQ", items), at

    def _items(self, at: int, end: int, depth: int, *, is_open: bool) -> tuple[list[list[Element]], int]:
        items: list[list[Element]] = []
        while at < end:
            tag, _, length, start = self._header(at, end)
            if tag == SEQUENCE_END and is_open:
                return items, start
            if tag != ITEM:
                raise MalformedMessage("HT-DCM-03", source=label(tag), offset=at)
            if length == UNDEFINED:
                item, at = self._dataset(start, end, depth + 1, is_open=True)
            elif start + length > end:
                raise MalformedMessage("HT-DCM-03", source=label(tag), offset=start)
            else:
                item, at = self._dataset(start, start + length, depth + 1, is_open=False)
            items.append(item)
            self._count += 1
            if self._count > MOST_ELEMENTS:
                raise TooLarge("HT-DCM-06", what="elements", limit=MOST_ELEMENTS)
        if is_open:
            raise MalformedMessage("HT-DCM-03", source="(FFFE,E0DD)", offset=at)
        return items, at

    def _fragments(self, tag: int, at: int, end: int) -> tuple[tuple[tuple[int, int], ...], int]:
        """Encapsulated pixels: only the headers of their fragments are read (PS3.5 §A.4)."""
        found: list[tuple[int, int]] = []
        while at < end:
            kind, _, length, start = self._header(at, end)
            if kind == SEQUENCE_END:
                return tuple(found), start
            if kind != ITEM or length == UNDEFINED or start + length > end:
                break
            found.append((start, length))
            if len(found) > MOST_ELEMENTS:
                raise TooLarge("HT-DCM-06", what="fragments", limit=MOST_ELEMENTS)
            at = start + length
        raise MalformedMessage("HT-DCM-03", source=label(tag), offset=at)


def walk(elements: list[Element]) -> Iterator[Element]:
    """Yield every element, also those inside sequences."""
    for element in elements:
        yield element
        if isinstance(element.value, list):
            for item in element.value:
                yield from walk(item)
