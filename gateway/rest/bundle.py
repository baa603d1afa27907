"""A Bundle posted to the base: its entries as requests (https://hl7.org/fhir/R4/bundle.html, http.html#transaction)."""

import base64
import binascii
from dataclasses import dataclass, replace
from urllib.parse import unquote

from gateway.rest.body import read_resource
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, Issue, TooLarge

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# http.html#trules: the order in which a transaction is processed; a batch keeps it too.
ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
CONDITIONS = {
    "ifMatch": "if-match",
    "ifNoneMatch": "if-none-match",
    "ifModifiedSince": "if-modified-since",
    "ifNoneExist": "if-none-exist",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its number in the Bundle, its request, its fullUrl ("" when absent)."""

    number: int
    request: Request
    full_url: str = ""

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"


async def receive(request: Request, context: Context) -> Response:
    """POST [base]: process a batch or a transaction; raises InvalidInput for any other Bundle."""
    bundle = read_resource(request, context)
    if bundle["resourceType"] != "Bundle":
        raise InvalidInput("HT-REST-90", type=bundle["resourceType"], expression="resourceType")
    kind = bundle.get("type")
    if kind not in ("batch", "transaction"):
        raise InvalidInput("HT-REST-91", type=str(kind)[:40], expression="Bundle.type")
    rows = bundle.get("entry", [])
    if not isinstance(rows, list):
        raise InvalidInput("HT-REST-92", expression="Bundle.entry")
    if len(rows) > context.limits.entries:
        raise TooLarge("HT-REST-54", limit=context.limits.entries, expression="Bundle.entry")
    if kind == "batch":
        from gateway.rest.batch import batch

        return await batch(rows, request, context)
    from gateway.rest.transaction import transaction

    return await transaction(rows, request, context)


def read_entry(row: object, number: int, request: Request) -> Entry:
    """Return an entry's request; raises InvalidInput placed at the entry."""
    place = f"Bundle.entry[{number}]"
    if not isinstance(row, dict) or not isinstance(row.get("request"), dict):
        raise InvalidInput("HT-REST-93", expression=f"{place}.request")
    wanted: Json = row["request"]
    method, url = wanted.get("method"), wanted.get("url")
    problems: list[Issue] = []
    if method not in METHODS:
        problems.append(
            Issue("HT-REST-94", {"method": str(method)[:20]}, expression=f"{place}.request.method")
        )
    if not isinstance(url, str):
        problems.append(Issue("HT-REST-95", {}, expression=f"{place}.request.url"))
    resource = row.get("resource")
    if method in ("POST", "PUT", "PATCH") and not _is_resource(resource) and not _is_operation(url):
        problems.append(Issue("HT-REST-96", {"method": str(method)}, expression=f"{place}.resource"))
    if problems:
        raise InvalidInput(problems)
    path, query = split_url(str(url), request.base)
    headers = {name: str(wanted[key]) for key, name in CONDITIONS.items() if isinstance(wanted.get(key), str)}
    headers |= {
        name: request.headers[name] for name in ("prefer", "accept-language") if name in request.headers
    }
    nested = Request(
        method=str(method),
        path=path,
        query=query,
        headers=headers,
        base=request.base,
        request_id=request.request_id,
        is_nested=True,
    )
    if isinstance(resource, dict):
        if method == "PATCH" and resource.get("resourceType") == "Binary":
            _attach(nested, resource, place)
        else:
            nested.resource = resource
            nested.body = request.body
    full_url = row.get("fullUrl")
    return Entry(number, nested, full_url if isinstance(full_url, str) else "")


def split_url(url: str, base: str) -> tuple[str, str]:
    """Return path (decoded) and query of an entry's URL, which may be absolute or begin with a slash."""
    relative = url.removeprefix(base).lstrip("/")
    path, _, query = relative.partition("?")
    return unquote(path), query


def at_entry(error: FhirError, entry: Entry) -> FhirError:
    """Return the error with its issues placed in the Bundle: Patient.name → Bundle.entry[2].resource.name."""
    placed = []
    for issue in error.issues:
        where = issue.expression
        if where is None:
            placed.append(replace(issue, expression=entry.place))
        elif where.startswith("Bundle.entry["):
            placed.append(issue)
        else:
            head, _, rest = where.partition(".")
            inner = rest if head[:1].isupper() else where
            placed.append(
                replace(issue, expression=f"{entry.place}.resource" + (f".{inner}" if inner else ""))
            )
    return type(error)(placed)


def _is_resource(resource: object) -> bool:
    return isinstance(resource, dict) and isinstance(resource.get("resourceType"), str)


def _is_operation(url: object) -> bool:
    return isinstance(url, str) and ("$" in url or "_search" in url)


def _attach(nested: Request, binary: Json, place: str) -> None:
    """http.html#patch: inside a Bundle a patch document travels as Binary."""
    try:
        nested.body = base64.b64decode(binary.get("data", ""), validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise InvalidInput("HT-REST-97", expression=f"{place}.resource.data") from None
    nested.headers = {**nested.headers, "content-type": str(binary.get("contentType", ""))}
