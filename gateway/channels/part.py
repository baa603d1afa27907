"""A part of the HTTP front that is not FHIR: what `/messages`, `/catalogues` and `/codes` share at the edge."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.rest.asgi import request_id_of
from gateway.rest.outcomes import STATUS, outcome
from gateway.rest.request import Request
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, Issue, NotAllowed, TooLarge

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Reply = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""

log = logging.getLogger("gateway.channels.part")

JSON = "application/json; charset=utf-8"
FHIR_JSON = "application/fhir+json; charset=utf-8; fhirVersion=4.0"
SECONDS = 60.0
MAX_ISSUES = 100


class Part:
    """An ASGI application mounted at `prefix`; a subclass answers, errors become OperationOutcomes."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:
        """Return the reply to a request whose path is relative to the prefix; raises FhirError."""
        raise NotImplementedError

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, peer = self.asked(scope)
        try:
            status, body, more = await self.answer(request, receive, peer)
        except FhirError as error:
            status, body, more = refused(error, request)
        except Exception:
            status, body, more = failed(request)
        fields = {"X-Request-Id": request.request_id, "Content-Length": str(len(body)), **more}
        rows = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": rows})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    def asked(self, scope: Scope) -> tuple[Request, str]:
        """Return the request, its path relative to the prefix, and who asks."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(
            method=scope["method"],
            path=scope["path"][len(self.prefix) :].strip("/"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            request_id=request_id_of(headers),
        )
        client = scope.get("client") or ("?", 0)
        return request, f"{client[0]}:{client[1]}"


class Later:
    """A part that is built when it is first asked: a start does not pay for what nobody uses that day."""

    def __init__(self, build: Callable[[], Part]) -> None:
        self._build = build
        self._part: Part | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._part is None:
            self._part = self._build()
        await self._part(scope, receive, send)


async def read_body(request: Request, receive: Receive, limit: int, *, code: str = "HT-MSG-05") -> bytes:
    """Return the whole body; raises TooLarge (`code`) above `limit` bytes or when it does not end within a minute."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > limit:
        raise TooLarge(code, limit=limit)
    parts: list[bytes] = []
    size, has_more = 0, True
    try:
        async with asyncio.timeout(SECONDS):
            while has_more:
                message = await receive()
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                has_more = bool(message.get("more_body"))
                if size > limit:
                    raise TooLarge(code, limit=limit)
    except TimeoutError:
        raise TooLarge("HT-REST-52", seconds=SECONDS) from None
    return b"".join(parts)


def json_reply(value: Json, *, status: int = 200) -> Reply:
    return status, encode(value), {"Content-Type": JSON}


def refused(error: FhirError, request: Request) -> Reply:
    more = {"Content-Type": FHIR_JSON}
    if isinstance(error, NotAllowed):
        more["Allow"] = str(error.issues[0].values.get("allowed", "GET"))
    return STATUS[type(error)], encode(outcome(error.issues[:MAX_ISSUES], request)), more


def failed(request: Request) -> Reply:
    """Return the answer to a request that ended in an error of ours; called where that error is handled, it is logged."""
    log.exception("request failed", extra={"request_id": request.request_id})
    issue = Issue("HT-REST-99", {"id": request.request_id}, "fatal")
    return 500, encode(outcome([issue], request)), {"Content-Type": FHIR_JSON}
