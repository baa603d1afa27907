"""FHIR XML ↔ FHIR JSON, without loss (https://hl7.org/fhir/R4/xml.html).

Both directions follow the element tables. Values that do not fit their type stay text, so that the validator words
the problem once for both formats.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from html.entities import html5
from typing import Any
from xml.sax.saxutils import escape

from conformance.definitions import Child, children, is_resource, structure
from conformance.formats.xml_tree import FHIR, SCHEMA_INSTANCE, XHTML, Node, parse_tree
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, InvalidResource, Issue

_ORDER = "HT-FMT-13"
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
_NAMED_ENTITY = re.compile(r"&(\w+);")
_XML_ENTITIES = frozenset({"amp", "lt", "gt", "quot", "apos"})
# https://www.w3.org/TR/xml/#charsets: what no XML 1.0 document can hold, escaped or not.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def to_json(xml: bytes) -> Json:
    """Return the resource that the XML document holds, as FHIR JSON.

    Unknown elements and values of the wrong form come through as they are, for the validator to name. What JSON
    cannot show (wrong namespace, stray attributes or text, DOCTYPE) raises InvalidInput with line and column; the
    order of elements is only told by `read`, since nothing is lost by it.
    """
    resource, issues = read(xml)
    if wrong := [issue for issue in issues if issue.code != _ORDER]:
        raise InvalidInput(wrong)
    return resource


def read(xml: bytes) -> tuple[Json, list[Issue]]:
    """Return the resource, as far as it can be read, and what is wrong with the document as XML."""
    root = parse_tree(xml)
    reader = _Reader()
    return reader.resource(root, root.name), reader.issues


def to_xml(resource: Json) -> bytes:
    """Return the UTF-8 XML document of a resource with valid structure.

    Elements stand in the specification's order. Raises InvalidResource (HT-FMT-14, -15) for what XML cannot hold:
    unknown properties, values of the wrong JSON type, control characters.
    """
    pieces: list[str] = ['<?xml version="1.0" encoding="UTF-8"?>']
    _write_resource(resource, str(resource.get("resourceType", "")), pieces, f' xmlns="{FHIR}"')
    return "".join(pieces).encode()


class _Reader:
    def __init__(self) -> None:
        self.issues: list[Issue] = []

    def _report(self, code: str, node: Node, path: str, **values: Any) -> None:
        self.issues.append(Issue(code, values, "error", path, node.source))

    def resource(self, node: Node, path: str) -> Json:
        if node.namespace != FHIR:
            self._report("HT-FMT-09", node, path, name=node.name, namespace=node.namespace, expected=FHIR)
        if not is_resource(node.name):
            self._report("HT-FMT-08", node, path, name=node.name)
            return {"resourceType": node.name}
        self._attributes(node, path, ())
        return {"resourceType": node.name} | self._members(node, node.name, path)

    def _attributes(self, node: Node, path: str, allowed: tuple[str, ...]) -> None:
        for attribute in node.attributes:
            if attribute not in allowed and not attribute.startswith(SCHEMA_INSTANCE):
                self._report("HT-FMT-10", node, path, name=node.name, attribute=attribute)

    def _members(self, node: Node, type_path: str, path: str) -> Json:
        """Read the child elements of `node`, whose children are described at `type_path`."""
        if node.text.strip():
            self._report("HT-FMT-11", node, path, name=node.name, text=node.text.strip()[:40])
        table = children(type_path)
        order = {name: number for number, name in enumerate(table)}
        latest, latest_name = -1, ""
        found: Json = {}
        for child_node in node.children:
            name = child_node.name
            where = f"{path}.{name}"
            expected = XHTML if name == "div" else FHIR
            if child_node.namespace != expected:
                self._report(
                    "HT-FMT-09",
                    child_node,
                    where,
                    name=name,
                    namespace=child_node.namespace,
                    expected=expected,
                )
            child = table.get(name)
            if child is not None:
                if order[name] < latest:
                    self._report(_ORDER, child_node, where, name=name, after=latest_name)
                elif order[name] > latest:
                    latest, latest_name = order[name], name
            self._add(found, child_node, child, where)
        return found

    def _add(self, found: Json, node: Node, child: Child | None, where: str) -> None:
        name = node.name
        repeats = child is not None and child.element.repeats
        if repeats:
            where += f"[{max(len(found.get(name, ())), len(found.get('_' + name, ())))}]"
        elif name in found or "_" + name in found:
            self._report("HT-FMT-12", node, where, name=name)
            return
        if child is None:
            value, extra = self._unknown(node, where)
        elif child.type == "Resource":
            value, extra = self._nested(node, where), None
        elif child.type == "xhtml":
            value, extra = node.xhtml or "", None
        elif _is_primitive(child.type):
            value, extra = self._primitive(node, child.type, where)
        else:
            value, extra = self._complex(node, child, where), None
        if not repeats:
            if value is not None:
                found[name] = value
            if extra:
                found["_" + name] = extra
        elif child is not None and _is_primitive(child.type):
            _append_primitive(found, name, value, extra or {})
        else:
            found.setdefault(name, []).append(value)

    def _nested(self, node: Node, where: str) -> Json | None:
        if len(node.children) != 1:
            self._report("HT-FMT-12", node, where, name=node.name)
            return None
        return self.resource(node.children[0], where)

    def _primitive(self, node: Node, type_name: str, where: str) -> tuple[Any, Json]:
        self._attributes(node, where, ("id", "value"))
        extra: Json = {"id": node.attributes["id"]} if "id" in node.attributes else {}
        extra |= self._members(node, "Element", where)
        text = node.attributes.get("value")
        return (None if text is None else _value(text, type_name)), extra

    def _complex(self, node: Node, child: Child, where: str) -> Json:
        attributes = ("id", "url") if child.type == "Extension" else ("id",)
        self._attributes(node, where, attributes)
        value: Json = {name: node.attributes[name] for name in attributes if name in node.attributes}
        return value | self._members(node, child.path, where)

    def _unknown(self, node: Node, where: str) -> tuple[Any, None]:
        if "value" in node.attributes:
            return node.attributes["value"], None
        return self._complex(node, Child(node.name, _ANY, "", "Element"), where), None


def _append_primitive(found: Json, name: str, value: Any, extra: Json) -> None:
    """Keep `name` and `_name` of equal length, with null where one of them has nothing (json.html#primitive)."""
    count = max(len(found.get(name, ())), len(found.get("_" + name, ())))
    if value is not None or name in found:
        found.setdefault(name, [None] * count).append(value)
    if extra or "_" + name in found:
        found.setdefault("_" + name, [None] * count).append(extra or None)


def _value(text: str, type_name: str) -> Any:
    if type_name == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if type_name in _INTEGERS:
        return int(text) if _INTEGER.fullmatch(text) and len(text) < 20 else text
    if type_name == "decimal" and (match := _DECIMAL.fullmatch(text)):
        return int(text) if match[2] is None and match[3] is None else Decimal(text)
    return text


_PRIMITIVES: dict[str, bool] = {}


def _is_primitive(type_name: str) -> bool:
    known = _PRIMITIVES.get(type_name)
    if known is None:
        row = structure(type_name)
        known = _PRIMITIVES[type_name] = row is not None and row.kind == "primitive-type"
    return known


_ANY = next(iter(children("Element").values())).element


def _write_resource(resource: Json, path: str, pieces: list[str], declaration: str = "") -> None:
    name = resource.get("resourceType")
    if not isinstance(name, str) or not is_resource(name):
        raise InvalidResource("HT-FMT-15", expression=path or None, found=name)
    pieces.append(f"<{name}{declaration}>")
    _write_members(resource, name, path or name, pieces, attributes=())
    pieces.append(f"</{name}>")


def _write_members(
    value: Json, type_path: str, path: str, pieces: list[str], attributes: tuple[str, ...]
) -> None:
    table = children(type_path)
    for key in value:
        if key.removeprefix("_") not in table and key not in ("resourceType", *attributes):
            raise _unwritable(f"{path}.{key}", "unknown property")
    for name in attributes:
        if "_" + name in value:
            raise _unwritable(f"{path}.{name}", "an attribute in XML, which cannot carry extensions")
    for name, child in table.items():
        if name in attributes or (name not in value and "_" + name not in value):
            continue
        where = f"{path}.{name}"
        for item, extra in _items(value, name, child, where):
            _write_element(name, child, item, extra, where, pieces)


def _items(value: Json, name: str, child: Child, where: str) -> Iterator[tuple[Any, Json | None]]:
    item, extra = value.get(name), value.get("_" + name)
    if not child.element.repeats:
        if isinstance(item, list) or isinstance(extra, list):
            raise _unwritable(where, "an array where one value is expected")
        yield item, extra
        return
    items, extras = (item if item is not None else []), (extra if extra is not None else [])
    if not isinstance(items, list) or not isinstance(extras, list):
        raise _unwritable(where, "one value where an array is expected")
    for index in range(max(len(items), len(extras))):
        yield (items[index] if index < len(items) else None), (extras[index] if index < len(extras) else None)


def _write_element(
    name: str, child: Child, item: Any, extra: Json | None, where: str, pieces: list[str]
) -> None:
    if child.type == "xhtml":
        pieces.append(_xhtml(item, where))
    elif _is_primitive(child.type):
        _write_primitive(name, item, extra, where, pieces)
    elif not isinstance(item, dict):
        raise _unwritable(where, "a plain value where an object is expected")
    elif child.type == "Resource":
        pieces.append(f"<{name}>")
        _write_resource(item, where, pieces)
        pieces.append(f"</{name}>")
    else:
        attributes = ("id", "url") if child.type == "Extension" else ("id",)
        written = "".join(f' {key}="{_text(item[key], where)}"' for key in attributes if key in item)
        pieces.append(f"<{name}{written}>")
        start = len(pieces)
        _write_members(item, child.path, where, pieces, attributes)
        if len(pieces) == start:
            pieces[-1] = f"<{name}{written}/>"
        else:
            pieces.append(f"</{name}>")


def _write_primitive(name: str, item: Any, extra: Json | None, where: str, pieces: list[str]) -> None:
    if isinstance(item, dict | list) or not isinstance(extra, dict | None):
        raise _unwritable(where, "an object where a plain value is expected")
    written = f' id="{_text(extra["id"], where)}"' if extra and "id" in extra else ""
    if item is not None:
        written += f' value="{_text(item, where)}"'
    if extra and extra.keys() - {"id"}:
        pieces.append(f"<{name}{written}>")
        _write_members(extra, "Element", where, pieces, ("id",))
        pieces.append(f"</{name}>")
    else:
        pieces.append(f"<{name}{written}/>")


def _text(value: Any, where: str) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    text = str(value)
    if _FORBIDDEN.search(text):
        raise _unwritable(where, "a control character")
    return escape(text, {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _xhtml(value: Any, where: str) -> str:
    """Return the narrative's div; named HTML entities become characters, because XML without a DTD knows only five."""
    if not isinstance(value, str):
        raise _unwritable(where, "not a string")
    text = _NAMED_ENTITY.sub(
        lambda match: match[0] if match[1] in _XML_ENTITIES else _character(match), value
    ).strip()
    try:
        root = parse_tree(text.encode())
    except (InvalidInput, UnicodeEncodeError) as problem:
        raise _unwritable(where, f"not well-formed XHTML: {problem}") from None
    if root.name != "div" or root.namespace not in (XHTML, ""):
        raise _unwritable(where, "not an XHTML div")
    return text if root.namespace else text.replace("<div", f'<div xmlns="{XHTML}"', 1)


def _character(match: re.Match[str]) -> str:
    return html5.get(match[1] + ";", match[0])


def _unwritable(path: str, problem: str) -> InvalidResource:
    return InvalidResource("HT-FMT-14", expression=path, path=path, problem=problem)
