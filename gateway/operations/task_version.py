"""What the operations of the workflows share: the version that a request means, and trying again after another's write."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.rest.conditional import expected_version
from gateway.rest.context import Context, pause
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.store.protocol import Version
from gateway.workflow.desk import Desk
from terminology.fhirjson import Json, decode_resource
from terminology.issues import NotAllowed, PreconditionFailed, VersionConflict

ATTEMPTS = 16
T = TypeVar("T")


def enforced(context: Context) -> Desk:
    """Return the workflows of this server; raises NotAllowed (HT-WF-35) where they are switched off."""
    if context.workflow is None:
        raise NotAllowed("HT-WF-35", allowed="")
    return context.workflow


async def of_request(request: Request, context: Context) -> Version:
    """Return the resource that the request names; an If-Match that is old is 412, or 409 for a claim that came late."""
    desk = enforced(context)
    version = await current(request, context)
    try:
        expected_version(request, version)
    except PreconditionFailed:
        if request.operation is not None and request.operation.name == "claim":
            await desk.explain_claim({**decoded(version), "status": "accepted"}, version)
        raise
    return version


async def retrying(attempt: Callable[[], Awaitable[T]]) -> T:
    """Run a change again as long as another write comes between; raises VersionConflict after that."""
    for number in range(ATTEMPTS):
        try:
            return await attempt()
        except VersionConflict:
            await pause(number)
    return await attempt()


def decoded(version: Version | None) -> Json:
    assert version is not None
    assert version.body is not None
    return decode_resource(version.body)


def changed(version: Version | None) -> Json:
    """Return what a commit wrote."""
    return decoded(version)
