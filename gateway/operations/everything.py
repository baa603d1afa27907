"""$everything: all that belongs to a patient, an encounter, or the patients of a group.

https://hl7.org/fhir/R4/patient-operation-everything.html, encounter-…, group-… The answer is paged like a search.
"""

from collections.abc import Sequence

from conformance.definitions import compartment as compartment_parameters
from gateway.operations.parameters import Inputs, read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.rest.search import searchset
from gateway.search.date import date_range
from gateway.search.parse import parse
from gateway.search.query import All, AnyOf, Condition, Date, Kind, Query
from terminology.fhirjson import decode_resource
from terminology.issues import InvalidInput, TooCostly

MOST_MEMBERS = 200

# The parameter that tells when care happened ("care dates, not record currency dates"); types without one always come.
CARE_DATES = {
    "AllergyIntolerance": "date", "Appointment": "date", "CarePlan": "date", "ChargeItem": "occurrence",
    "Claim": "created", "ClinicalImpression": "date", "Communication": "sent", "Composition": "date",
    "Condition": "onset-date", "DeviceRequest": "authored-on", "DiagnosticReport": "date", "DocumentReference": "date",
    "Encounter": "date", "EpisodeOfCare": "date", "ExplanationOfBenefit": "created", "FamilyMemberHistory": "date",
    "Goal": "start-date", "ImagingStudy": "started", "Immunization": "date", "List": "date", "Media": "created",
    "MedicationAdministration": "effective-time", "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon", "MedicationStatement": "effective", "Observation": "date", "Procedure": "date",
    "QuestionnaireResponse": "authored", "RequestGroup": "authored", "RiskAssessment": "date",
    "ServiceRequest": "authored", "Specimen": "collected", "SupplyRequest": "date",
}  # fmt: skip


async def patient(request: Request, context: Context) -> Response:
    """Patient/[id]/$everything"""
    await current(request, context)
    return await _answer(request, context, "Patient", [request.id or ""])


async def encounter(request: Request, context: Context) -> Response:
    """Encounter/[id]/$everything"""
    await current(request, context)
    return await _answer(request, context, "Encounter", [request.id or ""])


async def group(request: Request, context: Context) -> Response:
    """Group/[id]/$everything: for each member that is a patient and is not marked inactive."""
    version = await current(request, context)
    assert version.body is not None
    members = decode_resource(version.body).get("member", [])
    references = [
        str(row.get("entity", {}).get("reference", "")) for row in members if not row.get("inactive")
    ]
    ids = [text.removeprefix("Patient/") for text in references if text.startswith("Patient/")]
    if len(ids) > MOST_MEMBERS:
        raise TooCostly("HT-REST-35", count=len(ids), limit=MOST_MEMBERS)
    if not ids:
        return Response(200, {"resourceType": "Bundle", "type": "searchset", "total": 0})
    return await _answer(request, context, "Patient", ids)


async def _answer(request: Request, context: Context, kind: str, ids: Sequence[str]) -> Response:
    query = _query(read_inputs(request, context), context, kind, ids)
    page = await context.store.search(query)
    return Response(200, searchset(page, query, request, context))


def _query(inputs: Inputs, context: Context, kind: str, ids: Sequence[str]) -> Query:
    params: Params = []
    types = [name for value in inputs.all("_type") for name in str(value).split(",")]
    if types:
        params.append(("_type", ",".join(types)))
    if inputs.one("_since") is not None:
        params.append(("_lastUpdated", f"ge{inputs.one('_since')}"))
    for name in ("_count", "_cursor"):
        if inputs.one(name) is not None:
            params.append((name, str(inputs.one(name))))
    # What the record refers to outside of the compartment: practitioners, organisations, drugs, places.
    params.append(("_include", "*"))
    queries = [
        parse(
            None,
            params,
            strict=True,
            parameters=context.parameters,
            compartment=(kind, id),
            default_count=context.limits.default_page,
            max_count=context.limits.page,
        )
        for id in ids
    ]
    first = queries[0]
    if len(queries) > 1:
        belongs = AnyOf(tuple(query.where[-1] for query in queries))
        first = Query(
            types=first.types,
            where=(*first.where[:-1], belongs),
            sort=first.sort,
            count=first.count,
            total=first.total,
            includes=first.includes,
            cursor=first.cursor,
        )
    dated = _dated(inputs, context, first.types or tuple(compartment_parameters(kind)))
    used = tuple((name, value) for name, value in _given(inputs) if name != "_cursor")
    return Query(
        types=first.types,
        where=(*first.where, *dated),
        sort=first.sort,
        count=first.count,
        total=first.total,
        includes=first.includes,
        cursor=first.cursor,
        used=used,
    )


def _given(inputs: Inputs) -> list[tuple[str, str]]:
    return [(name, str(value)) for name, value in inputs.values if not isinstance(value, (dict, Inputs))]


def _dated(inputs: Inputs, context: Context, types: Sequence[str]) -> list[Condition]:
    """Return the condition of `start` and `end`: care inside the range, and everything that has no care date."""
    found: list[Condition] = []
    for name, op in (("start", "ge"), ("end", "le")):
        text = inputs.one(name)
        if text is None:
            continue
        try:
            low, high = date_range(str(text))
        except (ValueError, OverflowError):
            raise InvalidInput(
                "HT-REST-15", name=name, value=str(text)[:40], expected_zh="日期", expected_en="a date"
            ) from None
        timeless = tuple(kind for kind in types if kind not in CARE_DATES)
        rows: list[Condition] = [Kind(timeless)] if timeless else []
        for kind in types:
            parameter = context.parameters.get(kind, CARE_DATES[kind]) if kind in CARE_DATES else None
            if parameter is not None:
                when = Date(parameter.paths, "ge" if op == "ge" else "le", low, high)
                rows.append(All((Kind((kind,)), when)))
        found.append(AnyOf(tuple(rows)))
    return found
