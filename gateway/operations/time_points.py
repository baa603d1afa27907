"""Encounter/[id]/$time-points: the clock of a chest-pain, stroke or trauma visit (docs/workflow/policy.md)."""

from functools import partial

from gateway.care.record import read_one
from gateway.care.time_points import Point, missing, pathway_of, points_of
from gateway.operations.parameters import output, read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.workflow.time_points import diagnoses_of, observations_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput


async def time_points(request: Request, context: Context) -> Response:
    """Return each point with its time and minutes, and what is missing. Raises BusinessRule (HT-EM-02) for a visit of no pathway."""
    version = await current(request, context)
    encounter = decode_resource(version.body or b"{}")
    if context.workflow is None:
        raise BusinessRule("HT-EM-02", reference=f"Encounter/{request.id}", known="")
    packs = context.workflow.packs()
    rules = packs.rules("time-points")
    name = str(read_inputs(request, context).one("pathway") or "")
    if name and name not in rules["pathways"]:
        raise InvalidInput("HT-REST-31", name="pathway", value=name[:40], type=" | ".join(rules["pathways"]))
    name = name or pathway_of(await diagnoses_of(encounter, partial(read_one, context.store)), rules)
    if not name:
        raise BusinessRule(
            "HT-EM-02", reference=f"Encounter/{request.id}", known=", ".join(rules["pathways"])
        )
    reference = f"Encounter/{request.id}"
    points = points_of(rules["pathways"][name], encounter, await observations_of(reference, context.store))
    lacking = missing(points)
    rows: list[Json] = [_parameter(row) for row in points]
    rows += [{"name": "missing", "valueCode": row.code} for row in lacking]
    head = (("pathway:valueCode", name), ("pack:valueUri", packs.uri("time-points")))
    return Response(200, output(*head, *rows, ("complete:valueBoolean", not lacking)))


def _parameter(row: Point) -> Json:
    parts: list[Json] = [
        {"name": "code", "valueCode": row.code},
        {"name": "title", "valueString": f"{row.zh} {row.en}"},
        {"name": "state", "valueCode": row.state},
    ]
    if row.at is not None:
        parts.append({"name": "time", "valueDateTime": row.at.isoformat(timespec="seconds")})
        parts.append({"name": "evidence", "valueReference": {"reference": row.evidence}})
    if row.minutes is not None:
        parts.append({"name": "minutes", "valueDecimal": round(row.minutes, 1)})
    if row.limit is not None:
        parts.append({"name": "limit", "valueDecimal": row.limit})
    return {"name": "point", "part": parts}
