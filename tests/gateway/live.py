"""The FHIR routes on a real socket, for clients that bring their own HTTP."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from gateway.operations.registry import ROWS, Operations
from gateway.rest.asgi import Rest
from gateway.rest.context import Context
from gateway.rest.respond_async import Jobs
from gateway.store.protocol import Store


@contextmanager
def serving(store: Store) -> Iterator[str]:
    """Serve a store on a free port; gives the FHIR base."""
    app = Rest(Context(store=store, operations=Operations(ROWS), jobs=Jobs()))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/fhir"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
