"""A Part 10 file as an Instance: who, which study, what kind, and everything that a map can read (PS3.10 §7)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mappings.dicom.charset import Charset
from mappings.dicom.dictionary import vr_of
from mappings.dicom.elements import PIXEL_DATA, VRS, Element, Span, Walker
from mappings.dicom.syntax import EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding, encoding_of
from mappings.dicom.tree import charset_in, find, to_record, values_of
from terminology.fhirjson import Json
from terminology.issues import MalformedMessage, TooLarge

PREAMBLE = 128
IMPLEMENTATION = "2.25.93457226571864907531862754963"
META_LIMIT = 64 * 1024
INFLATED_LIMIT = 128 * 1024 * 1024
UID_LENGTH = 64

_META_SYNTAX, _META_CLASS, _META_INSTANCE, _META_SOURCE = 0x00020010, 0x00020002, 0x00020003, 0x00020016


@dataclass(frozen=True)
class Instance:
    """One SOP instance without its pixels.

    `start`: where the data set begins in the file; `buffer` is what the spans of `elements` point into: the file, or the
    inflated data set of a deflated one.
    """

    elements: Sequence[Element]
    charset: Charset
    transfer_syntax: str
    encoding: Encoding
    source: str = ""
    start: int = 0
    buffer: Any = field(default=b"", repr=False)

    def text(self, tag: int) -> str:
        """Return the first value of an element of the data set as text, "" when there is none."""
        element = find(self.elements, tag)
        if element is None or not isinstance(element.value, bytes):
            return ""
        values = values_of(element, self.charset, is_little=self.encoding.is_little)
        return str(values[0]) if values else ""

    @cached_property
    def sop_class(self) -> str:
        return self.text(0x00080016)

    @cached_property
    def uid(self) -> str:
        return self.text(0x00080018)

    @cached_property
    def study(self) -> str:
        return self.text(0x0020000D)

    @cached_property
    def series(self) -> str:
        return self.text(0x0020000E)

    @cached_property
    def modality(self) -> str:
        return self.text(0x00080060)

    @cached_property
    def record(self) -> Json:
        """The data set by keywords, with what of a structured report is spread over its tree (mappings/dicom/report.py)."""
        from mappings.dicom.report import flattened

        record = to_record(self.elements, self.charset, is_little=self.encoding.is_little)
        return {**record, **flattened(record)} if "ContentSequence" in record else record

    @property
    def pixels(self) -> Span | None:
        element = find(self.elements, PIXEL_DATA)
        return element.value if element is not None and isinstance(element.value, Span) else None


def read_instance(buffer: Any) -> Instance:
    """Read bytes or a mapped file; a bare data set without preamble is taken too.

    Raises MalformedMessage: no DICOM (HT-DCM-01), truncated or broken (HT-DCM-03), not encoded as it says (HT-DCM-04);
    TooLarge (HT-DCM-06) over the bounds. UIDs are not asked for here (`require_uids`).
    """
    start = PREAMBLE + 4 if bytes(buffer[PREAMBLE : PREAMBLE + 4]) == b"DICM" else 0
    if not start and not _looks_bare(bytes(buffer[:8])):
        raise MalformedMessage("HT-DCM-01", found=bytes(buffer[:8]).hex(" ") or "-")
    meta, at = _meta(buffer, start)
    syntax = meta.get(_META_SYNTAX, "")
    if not syntax:
        syntax = EXPLICIT_LITTLE if bytes(buffer[at + 4 : at + 6]) in VRS else IMPLICIT_LITTLE
    encoding, begins = encoding_of(syntax), at
    if encoding.is_deflated:
        buffer, at = _inflated(buffer, at), 0
    _check_encoding(buffer, at, encoding, syntax)
    walker = Walker(buffer, encoding, vr_of)
    elements = walker.elements(at, len(buffer))
    charset = charset_in(elements)
    return Instance(elements, charset, syntax, encoding, meta.get(_META_SOURCE, ""), begins, buffer)


def require_uids(instance: Instance) -> None:
    """Raise MalformedMessage with every UID that the object lacks or that is none (HT-DCM-02): nothing could find it."""
    from terminology.issues import Issue

    wanted = (
        ("SOPClassUID", "(0008,0016)", instance.sop_class),
        ("SOPInstanceUID", "(0008,0018)", instance.uid),
        ("StudyInstanceUID", "(0020,000D)", instance.study),
        ("SeriesInstanceUID", "(0020,000E)", instance.series),
    )
    issues = [
        Issue("HT-DCM-02", {"keyword": keyword, "value": value[:80] or "-"}, source=source)
        for keyword, source, value in wanted
        if not is_uid(value)
    ]
    if issues:
        raise MalformedMessage(issues)


def head_of(instance: Instance) -> bytes:
    """Return preamble and file meta information for a data set that came without them (PS3.10 §7.1)."""
    pairs = (
        (0x0001, b"OB", b"\0\1"),
        (0x0002, b"UI", instance.sop_class.encode()),
        (0x0003, b"UI", instance.uid.encode()),
        (0x0010, b"UI", instance.transfer_syntax.encode()),
        (0x0012, b"UI", IMPLEMENTATION.encode()),
    )
    rows = b"".join(_meta_element(number, vr, value) for number, vr, value in pairs)
    length = struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(rows))
    return b"\0" * PREAMBLE + b"DICM" + length + rows


def _meta_element(number: int, vr: bytes, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    if vr == b"OB":
        return struct.pack("<HH2sHL", 0x0002, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value


def is_uid(text: str) -> bool:
    """Whether `text` is a UID by its characters and length; leading zeros of a part are met and harmless (PS3.5 §9.1)."""
    return 0 < len(text) <= UID_LENGTH and all(part.isdigit() and part.isascii() for part in text.split("."))


def _looks_bare(head: bytes) -> bool:
    """Data sets written to disk as they were sent begin with group 0002 or 0008, in either byte order."""
    return len(head) == 8 and head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08")


def _meta(buffer: Any, at: int) -> tuple[dict[int, str], int]:
    """Return the file meta information (always explicit little endian) and where the data set begins."""
    found: dict[int, str] = {}
    end = min(len(buffer), at + META_LIMIT)
    walker = Walker(buffer, Encoding(is_explicit=True, is_little=True, is_deflated=False), vr_of)
    while at + 8 <= end and bytes(buffer[at : at + 2]) == b"\x02\x00":
        element, at = walker.next(at, end)
        if isinstance(element.value, bytes):
            found[element.tag] = element.value.decode("latin-1").strip(" \0")
    return found, at


def _inflated(buffer: Any, at: int) -> bytes:
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        found = inflater.decompress(bytes(buffer[at:]), INFLATED_LIMIT)
    except zlib.error as error:
        raise MalformedMessage("HT-DCM-05", detail=str(error)) from None
    if inflater.unconsumed_tail:
        raise TooLarge("HT-DCM-06", what="inflated bytes", limit=INFLATED_LIMIT)
    return found


def _check_encoding(buffer: Any, at: int, encoding: Encoding, syntax: str) -> None:
    """The first element shows how the data set is really encoded; read otherwise its values would be nonsense."""
    head = bytes(buffer[at : at + 8])
    if len(head) < 8:
        raise MalformedMessage("HT-DCM-03", source="-", offset=at)
    is_big = head[0] == 0 and head[1] != 0
    is_explicit = head[4:6] in VRS
    if is_explicit != encoding.is_explicit or is_big == encoding.is_little:
        really = f"{'explicit' if is_explicit else 'implicit'} VR {'big' if is_big else 'little'} endian"
        raise MalformedMessage("HT-DCM-08", source="(0002,0010)", declared=syntax, really=really)
