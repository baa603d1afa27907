"""search: by URL or form, in one type, all types or a compartment (https://hl7.org/fhir/R4/http.html#search).

What may be asked and how it is found is `gateway/search`; here a page becomes a searchset Bundle.
"""

from msgspec import Raw

from gateway.rest.context import Context
from gateway.rest.negotiate import accepted, media_type
from gateway.rest.outcomes import outcome
from gateway.rest.request import Request, read_params
from gateway.rest.response import Response
from gateway.rest.summary import SUMMARIES
from gateway.search import Query, parse
from gateway.store.protocol import SearchPage, Version
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, UnsupportedMedia

FORM = "application/x-www-form-urlencoded"
# Parameters of the answer's form, not of the search (http.html#parameters).
OF_THE_ANSWER = frozenset({"_format", "_pretty", "_summary", "_elements"})


async def search_type(request: Request, context: Context) -> Response:
    """GET [type]?… and POST [type]/_search."""
    return await _search(request, context, request.type)


async def search_system(request: Request, context: Context) -> Response:
    """GET [base]?… and POST [base]/_search; `_type` names the types (search.html#type)."""
    return await _search(request, context, None)


async def search_compartment(request: Request, context: Context) -> Response:
    """GET Patient/[id]/[type]?…: what belongs to one patient, encounter, … (compartmentdefinition.html)."""
    assert request.type is not None
    assert request.id is not None
    wanted = None if request.compartment == "*" else request.compartment
    return await _search(request, context, wanted, compartment=(request.type, request.id))


async def _search(
    request: Request, context: Context, type: str | None, *, compartment: tuple[str, str] | None = None
) -> Response:
    _read_form(request)
    query, summary = read_query(request, type, compartment=compartment)
    page = await context.store.search(query)
    return Response(200, searchset(page, query, request, context, summary=summary))


def read_query(
    request: Request, type: str | None, *, compartment: tuple[str, str] | None = None
) -> tuple[Query, str | None]:
    """Return the search of a request and its `_summary`; raises InvalidInput with every parameter that is wrong."""
    params = [pair for pair in request.params if pair[0] not in OF_THE_ANSWER]
    summary = request.param("_summary")
    if summary is not None and summary not in SUMMARIES:
        raise InvalidInput("HT-REST-13", value=summary[:40])
    if summary == "count":
        # search.html#summary: count answers with the number of matches alone.
        params = [pair for pair in params if pair[0] not in ("_count", "_total")] + [("_count", "0")]
    strict = request.preference("handling") != "lenient"
    return parse(type, params, strict=strict, compartment=compartment), summary


def _read_form(request: Request) -> None:
    """Add the parameters of a POST body to those of the URL (search.html#post)."""
    if request.method != "POST" or not request.body:
        return
    kind = media_type(request.headers.get("content-type", ""))
    if kind and kind != FORM:
        raise UnsupportedMedia("HT-REST-26", value=kind[:80])
    try:
        form = request.body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("HT-REST-10", detail="the form is not UTF-8") from None
    request._params = [*request.params, *read_params(form)]
    wanted = request.param("_format")
    if wanted is not None:
        request.format = accepted("", wanted)


def searchset(
    page: SearchPage, query: Query, request: Request, context: Context, *, summary: str | None = None
) -> Json:
    """Return the Bundle of a page: self link as really used, next link, total, matches, included, outcome."""
    bundle: Json = {"resourceType": "Bundle", "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    where = f"{request.base}/{search_path(request)}"
    used = query.self_link()
    kept = "&".join(f"{name}={value}" for name, value in request.params if name in OF_THE_ANSWER)
    first = "&".join(filter(None, (used, kept)))
    links = [{"relation": "self", "url": f"{where}?{first}" if first else where}]
    if page.cursor:
        links.append({"relation": "next", "url": _with_cursor(where, first, page.cursor)})
    if page.previous:
        links.append({"relation": "previous", "url": _with_cursor(where, first, page.previous)})
    bundle["link"] = links
    entries = [entry(version, request, "match") for version in page.matches]
    entries += [entry(version, request, "include") for version in page.included]
    warnings = [*query.warnings, *page.warnings]
    if warnings:
        entries.append(
            {
                "resource": outcome(warnings, request, docs=context.docs),
                "search": {"mode": "outcome"},
            }
        )
    if entries and summary != "count":
        bundle["entry"] = entries
    return bundle


def search_path(request: Request) -> str:
    """Return the path of the search itself, `_search` left out, so that its links can be followed with GET."""
    return request.path.removesuffix("_search").rstrip("/")


def entry(version: Version, request: Request, mode: str) -> Json:
    """Return an entry with the stored bytes unparsed."""
    assert version.body is not None
    return {
        "fullUrl": f"{request.base}/{version.type}/{version.id}",
        "resource": Raw(version.body),
        "search": {"mode": mode},
    }


def _with_cursor(where: str, used: str, cursor: str) -> str:
    return f"{where}?{used}&_cursor={cursor}" if used else f"{where}?_cursor={cursor}"
