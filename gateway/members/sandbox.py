"""The centre's part in a test, played by the production gateway itself over a store of its own that ends with the run."""

import asyncio
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import httpx

from conformance.testing.client import Answer, Call
from gateway.app import Gateway, build
from gateway.settings import Settings

T = TypeVar("T")
SECONDS = 60.0
ROOT = "http://sandbox"


class Sandbox:
    """A whole gateway in memory: maps, validation, state machines and acknowledgements are those of production."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="hutong-sandbox-")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._gateway: Gateway = self._run(self._start())
        transport = httpx.ASGITransport(app=self._gateway.asgi)
        self._client = httpx.AsyncClient(transport=transport, base_url=ROOT)
        self.fhir = SandboxFhir(self)

    def answer(self, call: Call) -> Answer:
        """Return what production answers to a request by its path from the root."""
        reply = self._run(
            self._client.request(
                call.method,
                f"{ROOT}/{call.url.lstrip('/')}",
                content=call.body or None,
                headers=dict(call.headers),
            )
        )
        headers = {name.lower(): value for name, value in reply.headers.items()}
        return Answer(reply.status_code, headers, reply.content, str(reply.request.url))

    def acknowledge(self, raw: bytes) -> bytes:
        """Return production's acknowledgement; the message is processed when this returns."""
        return self.answer(
            Call("POST", "messages/hl7v2?wait=stored", {"content-type": "x-application/hl7-v2+er7"}, raw)
        ).body

    def close(self) -> None:
        self._run(self._client.aclose())
        self._run(self._gateway.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()
        self._folder.cleanup()

    async def _start(self) -> Gateway:
        gateway = await build(
            Settings(data=Path(self._folder.name), store="memory", mllp=False, validation="full")
        )
        await gateway.start()
        # A test begins when the maps are there: what comes in the first moment is judged as everything after it.
        await asyncio.to_thread(gateway.maps.events)
        return gateway

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)


class SandboxFhir:
    """The FHIR side of a sandbox as a client of tests."""

    base = f"{ROOT}/fhir"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def send(self, call: Call) -> Answer:
        path = call.url.removeprefix(self.base).lstrip("/")
        return self._sandbox.answer(Call(call.method, f"fhir/{path}", call.headers, call.body))
