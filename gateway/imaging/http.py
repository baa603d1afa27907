"""`/imaging`: studies without an order, objects kept aside, forwarding; for people and the command line.

GET /imaging/orphans · GET /imaging/orphans/{study} · POST …/link · POST …/dismiss · GET /imaging/asides ·
POST /imaging/asides/{id}/accept|discard · GET /imaging/forwards · POST /imaging/forwards/{name}/retry · GET /imaging/studies/{study}
"""

import asyncio
from typing import TYPE_CHECKING, Any

from gateway.channels.parameters import whole_number
from gateway.channels.part import Part, Receive, Reply, json_reply, read_body
from gateway.imaging import forward, orphans, studies
from gateway.rest.request import Request
from terminology.fhirjson import Json, decode
from terminology.issues import InvalidInput, NotAllowed, NotFound, UnmappableMessage

if TYPE_CHECKING:
    from gateway.imaging.imaging import Imaging

BODY_LIMIT = 64 * 1024
MOST = 500
STATES = ("open", "linked", "dismissed")


class ImagingRoutes(Part):
    def __init__(self, imaging: "Imaging", *, prefix: str = "/imaging") -> None:
        super().__init__(prefix)
        self.imaging = imaging

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:
        parts = request.path.split("/") if request.path else []
        imaging = self.imaging
        archive = await asyncio.to_thread(lambda: imaging.archive)
        is_reading = request.method in ("GET", "HEAD")
        match parts:
            case ["orphans"] if is_reading:
                return await self._orphans(request)
            case ["orphans", study] if is_reading:
                return json_reply(await self._orphan(study))
            case ["orphans", study, "link"] if request.method == "POST":
                return await self._link(study, await _body(request, receive), peer)
            case ["orphans", study, "dismiss"] if request.method == "POST":
                body = await _body(request, receive)
                note = str(body.get("reason") or "")
                await asyncio.to_thread(orphans.dismiss, archive, study, by=_by(body, peer), note=note)
                return json_reply({"study": study, "state": "dismissed"})
            case ["studies", study] if is_reading:
                return json_reply(await self._study(study))
            case ["asides"] if is_reading:
                rows = await asyncio.to_thread(orphans.asides, archive, limit=MOST)
                return json_reply({"asides": rows})
            case ["asides", id, ("accept" | "discard") as verb] if request.method == "POST" and id.isdigit():
                self.imaging.begin()
                return json_reply(
                    await asyncio.to_thread(orphans.decide_aside, archive, int(id), accept=verb == "accept")
                )
            case ["forwards"] if is_reading:
                rows = await asyncio.to_thread(forward.status, archive, imaging.destinations)
                return json_reply({"forwards": rows})
            case ["forwards", name] if is_reading:
                rows = await asyncio.to_thread(forward.parked, archive, name, limit=MOST)
                return json_reply({"parked": rows})
            case ["forwards", name, "retry"] if request.method == "POST":
                self.imaging.begin()
                count = await asyncio.to_thread(forward.retry, archive, imaging.destinations, name)
                return json_reply({"destination": name, "queued": count}, status=202)
            case ["forwards", name, "studies", study] if request.method == "POST":
                self.imaging.begin()
                count = await asyncio.to_thread(
                    forward.queue_study, archive, imaging.destinations, name, study
                )
                return json_reply({"destination": name, "queued": count}, status=202)
        allowed = (
            "POST"
            if parts and parts[-1] in ("link", "dismiss", "accept", "discard", "retry")
            else "GET, HEAD"
        )
        if not is_reading and parts:
            raise NotAllowed("HT-MSG-14", method=request.method, path=request.path[:80], allowed=allowed)
        raise NotFound("HT-DCM-30", path=request.path[:80])

    async def _orphans(self, request: Request) -> Reply:
        state = request.param("state") or "open"
        if state not in STATES:
            raise InvalidInput("HT-MSG-12", name="state", value=state[:40], expected=" | ".join(STATES))
        count, offset = (
            whole_number(request, name, default) for name, default in (("count", 50), ("offset", 0))
        )
        rows = await asyncio.to_thread(
            orphans.listing, self.imaging.archive, state=state, limit=min(count, MOST), offset=offset
        )
        return json_reply({"orphans": rows})

    async def _orphan(self, study: str) -> Json:
        """One study with the orders that it may belong to, the likeliest first."""
        archive = self.imaging.archive
        await asyncio.to_thread(orphans.require, archive, study)
        found = await asyncio.to_thread(self.imaging.keeper.record, study, is_available=False)
        record = found[0] if found is not None else {}
        suggestions = await self.imaging.orders.suggest(record)
        return {**await self._study(study), "suggestions": [row.row() for row in suggestions]}

    async def _study(self, study: str) -> Json:
        row = await asyncio.to_thread(studies.study_row, self.imaging.archive, study)
        if row is None:
            raise NotFound("HT-DCM-23", study=study[:64])
        series = await asyncio.to_thread(studies.series_rows, self.imaging.archive, study)
        shown: Json = {name: value for name, value in row.items() if value not in ("", None)}
        return {
            **shown,
            "series": [{name: part for name, part in one.items() if name != "Instances"} for one in series],
        }

    async def _link(self, study: str, body: Json, peer: str) -> Reply:
        """Link a study with an order that exists; the patient may differ only when the caller says so."""
        order = str(body.get("order") or "")
        if not order.startswith("ServiceRequest/"):
            raise InvalidInput("HT-DCM-31", value=order[:80] or "-")
        found = await self.imaging.orders.by_reference(order)
        if found is None:
            raise NotFound("HT-DCM-32", order=order[:80])
        archive = self.imaging.archive
        await asyncio.to_thread(orphans.require, archive, study)
        record = await asyncio.to_thread(self.imaging.keeper.record, study, is_available=False)
        if record is not None and not body.get("force"):
            match = await self.imaging.orders.checked(found, record[0])
            if match.order is None:
                raise UnmappableMessage("HT-DCM-33", study=study, order=order)
        note = str(body.get("note") or "")
        await asyncio.to_thread(
            orphans.link, archive, study, f"ServiceRequest/{found['id']}", by=_by(body, peer), note=note
        )
        self.imaging.begin()
        await self.imaging.keeper.keep(study)
        return json_reply(await self._study(study))


async def _body(request: Request, receive: Receive) -> Json:
    raw = await read_body(request, receive, BODY_LIMIT)
    try:
        found: Any = decode(raw) if raw else {}
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("HT-MAP-36", format="JSON", reason="not an object")
    return found


def _by(body: Json, peer: str) -> str:
    return str(body.get("by") or peer)[:80]
