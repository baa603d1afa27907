"""A target file as a target: the ports that it names are opened (docs/conformance.md)."""

import os
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from conformance.testing.client import Client
from conformance.testing.doorway import Counterpart, Door, HttpDoor
from conformance.testing.listener import Files, Listener, MllpLine
from conformance.testing.target import Outbox, Port, Target
from conformance.testing.wire import HttpClient
from terminology.issues import InvalidInput

SECONDS = 30.0
MAX_EVIDENCE = 256 * 1024 * 1024
_FILE = re.compile(r"[/\\]|\.[A-Za-z0-9]{2,5}$")
_BLANK = re.compile(r"\$\{env:([A-Z][A-Z0-9_]{0,60})\}")


def open_target(
    given: dict[str, Any],
    folder: Path,
    *,
    tell: Callable[[str], None] | None = None,
    counterpart: Callable[[], Counterpart] | None = None,
) -> Target:
    """Return the target of a file's content; close it at the end. `tell` hears what the member is asked to do.

    `counterpart` makes the centre in a sandbox, for a member that sends (`listen`) or calls (`serve`).

    Credentials come from the environment (`${env:NAME}`). Raises InvalidInput HT-CT-34 for a port that cannot be.
    """
    if not isinstance(given, dict) or not given.get("member"):
        raise InvalidInput("HT-CT-34", name="target", detail="member")
    opened: list[Port] = []
    fhir: Client | None = None
    http: Client | None = None
    outbox: Outbox | None = None
    door: Door | None = None
    centre: Counterpart | None = None
    try:
        if counterpart is not None and any(given.get(name) for name in ("listen", "serve", "documents")):
            centre = counterpart()
            opened.append(centre)
        if given.get("http"):
            http = service = http_client(given["http"])
            opened.append(service)
        if given.get("serve") and centre is not None:
            row = given["serve"]
            door = served = HttpDoor(
                centre, row.get("host", "127.0.0.1"), int(row.get("port", 0)),
                seconds=float(row.get("seconds", SECONDS)), tell=tell,
            )  # fmt: skip
            opened.append(served)
        if given.get("fhir"):
            fhir = client = http_client(given["fhir"])
            opened.append(client)
        if given.get("listen"):
            row = given["listen"]
            outbox = listener = Listener(
                row.get("host", "127.0.0.1"),
                int(row.get("port", 0)),
                seconds=float(row.get("seconds", SECONDS)),
                tell=tell,
                acknowledge=centre.acknowledge if centre is not None else None,
            )
            opened.append(listener)
        elif given.get("samples"):
            outbox = Files(folder / given["samples"])
        line = (
            MllpLine(given["mllp"]["host"], int(given["mllp"]["port"]))
            if given.get("mllp") is not None
            else None
        )
    except (AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        for port in reversed(opened):
            port.close()
        raise InvalidInput(
            "HT-CT-34", name=str(given["member"]), detail=f"{type(error).__name__}: {error}"[:200]
        ) from None
    return Target(
        str(given["member"]), tuple(given.get("roles", ())), fhir, outbox, line,
        {name: str(value) for name, value in given.get("variables", {}).items()},
        dict(_evidence(given.get("evidence", {}), folder)),
        ports=tuple(reversed(opened)), http=http, door=door, counterpart=centre,
        documents=folder / given["documents"] if given.get("documents") else None,
    )  # fmt: skip


def _evidence(given: dict[str, Any], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what attests a requirement: a file with its SHA-256, or a note. A file that isn't there attests nothing."""
    for name, value in given.items():
        text = str(value)
        path = folder / text
        if not _FILE.search(text):
            yield str(name), text
        elif path.is_file() and path.stat().st_size <= MAX_EVIDENCE:
            yield str(name), f"{text} sha256:{sha256(path.read_bytes()).hexdigest()}"


def http_client(row: dict[str, Any]) -> HttpClient:
    """Return the client of an HTTP port: `base`, `headers`, `seconds`."""
    headers = {name: _secret(str(value)) for name, value in row.get("headers", {}).items()}
    return HttpClient(row["base"], headers=headers, seconds=float(row.get("seconds", SECONDS)))


def _secret(text: str) -> str:
    return _BLANK.sub(lambda found: os.environ.get(found[1], ""), text)
