"""A door for members that call: HTTP requests come in, the counterpart answers them, tests take them one by one.

What answers is given (`Counterpart`): the production gateway's own code over a sandbox store, so that what passes here
passes there.
"""

import queue
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from conformance.testing.client import Answer, Call, Client, Exchange, Unreachable

MAX_BYTES = 16 * 1024 * 1024
MAX_WAITING = 1_000
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Counterpart(Protocol):
    """The centre in a sandbox: answers HTTP as production does, acknowledges messages as production does."""

    @property
    def fhir(self) -> Client:
        """Its FHIR side, for tests that prepare a case or look at what became of one."""

    def answer(self, call: Call) -> Answer:
        """Return the answer to a request whose URL is the path from the root."""

    def acknowledge(self, raw: bytes) -> bytes:
        """Return the acknowledgement of an HL7 v2 message."""

    def close(self) -> None: ...


class Door(Protocol):
    """Where a member calls; `base` is what it is told to call."""

    base: str

    def take(self, wanted: str, *, prompt: str, answer: int = 0, seconds: float | None = None) -> Exchange:
        """Return the next request that matches "METHOD path" (a pattern); `answer` is a status that it got instead of ours.

        Raises Unreachable when none comes within `seconds` (the door's own without).
        """


class HttpDoor:
    """A listening door on `host` and `port`; requests wait for a test to take them."""

    def __init__(
        self,
        counterpart: Counterpart,
        host: str,
        port: int,
        *,
        seconds: float,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.counterpart, self.seconds, self.tell = counterpart, seconds, tell
        self._came: queue.Queue[Exchange] = queue.Queue(MAX_WAITING)
        # What a test wants to be refused next: (pattern, status), read by the thread that answers.
        self._refusals: list[tuple[str, int]] = []
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                door.serve(self)

            def log_message(self, *_: object) -> None: ...

        for method in METHODS:
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.base = f"http://{host}:{self.port}/fhir"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, wanted: str, *, prompt: str, answer: int = 0, seconds: float | None = None) -> Exchange:
        if answer:
            self._refusals.append((wanted, answer))
        if self.tell is not None:
            self.tell(f"{prompt}  {self.base}")
        limit = self.seconds if seconds is None else seconds
        ends = time.monotonic() + limit
        while time.monotonic() < ends:
            try:
                found = self._came.get(timeout=max(0.01, ends - time.monotonic()))
            except queue.Empty:
                break
            if matches(wanted, found.call):
                return found
        raise Unreachable(f"no {wanted} within {limit:g} s")

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = handler.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BYTES:
            handler.send_error(413)
            return
        headers = {name.lower(): value for name, value in handler.headers.items()}
        call = Call(handler.command, handler.path, headers, handler.rfile.read(int(length)))
        refusal = next((row for row in self._refusals if matches(row[0], call)), None)
        if refusal is not None:
            self._refusals.remove(refusal)
            answer = Answer(refusal[1], {"content-type": "application/fhir+json", "retry-after": "1"}, b"")
        else:
            answer = self.counterpart.answer(call)
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            if name not in ("content-length", "transfer-encoding", "connection", "content-encoding"):
                handler.send_header(name, value)
        handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(answer.body)
        with suppress(queue.Full):
            self._came.put_nowait(Exchange(call, answer))


def matches(wanted: str, call: Call) -> bool:
    """Return whether a request is "METHOD path" (patterns; the path below /fhir/, with its query)."""
    method, _, path = wanted.partition(" ")
    below = call.url.lstrip("/").removeprefix("fhir/")
    return re.fullmatch(method, call.method) is not None and re.fullmatch(path, below) is not None
