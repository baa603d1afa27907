"""A patient's name for devices: PN with letters and characters, in the charset that the device reads."""

from terminology.fhirjson import Json
from terminology.hanzi import is_han, pinyin, split_name

# SpecificCharacterSet as asked → (term to answer with, codec). Everything else gets letters only.
CHARSETS = {
    "GB18030": ("GB18030", "gb18030"),
    "GBK": ("GBK", "gbk"),
    "ISO_IR 192": ("ISO_IR 192", "utf-8"),
}


def person_name(patient: Json, *, with_characters: bool) -> str:
    """Return "Zhang^San=张^三": the letters every device shows, the characters where it can."""
    names = patient.get("name") or []
    if not names:
        return ""
    best = next((row for row in names if _is_chinese(_text(row))), names[0])
    family, given = _parts(best)
    if not _is_chinese(family + given):
        return f"{family}^{given}".rstrip("^")
    latin = next((row for row in names if _text(row) and not _is_chinese(_text(row))), None)
    letters = "^".join(_parts(latin)) if latin else _letters(family, given)
    return f"{letters}={family}^{given}".rstrip("^") if with_characters else letters.rstrip("^")


def _letters(family: str, given: str) -> str:
    """单雄 is Shan Xiong: a family name is read as one only before its given name."""
    whole, last = "".join(pinyin(family + given)[:1]), romanised(given)
    first = whole.removesuffix(last.lower()).capitalize() or romanised(family)
    return f"{first}^{last}"


def romanised(text: str) -> str:
    """Return Chinese characters in pinyin, one capital in front: 三丰 → Sanfeng."""
    return "".join(pinyin(text)[:1]).replace(" ", "").capitalize() if text else ""


def letters_only(text: str) -> str:
    """Return a text that a device without Chinese characters can show."""
    if text.isascii():
        return text
    words = [romanised(mark) if is_han(mark) else mark for mark in text]
    return "".join(words).encode("ascii", "replace").decode()


def _text(name: Json) -> str:
    return str(name.get("text") or "".join([name.get("family", ""), *name.get("given", ())]))


def _parts(name: Json) -> tuple[str, str]:
    if name.get("family"):
        return str(name["family"]), " ".join(name.get("given", ()))
    return split_name(_text(name))


def _is_chinese(text: str) -> bool:
    return any(is_han(mark) for mark in text)
