"""history: the versions of a resource, a type, or everything (https://hl7.org/fhir/R4/http.html#history).

Newest first (`_sort=-_lastUpdated`, the default); `_sort=_lastUpdated` turns one page's order round only for a
resource's own history, which is short.
"""

import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec import Raw

from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response, http_date
from gateway.rest.summary import SUMMARIES
from gateway.search.date import date_range
from gateway.store.protocol import Version
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue, NotFound

KNOWN = {
    "_since",
    "_before",
    "_at",
    "_count",
    "_sort",
    "_cursor",
    "_format",
    "_pretty",
    "_summary",
    "_elements",
}
STATUS = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """Which versions are asked for: written in [since, before), or current at some moment of [at_low, at_high)."""

    since: datetime | None = None
    before: datetime | None = None
    at_low: datetime | None = None
    at_high: datetime | None = None
    count: int = 50
    is_ascending: bool = False
    only_total: bool = False
    cursor: tuple[int, str] | None = None


async def history(request: Request, context: Context) -> Response:
    """Return a page of versions; 404 when the resource never was."""
    span = read_span(request, context)
    if request.id is not None and await context.store.read(request.type or "", request.id) is None:
        raise NotFound("HT-REST-01", type=request.type, id=request.id)
    if span.only_total:
        total = 0
        async for _ in _versions(request, context, span):
            total += 1
        return Response(200, _bundle([], total, [], request))
    page: list[Version] = []
    cursor: str | None = None
    async for version in _page(request, context, span):
        if len(page) == span.count:
            cursor = _cursor(page[-1])
            break
        page.append(version)
    total_known = None if cursor or span.cursor else len(page)
    links = [{"relation": "self", "url": _link(request, None)}]
    if cursor:
        links.append({"relation": "next", "url": _link(request, cursor)})
    response = Response(200, _bundle(page, total_known, links, request))
    if page:
        response.headers["Last-Modified"] = http_date(page[0].last_updated)
    return response


async def _page(request: Request, context: Context, span: Span) -> AsyncIterator[Version]:
    """Yield what follows the cursor; versions of the same instant are told apart by their name."""
    if span.is_ascending:
        rows = [version async for version in _versions(request, context, span)]
        rows.reverse()
        passed = span.cursor is None
        for version in rows:
            if passed:
                yield version
            elif (_micros(version.last_updated), _name(version)) == span.cursor:
                passed = True
        return
    waits = span.cursor is not None
    async for version in _versions(request, context, span):
        if waits and span.cursor is not None:
            micros, name = span.cursor
            if _micros(version.last_updated) > micros:
                continue
            if _micros(version.last_updated) == micros:
                waits = _name(version) != name
                continue
            waits = False
        yield version


async def _versions(request: Request, context: Context, span: Span) -> AsyncIterator[Version]:
    """Yield the versions of the span, newest first."""
    until = span.before or span.at_high
    if span.cursor is not None and not span.is_ascending:
        last = EPOCH + timedelta(microseconds=span.cursor[0] + 1)
        until = last if until is None or last < until else until
    newer: dict[tuple[str, str], datetime] = {}
    async for version in context.store.history(request.type, request.id, since=span.since, until=until):
        if span.at_low is not None:
            key = (version.type, version.id)
            replaced = newer.get(key)
            newer[key] = version.last_updated
            if replaced is not None and replaced <= span.at_low:
                continue
            # http.html#history _at: "current at some point during the period"; a deletion shows no content.
            if version.body is None and version.last_updated <= span.at_low:
                continue
        yield version


def read_span(request: Request, context: Context) -> Span:
    """Return what the parameters ask for; raises InvalidInput with every parameter that is wrong."""
    problems: list[Issue] = []
    values: dict[str, str] = {}
    for name, value in request.params:
        if name not in KNOWN and request.preference("handling") == "strict":
            problems.append(
                _wrong(name, value, f"{', '.join(sorted(KNOWN))} 之一", f"one of {', '.join(sorted(KNOWN))}")
            )
        values[name] = value
    since = _instant(values, "_since", problems)
    before = _instant(values, "_before", problems)
    if before and before[0] > context.clock():
        problems.append(_wrong("_before", values["_before"], "已过去的时刻", "a moment in the past"))
    at = _instant(values, "_at", problems)
    if values.get("_sort", "-_lastUpdated") not in ("_lastUpdated", "-_lastUpdated"):
        problems.append(
            _wrong("_sort", values["_sort"], "_lastUpdated 或 -_lastUpdated", "_lastUpdated or -_lastUpdated")
        )
    ascending = values.get("_sort") == "_lastUpdated"
    if ascending and request.id is None:
        problems.append(
            _wrong("_sort", "_lastUpdated", "-_lastUpdated(类型与系统历史只能由新到旧)", "-_lastUpdated here")
        )
    if values.get("_summary", "false") not in SUMMARIES:
        problems.append(Issue("HT-REST-13", {"value": values["_summary"][:40]}))
    count = _count(values, context, problems)
    cursor = _read_cursor(values["_cursor"], problems) if "_cursor" in values else None
    if problems:
        raise InvalidInput(problems)
    return Span(
        since=since[0] if since else None,
        before=before[0] if before else None,
        at_low=at[0] if at else None,
        at_high=at[1] if at else None,
        count=count,
        is_ascending=ascending,
        only_total=values.get("_summary") == "count" or count == 0,
        cursor=cursor,
    )


def _count(values: dict[str, str], context: Context, problems: list[Issue]) -> int:
    text = values.get("_count", str(context.limits.default_page))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        problems.append(_wrong("_count", text, "非负整数", "a whole number, 0 or more"))
        return 0
    return min(int(text), context.limits.page)


def _instant(values: dict[str, str], name: str, problems: list[Issue]) -> tuple[datetime, datetime] | None:
    if name not in values:
        return None
    # A "+" of an unescaped offset arrives as a space.
    text = values[name].replace(" ", "+")
    try:
        low, high = date_range(text)
        return EPOCH + timedelta(microseconds=low), EPOCH + timedelta(microseconds=high)
    except (ValueError, OverflowError):
        problems.append(_wrong(name, values[name], "FHIR 日期或时刻", "a date or instant of FHIR"))
        return None


def _wrong(name: str, value: str, zh: str, en: str) -> Issue:
    return Issue("HT-REST-15", {"name": name, "value": value[:80], "expected_zh": zh, "expected_en": en})


def _micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def _name(version: Version) -> str:
    return f"{version.type}/{version.id}/{version.version}"


def _cursor(version: Version) -> str:
    text = f"{_micros(version.last_updated)} {_name(version)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(text: str, problems: list[Issue]) -> tuple[int, str] | None:
    try:
        micros, _, name = (
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            .decode("ascii")
            .partition(" ")
        )
        if 0 < int(micros) < 253_402_300_800_000_000 and name.count("/") == 2:
            return int(micros), name
    except (ValueError, binascii.Error):
        pass
    problems.append(
        _wrong("_cursor", text, "服务器在 next 链接中给出的值", "the value of the server's next link")
    )
    return None


def _link(request: Request, cursor: str | None) -> str:
    parts = [part for part in request.query.split("&") if part and not part.startswith("_cursor=")]
    if cursor:
        parts.append(f"_cursor={cursor}")
    where = f"{request.base}/{request.path}"
    return f"{where}?{'&'.join(parts)}" if parts else where


def _bundle(page: list[Version], total: int | None, links: list[Json], request: Request) -> Json:
    bundle: Json = {"resourceType": "Bundle", "type": "history"}
    if total is not None:
        bundle["total"] = total
    if links:
        bundle["link"] = links
    if page:
        bundle["entry"] = [_entry(version, request) for version in page]
    return bundle


def _entry(version: Version, request: Request) -> Json:
    """http.html#history: a deletion has no resource, the others carry theirs as it was."""
    where = version.type if version.method == "POST" else f"{version.type}/{version.id}"
    status = "201 Created" if version.version == 1 and version.method == "PUT" else STATUS[version.method]
    entry: Json = {"fullUrl": f"{request.base}/{version.type}/{version.id}"}
    if version.body is not None:
        entry["resource"] = Raw(version.body)
    entry["request"] = {"method": version.method, "url": where}
    entry["response"] = {
        "status": status,
        "etag": f'W/"{version.version}"',
        "lastModified": version.last_updated.astimezone(UTC).isoformat(timespec="milliseconds"),
    }
    return entry
