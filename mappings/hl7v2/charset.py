"""The charset ladder: which text the bytes of a message stand for.

HL7 table 0211 knows `GB 18030-2000`; what Chinese systems write is GBK, GB2312, UNICODE, nothing, or the word in
MSH-17 or MSH-19, and often not what they send. Whole bytes are decoded before anything is split: the second byte of
a GBK character may be 0x5C 0x5E 0x7C 0x7E, the codes of `\\ ^ | ~`.
"""

import re
from dataclasses import dataclass

from terminology.issues import Issue, MalformedMessage

# Spelling without blanks and punctuation → Python codec. The whole GB family is a subset of GB 18030.
ALIASES = {
    **dict.fromkeys(
        ("gb", "gbk", "gb2312", "gb231280", "cp936", "ms936", "windows936", "936", "euccn", "hz"), "gb18030"
    ),
    **dict.fromkeys(("gb18030", "gb180302000", "gb180302005", "gb180302022", "chinese"), "gb18030"),
    **dict.fromkeys(("unicode", "utf8", "unicodeutf8", "iso10646", "10646", "ucs", "unicodeucs"), "utf-8"),
    **dict.fromkeys(("unicodeutf16", "utf16", "ucs2", "unicodeutf16le", "utf16le"), "utf-16-le"),
    **dict.fromkeys(("utf16be", "unicodeutf16be"), "utf-16-be"),
    **dict.fromkeys(("ascii", "usascii", "isoir6"), "ascii"),
    **dict.fromkeys(("88591", "iso88591", "latin1", "isoir100", "cp1252", "windows1252"), "cp1252"),
    **{f"8859{part}": f"iso8859-{part}" for part in range(2, 16) if part != 12},
    **{f"iso8859{part}": f"iso8859-{part}" for part in range(2, 16) if part != 12},
    "big5": "big5hkscs",
    "cns116431992": "big5hkscs",
    "eucjp": "euc_jp",
    "shiftjis": "shift_jis",
    "ksx1001": "euc_kr",
    "euckr": "euc_kr",
}
SINGLE_BYTE = {"ascii", "cp1252", *(f"iso8859-{part}" for part in range(2, 16) if part != 12)}

_PUNCTUATION = re.compile(r"[^a-z0-9]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_WORD_FIELDS = (17, 19)
_GB2312_RUNS = re.compile(rb"(?:[\xa1-\xf7][\xa1-\xfe])+")
_HIGH_RUNS = re.compile(rb"[\x80-\xff]+")
# Cyrillic, Armenian, Hebrew, Arabic …: what GBK characters look like when they happen to be valid UTF-8.
# Greek is left out: µ, α, β are common in laboratory texts.
_UNLIKELY = re.compile("[\u0100-\u02af\u0400-\u07ff]")
_CJK = re.compile("[\u2e80-\ufaff\ufe30-\uffef\U00020000-\U0003ffff]")
_NOT_ASCII = re.compile("[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a message. `declared`: the sender's word; `is_guessed`: the declaration was absent or untrue."""

    text: str
    codec: str
    declared: str | None = None
    is_guessed: bool = False
    issues: tuple[Issue, ...] = ()


def decode(raw: bytes, *, fallback: str | None = None) -> Decoded:
    """Return the text of one message: frame bytes, byte-order mark and control characters removed.

    Declared charset, then UTF-8, then GB 18030, then `fallback`, all strictly. Raises MalformedMessage when none fits.
    """
    raw = raw.removeprefix(b"\x0b").removesuffix(b"\r").removesuffix(b"\x1c")
    marked = _byte_order_mark(raw)
    if marked is not None:
        codec, body = marked
        return _finish(body, codec, None, is_guessed=False, issues=[])
    raw = raw.strip(b"\x0b\x1c\r\n\x00 \t") if raw[:3] != b"MSH" else raw.rstrip(b"\x1c\r\n\x00")
    declared = declared_charset(raw)
    if raw.isascii():
        known = ALIASES.get(fold(declared)) if declared else None
        codec = known if known and not known.startswith("utf-16") else "utf-8"
        return _finish(raw, codec, declared, is_guessed=False, issues=[])
    issues: list[Issue] = []
    if declared:
        known = ALIASES.get(fold(declared))
        if known is None:
            issues.append(Issue("HT-V2-11", {"charset": declared[:40]}, "warning", source="MSH-18"))
        elif declared_fits(raw, known):
            return _finish(raw, known, declared, is_guessed=False, issues=issues)
        else:
            issues.append(Issue("HT-V2-12", {"charset": declared[:40]}, "warning", source="MSH-18"))
    guessed = guess(raw, fallback)
    if guessed is not None:
        return _finish(raw, guessed, declared, is_guessed=True, issues=issues)
    raise MalformedMessage("HT-V2-10", source="MSH-18", charset=(declared or "-")[:40])


def declared_charset(raw: bytes) -> str | None:
    """Return the charset word of MSH-18, or one that stands in MSH-17 or MSH-19 while MSH-18 is empty."""
    start = raw.find(b"MSH")
    if start < 0 or len(raw) < start + 4:
        return None
    line = re.split(rb"[\r\n]", raw[start : start + 4096], maxsplit=1)[0]
    # A name in MSH-3…6 may hold a GBK character with the code of the separator as its second byte.
    text = next(line.decode(codec) for codec in ("utf-8", "gb18030", "latin-1") if _decodes(line, codec))
    if len(text) < 4:
        return None
    fields = text.split(text[3])
    marks = fields[1] if len(fields) > 1 else ""
    word = fields[17].strip() if len(fields) > 17 else ""
    if word and word != '""':
        for repetition in word.split(marks[1]) if len(marks) > 1 else [word]:
            first = repetition.split(marks[0])[0].strip() if marks else repetition
            if first:
                return first
    for number in _WORD_FIELDS:
        word = fields[number - 1].strip() if len(fields) >= number else ""
        if word and fold(word) in ALIASES:
            return word
    return None


def fold(word: str) -> str:
    """Return a charset's name as `ALIASES` spells it."""
    return _PUNCTUATION.sub("", word.casefold())


def _decodes(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return False
    return True


def declared_fits(raw: bytes, codec: str) -> bool:
    """Tell whether non-ASCII bytes can really be the declared codec.

    Single-byte codecs accept everything and GB 18030 accepts most UTF-8 texts, so "no error" is no proof there.
    """
    if not _decodes(raw, codec):
        return False
    if codec in SINGLE_BYTE:
        return not _decodes(raw, "utf-8") and not _is_gb2312(raw)
    if codec == "gb18030":
        return not _is_chinese_utf8(raw)
    return True


def guess(raw: bytes, fallback: str | None) -> str | None:
    """Return the first charset of the ladder that the bytes are: UTF-8, GB 18030, the fallback; None when none fits."""
    return next((codec for codec in _guesses(raw, fallback) if _decodes(raw, codec)), None)


def _guesses(raw: bytes, fallback: str | None) -> list[str]:
    order = ["utf-8", "gb18030"]
    if _decodes(raw, "utf-8") and _UNLIKELY.search(raw.decode("utf-8")) and _is_gb2312(raw):
        order.reverse()
    if fallback:
        order.append(ALIASES.get(fold(fallback), fallback))
    return order


def _is_gb2312(raw: bytes) -> bool:
    """Every run of high bytes is made of whole GB 2312 characters; Latin letters stand alone and fail this."""
    return all(_GB2312_RUNS.fullmatch(run) for run in _HIGH_RUNS.findall(raw))


def _is_chinese_utf8(raw: bytes) -> bool:
    """At least two characters, all CJK, in strict UTF-8: GBK bytes do not come in such triples by chance."""
    if not _decodes(raw, "utf-8"):
        return False
    found = _NOT_ASCII.findall(raw.decode("utf-8"))
    return len(found) >= 2 and sum(1 for character in found if _CJK.match(character)) * 10 >= len(found) * 9


def _byte_order_mark(raw: bytes) -> tuple[str, bytes] | None:
    if raw.startswith(b"\xef\xbb\xbf"):
        return ("utf-8", raw[3:]) if _decodes(raw, "utf-8") else None
    for mark, codec in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if raw.startswith(mark):
            return codec, raw[2:]
    if raw.startswith(b"M\x00S\x00H\x00"):
        # The CR of the frame's end was half of the last character.
        return "utf-16-le", raw if len(raw) % 2 == 0 else raw[:-1]
    if raw.startswith(b"\x00M\x00S\x00H"):
        return "utf-16-be", raw if len(raw) % 2 == 0 else raw[:-1]
    return None


def _finish(
    raw: bytes, codec: str, declared: str | None, *, is_guessed: bool, issues: list[Issue]
) -> Decoded:
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        raise MalformedMessage("HT-V2-10", source="MSH-18", charset=declared or codec) from None
    if is_guessed:
        issues.append(Issue("HT-V2-13", {"codec": codec}, "information", source="MSH-18"))
    if "\ufffd" in text:
        issues.append(Issue("HT-V2-14", {}, "warning", source="MSH-18"))
    if _CONTROLS.search(text):
        # FHIR strings allow no control characters but tab, CR and LF (datatypes.html#string).
        text, count = _CONTROLS.subn("", text)
        issues.append(Issue("HT-V2-15", {"count": count}, "warning"))
    return Decoded(text, codec, declared, is_guessed, tuple(issues))
