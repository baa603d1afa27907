"""`hutong destinations list|test`: who is told of what, where each stands, and whether it can be reached."""

import asyncio
import os
from typing import Annotated

import typer

from gateway.cli import FINDINGS
from gateway.cli.client import call_json
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import cut, language, print_json, say, styled, table
from gateway.lock import holder
from gateway.outbound.destination import Destination
from gateway.outbound.destination_files import Destinations
from gateway.outbound.reader import Reader, Standing
from gateway.outbound.schema import FILE
from gateway.settings import Settings, load_settings
from mappings.language.active import ActiveMaps
from terminology.fhirjson import Json
from terminology.issues import FhirError, NotFound

Name = Annotated[
    str | None, typer.Argument(help=say("发送目标；缺省为全部。", "Destination; default: all of them."))
]


def list_destinations(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    settings = load_settings(os.environ, file=config, data=data)
    destinations = _read(settings)
    running = holder(settings.data)
    if settings.destinations is None and running and running.get("url"):
        # The running gateway was told its destinations when it started.
        rows = call_json(running["url"], "/deliveries/destinations")[1].get("destinations", [])
    else:
        standings = Reader(settings.data).standings() if (settings.data / FILE).is_file() else {}
        rows = [_shown(row, standings.get(row.name)) for row in destinations.all().values()]
        rows += [_standing(name, row) for name, row in standings.items() if name not in destinations.all()]
    problems = [issue.text(language()) for issues in destinations.problems.values() for issue in issues]
    if as_json:
        print_json({"destinations": rows, "problems": problems})
    elif rows:
        head = say(
            "名称 状态 通道 地址 主题 等待 搁置", "name state channel address topics open parked"
        ).split()
        print(table([_line(row) for row in rows], head=head))
    else:
        print(say("没有发送目标。", "No destinations."))
    for text in problems if not as_json else ():
        typer.echo(text, err=True)
    if problems:
        raise typer.Exit(FINDINGS)


def try_destinations(
    name: Name = None, data: Data = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Open and close a connection to each destination and look whether its maps are there; nothing is sent."""
    settings = load_settings(os.environ, file=config, data=data)
    destinations = _read(settings)
    known = destinations.all()
    if name is not None and name not in known:
        raise NotFound("HT-OUT-13", name=name, known=", ".join(sorted(known)) or "-")
    maps = ActiveMaps(settings.maps)
    rows = [
        {"name": row.name, **asyncio.run(_probe(row)), "maps": _missing(row, maps)}
        for row in known.values()
        if name in (None, row.name)
    ]
    problems = [issue.text(language()) for issues in destinations.problems.values() for issue in issues]
    if as_json:
        print_json({"destinations": rows, "problems": problems})
    else:
        for row in rows:
            mark = styled("✓", "green") if row["ok"] and not row["maps"] else styled("✗", "red")
            print(f"{mark} {row['name']}  {row['detail']}  {row['milliseconds']} ms")
            for text in row["maps"]:
                print(f"    {text}")
        for text in problems:
            typer.echo(text, err=True)
    if problems or any(not row["ok"] or row["maps"] for row in rows):
        raise typer.Exit(FINDINGS)


async def _probe(row: Destination) -> Json:
    from gateway.outbound.probe import probe

    return await probe(row)


def _missing(row: Destination, maps: ActiveMaps) -> list[str]:
    """Return what is wrong with the maps of a destination."""
    found: list[str] = []
    for map in dict.fromkeys(row.maps.values()):
        try:
            maps.outbound(map)
        except FhirError as error:
            found += [issue.text(language()) for issue in error.issues]
    return found


def _read(settings: Settings) -> Destinations:
    destinations = Destinations(settings.destinations)
    destinations.refresh()
    return destinations


def _shown(row: Destination, standing: Standing | None) -> Json:
    made = _standing(row.name, standing)
    return made | {
        "channel": row.channel,
        "address": row.address,
        "maps": dict(row.maps),
        "organizations": list(row.organizations),
        "charset": row.charset,
        "paused": row.is_paused,
    }


def _standing(name: str, standing: Standing | None) -> Json:
    if standing is None:
        return {"name": name, "state": "up", "open": 0, "parked": 0}
    made: Json = {"name": name, "state": standing.state, "open": standing.open, "parked": standing.parked}
    return made | ({"reason": standing.reason} if standing.reason else {})


def _line(row: Json) -> list[str]:
    topics = ", ".join(row.get("maps", ()))
    state = f"{row['state']} {row.get('reason', '')}".strip()
    return [
        row["name"],
        cut(state, 40),
        row.get("channel", "-"),
        cut(row.get("address", "-"), 40),
        cut(topics, 60),
        str(row["open"]),
        str(row["parked"]),
    ]
