"""The FHIR routes over a store, driven through ASGI without a socket."""

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, TypeVar

import httpx

from conformance.recognition import PackLibrary
from gateway.operations.registry import ROWS, Operations
from gateway.rest.asgi import Rest
from gateway.rest.context import Context, Limits, Validation
from gateway.rest.respond_async import Jobs
from gateway.store.protocol import Store
from terminology.fhirjson import Json

T = TypeVar("T")
BASE = "http://test/fhir"


class Server:
    """A server in this process. One event loop lives as long as the server, as stores expect."""

    def __init__(
        self,
        store: Store | Awaitable[Store],
        *,
        limits: Limits | None = None,
        validation: Validation | None = None,
        packs: PackLibrary | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self.store: Store = self.run(store) if isinstance(store, Awaitable) else store
        self.context = Context(
            store=self.store,
            operations=Operations(ROWS),
            jobs=Jobs(),
            limits=limits or Limits(),
            validation=validation or Validation(),
            packs=packs,
        )
        self.app = Rest(self.context)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app, raise_app_exceptions=True), base_url="http://test"
        )

    def run(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def request(
        self, method: str, path: str, body: Json | list[Any] | str | bytes | None = None, **headers: str
    ) -> httpx.Response:
        """Send one request; `path` follows the base. Header names are written with underscores."""
        return self.run(self.send(method, path, body, **headers))

    async def send(
        self, method: str, path: str, body: Json | list[Any] | str | bytes | None = None, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content: bytes | None = None
        if isinstance(body, (dict, list)):
            content = json.dumps(body, ensure_ascii=False).encode()
            named.setdefault("content-type", "application/fhir+json")
        elif isinstance(body, str):
            content = body.encode()
        else:
            content = body
        url = path if path.startswith("http") else f"{BASE}/{path}" if path else BASE
        return await self.client.request(method, url, content=content, headers=named)

    def close(self) -> None:
        self.run(self.client.aclose())
        self.run(self.store.close())
        self._runner.close()
