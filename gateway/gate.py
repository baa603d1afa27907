"""The gate at the doors: no member's production request or message without a certificate for it.

The rule is `conformance.testing.gate`; here are the certificates (a folder of JWS files with the centre's public key
`centre.pem`), the emergency overrides (`overrides.json`) and the names of members and interactions.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.members.ledger import Ledger
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import FhirError, Forbidden, Issue

if TYPE_CHECKING:
    # Read when a gate is asked for the first time: a gateway without one starts without the test engine.
    from conformance.testing.certificate import Certificate
    from conformance.testing.gate import Override, Refusal

log = logging.getLogger("gateway.gate")

LOOK_SECONDS = 2.0
WORDS = {"PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
# What tells a stranger only how to speak to the server.
OPEN = frozenset({"metadata"})


class Gate:
    """`folder` is read again when it changed, at most every two seconds. `header`: the HTTP header that names the
    member; whoever terminates TLS in front sets it, and takes away what a client sent."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime], header: str) -> None:
        self.folder, self.clock, self.header = folder, clock, header.lower()
        self._certificates: dict[str, list[Certificate]] = {}
        self._overrides: list[Override] = []
        self._refusals: dict[str, Refusal] = {}
        self._ledger = Ledger(folder / "ledger.jsonl")
        self._stamp: tuple[tuple[str, int], ...] = ()
        self._looked: datetime | None = None

    def check_request(self, request: Request) -> None:
        """Raise Forbidden when the member may not do this interaction; call it once the route is known."""
        if request.path in OPEN:
            return
        self.check(request.headers.get(self.header, ""), interaction_of(request))

    def check(self, member: str, interaction: str) -> None:
        """Raise Forbidden (HT-CT-44) when the member isn't admitted; a use of an override is logged."""
        from conformance.testing.gate import admits

        self._look()
        found = admits(
            member, interaction, certificates=self._certificates, now=self.clock(), overrides=self._overrides,
            refusals=self._refusals,
        )  # fmt: skip
        if found.by_override:
            log.warning("emergency override used", extra={"member": member, "interaction": interaction})
            self._ledger.write("override-used", at=self.clock(), member=member, interaction=interaction)
        if not found.is_admitted:
            assert found.issue is not None
            raise Forbidden([found.issue])

    def _look(self) -> None:
        now = self.clock()
        if self._looked is not None and (now - self._looked).total_seconds() < LOOK_SECONDS:
            return
        self._looked = now
        files = sorted(path for path in self.folder.glob("*") if path.suffix in (".jws", ".pem", ".json"))
        stamp = tuple((path.name, path.stat().st_mtime_ns) for path in files)
        if stamp != self._stamp:
            self._stamp = stamp
            self._load(files)

    def _load(self, files: list[Path]) -> None:
        """A file that is not valid is told in the log and admits nobody."""
        from conformance.testing.certificate import open_certificate

        self._certificates, self._overrides, self._refusals = {}, [], {}
        key = self.folder / "centre.pem"
        public = key.read_bytes() if key.is_file() else b""
        for path in files:
            try:
                if path.suffix == ".jws":
                    # In any state: the rule tells a suspended member why, and an expiry counts from its day on.
                    found = open_certificate(path.read_text("utf-8"), public)
                    self._certificates.setdefault(found.member, []).append(found)
                elif path.name == "refusals.json":
                    self._refusals = _refusals(json.loads(path.read_text("utf-8")))
                elif path.name == "overrides.json":
                    self._overrides = [_override(row) for row in json.loads(path.read_text("utf-8"))]
            except (FhirError, OSError, ValueError, KeyError, TypeError) as error:
                log.error("not admitted", extra={"file": path.name, "reason": str(error)[:200]})


def interaction_of(request: Request) -> str:
    """Return the name of a routed request: "read Patient", "search Observation", "operation Patient/$recognize"."""
    kind = request.type or ""
    if request.operation is not None:
        name = request.path.rpartition("$")[2].partition("/")[0]
        return f"operation {kind}/${name}"
    parts = request.path.split("/")
    if "_history" in parts:
        return f"{'vread' if request.version else 'history'} {kind}"
    if "_search" in parts or (
        request.method in ("GET", "HEAD") and (request.id is None or request.compartment)
    ):
        return f"search {kind}"
    if request.method in ("GET", "HEAD"):
        return f"read {kind}"
    if not request.path and request.method == "POST":
        return "transaction"
    return f"{WORDS.get(request.method, request.method.lower())} {kind}"


def refusal(gate: Gate, member: str, event: str) -> Issue | None:
    """Return why a message is not admitted, None when it is."""
    try:
        gate.check(member, event)
    except Forbidden as error:
        return error.issues[0]
    return None


def _refusals(rows: Json) -> "dict[str, Refusal]":
    from conformance.testing.gate import Refusal

    return {
        str(member): Refusal(str(row["run"]), {role: tuple(ids) for role, ids in row["roles"].items()})
        for member, row in rows.items()
    }


def _override(row: Json) -> "Override":
    from conformance.testing.gate import Override

    first, second = row["approvers"]
    begins, ends = datetime.fromisoformat(row["begins"]), datetime.fromisoformat(row["ends"])
    if begins.tzinfo is None or ends.tzinfo is None:
        raise ValueError("begins and ends need an offset")
    return Override(row["member"], row["reason"], (first, second), begins, ends)
