"""The `path` of a variable or an assertion: an XPath on the XML form of a resource, or a JSONPath.

testscript.html: "XPath/JSONPath to evaluate against the fixture"; the prefix `fhir:` (or `f:`) is FHIR's namespace.
"""

import re
from typing import Any

from lxml import etree

from conformance.formats.xml import to_xml
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput

FHIR = "http://hl7.org/fhir"
_NAMESPACES = {"f": FHIR, "fhir": FHIR, "h": "http://www.w3.org/1999/xhtml"}
_JSON_STEP = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+|\*)\]|\['([^']+)'\]")
# A name that has no prefix, is no function, axis or attribute, and stands where a step begins.
_BARE = re.compile(r"(^|/|\[|\(|\||\s)(?!and\b|or\b|div\b|mod\b)([A-Za-z][\w]*)(?![\w:(\-])")


def values(path: str, resource: Json) -> list[str]:
    """Return what the path finds, as text; raises InvalidInput when it cannot be read."""
    if path.startswith("$"):
        return [_text(value) for value in _json(path, resource)]
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
    if path.startswith(("/", "(", ".")) or path.partition("(")[0] in _FUNCTIONS:
        return path
    return f"/{path}" if first == name else f"/*/{path}"


_FUNCTIONS = frozenset({"count", "boolean", "not", "string", "exists", "concat", "number", "sum"})


def _json(path: str, resource: Json) -> list[Any]:
    found: list[Any] = [resource]
    at = 1
    while at < len(path):
        step = _JSON_STEP.match(path, at)
        if step is None:
            raise InvalidInput("HT-CT-06", path=path, detail=f"column {at + 1}")
        name, index, at = step[1] or step[3], step[2], step.end()
        if name:
            found = [row[name] for row in found if isinstance(row, dict) and name in row]
        elif index == "*":
            found = [one for row in found if isinstance(row, list) for one in row]
        else:
            found = [row[int(index)] for row in found if isinstance(row, list) and int(index or 0) < len(row)]
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, etree._Element):
        return str(value.get("value", ""))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
