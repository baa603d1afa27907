"""A vendor's HTTP interface that is asked: pages of a `{code, msg, data}` envelope, on from the last time or key.

All pages of a look are handed on; the position moves with the last one, so a failure in between repeats pages, whose rows
are recognised by their content.
"""

import re
from typing import Any
from urllib.parse import quote

from gateway.sources.reading import Door, Look
from gateway.sources.source import Interface
from mappings.rows import Rows, in_envelope
from terminology.fhirjson import Json, decode, encode
from terminology.issues import InvalidInput, MalformedMessage, Unavailable

LARGEST = 32 * 1024 * 1024
_BLANK = re.compile(r"\{(since|page|size)\}")
_WHOLE = re.compile(r"-?\d{1,18}")


class InterfaceReader:
    def __init__(self, source: Interface, door: Door) -> None:
        self.source, self.door = source, door

    async def look(self) -> Look:
        """Ask page by page; raises Unavailable (HT-TAB-12), MalformedMessage (HT-TAB-05, -06) or InvalidInput (HT-TAB-14)."""
        import httpx

        found = Look()
        source = self.source
        position = self.door.position(source.name)
        since = str(position.get("since", source.first))
        reached = since
        try:
            async with httpx.AsyncClient(timeout=source.timeout_seconds, follow_redirects=False) as client:
                for page in range(1, source.pages + 1):
                    rows = self._rows(await self._ask(client, since, page))
                    reached = self._reached(rows, reached)
                    is_last = len(rows) < source.size or not self._has_pages
                    sheet = Rows(rows, _columns(rows))
                    after = {"since": reached} if is_last and source.since else None
                    if rows or (after is not None and after != position):
                        taken = await self.door.take_sheet(sheet, source.name, map=source.map, position=after)
                        found.count(taken)
                    await self.door.breathe()
                    if is_last:
                        break
        except httpx.HTTPError as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise Unavailable("HT-TAB-12", name=source.name, reason=reason[:200]) from None
        return found

    @property
    def _has_pages(self) -> bool:
        """Whether the request names the page; otherwise every answer is the whole."""
        source = self.source
        return (
            "{page}" in source.url
            or any("{page}" in value for value in source.params.values())
            or b"{page}" in encode(source.body)
        )

    async def _ask(self, client: Any, since: str, page: int) -> Json | list[Json]:
        source = self.source
        values = {"since": since, "page": str(page), "size": str(source.size)}
        url = _BLANK.sub(lambda match: quote(values[match[1]], safe=""), source.url)
        params = {name: _filled(value, values) for name, value in source.params.items()}
        body = encode(_filled(source.body, values)) if source.body is not None else None
        headers = {
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if body else {}),
            **source.headers,
        }
        async with client.stream(
            source.method, url, params=params or None, content=body, headers=headers
        ) as answer:
            parts: list[bytes] = []
            size = 0
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > LARGEST:
                    raise Unavailable("HT-TAB-12", name=source.name, reason=f"more than {LARGEST} bytes")
                parts.append(part)
            if answer.status_code >= 300:
                reason = f"HTTP {answer.status_code}"
                raise Unavailable("HT-TAB-12", name=source.name, reason=reason)
        try:
            found: Json | list[Json] = decode(b"".join(parts))
        except ValueError as error:
            raise MalformedMessage("HT-MAP-36", format="JSON", reason=str(error)[:100]) from None
        return found

    def _rows(self, body: Json | list[Json]) -> list[Json]:
        """Return the rows of an answer; raises MalformedMessage when the envelope says no."""
        source = self.source
        if isinstance(body, list):
            return [row for row in body if isinstance(row, dict)]
        code = _at(body, source.code)
        if code is not None and _word(code) not in source.ok:
            message = str(_at(body, source.message) or "")
            raise MalformedMessage("HT-TAB-05", code=str(code)[:40], message=message[:200])
        if source.data:
            inner = _at(body, source.data)
            if inner is None and source.data.partition(".")[0] not in body:
                raise MalformedMessage("HT-TAB-06", path=source.data)
            if isinstance(inner, dict):
                inner = [inner]
            return [row for row in inner or () if isinstance(row, dict)]
        return in_envelope(body) or []

    def _reached(self, rows: list[Json], reached: str) -> str:
        name = self.source.since
        if not name:
            return reached
        for number, row in enumerate(rows, 1):
            value = row.get(name)
            if value is None or value == "":
                raise InvalidInput("HT-TAB-14", name=self.source.name, number=number, column=name)
            if not reached or _order(str(value)) > _order(reached):
                reached = str(value)
        return reached


def _order(text: str) -> tuple[int, int, str]:
    """Numbers by size, times by their text."""
    return (0, int(text), "") if _WHOLE.fullmatch(text) else (1, 0, text)


def _word(code: Any) -> str:
    return ("true" if code else "false") if isinstance(code, bool) else str(code).lower()


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _filled(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, str):
        whole = _BLANK.fullmatch(value)
        if whole and whole[1] in ("page", "size"):
            return int(values[whole[1]])
        return _BLANK.sub(lambda match: values[match[1]], value)
    if isinstance(value, dict):
        return {name: _filled(part, values) for name, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, values) for part in value]
    return value


def _columns(rows: list[Json]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for row in rows[:100] for name in row))
