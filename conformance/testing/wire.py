"""The one end of the engine that opens a connection: HTTP to a target, bounded in time and size."""

import socket
import time
from types import TracebackType

import httpx

from conformance.testing.client import Answer, Call, Unreachable

SECONDS = 20.0
MAX_BYTES = 16 * 1024 * 1024


class HttpClient:
    """A target at `base`. Its answers are read up to `max_bytes` and for `seconds`, whatever it sends."""

    def __init__(
        self,
        base: str,
        *,
        headers: dict[str, str] | None = None,
        seconds: float = SECONDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.base = base.rstrip("/")
        self.seconds, self.max_bytes = seconds, max_bytes
        self._http = httpx.Client(timeout=seconds, headers=headers or {}, follow_redirects=False)

    def __enter__(self) -> "HttpClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call) -> Answer:
        url = whole_url(self.base, call.url)
        ends = time.monotonic() + self.seconds
        body = bytearray()
        try:
            with self._http.stream(
                call.method, url, headers=dict(call.headers), content=call.body or None
            ) as reply:
                for chunk in reply.iter_bytes():
                    body += chunk
                    if len(body) > self.max_bytes:
                        raise Unreachable(f"more than {self.max_bytes} bytes")
                    if time.monotonic() > ends:
                        raise Unreachable(f"not finished within {self.seconds:g} s")
                headers = {name.lower(): value for name, value in reply.headers.items()}
                return Answer(reply.status_code, headers, bytes(body), str(reply.request.url))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None


def whole_url(base: str, url: str) -> str:
    """Return `url` under `base`, unless it is whole already."""
    if url.startswith(("http://", "https://")):
        return url
    if url.startswith("?"):
        return base + url
    return f"{base}/{url.lstrip('/')}" if url else base


def send_frames(
    host: str, port: int, raw: bytes, *, seconds: float = SECONDS, pieces: int = 1, pause: float = 0.0,
    max_bytes: int = 1 << 20,
) -> bytes:  # fmt: skip
    """Send bytes over MLLP in `pieces` writes, `pause` seconds apart, and return the body of the first frame that answers.

    Raises Unreachable when no whole frame comes within `seconds` or `max_bytes` (MLLP release 1: <VT> body <FS><CR>).
    """
    ends = time.monotonic() + seconds
    try:
        with socket.create_connection((host, port), timeout=seconds) as line:
            size = max(1, -(-len(raw) // pieces))
            for start in range(0, len(raw), size):
                line.sendall(raw[start : start + size])
                if pause:
                    time.sleep(pause)
            got = bytearray()
            while b"\x1c\r" not in got:
                line.settimeout(max(0.01, ends - time.monotonic()))
                piece = line.recv(65536)
                if not piece:
                    raise Unreachable("the connection was closed before a whole answer")
                got += piece
                if len(got) > max_bytes or time.monotonic() > ends:
                    raise Unreachable("no whole answer within the bounds")
            return bytes(got[got.find(b"\x0b") + 1 : got.index(b"\x1c\r")])
    except OSError as error:
        raise Unreachable(str(error)) from None
