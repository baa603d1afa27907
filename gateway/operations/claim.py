"""Task/[id]/$claim, $release and $assign: who does the work (workflows §1.2)."""

from dataclasses import replace
from typing import Any

from gateway.operations.parameters import read_inputs
from gateway.operations.task_version import changed, decoded, enforced, of_request, retrying
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response, version_headers
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import Actor, acting, acting_as
from gateway.workflow.coordination import (
    STATUS_REASON,
    TASK_CODE,
    TASK_INPUT,
    category_of,
    coding,
    is_coordination,
    open_tasks,
)
from gateway.workflow.department import DEPARTMENT
from gateway.workflow.draft import Draft, codes_of, reference_of
from gateway.workflow.guarded import winner_of
from gateway.workflow.needs import kind_of
from gateway.workflow.phases import first_phase, phase
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput

BEFORE = ("requested", "received")
CLAIMED = ("accepted", "in-progress", "on-hold")


async def claim(request: Request, context: Context) -> Response:
    """Accept the task; 409 HT-WF-05 when somebody was faster, HT-WF-01 when it is not to be claimed any more."""
    owner = read_inputs(request, context).one("owner")

    async def attempt() -> Response:
        version = await of_request(request, context)
        task = decoded(version)
        if is_coordination(task) and task.get("status") == "in-progress":
            # The order's work began; what a reader takes is the reading below it.
            work = await _reading(task, context)
            if work is not None:
                task = work
        lost = await winner_of(context.store, task)
        if lost is not None:
            raise BusinessRule([lost])
        wanted = {**task, "status": "accepted", "owner": _owner(owner, task, acting())}
        return await _write(wanted, task, context)

    return await retrying(attempt)


async def assign(request: Request, context: Context) -> Response:
    """Give a task to a reader, as the dispatcher; what was claimed is released first."""
    owner = read_inputs(request, context).one("owner")
    if not isinstance(owner, dict) or not owner.get("reference"):
        raise InvalidInput("HT-WF-40", name="owner", expression="Parameters.parameter.where(name='owner')")

    async def attempt() -> Response:
        version = await of_request(request, context)
        task = decoded(version)
        _check_dispatcher(task)
        if task.get("status") in CLAIMED:
            task = await _released(task, {"text": "reassigned"}, context)
        return await _write({**task, "status": "accepted", "owner": owner}, task, context)

    return await retrying(attempt)


async def release(request: Request, context: Context) -> Response:
    """End the claimed task and return the one that takes its place."""
    reason = read_inputs(request, context).one("reason")

    async def attempt() -> Response:
        version = await of_request(request, context)
        task = decoded(version)
        if task.get("status") not in CLAIMED:
            raise BusinessRule(
                "HT-WF-32",
                reference=f"Task/{task['id']}",
                current=task.get("status"),
                expression="Task.status",
            )
        return Response(200, await _released(task, {"text": str(reason)} if reason else {}, context))

    return await retrying(attempt)


async def _released(task: Json, said: Json, context: Context) -> Json:
    """A task never runs backwards: it ends (`released`), and a new one with its draft is opened in the same commit."""
    actor = acting()
    _check_holder(task, actor)
    number = int(task["meta"]["versionId"])
    fresh = _successor(task, context)
    status = "cancelled" if task["status"] == "accepted" else "failed"
    ended = {**task, "status": status, "statusReason": coding(STATUS_REASON, "released") | said}
    if is_coordination(task):
        redirect = {
            "type": coding(TASK_INPUT, "redirect"),
            "valueReference": {"reference": f"Task/{fresh['id']}"},
        }
        ended["output"] = [*(task.get("output") or ()), redirect]
    # The reader lets go of what is his; on work tasks the dispatcher stands in the placer's place (§1.2).
    allowed = replace(actor, roles=actor.roles | {"disp", "ord"})
    with acting_as(allowed):
        [_, made] = await context.store.commit(
            Commit([Put(ended, expected=number), Put(fresh, expected=0, method="POST")])
        )
    return changed(made)


def _successor(task: Json, context: Context) -> Json:
    kept = (
        "basedOn", "partOf", "groupIdentifier", "intent", "priority", "code", "description", "focus", "for",
        "encounter", "requester", "restriction",
    )  # fmt: skip
    desk = enforced(context)
    now = desk.clock().isoformat(timespec="milliseconds")
    fresh: Json = {"resourceType": "Task", "id": context.new_id(), "status": "requested"}
    fresh |= {name: task[name] for name in kept if name in task}
    fresh["identifier"] = [{"system": "https://hutong.health/fhir/NamingSystem/task", "value": fresh["id"]}]
    fresh["businessStatus"] = phase(desk.packs(), first_phase(desk.packs(), category_of(task)))
    fresh["authoredOn"] = fresh["lastModified"] = now
    # The centre has it again: a work task's requester is the centre that opened it.
    centre = task.get("owner") if is_coordination(task) else task.get("requester") or task.get("owner")
    if centre:
        fresh["owner"] = centre
    drafts = [row for row in task.get("output") or () if "draft" in codes_of(row.get("type"))]
    known = list(task.get("input") or ())
    inputs = [*known, *(row for row in drafts if row not in known)]
    if inputs:
        fresh["input"] = inputs
    return fresh


def _check_holder(task: Json, actor: Actor) -> None:
    """Only who holds a task, or the dispatcher, lets go of it."""
    if "disp" in actor.roles or "ops" in actor.roles or actor.is_local:
        return
    holder = reference_of(task.get("owner"))
    mine = {actor.practitioner, actor.organization} - {None}
    if holder and holder not in mine and not holder.startswith("Organization/"):
        raise BusinessRule("HT-WF-33", reference=f"Task/{task['id']}", expression="Task.owner")


def _check_dispatcher(task: Json) -> None:
    actor = acting()
    if "disp" not in actor.roles:
        raise BusinessRule("HT-WF-34", reference=f"Task/{task['id']}", kind=kind_of("Task", task) or "-")


def _owner(given: Any, task: Json, actor: Actor) -> Json:
    """Return who claims: whom the caller names, else himself; an order's task stays with its centre."""
    if isinstance(given, dict) and given:
        return given
    known = task.get("owner")
    if is_coordination(task) and reference_of(known).startswith("Organization/"):
        return dict(known or {})
    if actor.practitioner is not None:
        owner: Json = {"reference": actor.practitioner}
        if actor.organization is not None:
            department = {"url": DEPARTMENT, "valueReference": {"reference": actor.organization}}
            owner["extension"] = [department]
        return owner
    if actor.organization is not None:
        return {"reference": actor.organization}
    return dict(known) if isinstance(known, dict) and known else {"display": actor.name}


async def _reading(task: Json, context: Context) -> Json | None:
    found = await open_tasks_of(
        context, part_of=f"Task/{task['id']}", code=f"{TASK_CODE}|read-report,{TASK_CODE}|verify-report"
    )
    waiting = [row for row in found if row.get("status") in BEFORE]
    return next(iter(waiting or found), None)


async def open_tasks_of(context: Context, **criteria: str) -> list[Json]:
    """Return the open tasks that a search finds."""
    desk = enforced(context)
    draft = Draft(
        Commit([]), context.store, actor=acting(), now=desk.clock(), new_id=context.new_id, packs=desk.packs()
    )
    return await open_tasks(draft, **criteria)


async def _write(wanted: Json, task: Json, context: Context) -> Response:
    number = int((task.get("meta") or {}).get("versionId") or 0)
    [version] = await context.store.commit(Commit([Put(wanted, expected=number)]))
    assert version is not None
    return Response(
        200, stored=version.body, headers=version_headers(version), last_updated=version.last_updated
    )
