"""DiagnosticReport/[id]/$sign, $amend, $withdraw, $verify-signature: a report is issued, changed, withdrawn (workflows §1.1)."""

import base64
from typing import Any

from gateway.operations.parameters import Inputs, output, read_inputs
from gateway.operations.task_version import decoded, enforced, of_request, retrying
from gateway.rest.admit import admit
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response, version_headers
from gateway.search.parse import parse
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import Actor, acting
from gateway.workflow.desk import Desk
from gateway.workflow.draft import reference_of
from gateway.workflow.needs import ISSUED
from gateway.workflow.signer import AUTHOR, VERIFIER, canonical, signature
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput

CHANGES = ("amended", "corrected", "appended")
ACTION = {"amend": ("修订", "amended"), "withdraw": ("撤回", "withdrawn")}


async def sign(request: Request, context: Context) -> Response:
    """Make the report final, with the auditor's signature; 409 HT-WF-36 when it is signed already."""
    comment = read_inputs(request, context).one("comment")

    async def attempt() -> Response:
        version = await of_request(request, context)
        report = decoded(version)
        if report.get("status") in ISSUED:
            raise BusinessRule(
                "HT-WF-36",
                reference=f"DiagnosticReport/{version.id}",
                current=report["status"],
                at=report.get("issued") or version.last_updated.isoformat(),
                expression="DiagnosticReport.status",
            )
        return await _issue(report, "final", version.version, context, type=VERIFIER, reason=comment)

    return await retrying(attempt)


async def amend(request: Request, context: Context) -> Response:
    """Issue a changed report; who saw the earlier version is asked to acknowledge."""
    inputs = read_inputs(request, context)
    reason = required(inputs, "reason")
    status = inputs.one("status", "amended")
    if status not in CHANGES:
        raise InvalidInput("HT-REST-31", name="status", value=str(status)[:40], type=" | ".join(CHANGES))

    async def attempt() -> Response:
        version = await of_request(request, context)
        report = decoded(version)
        _check_issued(report, "amend")
        changed = _changed(report, inputs, context)
        return await _issue(changed, status, version.version, context, type=AUTHOR, reason=reason)

    return await retrying(attempt)


async def withdraw(request: Request, context: Context) -> Response:
    """Set an issued report to entered-in-error."""
    reason = required(read_inputs(request, context), "reason")

    async def attempt() -> Response:
        version = await of_request(request, context)
        report = decoded(version)
        _check_issued(report, "withdraw")
        return await _issue(report, "entered-in-error", version.version, context, type=AUTHOR, reason=reason)

    return await retrying(attempt)


async def verify_signature(request: Request, context: Context) -> Response:
    """Tell whether the newest signature stands on the report as it is now, whose it is and when."""
    desk = enforced(context)
    version = await of_request(request, context)
    reference = f"DiagnosticReport/{version.id}"
    content = canonical(decoded(version))
    params = [("target", reference), ("_sort", "-_lastUpdated"), ("_count", "100")]
    page = await context.store.search(parse("Provenance", params, strict=True, parameters=context.parameters))
    for row in page.matches:
        for made in decode_resource(row.body or b"{}").get("signature") or ():
            jws = base64.b64decode(made.get("data") or "").decode("ascii", "replace")
            valid = desk.signer.verify(content, jws)
            return Response(
                200,
                output(
                    ("valid:valueBoolean", valid),
                    ("who:valueReference", made["who"]),
                    ("when:valueInstant", made["when"]),
                    ("provenance:valueReference", {"reference": f"Provenance/{row.id}"}),
                ),
            )
    raise BusinessRule("HT-WF-41", reference=reference)


async def _issue(
    report: Json, status: str, number: int, context: Context, *, type: Json, reason: Any
) -> Response:
    desk, actor = enforced(context), acting()
    now = desk.clock().isoformat(timespec="milliseconds")
    issued = {**report, "status": status, "issued": now}
    if actor.practitioner is not None and status != "entered-in-error":
        known = [reference_of(row) for row in report.get("resultsInterpreter") or ()]
        if actor.practitioner not in known:
            issued["resultsInterpreter"] = [
                *(report.get("resultsInterpreter") or ()), {"reference": actor.practitioner}
            ]  # fmt: skip
    admit(issued, context)
    record = _provenance(issued, desk, actor, now, context, type=type, reason=reason)
    [version, _] = await context.store.commit(
        Commit([Put(issued, expected=number), Put(record, expected=0, method="POST")])
    )
    assert version is not None
    return Response(
        200, stored=version.body, headers=version_headers(version), last_updated=version.last_updated
    )


def _provenance(
    report: Json, desk: Desk, actor: Actor, now: str, context: Context, *, type: Json, reason: Any
) -> Json:
    agent: Json = {"who": actor.who()}
    if actor.practitioner and actor.organization:
        agent["onBehalfOf"] = {"reference": actor.organization}
    record: Json = {
        "resourceType": "Provenance",
        "id": context.new_id(),
        "target": [{"reference": f"DiagnosticReport/{report['id']}"}],
        "recorded": now,
        "policy": [desk.packs().uri("signing")],
        "activity": {"text": f"DiagnosticReport.status: {report['status']}"},
        "agent": [agent],
        "signature": [signature(desk.signer, report, who=actor.who(), when=now, type=type)],
    }
    if reason:
        record["reason"] = [{"text": str(reason)}]
    return record


def _changed(report: Json, inputs: Inputs, context: Context) -> Json:
    """Return the report with what the caller changes: a whole report, or its conclusion."""
    given = inputs.one("report")
    if isinstance(given, dict):
        admit({**given, "id": report["id"]}, context)
        report = {**given, "id": report["id"], "meta": report.get("meta", {})}
    conclusion = inputs.one("conclusion")
    return {**report, "conclusion": str(conclusion)} if conclusion else report


def _check_issued(report: Json, action: str) -> None:
    if report.get("status") not in ISSUED:
        zh, en = ACTION[action]
        raise BusinessRule(
            "HT-WF-39",
            reference=f"DiagnosticReport/{report['id']}",
            current=report.get("status"),
            action=en,
            action_zh=zh,
            expression="DiagnosticReport.status",
        )


def required(inputs: Inputs, name: str) -> str:
    """Return a text parameter; raises InvalidInput (HT-WF-40) when it is missing or empty."""
    value = inputs.one(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("HT-WF-40", name=name, expression=f"Parameters.parameter.where(name='{name}')")
    return value
