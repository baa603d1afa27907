"""A target file as a target: the ports that it names are opened (docs/conformance.md)."""

from pathlib import Path
from typing import Any

from conformance.testing.client import Client
from conformance.testing.listener import Files, Listener, MllpLine
from conformance.testing.target import Outbox, Target
from conformance.testing.wire import HttpClient


def open_target(given: dict[str, Any], folder: Path) -> Target:
    """Return the target of a file's content; its ports are opened where the file names them."""
    fhir: Client | None = HttpClient(given["fhir"]["base"]) if given.get("fhir") else None
    outbox: Outbox | None = Files(folder / given["samples"]) if given.get("samples") else None
    if given.get("listen"):
        row = given["listen"]
        outbox = Listener(
            row.get("host", "127.0.0.1"), int(row["port"]), seconds=float(row.get("seconds", 30))
        )
    line = MllpLine(given["mllp"]["host"], int(given["mllp"]["port"])) if given.get("mllp") else None
    variables = {name: str(value) for name, value in given.get("variables", {}).items()}
    evidence = {name: str(value) for name, value in given.get("evidence", {}).items()}
    return Target(
        str(given["member"]), tuple(given.get("roles", ())), fhir, outbox, line, variables, evidence
    )
