"""multipart/related, read as it comes and written as it goes (RFC 2387, RFC 2046 §5.1): no part is ever whole in memory."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from terminology.issues import InvalidInput, TooLarge

HEADER_LIMIT = 8 * 1024
MOST_PARTS = 10_000
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}")


def boundary_of(content_type: str) -> str:
    """Return the boundary of a Content-Type; raises InvalidInput (HT-DCM-40)."""
    match = re.search(r'boundary\s*=\s*("([^"]*)"|[^;\s]+)', content_type, re.IGNORECASE)
    found = (match[2] if match[2] is not None else match[1]) if match else ""
    if not _BOUNDARY.fullmatch(found):
        raise InvalidInput("HT-DCM-40", detail="no boundary")
    return found


class Parts:
    """The parts of a body. `receive` is the ASGI one; `limit`: bytes of one part."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], boundary: str, *, limit: int) -> None:
        self._receive, self.limit = receive, limit
        self._mark = b"--" + boundary.encode("latin-1")
        self._buffer = bytearray()
        self._has_more = True

    async def __aiter__(self) -> AsyncIterator[tuple[dict[str, str], AsyncIterator[bytes]]]:
        """Yield headers (names in lower case) and body of each part; the body must be read before the next part."""
        await self._until(self._mark)
        for _ in range(MOST_PARTS):
            tail = await self._take(2)
            if tail == b"--":
                return
            headers = await self._headers(tail)
            yield headers, self._body()
        raise TooLarge("HT-DCM-06", what="parts", limit=MOST_PARTS)

    async def _more(self) -> None:
        if not self._has_more:
            raise InvalidInput("HT-DCM-40", detail="it ends before its last boundary")
        message = await self._receive()
        if message.get("type") == "http.disconnect":
            self._has_more = False
            return
        self._buffer += message.get("body", b"")
        self._has_more = bool(message.get("more_body"))

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _until(self, mark: bytes) -> None:
        """Skip the preamble up to the first boundary."""
        while True:
            at = self._buffer.find(mark)
            if at >= 0:
                del self._buffer[: at + len(mark)]
                return
            if len(self._buffer) > HEADER_LIMIT:
                raise InvalidInput("HT-DCM-40", detail="no boundary at its start")
            await self._more()

    async def _headers(self, begun: bytes) -> dict[str, str]:
        # Blanks may follow a boundary.
        self._buffer[:0] = begun
        while (at := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEADER_LIMIT:
                raise InvalidInput("HT-DCM-40", detail="the headers of a part are too long")
            await self._more()
        lines = bytes(self._buffer[:at]).decode("latin-1").split("\r\n")
        del self._buffer[: at + 4]
        pairs = (line.partition(":") for line in lines if ":" in line)
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    async def _body(self) -> AsyncIterator[bytes]:
        mark, size = b"\r\n" + self._mark, 0
        while True:
            at = self._buffer.find(mark)
            # What may be the beginning of the boundary is kept back.
            ready = at if at >= 0 else max(0, len(self._buffer) - len(mark))
            if ready:
                chunk = bytes(self._buffer[:ready])
                del self._buffer[:ready]
                size += len(chunk)
                if size > self.limit:
                    raise TooLarge("HT-DCM-06", what="bytes", limit=self.limit)
                yield chunk
            if at >= 0:
                del self._buffer[: len(mark)]
                return
            await self._more()
