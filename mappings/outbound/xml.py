"""Write XML: nested Python values to bytes, in the order given (XML 1.0, Namespaces in XML 1.0).

    write_xml("PRPA_IN201311UV02", {"@xmlns": "urn:hl7-org:v3", "id": {"@root": "2.16…", "@extension": "1"}})

A block is an element: keys that begin with `@` are attributes, `#text` is its text, every other key is a child
element. A list repeats the element, a text or number is an element with only that text, None and empty blocks inside
lists or elements are left out ("" is an empty element). Names may carry a prefix (`rhin:PersonRecordFeed`); declare
it with `namespaces` (prefix → URI, "" for the default namespace), which stand on the root.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

# Encodings by the name that stands in the declaration.
CODECS = {"utf-8": "UTF-8", "gbk": "GBK", "gb18030": "GB18030", "gb2312": "GB2312", "ascii": "US-ASCII"}

_NAME = re.compile(r"(?:[^\W\d][\w.\-·]*:)?[^\W\d][\w.\-·]*")
# Characters that no XML 1.0 document may hold, not even as a reference (§2.2).
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_ATTRIBUTE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)


def write_xml(
    root: str,
    content: Mapping[str, Any],
    *,
    namespaces: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> bytes:
    """Return the document. What `encoding` can't write becomes a character reference; what XML can't hold, U+FFFD.

    Raises ValueError for a name that XML doesn't allow.
    """
    codec = encoding.lower()
    parts = [f'<?xml version="1.0" encoding="{CODECS.get(codec, encoding.upper())}"?>\n']
    declared = {f"@xmlns:{prefix}" if prefix else "@xmlns": uri for prefix, uri in (namespaces or {}).items()}
    parts += _element(root, {**declared, **content})
    return "".join(parts).encode(codec, "xmlcharrefreplace")


def _children(name: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _children(name, item)
    elif isinstance(value, Mapping):
        yield from _element(name, value)
    else:
        yield f"<{_checked(name)}>{_text(value)}</{name}>" if value != "" else f"<{_checked(name)}/>"


def _element(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    attributes = "".join(
        f' {_checked(key[1:])}="{_attribute(value)}"'
        for key, value in content.items()
        if key[:1] == "@" and value is not None
    )
    inner: list[str] = []
    for key, value in content.items():
        if key == "#text":
            inner.append(_text(value))
        elif key[:1] != "@":
            inner += _children(key, value)
    text = "".join(inner)
    yield f"<{_checked(name)}{attributes}>{text}</{name}>" if text else f"<{_checked(name)}{attributes}/>"


def shown(value: Any) -> str:
    """Return a value as XML and HL7 v2 write it: true, false, numbers with their digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    return "" if value is None else str(value)


def _text(value: Any) -> str:
    return _FORBIDDEN.sub("\ufffd", shown(value)).translate(_TEXT)


def _attribute(value: Any) -> str:
    return _FORBIDDEN.sub("\ufffd", shown(value)).translate(_ATTRIBUTE)


@lru_cache(maxsize=4096)
def _checked(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"{name!r} is no XML name")
    return name


def is_name(text: str) -> bool:
    """Tell whether a text may name an element or attribute, with or without a prefix."""
    return _NAME.fullmatch(text) is not None
