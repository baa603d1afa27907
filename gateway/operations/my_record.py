"""Patient/[id]/$my-record: the record as its owner sees it, or whom he allowed (docs/workflow/policy.md)."""

from dataclasses import replace

from gateway.care.own_record import OWN, TYPES, Permission, permission
from gateway.care.record import find
from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Params, Request
from gateway.rest.response import Response
from gateway.rest.search import searchset
from gateway.search.parse import parse
from gateway.store.protocol import Commit
from gateway.workflow.audited import operation_audit
from terminology.fhirjson import decode_resource
from terminology.issues import Forbidden, InvalidInput


async def my_record(request: Request, context: Context) -> Response:
    """Return a page of the record; who reads whose is kept in the audit. Raises Forbidden (HT-MY-02) without a Consent."""
    reader = context.patient_of(request)
    patient = f"Patient/{request.id}"
    allowed = await _permission(reader, patient, context)
    await current(request, context)
    inputs = read_inputs(request, context)
    wanted = [name for value in inputs.all("_type") for name in str(value).split(",") if name]
    if unknown := [name for name in wanted if name not in TYPES]:
        raise InvalidInput("HT-REST-31", name="_type", value=unknown[0][:40], type=" | ".join(TYPES))
    params: Params = [("_type", ",".join(wanted or TYPES))]
    if inputs.one("_since") is not None:
        params.append(("_lastUpdated", f"ge{inputs.one('_since')}"))
    params += [
        (name, str(inputs.one(name))) for name in ("_count", "_cursor") if inputs.one(name) is not None
    ]
    query = parse(
        None,
        params,
        strict=True,
        parameters=context.parameters,
        compartment=("Patient", request.id or ""),
        default_count=context.limits.default_page,
        max_count=context.limits.page,
    )
    query = replace(query, total="none", used=tuple(row for row in request.params if row[0] != "_cursor"))
    page = await context.store.search(query)
    shown = [
        row
        for row in page.matches
        if row.body is not None and allowed.shows(decode_resource(row.body), patient)
    ]
    row = operation_audit(
        patient,
        f"my-record: {len(shown)} resources",
        action="R",
        now=context.clock(),
        who=f"Patient/{reader}" if reader is not None else "",
    )
    await context.store.commit(Commit([], audit=[row]))
    return Response(200, searchset(replace(page, matches=shown), query, request, context))


async def _permission(reader: str | None, patient: str, context: Context) -> Permission:
    if reader is None or f"Patient/{reader}" == patient:
        return OWN
    consents = await find(context.store, "Consent", [("patient", patient), ("status", "active")])
    found = permission(consents, f"Patient/{reader}", context.clock().isoformat())
    if found is None:
        raise Forbidden("HT-MY-02")
    return found
