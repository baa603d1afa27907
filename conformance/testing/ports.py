"""A target file as a target: the ports that it names are opened (docs/conformance.md)."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conformance.testing.client import Client
from conformance.testing.listener import Files, Listener, MllpLine
from conformance.testing.target import Outbox, Port, Target
from conformance.testing.wire import HttpClient
from terminology.issues import InvalidInput

SECONDS = 30.0
_BLANK = re.compile(r"\$\{env:([A-Z][A-Z0-9_]{0,60})\}")


def open_target(given: dict[str, Any], folder: Path, *, tell: Callable[[str], None] | None = None) -> Target:
    """Return the target of a file's content; close it at the end. `tell` hears what the member is asked to do.

    Credentials come from the environment (`${env:NAME}`). Raises InvalidInput HT-CT-34 for a port that cannot be.
    """
    if not isinstance(given, dict) or not given.get("member"):
        raise InvalidInput("HT-CT-34", name="target", detail="member")
    opened: list[Port] = []
    fhir: Client | None = None
    outbox: Outbox | None = None
    try:
        if given.get("fhir"):
            fhir = http = http_client(given["fhir"])
            opened.append(http)
        if given.get("listen"):
            row = given["listen"]
            outbox = listener = Listener(
                row.get("host", "127.0.0.1"),
                int(row.get("port", 0)),
                seconds=float(row.get("seconds", SECONDS)),
                tell=tell,
            )
            opened.append(listener)
        elif given.get("samples"):
            outbox = Files(folder / given["samples"])
        line = MllpLine(given["mllp"]["host"], int(given["mllp"]["port"])) if given.get("mllp") else None
    except (KeyError, TypeError, ValueError, OSError) as error:
        for port in opened:
            port.close()
        raise InvalidInput(
            "HT-CT-34", name=str(given["member"]), detail=f"{type(error).__name__}: {error}"[:200]
        ) from None
    return Target(
        str(given["member"]), tuple(given.get("roles", ())), fhir, outbox, line,
        {name: str(value) for name, value in given.get("variables", {}).items()},
        {name: str(value) for name, value in given.get("evidence", {}).items()},
        ports=tuple(opened),
    )  # fmt: skip


def http_client(row: dict[str, Any]) -> HttpClient:
    """Return the client of an HTTP port: `base`, `headers`, `seconds`."""
    headers = {name: _secret(str(value)) for name, value in row.get("headers", {}).items()}
    return HttpClient(row["base"], headers=headers, seconds=float(row.get("seconds", SECONDS)))


def _secret(text: str) -> str:
    return _BLANK.sub(lambda found: os.environ.get(found[1], ""), text)
