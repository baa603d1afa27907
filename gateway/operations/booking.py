"""Slot/[id]/$book, Schedule/[id]/$book, Location/[id]/$book, Location/$bed-pool (docs/workflow/referral.md)."""

from gateway.care.record import find
from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.task_version import decoded, enforced, of_request, retrying
from gateway.referral.beds import FREE, TAKEN, counted, is_bed, status_of, with_status
from gateway.referral.order import extension
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import acting
from gateway.workflow.coordination import OPEN, TASK_INPUT, coding, coordination_task
from gateway.workflow.draft import Draft, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput, Issue

LOOKED_AT = 100
TRIES = 200
MOST_BEDS = 2_000


async def book(request: Request, context: Context) -> Response:
    """Take a number or a bed, by the type that is asked for."""
    ways = {"Slot": book_slot, "Schedule": book_schedule, "Location": book_bed}
    return await ways[str(request.type)](request, context)


async def book_slot(request: Request, context: Context) -> Response:
    """Take one number; 201 with the Appointment, 409 HT-REF-21 when somebody was faster."""
    inputs = read_inputs(request, context)
    slot = decoded(await of_request(request, context))
    return await _booked(f"Slot/{slot['id']}", inputs, request, context)


async def book_schedule(request: Request, context: Context) -> Response:
    """Take the first free number of a session from `start` on (now), the next when somebody was faster."""
    inputs = read_inputs(request, context)
    schedule = decoded(await of_request(request, context))
    reference = f"Schedule/{schedule['id']}"
    if schedule.get("active") is False:
        values = {"reference": reference, "comment": str(schedule.get("comment") or "-")}
        raise BusinessRule([Issue("HT-REF-22", values, expression="Schedule.active")])
    order = await _order(inputs, context)
    is_green = order is not None and extension(order, "green-channel") is True
    start = str(inputs.one("start") or enforced(context).clock().isoformat(timespec="seconds"))
    params = [("schedule", reference), ("status", "free"), ("start", f"ge{start}"), ("_sort", "start")]
    for _ in range(TRIES):
        found = await find(context.store, "Slot", params, most=LOOKED_AT)
        slot = next((row for row in found if is_green or extension(row, "green-channel") is not True), None)
        if slot is None:
            break
        try:
            return await _booked(f"Slot/{slot['id']}", inputs, request, context)
        except BusinessRule as error:
            if [issue.code for issue in error.issues] != ["HT-REF-21"]:
                raise
    raise BusinessRule([Issue("HT-REF-24", {"reference": reference}, expression="Schedule")])


async def book_bed(request: Request, context: Context) -> Response:
    """Keep a bed, or the first free one of a ward, for a referral that is open; returns the Location."""
    inputs = read_inputs(request, context)

    async def attempt() -> Response:
        place = decoded(await of_request(request, context))
        order, task = await _open_referral(inputs, context)
        beds = [place] if is_bed(place) else await _free_beds(place, context)
        bed = next((row for row in beds if status_of(row) == FREE), None)
        if bed is None:
            values = {
                "reference": f"Location/{place['id']}",
                "status": status_of(place) if is_bed(place) else "-",
            }
            raise BusinessRule([Issue("HT-REF-25", values, expression="Location.operationalStatus")])
        kept = with_status(bed, TAKEN, reserved_for=f"ServiceRequest/{order['id']}")
        row = {"type": coding(TASK_INPUT, "bed"), "valueReference": {"reference": f"Location/{bed['id']}"}}
        noted = {**task, "input": [*(task.get("input") or ()), row]}
        changes = [Put(one, expected=int(one["meta"]["versionId"])) for one in (kept, noted)]
        written = await context.store.commit(Commit(changes))
        return Response(200, decoded(written[0]))

    return await retrying(attempt)


async def bed_pool(request: Request, context: Context) -> Response:
    """Count the beds of an organisation by ward and state."""
    inputs = read_inputs(request, context)
    given = inputs.one("organization")
    organization = given if isinstance(given, str) else reference_of(given)
    # physicalType has no search parameter in R4.
    params = [*([("organization", organization)] if organization else []), ("_sort", "_id")]
    found = [row for row in await find(context.store, "Location", params, most=MOST_BEDS) if is_bed(row)]
    parameter: list[Json] = [
        {"name": "total", "valueInteger": len(found)},
        {"name": "free", "valueInteger": sum(status_of(row) == FREE for row in found)},
    ]
    for ward, states in sorted(counted(found).items()):
        parts: list[Json] = [{"name": "ward", "valueReference": {"reference": ward}}] if ward else []
        parts += [{"name": code, "valueInteger": states[code]} for code in sorted(states)]
        parameter.append({"name": "pool", "part": parts})
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


async def _booked(reference: str, inputs: Inputs, request: Request, context: Context) -> Response:
    order = await _order(inputs, context)
    patient = inputs.one("patient") or (order or {}).get("subject")
    if not isinstance(patient, dict) or not patient.get("reference"):
        raise InvalidInput(
            "HT-WF-40", name="patient", expression="Parameters.parameter.where(name='patient')"
        )
    appointment: Json = {
        "resourceType": "Appointment",
        "id": context.new_id(),
        "status": "booked",
        "slot": [{"reference": reference}],
        "created": enforced(context).clock().isoformat(timespec="seconds"),
        "participant": [{"actor": patient, "status": "accepted"}],
    }
    if order is not None:
        appointment["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"}]
        appointment["priority"] = 1 if extension(order, "green-channel") is True else 5
    if inputs.one("comment"):
        appointment["comment"] = str(inputs.one("comment"))
    written = await context.store.commit(Commit([Put(appointment, expected=0, method="POST")]))
    made = decoded(written[0])
    return Response(201, made, headers={"Location": f"{request.base}/Appointment/{made['id']}"})


async def _order(inputs: Inputs, context: Context) -> Json | None:
    """Return the order that a booking is for; raises BusinessRule (HT-REF-26) for one that ended or isn't there."""
    given = reference_of(inputs.one("basedOn"))
    if not given:
        return None
    found = await _draft(context).read(given)
    if found is None or found["resourceType"] != "ServiceRequest" or found.get("status") != "active":
        values = {"reference": given, "status": str((found or {}).get("status", "-"))}
        raise BusinessRule(
            [Issue("HT-REF-26", values, expression="Parameters.parameter.where(name='basedOn')")]
        )
    return found


async def _open_referral(inputs: Inputs, context: Context) -> tuple[Json, Json]:
    order = await _order(inputs, context)
    if order is None:
        raise InvalidInput(
            "HT-WF-40", name="basedOn", expression="Parameters.parameter.where(name='basedOn')"
        )
    task = await coordination_task(_draft(context), f"ServiceRequest/{order['id']}")
    if task is None or task.get("status") not in OPEN:
        values = {
            "reference": f"ServiceRequest/{order['id']}",
            "status": str((task or {}).get("status", "-")),
        }
        raise BusinessRule(
            [Issue("HT-REF-26", values, expression="Parameters.parameter.where(name='basedOn')")]
        )
    return order, task


async def _free_beds(ward: Json, context: Context) -> list[Json]:
    params = [("partof", f"Location/{ward['id']}"), ("operational-status", FREE), ("_sort", "_id")]
    return [row for row in await find(context.store, "Location", params, most=LOOKED_AT) if is_bed(row)]


def _draft(context: Context) -> Draft:
    desk = enforced(context)
    return Draft(
        Commit([]),
        desk.store.plain,
        actor=acting(),
        now=desk.clock(),
        new_id=context.new_id,
        packs=desk.packs(),
    )
