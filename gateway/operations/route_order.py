"""ServiceRequest/[id]/$route: an order goes to a centre, after nobody was found or its centre rejected it (workflows §1.3)."""

from dataclasses import replace

from gateway.operations.parameters import read_inputs
from gateway.operations.task_version import decoded, enforced, of_request, retrying
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import acting, acting_as
from gateway.workflow.coordination import (
    OPEN,
    STATUS_REASON,
    TASK_INPUT,
    category_of,
    coding,
    coordination_task,
    task_id,
)
from gateway.workflow.draft import Draft, reference_of
from gateway.workflow.judge import role_names
from gateway.workflow.order import place_task, requester_of
from gateway.workflow.routing import route_for
from terminology.fhirjson import Json
from terminology.issues import BusinessRule

ROUTERS = frozenset({"ord", "ref", "fdt", "disp", "ops"})


async def route(request: Request, context: Context) -> Response:
    """Return the new coordination Task, or the entry for a person when still nobody takes the order."""
    given = read_inputs(request, context).one("performer")
    if not acting().may(ROUTERS):
        zh, en = role_names(ROUTERS)
        raise BusinessRule("HT-WF-44", reference=f"ServiceRequest/{request.id}", who=en, who_zh=zh)

    async def attempt() -> Response:
        desk = enforced(context)
        order = decoded(await of_request(request, context))
        draft = Draft(
            Commit([]),
            desk.store.plain,
            actor=acting(),
            now=desk.clock(),
            new_id=context.new_id,
            packs=desk.packs(),
        )
        reference = f"ServiceRequest/{order['id']}"
        if order.get("status") != "active":
            raise BusinessRule("HT-WF-07", reference=reference, status=order.get("status"))
        task = await coordination_task(draft, reference)
        if task is not None and task.get("status") not in ("rejected", "failed", "cancelled"):
            raise BusinessRule(
                "HT-WF-42", reference=reference, task=f"Task/{task['id']}", status=task.get("status")
            )
        wanted = [reference_of(given)] if isinstance(given, dict) else []
        if not wanted and task is None:
            wanted = [reference_of(row) for row in order.get("performer") or ()]
        found = await route_for(draft, order, category_of(order), wanted)
        entry = await draft.read(f"Task/{task_id('route', order['id'])}")
        if found.owner is None and entry is not None:
            return Response(200, entry)
        made = place_task(
            draft, order, category_of(order), found, requester=await requester_of(draft, order),
            id=context.new_id() if task is not None else "",
        )  # fmt: skip
        changes = list(draft.changes.values())
        if task is not None:
            changes.append(Put(_redirected(task, made), expected=int(task["meta"]["versionId"])))
        if entry is not None and entry.get("status") in OPEN and found.owner is not None:
            changes += _closed(entry)
        # Closing the entry and noting where the order went is the gateway's bookkeeping for whoever may route.
        with acting_as(replace(acting(), roles=acting().roles | {"ops"})):
            written = await context.store.commit(Commit(changes))
        return Response(201, decoded(written[0]))

    return await retrying(attempt)


def _redirected(task: Json, made: Json) -> Json:
    redirect = {
        "type": coding(TASK_INPUT, "redirect"),
        "valueReference": {"reference": f"Task/{made['id']}"},
    }
    return {**task, "output": [*(task.get("output") or ()), redirect]}


def _closed(entry: Json) -> list[Put]:
    """The entry that asked for a centre has its answer."""
    ended = {**entry, "status": "cancelled", "statusReason": coding(STATUS_REASON, "routed")}
    return [Put(ended, expected=int(entry["meta"]["versionId"]))] if entry["status"] != "in-progress" else []
