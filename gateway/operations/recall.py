"""[type]/[id]/$recall: a person asks everybody who saw a result to acknowledge a notice (workflows §1.5)."""

from gateway.operations.parameters import output, read_inputs
from gateway.operations.sign import required
from gateway.operations.task_version import decoded, enforced, of_request
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import acting
from gateway.workflow.correction import recall
from gateway.workflow.draft import Draft
from terminology.fhirjson import Json
from terminology.issues import BusinessRule


async def recall_result(request: Request, context: Context) -> Response:
    """Return whom the recall reaches, with the Task of each; the result itself stays as it is."""
    desk, actor = enforced(context), acting()
    reason = required(read_inputs(request, context), "reason")
    _check_role(request)
    resource = decoded(await of_request(request, context))
    draft = Draft(
        Commit([]), desk.store.plain, actor=actor, now=desk.clock(), new_id=context.new_id, packs=desk.packs()
    )
    await recall(draft, resource, reason="recalled")
    changes = list(draft.changes.values())
    for change in changes:
        assert isinstance(change, Put)
        change.resource["statusReason"]["text"] = reason
    await context.store.commit(Commit(changes, outbox=draft.outbox))
    rows: list[Json] = [
        {
            "name": "recipient",
            "part": [
                {"name": "organization", "valueReference": change.resource["owner"]},
                {"name": "task", "valueReference": {"reference": f"Task/{change.resource['id']}"}},
            ],
        }
        for change in changes
        if isinstance(change, Put)
    ]
    return Response(200, output(("count:valueInteger", len(rows)), *rows))


def _check_role(request: Request) -> None:
    allowed = {"disp", "read", "aud", "ops"}
    if not acting().roles & allowed:
        raise BusinessRule("HT-WF-43", reference=f"{request.type}/{request.id}")
