"""Observation/$lastn: the newest results of each kind (https://hl7.org/fhir/R4/observation-operation-lastn.html)."""

from gateway.operations.parameters import Inputs, read_inputs
from gateway.rest.context import Context
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.rest.search import searchset
from gateway.search.parse import parse
from gateway.search.query import Query
from gateway.store.protocol import SearchPage, Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, TooCostly

MOST = 20_000
OWN = {"max", "_count", "_sort", "_cursor", "_format", "_pretty", "_summary", "_elements"}


async def lastn(request: Request, context: Context) -> Response:
    """Return for each code the `max` newest Observations (default 1) that match the search parameters.

    Two Observations are of one kind when they share a coding, or, without codings, the text. A patient (or subject)
    has to be named: the newest results of everybody are no question that a chart asks.
    """
    inputs = read_inputs(request, context)
    most = inputs.one("max", 1)
    if not isinstance(most, int) or isinstance(most, bool) or most < 1:
        raise InvalidInput(
            "HT-REST-15",
            name="max",
            value=str(most)[:20],
            expected_zh="正整数",
            expected_en="a positive number",
        )
    query = _query(inputs, context)
    kept: list[Version] = []
    counts: dict[int, int] = {}
    groups: dict[tuple[str, str], int] = {}
    seen = 0
    while True:
        page = await context.store.search(query)
        for version in page.matches:
            group = _group(version, groups)
            counts[group] = counts.get(group, 0) + 1
            if counts[group] <= most:
                kept.append(version)
        seen += len(page.matches)
        if page.cursor is None:
            break
        if seen >= MOST:
            raise TooCostly("HT-REST-37", limit=MOST)
        query = Query(
            types=query.types,
            where=query.where,
            sort=query.sort,
            count=query.count,
            cursor=page.cursor,
            used=query.used,
        )
    return Response(200, searchset(SearchPage(kept, total=len(kept)), query, request, context))


def _query(inputs: Inputs, context: Context) -> Query:
    params: Params = [
        (name, str(value)) for name, value in inputs.values if name not in OWN and isinstance(value, str)
    ]
    names = {name.partition(":")[0].partition(".")[0] for name, _ in params}
    if not names & {"patient", "subject"}:
        raise InvalidInput("HT-REST-34", operation="lastn", name="patient")
    return parse(
        "Observation",
        [*params, ("_sort", "-date"), ("_count", str(context.limits.page))],
        strict=True,
        parameters=context.parameters,
        terminology=context.codes,
        max_count=context.limits.page,
    )


def _group(version: Version, groups: dict[tuple[str, str], int]) -> int:
    """Return the number of the kind; an Observation that shares codings with several kinds joins the first."""
    assert version.body is not None
    code: Json = decode_resource(version.body).get("code") or {}
    keys = [
        (str(row.get("system", "")), str(row["code"])) for row in code.get("coding", ()) if row.get("code")
    ]
    if not keys:
        keys = [("", str(code.get("text", "")))]
    known = next((groups[key] for key in keys if key in groups), None)
    number = known if known is not None else len(set(groups.values())) + 1
    for key in keys:
        groups.setdefault(key, number)
    return number
