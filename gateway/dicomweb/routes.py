"""The ASGI application of `/dicomweb`: which service answers which address, and bodies that stream."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.channels.part import Part, Receive, Scope, Send, failed, refused
from gateway.dicomweb import retrieve
from gateway.dicomweb.accept import read_accept
from gateway.dicomweb.response import Answer
from gateway.dicomweb.search import search
from gateway.dicomweb.store import store
from gateway.rest.asgi import HOST
from gateway.rest.request import Request
from mappings.dicom.read import is_uid
from terminology.issues import FhirError, InvalidInput, NotAcceptable, NotAllowed, NotFound

if TYPE_CHECKING:
    from gateway.gate import Gate
    from gateway.imaging.imaging import Imaging


PICTURES = ("image/jpeg", "image/png")
MOST_PICTURES = 200


class Dicomweb(Part):
    """PS3.18 under one prefix; errors are OperationOutcomes in both languages."""

    def __init__(self, imaging: "Imaging", *, prefix: str = "/dicomweb", gate: "Gate | None" = None) -> None:
        super().__init__(prefix)
        self.imaging, self.gate = imaging, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, peer = self.asked(scope)
        request.base = self._root(scope, request.headers)
        try:
            answer = await self.serve(request, receive, peer)
        except FhirError as error:
            answer = Answer(*refused(error, request))
        except Exception:
            answer = Answer(*failed(request))
        await _send(answer, request, send)

    def _root(self, scope: Scope, headers: Mapping[str, str]) -> str:
        """Return our address as this client sees it: of the settings, else by the Host that it asked for."""
        host = headers.get("host", "")
        if self.imaging.settings.base_url or not HOST.fullmatch(host):
            return self.imaging.keeper.choices.root
        return f"{scope.get('scheme', 'http')}://{host}{self.prefix}"

    async def serve(self, request: Request, receive: Receive, peer: str) -> Answer:
        parts = request.path.split("/") if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        if request.method == "POST":
            if self.gate is not None:
                self.gate.check(request.headers.get(self.gate.header, ""), "dicom")
            match parts:
                case ["studies"]:
                    return await store(self.imaging, request, receive, None, peer)
                case ["studies", study]:
                    return await store(self.imaging, request, receive, _uid(study), peer)
        if not is_reading:
            allowed = "GET, HEAD, POST" if parts[:1] == ["studies"] and len(parts) <= 2 else "GET, HEAD"
            raise NotAllowed("HT-MSG-14", method=request.method, path=request.path[:80], allowed=allowed)
        return await self._read(request, parts)

    async def _read(self, request: Request, parts: list[str]) -> Answer:
        match parts:
            case [("studies" | "series" | "instances") as level]:
                return await search(self.imaging, request, level, None, None)
            case ["studies", study, ("series" | "instances") as level]:
                return await search(self.imaging, request, level, _uid(study), None)
            case ["studies", study, "series", series, "instances"]:
                return await search(self.imaging, request, "instances", _uid(study), _uid(series))
            case ["studies", study, *rest] if rest[:1] != ["series"]:
                return await self._resource(request, rest, _uid(study), None, None)
            case ["studies", study, "series", series, "instances", instance, *rest]:
                return await self._resource(request, rest, _uid(study), _uid(series), _uid(instance))
            case ["studies", study, "series", series, *rest]:
                return await self._resource(request, rest, _uid(study), _uid(series), None)
        raise NotFound("HT-DCM-30", path=request.path[:80])

    async def _resource(
        self, request: Request, rest: list[str], study: str, series: str | None, instance: str | None
    ) -> Answer:
        archive = await asyncio.to_thread(lambda: self.imaging.archive)
        found = await asyncio.to_thread(retrieve.items, archive, study, series, instance)
        match rest:
            case []:
                return await retrieve.instances(request, found)
            case ["metadata"]:
                return await retrieve.metadata(request, found)
            case ["rendered"] if instance is not None:
                return await self._rendered(request, found[0], 1)
            case ["rendered"]:
                return await self._all_rendered(request, found)
            case ["thumbnail"]:
                # The middle of a series shows most of it.
                return await self._rendered(request, found[len(found) // 2], 1, is_small=True)
            case ["frames", numbers] if instance is not None:
                return await retrieve.frames(request, found[0], retrieve.read_frames(numbers))
            case ["frames", number, "rendered"] if instance is not None:
                return await self._rendered(request, found[0], _frame(number))
            case ["frames", number, "thumbnail"] if instance is not None:
                return await self._rendered(request, found[0], _frame(number), is_small=True)
            case ["bulkdata", *path] if instance is not None:
                return await retrieve.bulkdata(request, found[0], path)
        raise NotFound("HT-DCM-30", path=request.path[:80])

    async def _rendered(
        self, request: Request, item: retrieve.Item, frame: int, *, is_small: bool = False
    ) -> Answer:
        from gateway.dicomweb.render import THUMBNAIL, read_wish, render

        header = request.headers.get("accept", "")
        ranges = read_accept(header, request.param("accept"))
        type = next((kind for row in ranges for kind in PICTURES if row.takes(kind)), None)
        if type is None:
            raise NotAcceptable("HT-DCM-41", value=(request.param("accept") or header)[:80])
        wish = read_wish(request, type, side=THUMBNAIL if is_small else None)
        return Answer(200, await asyncio.to_thread(render, item.path, frame, wish), {"Content-Type": type})

    async def _all_rendered(self, request: Request, found: Sequence[retrieve.Item]) -> Answer:
        """Every picture of a series or study, in order; objects that cannot be drawn are left out."""
        from gateway.dicomweb.render import read_wish, render

        ranges = read_accept(request.headers.get("accept", ""), request.param("accept"))
        type = next((kind for row in ranges for kind in PICTURES if row.takes_parts(kind)), None)
        if type is None:
            raise NotAcceptable("HT-DCM-41", value=request.headers.get("accept", "")[:80])
        wish = read_wish(request, type)

        async def pictures() -> AsyncIterator[tuple[str, bytes]]:
            for item in found[:MOST_PICTURES]:
                try:
                    picture = await asyncio.to_thread(render, item.path, 1, wish)
                except FhirError:
                    continue
                place = (
                    f"{request.base}/studies/{item.study}/series/{item.series}/instances/{item.uid}/rendered"
                )
                yield place, picture

        return retrieve.pictures_answer(pictures(), type)


def _uid(text: str) -> str:
    if not is_uid(text):
        raise InvalidInput("HT-DCM-44", name="UID", value=text[:64])
    return text


def _frame(text: str) -> int:
    return retrieve.read_frames(text)[0]


async def _send(answer: Answer, request: Request, send: Send) -> None:
    """A stream that fails after its start is broken off, so that nobody takes a part for the whole."""
    fields: dict[str, str] = {"X-Request-Id": request.request_id, **answer.headers}
    body: Any = answer.body
    if isinstance(body, bytes) and answer.status != 204:
        fields["Content-Length"] = str(len(body))
    rows = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": rows})
    if isinstance(body, bytes) or request.method == "HEAD":
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})
        return
    async for chunk in body:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
