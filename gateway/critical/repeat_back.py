"""Repeat-back (复述): the receiver says item and value again; it must be the same, however it is written. Pure.

Full-width digits, blanks, a trailing zero and another unit of the same value are tolerated, another number never is.
"""

import re
import unicodedata
from decimal import Decimal

from gateway.critical.detect import Critical
from terminology.issues import Issue
from terminology.ucum import convert

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNIT = re.compile(r"\d\s*([A-Za-z%µμ][A-Za-z%µμ/*\[\]0-9^]*)")
_FILLER = re.compile(r"[血清浆的为是值结果测定水平：:，,。.;；\s]+")
SHORTEST = 1


def differs(said: str, wanted: Critical) -> Issue | None:
    """Return what a repeat-back gets wrong: nothing said (HT-CV-01), another value (02), another item (03); None when it is right."""
    text = unicodedata.normalize("NFKC", said).strip()
    if not text:
        return Issue("HT-CV-01", {})
    if not _has_value(text, wanted):
        return Issue("HT-CV-02", {})
    if not _has_item(text, wanted):
        return Issue("HT-CV-03", {})
    return None


def _has_value(text: str, wanted: Critical) -> bool:
    if wanted.number is None:
        return _core(wanted.value) in _core(text)
    numbers = [Decimal(row) for row in _NUMBER.findall(_without_names(text, wanted))]
    if wanted.number in numbers:
        return True
    found = _UNIT.search(text)
    unit = found[1] if found else ""
    return (
        any(convert(number, unit, wanted.unit) == wanted.number for number in numbers)
        if unit and wanted.unit
        else False
    )


def _has_item(text: str, wanted: Critical) -> bool:
    said = _core(_NUMBER.sub("", text))
    for name in wanted.names:
        core = _core(unicodedata.normalize("NFKC", name))
        if (
            len(core) > SHORTEST - 1
            and core
            and (core in said or (_chinese(said) and _chinese(said) in core))
        ):
            return True
    return False


def _without_names(text: str, wanted: Critical) -> str:
    """Take the item's own name away: the 12 of "维生素B12" is no value."""
    for name in sorted(wanted.names, key=len, reverse=True):
        text = re.sub(re.escape(name), " ", text, flags=re.IGNORECASE)
    return text


def _core(text: str) -> str:
    return _FILLER.sub("", text).casefold()


def _chinese(text: str) -> str:
    return "".join(mark for mark in text if "\u4e00" <= mark <= "\u9fff")
