"""Texts of device files: GBK bytes that were read as Latin-1 because the file names no charset, put right."""

import re

_HIGH = re.compile("[\x80-\xff]")
_WORD = re.compile("[^\x00-\x20]+")
_CHINESE = re.compile(
    "[0-9()（）·・\u3000-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff,.，。:：;；/+-]+"
)


def repaired(text: str) -> str:
    """Return `text` as it was meant: a text of Latin-1 letters whose bytes are UTF-8, or Chinese in GB 18030.

    A word counts as Chinese only when nothing but Chinese comes out: the ü of Müller is no half of a character.
    """
    if not _HIGH.search(text) or any(ord(character) > 255 for character in text):
        return text
    raw = text.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    return _WORD.sub(lambda word: _chinese(word[0]), text)


def _chinese(word: str) -> str:
    if word.isascii():
        return word
    try:
        found = word.encode("latin-1").decode("gb18030")
    except UnicodeDecodeError:
        return word
    return found if _CHINESE.fullmatch(found) else word
