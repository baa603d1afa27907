r"""Escape sequences of text fields (HL7 v2.8 §2.7): `\F\ \S\ \T\ \R\ \E\ \Xhh\ \.br\ \Cxx\ \Mxx\` both ways.

A backslash that begins no known sequence is text and stays.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from mappings.hl7v2.delimiters import STANDARD, Delimiters

# Character sets that \Cxxyy\ and \Mxxyyzz\ switch to (§2.14.9.18, ISO 2022 designations), as what follows is 7-bit.
_SWITCHES = {
    "C2842": "ascii",
    "C284A": "ascii",
    "C2D41": "ascii",
    "M2441": "gb2312",
    "M242841": "gb2312",
    "M2442": "euc_jp",
    "M242842": "euc_jp",
    "M242843": "euc_kr",
    "M2443": "euc_kr",
}


def unescape(text: str, delimiters: Delimiters = STANDARD, *, codec: str = "utf-8") -> str:
    """Return the text that an escaped value stands for; `codec` reads the bytes of `\\Xhh…\\`."""
    if delimiters.escape not in text:
        return text
    decoded = _pattern(delimiters.escape).sub(_replacer(delimiters, codec), text)
    return _switch(decoded, delimiters.escape) if _may_switch(text, delimiters.escape) else decoded


def escape(text: str, delimiters: Delimiters = STANDARD, *, codec: str = "utf-8") -> str:
    """Return `text` as it stands in a message of charset `codec`; `unescape` gives it back.

    A line feed becomes `\\.br\\`; a carriage return and what `codec` can't write becomes `\\Xhh…\\`: bytes of
    UTF-8, of GB 18030 in a GBK message.
    """
    # A reader takes the bytes for the message's own charset first: GB 18030 wherever it says GBK or GB2312.
    wide = "gb18030" if codec in ("gbk", "gb2312") else "utf-8"
    needed = _needs_escape(delimiters)
    if not needed.search(text) and _encodes(text, codec):
        return text
    mark = delimiters.escape
    letters = {
        delimiters.field: "F",
        delimiters.component: "S",
        delimiters.subcomponent: "T",
        delimiters.repetition: "R",
        mark: "E",
    }

    def written(character: str) -> str:
        if character in letters:
            return f"{mark}{letters[character]}{mark}"
        if character == "\n":
            return f"{mark}.br{mark}"
        if (character < " " and character != "\t") or not _encodes(character, codec):
            return f"{mark}X{character.encode(wide, 'surrogatepass').hex().upper()}{mark}"
        return character

    return "".join(map(written, text))


@lru_cache(maxsize=32)
def _pattern(mark: str) -> re.Pattern[str]:
    e = re.escape(mark)
    # Bytes of one character may be spread over neighbouring \X..\ sequences: they are read together.
    hexes = rf"(?P<hex>(?:{e}X(?:[0-9A-Fa-f]{{2}})+{e})+)"
    words = rf"{e}(?P<word>[FSTREHNP]|\.[A-Za-z]{{2}}[+-]?\d*){e}"
    return re.compile(f"{hexes}|{words}")


@lru_cache(maxsize=32)
def _needs_escape(delimiters: Delimiters) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(''.join(delimiters))}\\x00-\\x08\\x0a-\\x1f]")


@lru_cache(maxsize=64)
def _replacer(delimiters: Delimiters, codec: str) -> Callable[[re.Match[str]], str]:
    letters = {
        "F": delimiters.field,
        "S": delimiters.component,
        "T": delimiters.subcomponent,
        "R": delimiters.repetition,
        "E": delimiters.escape,
        "P": "#",
        # Highlighting on and off has no meaning in a plain text.
        "H": "",
        "N": "",
    }

    def replace(match: re.Match[str]) -> str:
        word = match["word"]
        if word is None:
            return _from_hex("".join(re.findall("[0-9A-Fa-f]{2,}", match["hex"])), codec)
        if word in letters:
            return letters[word]
        return _formatted(word) if word[:3].lower() in _FORMATS else match[0]

    return replace


_FORMATS = {".br", ".ce", ".sp", ".sk", ".in", ".ti", ".fi", ".nf"}


def _formatted(word: str) -> str:
    """Formatting commands of FT texts (§2.7.6) as plain text: breaks and blanks; indents and fill modes vanish."""
    name, count = word[:3].lower(), word[3:].lstrip("+-")
    number = min(int(count), 80) if count.isdigit() and len(count) < 4 else 1
    if name in (".br", ".ce"):
        return "\n"
    if name == ".sp":
        return "\n" * number
    return " " * number if name == ".sk" else ""


def _from_hex(digits: str, codec: str) -> str:
    raw = bytes.fromhex(digits)
    for name in (codec, "utf-8", "gb18030"):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def _may_switch(text: str, mark: str) -> bool:
    return f"{mark}M24" in text or f"{mark}C2" in text


def _switch(text: str, mark: str) -> str:
    """Read the 7-bit characters that follow a switch in its character set, up to the next switch."""
    e = re.escape(mark)
    parts = re.split(rf"{e}([CM][0-9A-Fa-f]{{4,6}}){e}", text)
    found = [parts[0]]
    for name, following in zip(parts[1::2], parts[2::2], strict=True):
        codec = _SWITCHES.get(name.upper())
        if codec is None:
            found.append(f"{mark}{name}{mark}{following}")
        elif codec == "ascii":
            found.append(following)
        else:
            found.append(_seven_bit(following, codec))
    return "".join(found)


def _seven_bit(text: str, codec: str) -> str:
    try:
        raw = text.encode("ascii")
        return bytes(byte | 0x80 if byte > 0x20 else byte for byte in raw).decode(codec)
    except UnicodeError:
        return text


def _encodes(text: str, codec: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
