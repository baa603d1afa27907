r"""Separators and escapes of search values: `\,` `\$` `\|` `\\` (https://hl7.org/fhir/R4/search.html#escaping)."""

import re

_PART = {
    separator: re.compile(rf"((?:[^\\{re.escape(separator)}]|\\.|\\$)*)(?:{re.escape(separator)}|$)", re.S)
    for separator in ",$|"
}
_ESCAPE = re.compile(r"\\([,$|\\])")


def split(text: str, separator: str) -> list[str]:
    """Return the parts between unescaped separators; the escapes stay in the parts."""
    if "\\" not in text:
        return text.split(separator)
    parts: list[str] = []
    start = 0
    while True:
        found = _PART[separator].match(text, start)
        if found is None:
            return [*parts, text[start:]]
        parts.append(found.group(1))
        if found.end(1) == len(text):
            return parts
        start = found.end()


def unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def escape(text: str) -> str:
    """Return `text` so that it means itself inside a search value."""
    return re.sub(r"([,$|\\])", r"\\\1", text)
