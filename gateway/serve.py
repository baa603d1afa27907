"""Run a gateway: HTTP and MLLP until SIGINT or SIGTERM, then finish what has begun."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gateway.app import Gateway, build
from gateway.catalogues.place import has_snapshots
from gateway.channels.port import port_taken
from gateway.settings import Settings

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger("gateway")


async def serve(
    settings: Settings, *, ready: Callable[[Gateway, str], None], stop: asyncio.Event | None = None
) -> None:
    """Serve until a signal (or `stop`) ends it; `ready` is told the base URL when both doors are open.

    Raises Unavailable when a port is taken, BusinessRule when the data folder is in use.
    """
    stop = stop or asyncio.Event()
    listener = _listen(settings)
    gateway = None
    try:
        gateway = await build(settings)
        await gateway.start()
        await _http(gateway, listener, ready, stop)
    finally:
        listener.close()
        if gateway is not None:
            await gateway.close()
            log.info("gateway stopped")


def _listen(settings: Settings) -> socket.socket:
    """Bind before anything is built, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise port_taken(settings.host, settings.port, error, option="port") from None
    return listener


async def _http(
    gateway: Gateway, listener: socket.socket, ready: Callable[[Gateway, str], None], stop: asyncio.Event
) -> None:
    import uvicorn

    settings = gateway.settings
    config = uvicorn.Config(
        gateway.asgi, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=10,
        server_header=False, date_header=True, h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=settings.tls_cert, ssl_keyfile=settings.tls_key,
        ssl_ca_certs=str(settings.tls_client_ca) if settings.tls_client_ca else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE,
    )  # fmt: skip
    opened = asyncio.Event()
    server = _quiet(config, opened)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    await opened.wait()
    scheme = "https" if settings.tls_cert else "http"
    host, port = listener.getsockname()[:2]
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    gateway.imaging.answers_at(url)
    gateway.lock.tell({"url": url, "mllp_port": gateway.mllp_port, "dicom_port": gateway.dicom_port})
    log.info("gateway ready", extra={"url": url, "mllp_port": gateway.mllp_port})
    if not has_snapshots(gateway.settings):
        log.warning("no catalogues yet: hutong terms load --shipped loads those that come with Hutong")
    ready(gateway, url)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await task


def _quiet(config: "uvicorn.Config", opened: asyncio.Event) -> "uvicorn.Server":
    """Return uvicorn's server without its own signal handlers (ours also stop MLLP and the intake)."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            opened.set()

    return Server(config)
