"""Build a message: nested Python values to escaped text and bytes (HL7 v2.8 §2.5, §2.7)."""

from collections.abc import Iterable, Mapping, Sequence

from mappings.hl7v2.delimiters import STANDARD, Delimiters
from mappings.hl7v2.escapes import escape

# A component is text or a tuple of subcomponents; a repetition is text or a tuple of components; a field is one
# repetition or a list of them. None and "" are absent.
Component = str | None | tuple[str | None, ...]
Repetition = str | None | tuple[Component, ...]
Field = Repetition | Sequence[Repetition]

# What a receiver must find in MSH-18 to read us as we write (HL7 table 0211).
CHARSET_NAMES = {"utf-8": "UNICODE UTF-8", "gb18030": "GB 18030-2000", "ascii": "ASCII"}


def write_segment(
    name: str, fields: Mapping[int, Field], *, delimiters: Delimiters = STANDARD, codec: str = "utf-8"
) -> str:
    """Return one line. `fields` by their number of the standard; gaps are empty, trailing empty fields are left out.

    Of a header segment (MSH, FHS, BHS) numbers 1 and 2 are the delimiters themselves and are never given.
    """
    top = max((number for number, value in fields.items() if value), default=0)
    texts = [_field(fields.get(number), delimiters, codec) for number in range(1, top + 1)]
    if name in ("MSH", "FHS", "BHS"):
        marks = "".join(delimiters[1:])
        return delimiters.field.join([name, marks, *texts[2:]])
    return delimiters.field.join([name, *texts]).rstrip(delimiters.field)


def write(
    segments: Iterable[tuple[str, Mapping[int, Field]]],
    *,
    delimiters: Delimiters = STANDARD,
    codec: str = "utf-8",
) -> bytes:
    """Return the bytes of a message, segments ended by CR. MSH-18 names `codec` unless given or plain ASCII."""
    lines = []
    for name, fields in segments:
        if name == "MSH" and 18 not in fields and codec != "ascii":
            fields = {**fields, 18: CHARSET_NAMES.get(codec, codec.upper())}
        lines.append(write_segment(name, fields, delimiters=delimiters, codec=codec))
    return ("\r".join(lines) + "\r").encode(codec)


def _field(value: Field, delimiters: Delimiters, codec: str) -> str:
    if isinstance(value, list):
        return delimiters.repetition.join(_repetition(part, delimiters, codec) for part in value)
    return _repetition(value, delimiters, codec)  # type: ignore[arg-type]  # str and tuple are no repetition lists


def _repetition(value: Repetition, delimiters: Delimiters, codec: str) -> str:
    if not isinstance(value, tuple):
        return _text(value, delimiters, codec)
    parts = (
        delimiters.subcomponent.join(_text(part, delimiters, codec) for part in component).rstrip(
            delimiters.subcomponent
        )
        if isinstance(component, tuple)
        else _text(component, delimiters, codec)
        for component in value
    )
    return delimiters.component.join(parts).rstrip(delimiters.component)


def _text(value: str | None, delimiters: Delimiters, codec: str) -> str:
    return escape(value, delimiters, codec=codec) if value else ""
