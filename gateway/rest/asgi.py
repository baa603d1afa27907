"""The ASGI edge of the FHIR routes: bytes in, bytes out, no framework on the way.

FastAPI's router costs three times a raw route (docs/design.md, decision 9), so the FHIR base is this small
application; `gateway/app.py` mounts it.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from gateway.operations.profile_library import SECONDS, library_of
from gateway.rest.context import Context
from gateway.rest.negotiate import accepted
from gateway.rest.outcomes import outcome, refuse
from gateway.rest.render import render
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.route import Interaction, match
from gateway.workflow.actor import acting_as
from terminology.issues import FhirError, InvalidInput, Issue, TooCostly, TooLarge, UnsupportedMedia

if TYPE_CHECKING:
    from gateway.gate import Gate

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

log = logging.getLogger("gateway.rest")

HOST = re.compile(r"[A-Za-z0-9._\-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?", re.ASCII)
REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}", re.ASCII)
READING = frozenset({"GET", "HEAD"})


class Rest:
    """The FHIR base as an ASGI application.

    `prefix` is the path of the base; `base` the absolute URL that clients see, by default from the Host header.
    """

    def __init__(
        self, context: Context, *, prefix: str = "/fhir", base: str | None = None, gate: "Gate | None" = None
    ) -> None:
        self.context, self.gate = context, gate
        self.prefix = prefix.rstrip("/")
        self.base = base.rstrip("/") if base else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        request = Request(
            method=scope["method"],
            path=scope["path"][len(self.prefix) + 1 :],
            headers=headers,
            request_id=request_id_of(headers),
        )
        try:
            self._complete(request, scope)
            if request.method not in READING:
                request.body = await self._body(headers, receive)
            response = await self.answer(request)
            body = render(response, request)
        except FhirError as error:
            response, body = self._refused(error, request)
        except Exception:
            log.exception("request failed", extra={"request_id": request.request_id})
            response, body = self._failed(request)
        await _send(send, request, response, body)

    async def answer(self, request: Request) -> Response:
        """Return the response of one interaction; the batch uses it for each entry. Raises FhirError."""
        context = self.context
        wanted = request.param("_format") if "_format" in request.query else None
        gives_file = context.operations.gives_file(request.path)
        if not gives_file and (wanted is not None or not request.path.startswith("Binary/")):
            request.format = accepted(request.headers.get("accept", ""), wanted)
        interaction = match(request, context)
        patient = context.patient_of(request)
        if patient is not None:
            from gateway.care.own_record import check_patient

            check_patient(request, patient)
        if self.gate is not None:
            self.gate.check_request(request)
        if context.workflow is None:
            return await self._serve(interaction, request)
        with acting_as(context.workflow.actor(request.headers, request.request_id)):
            return await self._serve(interaction, request)

    async def _serve(self, interaction: Interaction, request: Request) -> Response:
        context = self.context
        if "prefer" in request.headers and request.preference("respond-async") is not None:
            from gateway.rest.respond_async import start

            return await start(interaction, request, context)
        if request.method not in READING:
            if context.validation.has_full:
                # What was posted as a profile holds for what is written next.
                await library_of(context).current(seconds=SECONDS)
            return await interaction(request, context)
        try:
            async with asyncio.timeout(context.limits.seconds):
                return await interaction(request, context)
        except TimeoutError:
            raise TooCostly("HT-REST-53", seconds=context.limits.seconds) from None

    def _complete(self, request: Request, scope: Scope) -> None:
        query = scope["query_string"]
        if len(query) + len(request.path) > self.context.limits.url_bytes:
            raise TooLarge("HT-REST-51", limit=self.context.limits.url_bytes)
        try:
            request.query = query.decode("ascii")
        except UnicodeDecodeError:
            # Some clients send UTF-8 unescaped; it can mean only one thing.
            try:
                request.query = query.decode("utf-8")
            except UnicodeDecodeError:
                raise InvalidInput("HT-REST-10", detail="not UTF-8") from None
        if self.base:
            request.base = self.base
            return
        host = request.headers.get("host", "localhost")
        if not HOST.fullmatch(host):
            raise InvalidInput("HT-REST-14", value=host[:80])
        request.base = f"{scope.get('scheme', 'http')}://{host}{self.prefix}"

    async def _body(self, headers: dict[str, str], receive: Receive) -> bytes:
        limit = self.context.limits.body_bytes
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > limit:
            raise TooLarge("HT-REST-50", limit=limit)
        encoding = headers.get("content-encoding", "identity").lower()
        if encoding != "identity":
            raise UnsupportedMedia("HT-REST-25", value=encoding[:40])
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return body
        parts, size = [body], len(body)
        try:
            async with asyncio.timeout(self.context.limits.seconds):
                while message.get("more_body"):
                    message = await receive()
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > limit:
                        raise TooLarge("HT-REST-50", limit=limit)
        except TimeoutError:
            raise TooLarge("HT-REST-52", seconds=self.context.limits.seconds) from None
        return b"".join(parts)

    def _refused(self, error: FhirError, request: Request) -> tuple[Response, bytes]:
        response = refuse(error, request, docs=self.context.docs)
        request.query, request._params = "", None
        return response, render(response, request)

    def _failed(self, request: Request) -> tuple[Response, bytes]:
        """The outermost edge: no detail leaves, the request id finds it in the log."""
        issue = Issue("HT-REST-99", {"id": request.request_id}, severity="fatal")
        response = Response(500, outcome([issue], request, docs=self.context.docs))
        request.query, request._params, request.format = "", None, "json"
        return response, render(response, request)


async def _send(send: Send, request: Request, response: Response, body: bytes) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    headers.append((b"X-Request-Id", request.request_id.encode("ascii")))
    if response.status != 304:
        headers.append((b"Content-Length", str(len(body)).encode("ascii")))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


def request_id_of(headers: dict[str, str]) -> str:
    """Return the caller's X-Request-Id when it is safe to log, else a new one."""
    given = headers.get("x-request-id")
    return given if given and REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
