"""Patient/$resolve-health-card: the content of a QR code becomes the Patient (docs/workflow/policy.md)."""

from pathlib import Path

from gateway.care.health_card import read_card
from gateway.care.record import find
from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.escape import escape
from gateway.store.protocol import Commit
from gateway.workflow.audited import operation_audit
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, FhirError, InvalidInput, NotFound


async def resolve(request: Request, context: Context) -> Response:
    """Return the patient of a code; every call is kept in the audit, refused ones with their reason."""
    code = read_inputs(request, context).one("code")
    if not isinstance(code, str) or not code:
        raise InvalidInput("HT-WF-40", name="code", expression="Parameters.parameter.where(name='code')")
    try:
        patient = await _patient(code, context)
    except FhirError as error:
        await _keep(context, "", error.issues[0].code)
        raise
    await _keep(context, f"Patient/{patient['id']}", "")
    return Response(200, patient)


async def _patient(code: str, context: Context) -> Json:
    if context.workflow is None or context.health_card_key is None:
        raise BusinessRule("HT-HC-07")
    rules = context.workflow.packs().rules("health-card")
    card = read_card(code, rules, _key(context.health_card_key), now=context.workflow.clock())
    # The hexadecimal digits of the index are written in either case.
    wanted = ",".join(
        f"{rules['system']}|{escape(index)}"
        for index in dict.fromkeys((card.index, card.index.upper(), card.index.lower()))
    )
    found = await find(context.store, "Patient", [("identifier", wanted)], most=2)
    if not found:
        raise NotFound("HT-HC-05")
    if len(found) > 1:
        raise BusinessRule("HT-HC-06", count=len(found))
    return found[0]


def _key(path: Path) -> bytes:
    """Return the key of the card platform: the file's content without white space around it."""
    try:
        key = path.read_bytes().strip()
    except OSError:
        key = b""
    if not key:
        raise BusinessRule("HT-HC-07")
    return key


async def _keep(context: Context, patient: str, refused: str) -> None:
    row = operation_audit(
        patient,
        f"resolve-health-card {refused}".strip(),
        action="E",
        is_refused=bool(refused),
        now=context.clock(),
    )
    await context.store.commit(Commit([], audit=[row]))
