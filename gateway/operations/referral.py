"""Task/[id]/$redirect, Organization/$referral-relations (docs/workflow/referral.md)."""

from dataclasses import replace
from typing import Any

from gateway.care.record import find
from gateway.operations.parameters import read_inputs
from gateway.operations.task_version import decoded, enforced, of_request, retrying
from gateway.referral.check import relation_issues
from gateway.referral.order import direction_of
from gateway.referral.progress import refuse_ended
from gateway.referral.relation import relation_table
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import acting, acting_as
from gateway.workflow.coordination import (
    REDIRECTS,
    STATUS_REASON,
    TASK_INPUT,
    build,
    coding,
    organization_of,
)
from gateway.workflow.draft import Draft, reference_of
from gateway.workflow.judge import role_names
from gateway.workflow.needs import kind_of
from gateway.workflow.phases import phase
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput, Issue

DESKS = frozenset({"ref", "fdt", "disp", "ops"})
MOST_ORGANIZATIONS = 500


async def redirect(request: Request, context: Context) -> Response:
    """Pass a referral on to another organisation: the old Task ends (`redirected`), the new one is returned."""
    inputs = read_inputs(request, context)
    given, reason = inputs.one("performer"), str(inputs.one("reason") or "")
    for name, value in (("performer", reference_of(given)), ("reason", reason.strip())):
        if not value:
            raise InvalidInput("HT-WF-40", name=name, expression=f"Parameters.parameter.where(name='{name}')")

    async def attempt() -> Response:
        task = decoded(await of_request(request, context))
        _check(task)
        draft = _draft(context)
        await _check_holder(task, draft)
        order = await draft.read(reference_of(task.get("focus"))) or {}
        receiver = await organization_of(draft, reference_of(given)) or ""
        if not receiver or await draft.read(receiver) is None:
            raise InvalidInput(
                "HT-WF-40", name="performer", expression="Parameters.parameter.where(name='performer')"
            )
        await _check_way(draft, task, order, receiver)
        return Response(201, await _pass_on(task, order, receiver, reason, draft, context))

    return await retrying(attempt)


async def relations(request: Request, context: Context) -> Response:
    """Return who may refer to whom, as the levels of the stored organisations and the pack make it."""
    inputs = read_inputs(request, context)
    found = await find(context.store, "Organization", [("_sort", "_id")], most=MOST_ORGANIZATIONS)
    rows = relation_table(found, enforced(context).packs().rules("referral"))
    names = {f"Organization/{row['id']}": str(row.get("name") or "") for row in found}
    given = inputs.one("organization")
    only = given if isinstance(given, str) else reference_of(given)
    shown = [row for row in rows if not only or only in row[:2]]
    parameter: list[Json] = [{"name": "total", "valueInteger": len(shown)}]
    parameter += [
        {
            "name": "relation",
            "part": [
                {"name": "from", "valueReference": _named(sender, names)},
                {"name": "to", "valueReference": _named(receiver, names)},
                {"name": "direction", "valueCode": way},
            ],
        }
        for sender, receiver, way in shown
    ]
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


def _named(reference: str, names: dict[str, str]) -> Json:
    name = names.get(reference)
    return {"reference": reference, **({"display": name} if name else {})}


def _check(task: Json) -> None:
    reference = f"Task/{task['id']}"
    if kind_of("Task", task) != "referral":
        raise BusinessRule([Issue("HT-REF-13", {"reference": reference}, expression="Task.code")])
    refuse_ended(task)
    if not acting().may(DESKS):
        zh, en = role_names(DESKS)
        raise BusinessRule("HT-WF-44", reference=reference, who=en, who_zh=zh)
    if int(_passed(task)) >= REDIRECTS:
        values = {"reference": reference, "most": str(REDIRECTS)}
        raise BusinessRule([Issue("HT-REF-12", values, expression="Task.input")])


async def _check_holder(task: Json, draft: Draft) -> None:
    """Only the organisation that a referral is with passes it on, or the information centre."""
    actor = acting()
    owner = await organization_of(draft, reference_of(task.get("owner")))
    if actor.organization is None or "ops" in actor.roles or owner in (None, actor.organization):
        return
    values = {"reference": f"Task/{task['id']}", "owner": str(owner)}
    raise BusinessRule([Issue("HT-REF-14", values, expression="Task.owner")])


def _passed(task: Json) -> int:
    """Return how often a referral was passed on before it came here."""
    return sum(row.get("type") == coding(TASK_INPUT, "redirect") for row in task.get("input") or ())


async def _check_way(draft: Draft, task: Json, order: Json, receiver: str) -> None:
    """The sender stays who he is; the new receiver must fit him, and be another than the present one."""
    sender = await organization_of(draft, reference_of(task.get("requester"))) or ""
    rules = draft.packs.rules("referral")
    owner = await organization_of(draft, reference_of(task.get("owner"))) or ""
    way = direction_of(order)
    issues = await relation_issues(draft, owner, receiver, "", rules) if owner == receiver else []
    if sender and way and not issues:
        issues = await relation_issues(draft, sender, receiver, way, rules)
    if issues:
        raise BusinessRule(issues)


async def _pass_on(
    task: Json, order: Json, receiver: str, reason: str, draft: Draft, context: Context
) -> Json:
    requester: Any = task.get("requester") or {"display": acting().name}
    fresh = build(draft, order, owner=receiver, requester=requester, category="referral", id=context.new_id())
    earlier = {"type": coding(TASK_INPUT, "redirect"), "valueReference": {"reference": f"Task/{task['id']}"}}
    fresh["input"] = [*(task.get("input") or ()), earlier]
    ended = {
        **task,
        "status": "cancelled" if task["status"] == "accepted" else "rejected",
        "statusReason": coding(STATUS_REASON, "redirected") | {"text": reason},
        "businessStatus": phase(draft.packs, "redirected"),
        "output": [
            *(task.get("output") or ()),
            {"type": coding(TASK_INPUT, "redirect"), "valueReference": {"reference": f"Task/{fresh['id']}"}},
        ],
    }
    # Who has the referral passes it on, also after he accepted it; ending an accepted one else is the sender's.
    with acting_as(replace(acting(), roles=acting().roles | {"ref"})):
        [_, made] = await context.store.commit(
            Commit(
                [Put(ended, expected=int(task["meta"]["versionId"])), Put(fresh, expected=0, method="POST")]
            )
        )
    return decoded(made)


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
