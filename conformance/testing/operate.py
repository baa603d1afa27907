"""An operation of a TestScript as a request: method, URL, headers, body (testscript.html#operation)."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from conformance.formats.xml import to_xml
from conformance.testing.client import Call
from terminology.fhirjson import Json, decode, encode

FORMATS = {
    "json": "application/fhir+json",
    "xml": "application/fhir+xml",
    "none": "",
}
_METHODS = {
    "create": "POST",
    "update": "PUT",
    "updateCreate": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deleteCondSingle": "DELETE",
    "deleteCondMultiple": "DELETE",
    "batch": "POST",
    "transaction": "POST",
    "read": "GET",
    "vread": "GET",
    "history": "GET",
    "search": "GET",
    "capabilities": "GET",
    "conformance": "GET",
}
# Operations of the code system that are no `$name` of their own (testscript-operation-codes).
_ON_ID = frozenset({"read", "update", "updateCreate", "delete", "patch", "vread", "history"})

Fill = Callable[[str], str]
Source = Callable[[str], Any]
Place = Callable[[str], tuple[str, str, str]]


def to_call(row: Json, *, fill: Fill, source: Source, place: Place) -> Call:
    """Return the request of an operation.

    `fill` puts variables in; `source` gives the resource of a fixture or an answer; `place` its type, id and version
    on the server. Raises InvalidInput when one of them isn't known.
    """
    code = str(row.get("type", {}).get("code", "read")).lstrip("$")
    is_named = code not in _METHODS
    body = _body(row, code, fill, source)
    method = str(row.get("method") or ("POST" if is_named and body else _METHODS.get(code, "GET"))).upper()
    headers = {
        str(one.get("field", "")).lower(): fill(str(one.get("value", "")))
        for one in row.get("requestHeader", ())
    }
    accept = FORMATS.get(str(row.get("accept", "json")), str(row.get("accept")))
    if accept:
        headers.setdefault("accept", accept)
    if body and method in ("POST", "PUT", "PATCH"):
        kind = str(row.get("contentType", "json"))
        headers.setdefault("content-type", FORMATS.get(kind, kind) or FORMATS["json"])
    else:
        body = b""
    url = _url(row, code, fill=fill, source=source, place=place)
    if row.get("encodeRequestUrl", True):
        url = quote(url, safe="/?&=:,$|%+;@!*'()~.-_#")
    return Call(method, url, headers, body)


def _body(row: Json, code: str, fill: Fill, source: Source) -> bytes:
    name = row.get("sourceId")
    if name is None or code in ("read", "vread", "history", "delete"):
        return b""
    text = fill(encode(source(name)).decode())
    if row.get("contentType") == "xml":
        return to_xml(decode(text.encode()))
    return text.encode()


def _url(row: Json, code: str, *, fill: Fill, source: Source, place: Place) -> str:
    params = fill(str(row.get("params", "")))
    if "url" in row:
        return fill(str(row["url"])) + params
    if "targetId" in row:
        kind, id, version = place(row["targetId"])
        path = f"{kind}/{id}"
        if code == "vread":
            path += f"/_history/{version}"
        elif code == "history" and "_history" not in params:
            path += "/_history"
        elif code == "search":
            path = kind
        elif code not in _METHODS:
            path += f"/${code}"
        return path + params
    kind = str(row.get("resource", ""))
    if code in ("capabilities", "conformance"):
        return "metadata" + params
    if code in ("batch", "transaction"):
        return params
    if "sourceId" in row and code in ("update", "updateCreate", "delete", "patch", "create", "read"):
        return _of_source(row, code, kind, params, source=source, place=place)
    if code == "history" and "_history" not in params:
        params += "/_history"
    if code not in _METHODS and "$" not in params:
        named, _, query = params.partition("?")
        return f"{kind}{named}/${code}{'?' + query if query else ''}".lstrip("/")
    return f"{kind}{params}"


def _of_source(row: Json, code: str, kind: str, params: str, *, source: Source, place: Place) -> str:
    given = source(row["sourceId"])
    own = given.get("resourceType", "") if isinstance(given, dict) else ""
    if code == "create" or params:
        return f"{kind or own}{params}"
    if code == "patch" and own in ("", "Parameters"):
        # The source is the patch, not what it changes: what remains is the type, a patch without criteria.
        return kind
    _, id, _ = place(row["sourceId"])
    return f"{kind or own}/{id}"
