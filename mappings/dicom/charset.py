"""Which text the bytes of an object stand for: SpecificCharacterSet (0008,0005), and what devices send instead.

PS3.5 §6.1, PS3.3 §C.12.1.1.2. The ladder of messages holds here too: what is declared comes first, strictly; GB family
names are all GB 18030; an absent or untrue declaration is found out over all texts of the object at once, and told.
Whole values are decoded before anything is split: the second byte of a GBK character may be 0x5C, 0x5E or 0x3D.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

# Defined terms, folded to capitals and digits → codec.
_TERMS = {
    "": "ascii", "ISOIR6": "ascii", "ISO2022IR6": "ascii", "ASCII": "ascii",
    "ISOIR192": "utf-8", "UTF8": "utf-8", "ISO10646": "utf-8", "UNICODE": "utf-8",
    "GB18030": "gb18030", "GBK": "gb18030", "GB2312": "gb18030", "CP936": "gb18030",
    "ISO2022IR58": "gb18030", "ISOIR58": "gb18030",
    "ISOIR13": "shift_jis", "ISO2022IR13": "shift_jis", "ISO2022IR87": "iso2022_jp", "ISO2022IR159": "iso2022_jp_2",
    "ISO2022IR149": "euc_kr", "ISOIR149": "euc_kr",
}  # fmt: skip
_PARTS = {
    "100": "latin-1", "101": "iso8859-2", "109": "iso8859-3", "110": "iso8859-4", "144": "iso8859-5", "127": "iso8859-6",
    "126": "iso8859-7", "138": "iso8859-8", "148": "iso8859-9", "203": "iso8859-15", "166": "tis-620",
}  # fmt: skip
_TERMS |= {f"ISO{kind}IR{part}": codec for part, codec in _PARTS.items() for kind in ("", "2022")}
SINGLE_BYTE = frozenset(_PARTS.values()) | {"ascii"}
# ISO 2022 escapes → codec of what follows (PS3.3 tables C.12-3 and C.12-4).
_ESCAPES = {
    b"\x1b(B": "ascii", b"\x1b(J": "shift_jis", b"\x1b)I": "shift_jis",
    b"\x1b$)A": "gb18030", b"\x1b$)C": "euc_kr", b"\x1b$B": "iso2022_jp", b"\x1b$(D": "iso2022_jp_2",
    b"\x1b-A": "latin-1", b"\x1b-B": "iso8859-2", b"\x1b-C": "iso8859-3", b"\x1b-D": "iso8859-4", b"\x1b-L": "iso8859-5",
    b"\x1b-G": "iso8859-6", b"\x1b-F": "iso8859-7", b"\x1b-H": "iso8859-8", b"\x1b-M": "iso8859-9", b"\x1b-b": "iso8859-15",
    b"\x1b-T": "tis-620",
}  # fmt: skip
_SEVEN_BIT = {"iso2022_jp": b"\x1b$B", "iso2022_jp_2": b"\x1b$(D"}
_ESCAPE = re.compile(rb"\x1b(?:\$?[()\-][A-Za-z]|\$B)")
_HIGH = re.compile(rb"[\x80-\xff]+")
_GB2312 = re.compile(rb"(?:[\xa1-\xa9\xb0-\xf7][\xa1-\xfe])+")
_FOLD = re.compile(r"[^A-Z0-9]+")
SAMPLE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Charset:
    """`codec` of values without escapes; `declared`: (0008,0005) as written; `is_guessed`: it was absent or untrue."""

    codec: str = "ascii"
    declared: str = ""
    is_guessed: bool = False

    def text(self, value: bytes) -> str:
        """Return a value as text; a byte that no charset explains becomes U+FFFD, never a wrong letter."""
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii")
        if b"\x1b" in value:
            return _escaped(value, self.codec)
        return _strict(value, self.codec) or value.decode(self.codec, "replace")


def charset_of(declared: str, texts: Iterable[bytes]) -> Charset:
    """Return the charset of an object from its declaration and its texts."""
    sample = _sample(texts)
    terms = declared.upper().split("\\")
    codecs = [codec for term in terms if (codec := _TERMS.get(_FOLD.sub("", term))) is not None]
    is_known = len(codecs) == len(terms)
    first = codecs[0] if codecs else "ascii"
    if first == "ascii" and len(codecs) > 1 and "gb18030" in codecs:
        # \ISO 2022 IR 58 without its escapes is how some devices write GB 2312.
        first = "gb18030"
    if not sample:
        return Charset(first, declared, is_guessed=not is_known)
    found = _believed(sample, first)
    return Charset(found, declared, is_guessed=found != first or not is_known)


def _believed(sample: bytes, declared: str) -> str:
    """Return the declared codec when the bytes bear it out, else the one that they speak for."""
    as_unicode = _strict(sample, "utf-8")
    if declared == "utf-8":
        return "utf-8" if as_unicode is not None else "gb18030" if _strict(sample, "gb18030") else "latin-1"
    if declared in SINGLE_BYTE:
        # Every byte is some letter of Latin-1: what is Chinese in whole runs of GB 2312, or UTF-8, was meant so.
        if as_unicode is not None and (declared == "ascii" or _is_chinese(as_unicode)):
            return "utf-8"
        if all(_GB2312.fullmatch(run[0]) for run in _HIGH.finditer(sample)):
            return "gb18030"
        if declared == "ascii":
            return "gb18030" if _strict(sample, "gb18030") is not None else "latin-1"
        return declared
    text = _strict(sample, declared)
    if text is None:
        return "utf-8" if as_unicode is not None else "gb18030" if _strict(sample, "gb18030") else declared
    # UTF-8 read as GBK is valid too, and full of characters that nobody is called by: 张三 → 寮犱笁.
    if declared == "gb18030" and as_unicode is not None and _is_common(as_unicode) and not _is_common(text):
        return "utf-8"
    return declared


def _sample(texts: Iterable[bytes]) -> bytes:
    """Return the texts that are not plain ASCII, as far as needed to tell charsets apart."""
    found: list[bytes] = []
    size = 0
    for text in texts:
        if text.isascii() or b"\x1b" in text:
            continue
        found.append(text)
        size += len(text)
        if size > SAMPLE:
            break
    return b" ".join(found)


def _strict(value: bytes, codec: str) -> str | None:
    try:
        return value.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return None


def _is_chinese(text: str) -> bool:
    letters = [mark for mark in text if ord(mark) > 0x7F]
    return bool(letters) and sum("\u2e80" <= mark <= "\uffef" for mark in letters) * 2 > len(letters)


@lru_cache(maxsize=1024)
def _is_common(text: str) -> bool:
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _escaped(value: bytes, codec: str) -> str:
    """Decode ISO 2022 code extensions; the initial set holds again after a delimiter (PS3.5 §6.1.2.5.3)."""
    parts: list[str] = []
    at, current = 0, codec
    for found in [*_ESCAPE.finditer(value), None]:
        end = found.start() if found else len(value)
        parts.append(_segment(value[at:end], current, codec))
        if found:
            current = _ESCAPES.get(found[0], current)
            at = found.end()
    return "".join(parts)


def _segment(value: bytes, codec: str, initial: str) -> str:
    start = _SEVEN_BIT.get(codec)
    if start is None:
        return value.decode(codec, "replace")
    # Two-byte 7-bit sets end at ASCII delimiters, which stand outside of them.
    body = re.match(rb"(?:[\x21-\x7e]{2})*", value)
    inner = body[0] if body else b""
    return (start + inner).decode(codec, "replace") + value[len(inner) :].decode(initial, "replace")
