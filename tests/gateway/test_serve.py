"""`serve`: doors, TLS, ports that are taken, a graceful end."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import build
from gateway.lock import holder
from gateway.serve import serve
from gateway.settings import Settings
from terminology.issues import InvalidInput, Unavailable
from tests.gateway.running import Sender, hl7, msa, run
from tests.gateway.test_mllp import make_certificates


async def served(settings: Settings, use: Callable[[Any, str], Awaitable[None]]) -> None:
    """Serve, use the gateway, and end as SIGTERM ends it."""
    stop = asyncio.Event()
    users: list[asyncio.Task[None]] = []

    async def using(gateway: Any, url: str) -> None:
        try:
            await use(gateway, url)
        finally:
            stop.set()

    await serve(
        settings,
        ready=lambda gateway, url: users.append(asyncio.ensure_future(using(gateway, url))),
        stop=stop,
    )
    await asyncio.gather(*users)


def settings_of(folder: Path, **more: Any) -> Settings:
    return Settings(data=folder / "data", port=0, mllp_port=0, min_free_mib=0, **more)


def test_a_message_in_and_its_resources_out(tmp_path: Path) -> None:
    async def use(gateway: Any, url: str) -> None:
        sender = await Sender.connect(gateway.mllp_port)
        raw = hl7(charset="GBK", obx=(("WBC", "12.50", "F"),))
        assert msa(await sender.ask(raw, "gbk"))[1] == "AA"
        await sender.close()
        await gateway.intake.drained()
        async with httpx.AsyncClient() as client:
            bundle = (
                await client.get(f"{url}/fhir/Observation?patient.identifier=P0001&code:text=项目")
            ).text
        assert '"value":12.50' in bundle
        assert "张" not in bundle

    run(served(settings_of(tmp_path), use))


def test_mutual_tls_over_http(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    context.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    anonymous = ssl.create_default_context(cafile=tmp_path / "ca.pem")

    async def use(_: Any, url: str) -> None:
        assert url.startswith("https://")
        there = url.replace("127.0.0.1", "localhost")
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(f"{there}/health")).json()["status"] == "ok"
        async with httpx.AsyncClient(verify=anonymous) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"{there}/health")

    chosen = {"tls_cert": "server.pem", "tls_key": "server.key", "tls_client_ca": "ca.pem"}
    run(served(settings_of(tmp_path, **{name: tmp_path / file for name, file in chosen.items()}), use))


@pytest.mark.parametrize("option", ["port", "mllp_port"])
def test_a_taken_port_says_what_to_do(tmp_path: Path, option: str) -> None:
    async def body() -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            ports = {"port": 0, "mllp_port": 0, option: holder.getsockname()[1]}
            with pytest.raises(Unavailable) as error:
                await serve(Settings(data=tmp_path, **ports), ready=lambda *_: None)
        (issue,) = error.value.issues
        assert issue.code == "HT-CLI-13"
        assert f"--{option.replace('_', '-')}" in issue.fix("en")

    run(body())


class TestClose:
    def test_one_part_that_fails_keeps_nothing_else_open(self, tmp_path: Path) -> None:
        class Stubborn:
            async def start(self) -> None: ...

            async def stop(self) -> None:
                raise OSError("the line is gone")

        async def body() -> None:
            settings = Settings(data=tmp_path, store="memory", mllp=False)
            gateway = await build(settings)
            await gateway.start()
            gateway.ports = (*gateway.ports, Stubborn())
            with pytest.raises(OSError, match="the line is gone"):
                await gateway.close()
            assert holder(tmp_path) is None
            await (await build(settings)).close()

        run(body())

    def test_what_a_failed_build_opened_is_closed(self, tmp_path: Path) -> None:
        sources = tmp_path / "sources.yaml"
        sources.write_text("sources: 3\n")

        async def body() -> None:
            with pytest.raises(InvalidInput):
                await build(Settings(data=tmp_path, mllp=False, sources=sources))
            assert holder(tmp_path) is None
            await (await build(Settings(data=tmp_path, mllp=False))).close()

        run(body())
