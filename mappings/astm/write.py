r"""Messages to a device: records of E1394 in the standard delimiters `|\^&`, its own charset, CR after each record."""

from collections.abc import Iterable, Sequence

from mappings.astm.message import NO_MARK
from mappings.hl7v2.delimiters import Delimiters
from mappings.hl7v2.escapes import escape

STANDARD = Delimiters("|", "^", "\\", "&", NO_MARK)

Field = str | Sequence[str]
"""A field: one text, or its components."""


def write_message(records: Iterable[Sequence[Field]], *, codec: str = "gb18030") -> bytes:
    """Return the bytes of a message; each record is its fields by the standard's numbers, the type being the first.

    A character that `codec` doesn't have becomes "?".
    """
    lines = [_record(fields, codec) for fields in records]
    return ("\r".join(lines) + "\r").encode(codec, "replace")


def _record(fields: Sequence[Field], codec: str) -> str:
    if fields and fields[0] == "H":
        marks = f"H|{STANDARD.repetition}{STANDARD.component}{STANDARD.escape}"
        rest = [_field(field, codec) for field in fields[2:]]
        return "|".join([marks, *rest]).rstrip("|")
    return "|".join(_field(field, codec) for field in fields).rstrip("|")


def _field(field: Field, codec: str) -> str:
    if isinstance(field, str):
        return escape(field, STANDARD, codec=codec)
    return STANDARD.component.join(escape(part, STANDARD, codec=codec) for part in field).rstrip("^")
