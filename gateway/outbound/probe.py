"""Whether a destination can be reached, without sending it a message."""

import asyncio
import os
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

from gateway.outbound.destination import Destination
from gateway.outbound.mllp import client_context
from terminology.fhirjson import Json

SECONDS = 10.0


async def probe(row: Destination) -> Json:
    """Return {ok, detail, milliseconds}: a connection (with its TLS handshake) is opened and closed, a folder is tried."""
    started = time.perf_counter()
    try:
        if row.channel == "folder":
            detail = await asyncio.to_thread(_folder, Path(row.address))
        else:
            async with asyncio.timeout(min(SECONDS, row.timeout)):
                detail = await _connection(row)
        is_ok = True
    except TimeoutError:
        is_ok, detail = False, "timeout"
    except (OSError, ssl.SSLError, ValueError) as error:
        is_ok, detail = False, str(error)[:300] or type(error).__name__
    return {"ok": is_ok, "detail": detail, "milliseconds": round((time.perf_counter() - started) * 1000, 1)}


async def _connection(row: Destination) -> str:
    host, port, tls = _place(row)
    _, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=host if tls else None)
    version = writer.get_extra_info("ssl_object")
    writer.close()
    return f"{host}:{port}" + (f" {version.version()}" if version is not None else "")


def _place(row: Destination) -> tuple[str, int, ssl.SSLContext | None]:
    if row.channel == "mllp":
        host, _, port = row.address.rpartition(":")
        return host.strip("[]"), int(port), client_context(row.tls) if row.tls is not None else None
    parts = urlsplit(row.address)
    is_secure = parts.scheme == "https"
    context = client_context(row.tls) if row.tls is not None else ssl.create_default_context()
    return parts.hostname or "", parts.port or (443 if is_secure else 80), context if is_secure else None


def _folder(path: Path) -> str:
    path.mkdir(parents=True, exist_ok=True)
    if not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is not writable")
    return str(path)
