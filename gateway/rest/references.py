"""References inside a transaction: urn:uuid and other fullUrls, and conditional references, become literal ones.

https://hl7.org/fhir/R4/http.html#trules, bundle.html#references
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

CONDITIONAL = re.compile(r"[A-Z][A-Za-z]{1,40}\?.+", re.ASCII | re.DOTALL)
MAYBE_CONDITIONAL = re.compile(rb"""["'][A-Z][A-Za-z]{1,40}(?:\?|&#)""")
RESTFUL = re.compile(
    r"(?P<base>https?://.+)/(?P<local>[A-Z][A-Za-z]{1,40}/[A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?", re.ASCII
)
LINK = re.compile(r"""(\s(?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


def may_be_conditional(body: bytes) -> bool:
    """Tell whether a Bundle's text may hold a conditional reference; False spares the walk through its resources."""
    if b"\\u00" in body:
        return True
    return (b"?" in body or b"&#" in body) and MAYBE_CONDITIONAL.search(body) is not None


def conditional_references(node: Any) -> Iterator[str]:
    """Yield each "Patient?identifier=…" that stands in a Reference of the tree."""
    stack = [node]
    while stack:
        here = stack.pop()
        if type(here) is dict:
            text = here.get("reference")
            if type(text) is str and "?" in text and CONDITIONAL.fullmatch(text):
                yield text
            stack.extend(value for value in here.values() if type(value) is dict or type(value) is list)
        else:
            stack.extend(value for value in here if type(value) is dict or type(value) is list)


def rewrite(node: Any, replacement: Callable[[str], str | None]) -> Any:
    """Return the tree with every link for which `replacement` knows a new target put in its place.

    http.html#trules: references, elements of type uri, url, oid and uuid, and href and src in narrative. Identifier
    values and the like are strings, no links; they stay.
    """
    # Most of a tree holds no such link; what stays as it is is not copied.
    fresh: Any = None
    for key, value in node.items() if type(node) is dict else enumerate(node):
        kind = type(value)
        if kind is str:
            target = _target(key, value, replacement)
        elif kind is dict or kind is list:
            target = rewrite(value, replacement)
        else:
            continue
        if target is not value:
            fresh = node.copy() if fresh is None else fresh
            fresh[key] = target
    return node if fresh is None else fresh


def _target(key: str | int, value: str, replacement: Callable[[str], str | None]) -> str:
    """Return what takes the place of a string at a key of an object, or a place in an array."""
    if key == "div":
        return _narrative(value, replacement)
    if key != "value" and (":" in value or key == "reference"):
        return replacement(value) or value
    return value


def full_reference(reference: str, full_url: str) -> str | None:
    """Return what a relative reference in an entry means: resolved against the base of the entry's own fullUrl."""
    if ":" in reference or reference.startswith("#"):
        return None
    found = RESTFUL.fullmatch(full_url)
    return f"{found['base']}/{reference}" if found else None


def _narrative(div: str, replacement: Callable[[str], str | None]) -> str:
    if "href" not in div and "src" not in div:
        return div
    return LINK.sub(lambda link: link[1] + link[2] + (replacement(link[3]) or link[3]) + link[2], div)
