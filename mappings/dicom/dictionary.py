"""The data dictionary of PS3.6: keyword and VR of a tag. The table is pydicom's (extra `dicom`)."""

from functools import cache, lru_cache
from typing import Any

from terminology.issues import Unavailable


@cache
def _table() -> tuple[dict[int, tuple[str, str, str, str, str]], dict[str, Any]]:
    try:
        from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
    except ImportError:
        raise Unavailable("HT-DCM-07", package="pydicom") from None
    return DicomDictionary, RepeatersDictionary


@lru_cache(maxsize=20_000)
def _row(tag: int) -> tuple[str, str]:
    """Return VR and keyword; ("UN", "") for a tag that the dictionary doesn't have."""
    plain, repeating = _table()
    found = plain.get(tag)
    if found is None and (tag >> 24) in (0x50, 0x60):
        # Overlays and curves repeat in groups 50xx and 60xx.
        text = f"{tag:08X}"
        found = repeating.get(text[:2] + "xx" + text[4:])
    if found is None:
        # (gggg,0000) are group lengths; a private creator names its block (PS3.5 §7.8.1).
        is_creator = tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF
        return ("UL" if not tag & 0xFFFF else "LO" if is_creator else "UN"), ""
    return found[0].split(" or ")[0], found[4]


def vr_of(tag: int) -> str:
    return _row(tag)[0]


def keyword_of(tag: int) -> str:
    """Return the keyword, "gggg,eeee" for a private or unknown tag: a map reads it in back quotes."""
    return _row(tag)[1] or f"{tag >> 16:04x},{tag & 0xFFFF:04x}"


@cache
def _tags() -> dict[str, int]:
    return {row[4]: tag for tag, row in _table()[0].items() if row[4]}


def tag_of(keyword: str) -> int | None:
    return _tags().get(keyword)
