"""Elements → keywords: the record that maps of format `dicom` read, and DICOM JSON (PS3.18 annex F)."""

import base64
import re
import struct
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from mappings.dicom.charset import Charset, charset_of
from mappings.dicom.dictionary import keyword_of
from mappings.dicom.elements import Element, Span
from terminology.fhirjson import Json

CHARSET_TAG = 0x00080005
# VRs whose texts depend on the character set (PS3.5 §6.1.2.3).
FREE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_WHOLE = frozenset({"LT", "ST", "UT", "UR"})
_WORDS = FREE | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
# Dates of ACR-NEMA and of people; a hyphen between two dates is a range.
_PUNCTUATED = re.compile(r"\b(\d{4})[.-](\d\d)[.-](\d\d)\b")
_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def find(elements: Sequence[Element], tag: int) -> Element | None:
    return next((element for element in elements if element.tag == tag), None)


def texts(elements: Iterable[Element]) -> Iterable[bytes]:
    """Yield the values that the character set decides, sequences with one of their own left out."""
    for element in elements:
        if element.vr in FREE and isinstance(element.value, bytes):
            yield element.value
        elif isinstance(element.value, list):
            for item in element.value:
                if find(item, CHARSET_TAG) is None:
                    yield from texts(item)


def charset_in(elements: Sequence[Element], outer: Charset | None = None) -> Charset:
    """Return the charset of a data set; an item without (0008,0005) has that of what it stands in."""
    declared = find(elements, CHARSET_TAG)
    if declared is None and outer is not None:
        return outer
    value = declared.value if declared is not None else b""
    word = value.decode("ascii", "replace") if isinstance(value, bytes) else ""
    return charset_of(word.strip(" \0"), texts(elements))


def to_record(elements: Sequence[Element], charset: Charset, *, is_little: bool) -> Json:
    """Return {keyword: text | number | list | [items]}; empty values are left out, long and binary ones too.

    Texts have no padding; DA and TM lose the punctuation of ACR-NEMA times, so that a date and a time can be joined.
    """
    record: Json = {}
    for element in elements:
        value = _plain(element, charset, is_little=is_little)
        if value not in (None, "", []):
            record[keyword_of(element.tag)] = value
    return record


def _plain(element: Element, charset: Charset, *, is_little: bool) -> Any:
    if isinstance(element.value, list):
        rows = [to_record(item, charset_in(item, charset), is_little=is_little) for item in element.value]
        return [row for row in rows if row]
    values = values_of(element, charset, is_little=is_little)
    if element.vr == "DA":
        values = [_PUNCTUATED.sub(r"\1\2\3", str(value)) for value in values]
    elif element.vr == "TM":
        values = [str(value).replace(":", "") for value in values]
    kept = [value for value in values if value != ""]
    return kept[0] if len(kept) == 1 else kept


def values_of(element: Element, charset: Charset, *, is_little: bool) -> list[Any]:
    """Return the values of an element that is no sequence: texts, integers, Decimals, tags as "GGGGEEEE"."""
    raw = element.value
    if not isinstance(raw, bytes) or not raw:
        return []
    if element.vr in _WORDS:
        return _words(raw, element.vr, charset)
    if element.vr in _NUMBERS:
        return _numbers(raw, element.vr, is_little=is_little)
    if element.vr == "AT":
        order = "<" if is_little else ">"
        count = len(raw) // 4
        halves = struct.unpack(f"{order}{count * 2}H", raw[: count * 4])
        return [f"{halves[i]:04X}{halves[i + 1]:04X}" for i in range(0, len(halves), 2)]
    return []


def _words(raw: bytes, vr: str, charset: Charset) -> list[str]:
    text = charset.text(raw) if vr in FREE else raw.decode("latin-1")
    if vr in _WHOLE:
        return [text.rstrip(" \0\r\n")]
    return [part.strip(" \0") for part in text.split("\\")]


def _numbers(raw: bytes, vr: str, *, is_little: bool) -> list[Any]:
    order, code = "<" if is_little else ">", _NUMBERS[vr]
    count = len(raw) // struct.calcsize(code)
    found = struct.unpack_from(f"{order}{count}{code}", raw)
    if code not in "fd":
        return list(found)
    # A float has the digits that tell it from its neighbours; NaN and infinity say nothing.
    return [Decimal(_digits(value, code)) for value in found if value == value and abs(value) != float("inf")]


def _digits(value: float, code: str) -> str:
    if code == "d":
        return repr(value)
    import numpy as np

    return str(np.float32(value))


def to_json(
    elements: Sequence[Element], charset: Charset, *, is_little: bool, bulk: str = "", inline: bool = True
) -> Json:
    """Return DICOM JSON (PS3.18 §F.2); values that are long are named by `bulk` + tag path, when it isn't empty."""
    found: Json = {}
    for element in elements:
        if not element.tag & 0xFFFF or element.tag >> 16 == 2:
            continue
        name = f"{element.tag:08X}"
        row = _json_row(
            element, charset, is_little=is_little, bulk=f"{bulk}/{name}" if bulk else "", inline=inline
        )
        if row is not None:
            found[name] = row
    if "00080005" in found or charset.codec != "ascii":
        # What is written here is UTF-8 (PS3.18 §F.2.1.1).
        found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return dict(sorted(found.items()))


def _json_row(element: Element, charset: Charset, *, is_little: bool, bulk: str, inline: bool) -> Json | None:
    vr, value = element.vr, element.value
    if isinstance(value, list):
        rows = [
            to_json(
                item, charset_in(item, charset), is_little=is_little, bulk=f"{bulk}/{number}" if bulk else ""
            )
            for number, item in enumerate(value)
        ]
        for row, item in zip(rows, value, strict=True):
            if find(item, CHARSET_TAG) is None:
                row.pop("00080005", None)
        return {"vr": "SQ", "Value": rows} if rows else {"vr": "SQ"}
    if isinstance(value, Span):
        return {"vr": vr, "BulkDataURI": bulk} if bulk else None
    if not value:
        return {"vr": vr}
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN"):
        if not inline:
            return {"vr": vr, "BulkDataURI": bulk} if bulk else None
        return {"vr": vr, "InlineBinary": base64.b64encode(value).decode()}
    values = values_of(element, charset, is_little=is_little)
    if vr == "PN":
        return {"vr": vr, "Value": [name_groups(part) for part in values]}
    if vr in ("IS", "DS"):
        values = [_number(part) for part in values]
    shown = [None if part == "" else part for part in values]
    return {"vr": vr, "Value": shown} if any(part is not None for part in shown) else {"vr": vr}


def name_groups(text: str) -> Json:
    """ "Wang^XiaoDong=王^小東" → {"Alphabetic": …, "Ideographic": …}."""
    groups = zip(_GROUPS, text.split("="), strict=False)
    return {name: part.rstrip("^ ") for name, part in groups if part.rstrip("^ ")}


def _number(text: str) -> Any:
    """IS and DS are numbers in JSON; one that isn't stays a text, which readers tell apart."""
    text = text.strip()
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    if not number.is_finite() or len(text) > 32:
        return text
    return (
        int(number)
        if number == number.to_integral_value() and "." not in text and "E" not in text.upper()
        else number
    )
