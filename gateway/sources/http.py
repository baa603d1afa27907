"""`/sources`: GET lists the sources with their position and last look; POST /sources/{name}/run looks at one now."""

from urllib.parse import unquote

from gateway.channels.part import Part, Receive, Reply, json_reply
from gateway.rest.request import Request
from gateway.sources.polling import Polling
from terminology.issues import NotAllowed


class SourceRoutes(Part):
    """The ASGI application of `/sources`."""

    def __init__(self, polling: Polling, *, prefix: str = "/sources") -> None:
        super().__init__(prefix)
        self.polling = polling

    async def answer(self, request: Request, _receive: Receive, _peer: str) -> Reply:
        parts = request.path.split("/") if request.path else []
        match parts:
            case [] if request.method in ("GET", "HEAD"):
                return json_reply({"sources": self.polling.shown()})
            case [name, "run"] if request.method == "POST":
                return json_reply(await self.polling.look(unquote(name)))
        allowed = "POST" if parts else "GET, HEAD"
        raise NotAllowed("HT-MSG-14", method=request.method, path=request.path[:80], allowed=allowed)
