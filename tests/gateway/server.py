"""The FHIR routes over a store, driven through ASGI without a socket."""

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import httpx

from conformance.recognition import PackLibrary
from gateway.operations.registry import ROWS, Operations
from gateway.rest.asgi import Rest
from gateway.rest.context import Context, Limits, Validation, new_id
from gateway.rest.respond_async import Jobs
from gateway.store.protocol import Store
from gateway.workflow.actor import ActorHeaders
from gateway.workflow.desk import Desk
from gateway.workflow.guarded import GuardedStore
from gateway.workflow.packs import PackShelf
from gateway.workflow.sender import Senders
from gateway.workflow.signer import LocalSigner
from terminology.fhirjson import Json

T = TypeVar("T")
BASE = "http://test/fhir"
CHINA = timezone(timedelta(hours=8))
# One key for all servers of a run: making one takes half a second.
SIGNER = LocalSigner(Path(tempfile.mkdtemp(prefix="hutong-keys-")))


def guarded(store: Store, packs: Path | None = None, *, clock: Callable[[], datetime]) -> tuple[Store, Desk]:
    """The store with its state machines, as `gateway/app.py` builds it."""
    found = GuardedStore(store, PackShelf(packs), clock=clock, new_id=new_id)
    return found, Desk(found, ActorHeaders(), clock, Senders(found, clock=clock, new_id=new_id), SIGNER)


class Server:
    """A server in this process. One event loop lives as long as the server, as stores expect."""

    def __init__(
        self,
        store: Store | Awaitable[Store],
        *,
        limits: Limits | None = None,
        validation: Validation | None = None,
        packs: PackLibrary | None = None,
        workflow: bool = False,
        workflow_packs: Path | None = None,
    ) -> None:
        self._runner = asyncio.Runner()
        self.store: Store = self.run(store) if isinstance(store, Awaitable) else store
        self.clock = lambda: datetime.now(CHINA)
        desk = None
        if workflow:
            self.store, desk = guarded(self.store, workflow_packs, clock=lambda: self.clock())
        self.context = Context(
            store=self.store,
            operations=Operations(ROWS),
            jobs=Jobs(),
            limits=limits or Limits(),
            validation=validation or Validation(),
            packs=packs,
            workflow=desk,
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
