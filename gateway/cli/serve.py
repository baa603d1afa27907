"""`hutong serve`: run the gateway in the foreground."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.catalogues.place import has_snapshots
from gateway.cli.speech import print_json, say, styled
from gateway.interpreter import settle, share_time
from gateway.logs import configure
from gateway.settings import Settings, load_settings

BORN = time.perf_counter()

Host = Annotated[str | None, typer.Option(help=say("监听地址。", "Address to listen on."))]
Port = Annotated[int | None, typer.Option(help=say("HTTP 端口，0 为任选。", "HTTP port, 0 for any."))]
MllpPort = Annotated[int | None, typer.Option(help=say("MLLP 端口，0 为任选。", "MLLP port, 0 for any."))]
Dicom = Annotated[bool, typer.Option("--dicom", help=say("开启 DICOM 接收。", "Open the DICOM port."))]
DicomPort = Annotated[int | None, typer.Option(help=say("DICOM 端口，0 为任选。", "DICOM port, 0 for any."))]
Data = Annotated[Path | None, typer.Option(help=say("数据目录。", "Data folder."))]
Config = Annotated[Path | None, typer.Option(help=say("配置文件（TOML）。", "Settings file (TOML)."))]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help=say("允许监听非本机地址。", "Allow a bind other than loopback.")),
]
AsJson = Annotated[bool, typer.Option("--json", help=say("以 JSON 输出。", "Print JSON."))]


def serve(
    host: Host = None,
    port: Port = None,
    mllp_port: MllpPort = None,
    dicom: Dicom = False,
    dicom_port: DicomPort = None,
    data: Data = None,
    config: Config = None,
    insecure: Insecure = False,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(
        os.environ,
        file=config,
        host=host,
        port=port,
        mllp_port=mllp_port,
        dicom=dicom or None,
        dicom_port=dicom_port,
        data=data,
        insecure=insecure or None,
    )
    configure(settings.log_level, settings.log_format)
    share_time()
    from gateway.serve import serve as run

    def ready(gateway: Any, url: str) -> None:
        seconds = time.perf_counter() - BORN
        if as_json:
            print_json(
                {
                    "url": url,
                    "fhir": f"{url}/fhir",
                    "mllp_port": gateway.mllp_port,
                    "dicom_port": gateway.dicom_port,
                    "ready_seconds": round(seconds, 3),
                }
            )
        else:
            print(_greeting(url, gateway.mllp_port, gateway.dicom_port, settings, seconds))
        sys.stdout.flush()
        settle()

    run_loop(run(settings, ready=ready))


def run_loop(coroutine: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


def _greeting(
    url: str, mllp_port: int | None, dicom_port: int | None, settings: Settings, seconds: float
) -> str:
    lines = [
        styled("Hutong 互通", "bold") + say(f"  {seconds:.2f} 秒就绪", f"  ready in {seconds:.2f} s"),
        f"  FHIR      {url}/fhir",
        f"  {say('消息    ', 'Messages')}  {url}/messages",
    ]
    if mllp_port is not None:
        lines.append(f"  MLLP      {settings.host}:{mllp_port}")
    if dicom_port is not None:
        lines.append(f"  DICOM     {settings.dicom_ae_title}@{settings.host}:{dicom_port}")
    if settings.astm and settings.astm_port:
        lines.append(f"  ASTM      {settings.host}:{settings.astm_port}")
    if not has_snapshots(settings):
        lines.append(
            say(
                "  还没有目录：hutong terms load --shipped 导入自带的 ICD-10、检验项目等",
                "  No catalogues yet: hutong terms load --shipped loads ICD-10, laboratory items …",
            )
        )
    lines.append(say("  按 Ctrl+C 停止", "  Ctrl+C stops it"))
    return "\n".join(lines)
