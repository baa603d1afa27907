"""FHIR requests of commands: to the running gateway, or, when none runs, to one that is built for the moment."""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway.cli import FINDINGS, USAGE
from gateway.cli.client import call
from gateway.cli.speech import language, print_json
from gateway.lock import holder
from gateway.settings import Settings
from terminology.fhirjson import Json, decode, encode


def ask(
    settings: Settings,
    method: str,
    path: str,
    body: Json | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and body of `METHOD /fhir/path`; `headers` beside those of the language."""
    content = encode(body) if body is not None else (b"" if method != "GET" else None)
    running = holder(settings.data)
    if running and running.get("url"):
        status, _, answer = call(
            running["url"], f"/fhir/{path}", body=content, method=method,
            accept="application/fhir+json", headers={"Content-Type": "application/fhir+json", **(headers or {})},
        )  # fmt: skip
        return status, decode(answer or b"null")
    return asyncio.run(_here(settings, method, path, content, dict(headers or {})))


async def _here(
    settings: Settings, method: str, path: str, content: bytes | None, headers: dict[str, str]
) -> tuple[int, Any]:
    import httpx

    from gateway.app import build

    gateway = await build(settings, is_serving=False)
    try:
        transport = httpx.ASGITransport(app=gateway.asgi)
        sent = {
            "Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Accept-Language": language(),
        } | headers  # fmt: skip
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.request(method, f"/fhir/{path}", content=content, headers=sent)
        return answer.status_code, decode(answer.content or b"null")
    finally:
        await gateway.close()


def refused(answer: Any, as_json: bool) -> int:
    """Print what the gateway refused, with how to fix it; returns the exit code."""
    if as_json:
        print_json(answer)
        return FINDINGS
    for issue in (answer or {}).get("issue", ()):
        fix = next(
            (row["valueString"] for row in issue.get("extension", ()) if row["url"].endswith("/issue-fix")),
            "",
        )
        print(f"{issue['details']['coding'][0]['code']} {issue['details']['text']}\n  → {fix}")
    return FINDINGS if answer else USAGE
