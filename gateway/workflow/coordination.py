"""The coordination Task of an order: how it is named, built and found again (workflows §1.2).

Its id follows from the order's, so that a message that comes twice finds the Task that it made the first time.
"""

from hashlib import blake2b

from gateway.search.parse import parse
from gateway.workflow.draft import Draft, codes_of, local, reference_of
from gateway.workflow.limits import due
from gateway.workflow.phases import first_phase, phase
from terminology.fhirjson import Json

CANONICAL = "https://hutong.health/fhir"
CATEGORY = f"{CANONICAL}/CodeSystem/order-category"
TASK_CODE = f"{CANONICAL}/CodeSystem/task-code"
TASK_INPUT = f"{CANONICAL}/CodeSystem/task-input"
TASK_NUMBER = f"{CANONICAL}/NamingSystem/task"
STATUS_REASON = f"{CANONICAL}/CodeSystem/status-reason"
GREEN_CHANNEL = f"{CANONICAL}/StructureDefinition/green-channel"
"""The grant and, below the same beginning, its reason."""
FHIR_TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"

REDIRECTS = 8
OPEN = frozenset({"requested", "received", "accepted", "in-progress", "on-hold"})
TERMINAL = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})


def task_id(prefix: str, id: str) -> str:
    """Return the id of a Task, or another companion, of a resource: readable where it fits into 64 characters."""
    named = f"{prefix}-{id}"
    return named if len(named) <= 64 else f"{prefix}-{blake2b(id.encode(), digest_size=16).hexdigest()}"


async def coordination_task(draft: Draft, order: str) -> Json | None:
    """Return the Task that coordinates an order now: the newest of those that it was routed to; None without one."""
    place = local(order)
    if place is None:
        return None
    for change in draft.changes.values():
        resource = getattr(change, "resource", None)
        if resource and is_coordination(resource) and reference_of(resource.get("focus")) == order:
            found: Json = resource
            return found
    task = await draft.read(f"Task/{task_id('order', place[1])}")
    if task is None:
        return await _made_elsewhere(draft, order)
    for _ in range(REDIRECTS):
        following = next(
            (
                reference_of(row.get("valueReference"))
                for row in task.get("output") or ()
                if "redirect" in codes_of(row.get("type"))
            ),
            "",
        )
        moved = await draft.read(following) if following else None
        if moved is None:
            break
        task = moved
    return task


async def _made_elsewhere(draft: Draft, order: str) -> Json | None:
    """A placer may bring his own Task (Clinical Order Workflows); it is found by its focus, when the order is not new."""
    place = local(order)
    if place is None or await draft.before(*place) is None:
        return None
    params = [
        ("focus", order),
        ("code", f"{FHIR_TASK_CODE}|fulfill"),
        ("_count", "1"),
        ("_sort", "-_lastUpdated"),
    ]
    query = parse("Task", params, strict=True, parameters=draft.store.parameters)
    page = await draft.store.search(query)
    if not page.matches:
        return None
    return await draft.read(f"Task/{page.matches[0].id}")


def is_coordination(resource: Json) -> bool:
    return resource.get("resourceType") == "Task" and "fulfill" in codes_of(
        resource.get("code"), FHIR_TASK_CODE
    )


def category_of(resource: Json) -> str | None:
    """Return the county's category of an order, or of a Task that was made for one."""
    element = resource.get("code") if resource.get("resourceType") == "Task" else resource.get("category")
    return next(iter(codes_of(element, CATEGORY)), None)


def coding(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def build(draft: Draft, order: Json, *, owner: str, requester: Json, category: str | None, id: str) -> Json:
    """Return the Task that asks `owner` to fulfil an order."""
    reference = f"ServiceRequest/{order['id']}"
    now = draft.now.isoformat(timespec="milliseconds")
    code = coding(FHIR_TASK_CODE, "fulfill")
    if category is not None:
        code["coding"].append({"system": CATEGORY, "code": category})
    priority = order.get("priority") or "routine"
    channel = [
        row for row in order.get("extension") or () if str(row.get("url", "")).startswith(GREEN_CHANNEL)
    ]
    if channel and priority == "routine":
        priority = "urgent"
    end = due(
        draft.packs,
        "fulfill",
        start=draft.now,
        category=category,
        priority=priority,
        order=order,
        centre=owner,
    )
    task: Json = {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": TASK_NUMBER, "value": id}],
        "basedOn": [{"reference": reference}],
        "status": "requested",
        "businessStatus": phase(draft.packs, first_phase(draft.packs, category)),
        "intent": "order",
        "priority": priority,
        "code": code,
        "focus": {"reference": reference},
        "authoredOn": now,
        "lastModified": now,
        "requester": requester,
        "owner": {"reference": owner},
        "restriction": {"period": {"end": end.isoformat(timespec="seconds")}},
    }
    if channel:
        task["extension"] = channel
    for name, source in (("groupIdentifier", "requisition"), ("for", "subject"), ("encounter", "encounter")):
        if order.get(source):
            task[name] = order[source]
    return task


async def placer_of(draft: Draft, order: Json) -> str | None:
    """Return the Organization that placed an order: that of the caller, else the requester's."""
    if draft.actor.organization is not None:
        return draft.actor.organization
    return await organization_of(draft, reference_of(order.get("requester")))


async def organization_of(draft: Draft, reference: str) -> str | None:
    """Return the Organization behind a reference: itself, or that of a PractitionerRole or HealthcareService."""
    if reference.startswith("Organization/"):
        return reference
    if reference.startswith(("PractitionerRole/", "HealthcareService/")):
        resource = await draft.read(reference)
        element = "organization" if reference.startswith("PractitionerRole/") else "providedBy"
        return reference_of((resource or {}).get(element)) or None
    return None


async def receivers_of(draft: Draft, task: Json | None, order: Json | None) -> list[str]:
    """Return the Organization that asked for the work."""
    if task is not None:
        asked = await organization_of(draft, reference_of(task.get("requester")))
        if asked:
            return [asked]
    if order is not None:
        asked = await organization_of(draft, reference_of(order.get("requester")))
        if asked:
            return [asked]
    return []


async def open_tasks(draft: Draft, **criteria: str) -> list[Json]:
    """Return the open Tasks that a search finds, as this draft leaves them."""
    params = [(name.replace("_", "-"), value) for name, value in criteria.items()]
    params += [("status", ",".join(sorted(OPEN))), ("_count", "50")]
    page = await draft.store.search(parse("Task", params, strict=True, parameters=draft.store.parameters))
    found = []
    for version in page.matches:
        task = await draft.read(f"Task/{version.id}")
        if task is not None and task.get("status") in OPEN:
            found.append(task)
    return found
