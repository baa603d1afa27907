"""XML as text: elements from names, attributes and what is inside."""

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

V3 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
HEAD = '<?xml version="1.0" encoding="UTF-8"?>'

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def tag(name: str, attributes: Mapping[str, str | None] | None = None, *inside: str) -> str:
    """Return an element; attributes that are None are left out, `inside` is XML already."""
    shown = "".join(
        f" {key}={quoteattr(_FORBIDDEN.sub('', value))}"
        for key, value in (attributes or {}).items()
        if value is not None
    )
    content = "".join(inside)
    return f"<{name}{shown}>{content}</{name}>" if content else f"<{name}{shown}/>"


def text(value: str) -> str:
    """Return a text as XML content."""
    return escape(_FORBIDDEN.sub("", value))


def leaf(name: str, value: str | None) -> str:
    """Return an element that holds a text; nothing when there is none."""
    return f"<{name}>{text(value)}</{name}>" if value else ""


def ii(name: str, root: str, extension: str | None = None) -> str:
    return tag(name, {"root": root or None, "extension": extension})


def value(name: str, what: str | None) -> str:
    """Return `<name value="…"/>`; nothing when there is no value."""
    return tag(name, {"value": what}) if what else ""
