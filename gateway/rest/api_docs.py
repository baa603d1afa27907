"""`/openapi.json` and `/docs/api`: the surface for programs and for people, without anything from other servers."""

from pathlib import Path
from urllib.parse import parse_qs

from gateway.rest.asgi import Receive, Rest, Scope, Send
from gateway.rest.openapi import document

PAGE = Path(__file__).with_name("api_docs.html")


class ApiDocs:
    """An ASGI application for the two paths; `rest` is the FHIR base that is described."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/openapi.json"):
            types = parse_qs(scope["query_string"].decode("latin-1")).get("type", [""])[0].split(",")
            context = self.rest.context
            base = self.rest.base or self.rest.prefix
            body = document(base, context, context.parameters.revision, tuple(filter(None, types[:20])))
            await _reply(send, body, "application/json; charset=utf-8")
        else:
            await _reply(send, PAGE.read_bytes(), "text/html; charset=utf-8")


async def _reply(send: Send, body: bytes, media_type: str) -> None:
    headers = [
        (b"Content-Type", media_type.encode()),
        (b"Content-Length", str(len(body)).encode()),
        (
            b"Content-Security-Policy",
            b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
        ),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
