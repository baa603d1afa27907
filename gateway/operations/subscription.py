"""Subscription/$status and $events: where a subscription stands, and its events again by their numbers.

https://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-status.html
https://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition-backport-subscription-events.html
"""

from gateway.operations.parameters import read_inputs
from gateway.outbound.subscriptions import Subscriptions
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Unavailable

MOST_EVENTS = 1_000
MOST_SUBSCRIPTIONS = 200
_CONTENTS = ("empty", "id-only", "full-resource")


async def status(request: Request, context: Context) -> Response:
    """`Subscription/ID/$status`, `Subscription/$status?id=…&status=…`: a searchset of status Parameters."""
    subscriptions = _of(context)
    inputs = read_inputs(request, context)
    if request.id is not None:
        ids = [request.id]
    else:
        ids = [part for text in inputs.all("id") for part in str(text).split(",") if part]
        if not ids:
            query = parse(
                "Subscription", [("_count", str(MOST_SUBSCRIPTIONS))], parameters=context.parameters
            )
            page = await context.store.search(query)
            ids = [version.id for version in page.matches]
    wanted = {part for text in inputs.all("status") for part in str(text).split(",") if part}
    rows = [await subscriptions.status(id) for id in ids[:MOST_SUBSCRIPTIONS]]
    kept = [row for row in rows if not wanted or _code(row, "status") in wanted]
    bundle: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(kept),
        "entry": [
            {"fullUrl": f"urn:uuid:{row['id']}", "resource": row, "search": {"mode": "match"}} for row in kept
        ],
    }
    return Response(resource=bundle)


async def events(request: Request, context: Context) -> Response:
    """`Subscription/ID/$events?eventsSinceNumber=3&eventsUntilNumber=9&content=full-resource`."""
    subscriptions = _of(context)
    inputs = read_inputs(request, context)
    since = _number(inputs.one("eventsSinceNumber"), "eventsSinceNumber", 1)
    until = _number(inputs.one("eventsUntilNumber"), "eventsUntilNumber", since + MOST_EVENTS - 1)
    content = inputs.one("content")
    if content is not None and content not in _CONTENTS:
        expected = ", ".join(_CONTENTS)
        raise InvalidInput(
            "HT-REST-15", name="content", value=str(content)[:40], expected_zh=expected, expected_en=expected
        )
    assert request.id is not None
    bundle = await subscriptions.events(
        request.id, since, until, content, base=request.base, most=MOST_EVENTS
    )
    return Response(resource=bundle)


def _number(value: object, name: str, default: int) -> int:
    if value is None:
        return default
    text = str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise InvalidInput(
            "HT-REST-15", name=name, value=text[:20], expected_zh="事件编号", expected_en="an event number"
        )
    return int(text)


def _code(parameters: Json, name: str) -> str:
    return next((str(row["valueCode"]) for row in parameters["parameter"] if row["name"] == name), "")


def _of(context: Context) -> Subscriptions:
    if context.subscriptions is None:
        raise Unavailable("HT-SUB-10")
    found: Subscriptions = context.subscriptions
    return found
