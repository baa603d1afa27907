"""Narrative: well-formed XHTML of the allowed kind (https://hl7.org/fhir/R4/narrative.html), txt-1 and txt-2."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from html.entities import html5
from typing import Any
from xml.parsers import expat

from conformance.validation.path import Path
from conformance.validation.run import Node, Run
from conformance.validation.tables import Spec

XHTML = "http://www.w3.org/1999/xhtml"
# narrative.html#xhtml: chapters 7 to 11 (without 9.4) and 15 of HTML 4.0, links and images.
ELEMENTS = frozenset(
    [
        "a",
        "abbr",
        "acronym",
        "address",
        "area",
        "b",
        "bdo",
        "big",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "col",
        "colgroup",
        "dd",
        "dfn",
        "div",
        "dl",
        "dt",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "kbd",
        "li",
        "map",
        "ol",
        "p",
        "pre",
        "q",
        "samp",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "tt",
        "ul",
        "var",
    ]
)
ATTRIBUTES = frozenset(
    [
        "abbr",
        "accesskey",
        "align",
        "alt",
        "axis",
        "border",
        "cellpadding",
        "cellspacing",
        "char",
        "charoff",
        "charset",
        "cite",
        "class",
        "clear",
        "color",
        "colspan",
        "coords",
        "dir",
        "face",
        "frame",
        "headers",
        "height",
        "href",
        "hreflang",
        "hspace",
        "id",
        "ismap",
        "lang",
        "longdesc",
        "name",
        "nohref",
        "nowrap",
        "rel",
        "rev",
        "rowspan",
        "rules",
        "scope",
        "shape",
        "size",
        "span",
        "src",
        "start",
        "style",
        "summary",
        "tabindex",
        "target",
        "title",
        "type",
        "usemap",
        "valign",
        "value",
        "vspace",
        "width",
    ]
)
_NAMED = re.compile(r"&(\w+);")
_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})
_SCRIPT = re.compile(r"\s*(javascript|vbscript|data:text/html)\s*:?", re.IGNORECASE)


@dataclass
class Reading:
    """What one div holds: `problem` when it is no XML, forbidden names, links inside the page and their anchors."""

    problem: str | None = None
    forbidden: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    has_content: bool = False
    root: str = ""


@lru_cache(maxsize=256)
def read_div(text: str) -> Reading:
    """Read the XHTML of a narrative; named HTML entities count as their characters."""
    found = Reading()
    open_: list[str] = []
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def start(qualified: str, attributes: dict[str, str]) -> None:
        namespace, _, name = qualified.rpartition(" ")
        if not open_:
            found.root = f"{namespace} {name}"
        open_.append(name)
        if name not in ELEMENTS or namespace not in (XHTML, ""):
            found.forbidden.append(f"<{name}>")
        if name == "img":
            found.has_content = True
        for key, value in attributes.items():
            if key not in ATTRIBUTES and key != "http://www.w3.org/XML/1998/namespace lang":
                found.forbidden.append(f"{name}/@{key.rpartition(' ')[2]}")
            elif key in ("href", "src", "cite", "longdesc") and _SCRIPT.match(value):
                found.forbidden.append(f"{name}/@{key}={value[:40]}")
            elif key == "id" or (key == "name" and name == "a"):
                found.anchors.add(value)
            elif key in ("href", "src") and value.startswith("#") and len(value) > 1:
                found.links.append((value[1:], "/".join(open_)))

    def characters(data: str) -> None:
        found.has_content = found.has_content or not data.isspace()

    def refuse(*_: Any) -> None:
        raise ValueError("a DOCTYPE or an entity declaration")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: open_.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_NAMED.sub(_character, text).encode(), True)
    except expat.ExpatError as problem:
        found.problem = expat.ErrorString(problem.code)
    except (ValueError, UnicodeEncodeError) as problem:
        found.problem = str(problem)
    return found


def check_div(value: Any, path: Path, node: Node, _spec: Spec, run: Run) -> None:
    """The div is XHTML, holds allowed elements only, says something, and its local links lead somewhere."""
    found = read_div(value)
    if found.problem is not None:
        run.report("HT-VAL-65", path, problem=found.problem)
        return
    if found.root != f"{XHTML} div":
        run.report("HT-VAL-66", path, found=found.root.strip())
    if found.forbidden:
        run.report("HT-VAL-67", path, names=", ".join(sorted(set(found.forbidden))[:8]))
    if not found.has_content:
        run.report("HT-VAL-68", path)
    if found.links:
        anchors = found.anchors | set(node.scope.contained) | _all_anchors(node, run)
        for name, where in found.links:
            if name not in anchors:
                run.report("HT-VAL-69", path, link="#" + name[:80], where=where)


def _all_anchors(node: Node, run: Run) -> set[str]:
    """The anchors of every other narrative of the same resource: sections of a Composition, contained resources."""
    host = node.scope.host
    key = ("anchors", id(host.resource))
    known = run.memory.get(key)
    if known is None:
        known = run.memory[key] = set()
        open_: list[Any] = [host.resource]
        while open_:
            current = open_.pop()
            if isinstance(current, dict):
                if isinstance(div := current.get("div"), str):
                    known |= read_div(div).anchors
                open_.extend(item for name, item in current.items() if name != "resource")
            elif isinstance(current, list):
                open_.extend(current)
    return known


def _character(match: re.Match[str]) -> str:
    if match[1] in _XML:
        return match[0]
    found = html5.get(match[1] + ";", match[0])
    return "&lt;" if found == "<" else ("&amp;" if found == "&" else found)
