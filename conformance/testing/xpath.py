"""The `path` of a variable or an assertion: an XPath on the XML form of a resource, or a JSONPath.

testscript.html: "XPath/JSONPath to evaluate against the fixture"; the prefix `fhir:` (or `f:`) is FHIR's namespace.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from conformance.formats.xml import to_xml
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput

FHIR = "http://hl7.org/fhir"
_NAMESPACES = {
    "f": FHIR,
    "fhir": FHIR,
    "h": "http://www.w3.org/1999/xhtml",
    "xhtml": "http://www.w3.org/1999/xhtml",
}
_DOTTED = re.compile(r"\.{1,2}[A-Za-z_]")
_JSON_STEP = re.compile(
    r"(?P<deep>\.\.)?\.?(?P<name>[A-Za-z_]\w*)"
    r"|\[(?P<index>-?\d+|\*)\]"
    r"|\[['\"](?P<quoted>[^'\"]+)['\"]\]"
    r"|\[\?\(\s*@\.(?P<key>[\w.]+)\s*==?\s*['\"]?(?P<wanted>[^'\")]*)['\"]?\s*\)\]"
    r"|\.\*"
)
_FUNCTION = re.compile(r"[a-z][a-z\-]*\s*\(")
_NODE_TESTS = ("node(", "text(", "comment(")
# A name that has no prefix, is no function, axis or attribute, and stands where a step begins.
_BARE = re.compile(r"(^|/|\[|\(|\||\s)(?!and\b|or\b|div\b|mod\b)([A-Za-z][\w]*)(?![\w:(\-])")


def values(path: str, resource: Json) -> list[str]:
    """Return what the path finds, as text; raises InvalidInput when it cannot be read."""
    path = path.strip()
    # `.id` is how Touchstone writes a JSONPath without its dollar.
    if path.startswith("$") or _DOTTED.match(path):
        return [_text(value) for value in _json(path.removeprefix("$"), resource)]
    try:
        root = etree.fromstring(to_xml(resource))
        found = etree.ElementTree(root).xpath(_prefixed(path, root), namespaces=_NAMESPACES)
    except (etree.XPathError, etree.XMLSyntaxError, FhirError) as error:
        raise InvalidInput("HT-CT-06", path=path, detail=str(error)[:200]) from None
    if not isinstance(found, list):
        return [_text(found)]
    return [_text(row) for row in found]


def _prefixed(path: str, root: Any) -> str:
    """Scripts write `Patient/id` and `meta.versionId` too: names get the namespace, a first step starts at the root."""
    if ":" not in path and not path.startswith("."):
        quoted = re.split(r"('[^']*'|\"[^\"]*\")", path.replace(".", "/") if "/" not in path else path)
        path = "".join(
            part if part[:1] in "'\"" else _BARE.sub(r"\1f:\2", part) if part else "" for part in quoted
        )
    name = etree.QName(root).localname
    first = path.split("/", 1)[0].split("[", 1)[0].rpartition(":")[2]
    is_call = _FUNCTION.match(path) and not path.startswith(_NODE_TESTS)
    if is_call:
        # The arguments of a function start at the root too, when they name it.
        return re.sub(rf"(?<![\w/:.@-])((?:f|fhir):{name})(?![\w-])", r"/\1", path)
    if path.startswith(("/", "(", ".")):
        return path
    return f"/{path}" if first == name else f"/*/{path}"


def _json(path: str, resource: Json) -> list[Any]:
    """Return what a JSONPath finds: names, indexes, `*`, `..name` and filters `[?(@.name=='x')]`; lists are entered."""
    found: list[Any] = [resource]
    at = 0
    while at < len(path):
        step = _JSON_STEP.match(path, at)
        if step is None or step.end() == at:
            raise InvalidInput("HT-CT-06", path=path, detail=f"column {at + 1}")
        at = step.end()
        name = step["name"] or step["quoted"]
        if name:
            rows = list(_descendants(found)) if step["deep"] else _flat(found)
            found = [row[name] for row in rows if isinstance(row, dict) and name in row]
        elif step["key"]:
            rows = _flat(found)
            found = [row for row in rows if _text_at(row, step["key"].split(".")) == step["wanted"]]
        elif step["index"] and step["index"] != "*":
            index = int(step["index"])
            found = [row[index] for row in found if isinstance(row, list) and -len(row) <= index < len(row)]
        else:
            found = [
                one for row in found for one in (row.values() if isinstance(row, dict) else _flat([row]))
            ]
    return _flat(found)


def _flat(rows: list[Any]) -> list[Any]:
    return [one for row in rows for one in (row if isinstance(row, list) else [row])]


def _descendants(rows: list[Any]) -> Iterator[Any]:
    for row in _flat(rows):
        yield row
        if isinstance(row, dict):
            yield from _descendants(list(row.values()))


def _text_at(row: Any, keys: list[str]) -> str | None:
    for key in keys:
        row = row.get(key) if isinstance(row, dict) else None
    return None if row is None else _text(row)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, etree._Element):
        return str(value.get("value", ""))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
