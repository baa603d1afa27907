"""Prefer: respond-async: the answer is prepared while the caller does something else.

https://hl7.org/fhir/R4/async.html: 202 with Content-Location, polled until 200. The finished answer is a Bundle with
one entry whose `response` is the answer's status (the form that R5 fixed; R4 leaves it open for other requests than
bulk export). Answers live in this process for an hour.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.rest.context import Context
from gateway.rest.outcomes import refuse
from gateway.rest.render import tree
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json
from terminology.issues import FhirError, NotFound, Throttled

Interaction = Callable[[Request, Context], Awaitable[Response]]

KEPT_SECONDS = 3600.0
MOST = 64


@dataclass(slots=True)
class Job:
    """One request under way or answered."""

    task: asyncio.Task[Response]
    started: float


class Jobs:
    """The requests that are being answered in the background; at most 64, forgotten after an hour."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, id: str, work: Callable[[], Awaitable[Response]]) -> None:
        """Start `work`; raises Throttled when too many are under way."""
        now = time.monotonic()
        for old, job in list(self._jobs.items()):
            if job.task.done() and now - job.started > KEPT_SECONDS:
                del self._jobs[old]
        if len(self._jobs) >= MOST:
            raise Throttled("HT-REST-56", limit=MOST)

        async def run() -> Response:
            return await work()

        self._jobs[id] = Job(asyncio.create_task(run()), now)

    def find(self, id: str | None) -> Job:
        """Return a job; raises NotFound."""
        job = self._jobs.get(id or "")
        if job is None:
            raise NotFound("HT-REST-57", id=id)
        return job

    def forget(self, id: str | None) -> None:
        self.find(id).task.cancel()
        del self._jobs[id or ""]


async def start(interaction: Interaction, request: Request, context: Context) -> Response:
    """Accept the request: 202 and where to ask for the answer."""
    id = context.new_id()

    async def work() -> Response:
        try:
            return await interaction(request, context)
        except FhirError as error:
            return refuse(error, request, docs=context.docs)

    context.jobs.add(id, work)
    return Response(202, headers={"Content-Location": f"{request.base}/async/{id}"})


async def status(request: Request, context: Context) -> Response:
    """Return 202 while the job runs, then its answer as a batch-response Bundle."""
    job = context.jobs.find(request.id)
    if not job.task.done():
        seconds = int(time.monotonic() - job.started)
        return Response(202, headers={"X-Progress": f"in progress for {seconds} s", "Retry-After": "1"})
    answer = job.task.result()
    entry: Json = {"response": {"status": str(answer.status)}}
    if "Location" in answer.headers:
        entry["response"]["location"] = answer.headers["Location"]
    if "ETag" in answer.headers:
        entry["response"]["etag"] = answer.headers["ETag"]
    if answer.stored is not None or answer.resource is not None:
        entry["response" if answer.status >= 400 else "resource"] = (
            {**entry["response"], "outcome": tree(answer)} if answer.status >= 400 else tree(answer)
        )
    return Response(200, {"resourceType": "Bundle", "type": "batch-response", "entry": [entry]})


async def cancel(request: Request, context: Context) -> Response:
    """Give up a job or throw its answer away."""
    context.jobs.forget(request.id)
    return Response(202)
