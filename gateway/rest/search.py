"""search: by URL or form, in one type, all types or a compartment (https://hl7.org/fhir/R4/http.html#search).

What may be asked and how it is found is `gateway/search`; here a page becomes a searchset Bundle.
"""

from msgspec import Raw

from gateway.rest.context import Context
from gateway.rest.labels import confidentiality
from gateway.rest.negotiate import accepted, media_type
from gateway.rest.outcomes import outcome
from gateway.rest.request import Request, read_params
from gateway.rest.response import Response
from gateway.rest.shipped import search_with_shipped
from gateway.rest.summary import SUMMARIES
from gateway.search.parse import parse
from gateway.search.query import Query
from gateway.store.protocol import SearchPage, Version
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, UnsupportedMedia

FORM = "application/x-www-form-urlencoded"


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
    await context.know_codes(request.params)
    query = read_query(request, context, type, compartment=compartment)
    page = await search_with_shipped(query, context)
    return Response(200, searchset(page, query, request, context))


def read_query(
    request: Request, context: Context, type: str | None, *, compartment: tuple[str, str] | None = None
) -> Query:
    """Return the search of a request; raises InvalidInput with every parameter that is wrong.

    Unknown parameters are refused under `Prefer: handling=strict`, else reported in the Bundle (search.html#errors).
    """
    params = request.params
    summary = request.param("_summary")
    if summary is not None and summary not in SUMMARIES:
        raise InvalidInput("HT-REST-13", value=summary[:40])
    if summary == "count":
        # search.html#summary: count answers with the number of matches alone.
        params = [pair for pair in params if pair[0] not in ("_count", "_total")] + [("_count", "0")]
    return parse(
        type,
        params,
        strict=request.preference("handling") == "strict",
        parameters=context.parameters,
        terminology=context.codes,
        compartment=compartment,
        default_count=context.limits.default_page,
        max_count=context.limits.page,
    )


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


def searchset(page: SearchPage, query: Query, request: Request, context: Context) -> Json:
    """Return the Bundle of a page: self link as really used, next link, total, matches, included, outcome."""
    labelled = confidentiality([*page.matches, *page.included])
    bundle: Json = {"resourceType": "Bundle", **labelled, "type": "searchset"}
    if page.total is not None:
        bundle["total"] = page.total
    where = f"{request.base}/{search_path(request)}"
    used = query.self_link()
    links = [{"relation": "self", "url": f"{where}?{used}" if used else where}]
    if page.cursor:
        links.append({"relation": "next", "url": _with_cursor(where, used, page.cursor)})
    if page.previous:
        links.append({"relation": "previous", "url": _with_cursor(where, used, page.previous)})
    bundle["link"] = links
    entries = [entry(version, request, "match") for version in page.matches]
    entries += [entry(version, request, "include") for version in page.included]
    warnings = [*query.warnings, *page.warnings]
    if warnings:
        told = outcome(warnings, request, docs=context.docs)
        entries.append({"resource": told, "search": {"mode": "outcome"}})
    if entries:
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
