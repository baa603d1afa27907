"""Conditions of writes: criteria to matches, ETags to versions, and deciding again when another write was faster.

https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #cdelete, #concurrency
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from gateway.rest.context import Context, pause
from gateway.rest.request import Request, etag_version, read_params
from gateway.search.parse import parse
from gateway.store.protocol import Guard, GuardFailed, Version
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, PreconditionFailed, VersionConflict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What a condition matches now, and the guard that makes the commit fail when that has changed."""

    criteria: str
    matches: Sequence[Version]
    guard: Guard

    def one(self) -> Version:
        """Return the only match; raises PreconditionFailed when there are several (http.html#cond-update)."""
        if len(self.matches) > 1:
            raise PreconditionFailed("HT-REST-60", criteria=self.criteria[:200], count=len(self.matches))
        return self.matches[0]


async def search_criteria(type: str | None, criteria: str, context: Context, *, most: int = 2) -> Found:
    """Return at most `most` matches of "identifier=…&birthdate=…".

    Unknown parameters are refused always: a condition that is ignored would match everything (http.html#ccreate).
    Raises InvalidInput when the criteria are empty.
    """
    text = criteria.strip().partition("?")[2] if "?" in criteria else criteria.strip()
    params = [pair for pair in read_params(text) if not pair[0].startswith("_format")]
    if not any(value for _, value in params):
        raise InvalidInput("HT-REST-63")
    await context.know_codes(params)
    query = parse(
        type,
        [*params, ("_count", str(most))],
        strict=True,
        parameters=context.parameters,
        terminology=context.codes,
        max_count=context.limits.matches + 1,
    )
    page = await context.store.search(query)
    guard = Guard(query, frozenset(version.id for version in page.matches))
    return Found(criteria, page.matches, guard)


async def deciding(decide: Callable[[], Awaitable[T]], context: Context) -> T:
    """Run `decide` (search, then a guarded commit) again as long as a parallel write makes its search stale."""
    for attempt in range(context.commit_retries):
        try:
            return await decide()
        except GuardFailed:
            await pause(attempt)
    raise VersionConflict("HT-REST-62")


def expected_version(request: Request, current: Version | None) -> int | None:
    """Return the version that the write must find, None when the request doesn't say (http.html#concurrency).

    Raises PreconditionFailed when If-Match or If-None-Match already fails against `current`.
    """
    tag = request.headers.get("if-match")
    exists = current is not None and current.body is not None
    number = current.version if current is not None else 0
    unless = request.headers.get("if-none-match")
    if unless is not None:
        # R4: If-None-Match: * = create only when there is nothing yet.
        if exists and (unless.strip() == "*" or etag_version(unless, "If-None-Match") == number):
            raise PreconditionFailed("HT-REST-64", value=unless[:80], version=number)
        return number
    if tag is None:
        return None
    if tag.strip() == "*":
        if not exists:
            raise PreconditionFailed("HT-REST-61", value=tag[:80], version=number)
        return number
    if not exists or etag_version(tag, "If-Match") != number:
        raise PreconditionFailed("HT-REST-61", value=tag[:80], version=number)
    return number


async def expected_of(
    request: Request, current: Version | None, wanted: Json, context: Context
) -> int | None:
    """Return the version that a change to `wanted` must find; where states are enforced some need If-Match (HT-WF-13).

    A claim that comes after another's is told who was first (409), not only that its version is old (412).
    """
    try:
        expected = expected_version(request, current)
    except PreconditionFailed:
        if context.workflow is not None:
            await context.workflow.explain_claim(wanted, current)
        raise
    if context.workflow is not None and "if-match" not in request.headers:
        context.workflow.check_match(wanted, current)
    return expected


async def swapping(write: Callable[[], Awaitable[T]], request: Request) -> T:
    """Run a compare-and-swap write; a lost race under If-Match is 412, as if the caller had come later."""
    try:
        return await write()
    except VersionConflict:
        if "if-match" in request.headers or "if-none-match" in request.headers:
            value = request.headers.get("if-match") or request.headers.get("if-none-match") or ""
            raise PreconditionFailed("HT-REST-61", value=value[:80], version="?") from None
        raise
