"""The HTTP front: which part answers which path, and what every answer adds to the metrics. Pure ASGI."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.metrics import CONTENT_TYPE, Metrics
from terminology.fhirjson import Json, encode

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


OPEN_TO_PATIENTS = frozenset({"fhir", "health", "pages"})
"""Parts that a patient's own call may reach; the FHIR part shows him his own data only."""


class Front:
    """`parts`: first path segment → application. `pages` builds the application of all other paths when first asked."""

    def __init__(
        self,
        parts: dict[str, App],
        *,
        pages: Callable[[], App],
        health: Callable[[], Json],
        metrics: Metrics,
        patient_header: str = "x-hutong-patient",
    ) -> None:
        self._patient = patient_header.lower().encode()
        self.parts = {**parts, "health": self._health, "metrics": self._metrics}
        self._build_pages, self._read_health, self.metrics = pages, health, metrics
        self._pages: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        name = scope["path"].split("/", 2)[1]
        part = self.parts.get(name)
        if part is None:
            name, part = "pages", self._other()
        if name not in OPEN_TO_PATIENTS and any(key == self._patient for key, _ in scope["headers"]):
            name, part = "refused", _refuse_patient
        status = "500"

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await part(scope, receive, noting)
        finally:
            self.metrics.requests.add(name, scope["method"], status)
            self.metrics.request_seconds.observe(time.perf_counter() - started, name)

    def _other(self) -> App:
        if self._pages is None:
            self._pages = self._build_pages()
        return self._pages

    async def _health(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _reply(send, encode(self._read_health()), "application/json; charset=utf-8")

    async def _metrics(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _reply(send, self.metrics.render(), CONTENT_TYPE)


async def _refuse_patient(scope: Scope, _receive: Receive, send: Send) -> None:
    from gateway.channels.part import refused
    from gateway.rest.request import Request
    from terminology.issues import Forbidden

    headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
    request = Request(method=scope["method"], path=scope["path"], headers=headers)
    error = Forbidden("HT-MY-01", path=f"{scope['method']} {scope['path']}"[:120])
    status, body, more = refused(error, request)
    rows = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in more.items()]
    rows.append((b"Content-Length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": rows})
    await send({"type": "http.response.body", "body": body})


async def _reply(send: Send, body: bytes, content_type: str) -> None:
    headers = [(b"Content-Type", content_type.encode()), (b"Content-Length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
