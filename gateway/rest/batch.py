"""batch: independent requests in one message (https://hl7.org/fhir/R4/http.html#transaction).

The failure of one entry changes nothing for the others; each has its own answer, in the order of the questions.
"""

import asyncio
import logging
from typing import Any

from msgspec import Raw

from gateway.rest.bundle import ORDER, Entry, at_entry, read_entry
from gateway.rest.context import Context
from gateway.rest.outcomes import outcome, refuse
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.route import match
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, Issue

log = logging.getLogger("gateway.rest")

AT_ONCE = 16
PHRASES = {200: "200 OK", 201: "201 Created", 204: "204 No Content", 304: "304 Not Modified"}


async def batch(rows: list[Any], request: Request, context: Context) -> Response:
    """Answer each entry; deletes first, then creates, updates, reads, each group side by side."""
    answers: list[Json] = [{} for _ in rows]
    entries: list[Entry] = []
    for number, row in enumerate(rows):
        try:
            entries.append(read_entry(row, number, request))
        except FhirError as error:
            answers[number] = answer(refuse(error, request, docs=context.docs), None)
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(entry: Entry) -> None:
        async with gate:
            answers[entry.number] = answer(await perform(entry, context), entry)

    for phase in sorted(set(ORDER.values())):
        await asyncio.gather(*(run(entry) for entry in entries if ORDER[entry.request.method] == phase))
    return Response(200, {"resourceType": "Bundle", "type": "batch-response", "entry": answers})


async def perform(entry: Entry, context: Context) -> Response:
    """Return the response of one entry, whatever happens."""
    nested = entry.request
    try:
        if nested.path == "" and nested.method == "POST":
            raise InvalidInput("HT-REST-98")
        return await match(nested, context)(nested, context)
    except FhirError as error:
        return refuse(at_entry(error, entry), nested, docs=context.docs)
    except Exception:
        log.exception("batch entry failed", extra={"request_id": nested.request_id})
        issue = Issue("HT-REST-99", {"id": nested.request_id}, severity="fatal", expression=entry.place)
        return Response(500, outcome([issue], nested, docs=context.docs))


def answer(response: Response, entry: Entry | None) -> Json:
    """Return the entry of the response Bundle."""
    told: Json = {"status": PHRASES.get(response.status, str(response.status))}
    headers = response.headers
    if "Location" in headers:
        told["location"] = headers["Location"]
    if "ETag" in headers:
        told["etag"] = headers["ETag"]
    if response.last_updated is not None:
        told["lastModified"] = response.last_updated.isoformat()
    row: Json = {}
    body: Any = Raw(response.stored) if response.stored is not None else response.resource
    is_outcome = response.resource is not None and response.resource.get("resourceType") == "OperationOutcome"
    if body is not None and is_outcome:
        told["outcome"] = body
    elif body is not None:
        if entry is not None and entry.request.id is not None and entry.request.method != "POST":
            row["fullUrl"] = f"{entry.request.base}/{entry.request.type}/{entry.request.id}"
        row["resource"] = body
    row["response"] = told
    return row
