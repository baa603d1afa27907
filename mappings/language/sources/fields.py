"""Field access at run time: what generated code calls to read HL7 v2 segments.

Functions are closures over the delimiters of one message, because they run a few hundred times for each.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mappings.hl7v2.delimiters import Delimiters
from mappings.hl7v2.escapes import unescape
from mappings.hl7v2.message import NULL, Segment
from mappings.language.grouping import Group

FIELD_LIMIT = 199
_BLANK = [""] * (FIELD_LIMIT + 1)


class Fields:
    """The run-time half of the HL7 v2 source for one set of delimiters and one charset."""

    def __init__(self, delimiters: Delimiters, codec: str) -> None:
        self.delimiters = delimiters
        self.codec = codec
        self._texts: dict[tuple[int, int], Callable[[str], str]] = {}

    def functions(self) -> dict[str, Any]:
        """Return what generated code finds by name; text_C_S is made when it is asked for (`text`)."""
        return {
            "take": take,
            "fields": padded,
            "nth": self.nth,
            "one": one,
            "first": self._first(),
            "repetition": self.repetition,
            "repetitions": self._repetitions(),
            "part": self.part,
            "parts": self.parts,
            "column": self.column,
        }

    def text(self, component: int, subcomponent: int) -> Callable[[str], str]:
        """Return the function raw field → unescaped text of one place in its first repetition; NULL is ""."""
        key = (component, subcomponent)
        if key not in self._texts:
            self._texts[key] = self._text(component, subcomponent)
        return self._texts[key]

    def _text(self, component: int, subcomponent: int) -> Callable[[str], str]:
        _, component_mark, repetition_mark, mark, subcomponent_mark = self.delimiters
        marks, codec = self.delimiters, self.codec
        index, inner = component - 1, subcomponent - 1

        def text(value: str) -> str:
            if not value:
                return value
            if repetition_mark in value:
                value = value.split(repetition_mark, 1)[0]
            if component_mark in value:
                parts = value.split(component_mark, component)
                value = parts[index] if index < len(parts) else ""
            elif index:
                return ""
            if subcomponent_mark in value:
                parts = value.split(subcomponent_mark, subcomponent)
                value = parts[inner] if inner < len(parts) else ""
            elif inner:
                return ""
            if mark in value:
                value = unescape(value, marks, codec=codec)
            return "" if value == NULL else value

        return text

    def _first(self) -> Callable[[str], str]:
        mark = self.delimiters.repetition

        def first(value: str) -> str:
            if mark in value:
                value = value.split(mark, 1)[0]
            return "" if value == NULL else value

        return first

    def _repetitions(self) -> Callable[[str], list[str]]:
        mark = self.delimiters.repetition

        def repetitions(value: str) -> list[str]:
            if not value or value == NULL:
                return []
            if mark not in value:
                return [value]
            return [part for part in value.split(mark) if part and part != NULL]

        return repetitions

    def repetition(self, value: str, number: int) -> str:
        parts = value.split(self.delimiters.repetition, number)
        found = parts[number - 1] if number <= len(parts) else ""
        return "" if found == NULL else found

    def part(self, value: str, repetition: int, component: int, subcomponent: int) -> str:
        """Return a component as sent, or a subcomponent when its number isn't 0."""
        text = self.repetition(value, repetition)
        parts = text.split(self.delimiters.component, component)
        found = parts[component - 1] if component <= len(parts) else ""
        if subcomponent:
            parts = found.split(self.delimiters.subcomponent, subcomponent)
            found = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        return "" if found == NULL else found

    def parts(self, values: Iterable[str], component: int, subcomponent: int) -> list[str]:
        """Return the same of each repetition, empty ones left out."""
        return [found for value in values if (found := self.part(value, 1, component, subcomponent))]

    def nth(self, group: Group, name: str, occurrence: int, number: int) -> str:
        segment = one(group, name, occurrence)
        return segment.raw(number) if segment else ""

    def column(self, group: Group, name: str, number: int, all_repetitions: bool) -> list[str]:
        """Return one field of all segments of a name, in order, empty ones left out."""
        found: list[str] = []
        for segment in group.get(name, ()):
            parts = [
                part
                for part in segment.raw(number).split(self.delimiters.repetition)
                if part and part != NULL
            ]
            found.extend(parts if all_repetitions else parts[:1])
        return found


class TracedFields(Fields):
    """The same with a log of every field that is read, for previews."""

    def __init__(self, delimiters: Delimiters, codec: str) -> None:
        super().__init__(delimiters, codec)
        self.log: list[str] = []
        # How many deletions (NULL) were read since the last start().
        self.nulls = 0

    def functions(self) -> dict[str, Any]:
        repetitions = self._repetitions()

        def traced_repetitions(line: "_Line", number: int) -> list[str]:
            value = list.__getitem__(line, number)
            assert isinstance(value, str)
            label = line.label(number)
            return [_Text(part, f"{label}[{index}]") for index, part in enumerate(repetitions(value), 1)]

        def seen(value: str) -> str:
            return str(self.plain(value))

        return {
            **super().functions(),
            "take": lambda group, name, width: _Line(take(group, name, width), one(group, name, 1), self),
            "fields": lambda segment, width: _Line(padded(segment, width), segment, self),
            "repetitions": traced_repetitions,
            "seen": seen,
            "whole": self.whole,
            "whole_all": lambda segments, reads: [self.whole(segment, reads) for segment in segments],
        }

    def text(self, component: int, subcomponent: int) -> Callable[[str], str]:
        plain = super().text(component, subcomponent)

        def text(value: str) -> str:
            return plain(self.plain(value))

        return text

    def plain(self, value: Any) -> Any:
        """Note where a value stood, and return it without that knowledge: converters get what they always get."""
        if isinstance(value, _Text):
            self.log.append(value.source)
            return str(value)
        return [self.plain(part) for part in value] if isinstance(value, list) else value

    def nth(self, group: Group, name: str, occurrence: int, number: int) -> str:
        value = super().nth(group, name, occurrence, number)
        if value:
            self.log.append(f"{name}[{occurrence}]-{number}")
        return value

    def column(self, group: Group, name: str, number: int, all_repetitions: bool) -> list[str]:
        self.log.extend(_label(segment, number) for segment in group.get(name, ()) if segment.raw(number))
        return super().column(group, name, number, all_repetitions)

    def whole(self, segment: Segment | None, reads: dict[str, tuple[int, ...]] | None) -> Segment | None:
        if segment is not None:
            numbers = reads.get(segment.name) if reads else None
            for number in numbers if numbers is not None else range(1, len(segment.fields)):
                if segment.raw(number):
                    self.log.append(_label(segment, number))
        return segment


class _Line(list[str]):
    """The fields of a segment; reading one is logged."""

    def __init__(self, values: Iterable[str], segment: Segment | None, owner: TracedFields) -> None:
        super().__init__(values)
        self.segment = segment
        self.owner = owner

    def label(self, number: int) -> str:
        return _label(self.segment, number) if self.segment else ""

    def __getitem__(self, number: Any) -> Any:
        value = super().__getitem__(number)
        if value and self.segment is not None:
            self.owner.log.append(self.label(number))
            self.owner.nulls += value == NULL
        return value


class _Text(str):
    """A repetition that knows where it stood."""

    source: str

    def __new__(cls, value: str, source: str) -> "_Text":
        made = super().__new__(cls, value)
        made.source = source
        return made


def _label(segment: Segment, number: int) -> str:
    name = segment.name if segment.occurrence == 1 else f"{segment.name}[{segment.occurrence}]"
    return f"{name}-{number}"


def take(group: Group, name: str, width: int) -> Sequence[str]:
    """Return the fields of the first segment of a name, at least up to field `width`; blanks when there is none."""
    segments = group.get(name)
    return padded(segments[0], width) if segments else _BLANK


def padded(segment: Segment, width: int) -> list[str]:
    fields = segment.fields
    return fields if len(fields) > width else fields + _BLANK[: width + 1 - len(fields)]


def one(group: Group, name: str, occurrence: int) -> Segment | None:
    segments = group.get(name, ())
    return segments[occurrence - 1] if occurrence <= len(segments) else None
