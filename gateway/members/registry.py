"""The certificates of the members, as the gate reads them, and every change of their states (docs/conformance.md).

draft → testing → certified | conditional → suspended → revoked | expired. A change is a person's, has a reason and is
written down; nothing changes silently. Proposals wait here until a person decides.
"""

import fcntl
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from conformance.testing.certificate import (
    Certificate,
    CertificateState,
    issue,
    new_key,
    open_certificate,
    public_key,
    sign,
)
from conformance.testing.gate import Override
from conformance.testing.verdict import Verdict, blocking
from gateway.durable_file import write_durably
from gateway.members.ledger import Ledger
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput, NotFound

NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}", re.ASCII)
STATES: tuple[CertificateState, ...] = (
    "draft", "testing", "certified", "conditional", "suspended", "revoked", "expired",
)  # fmt: skip
INTERFACE = "1.0"

P = ParamSpec("P")
T = TypeVar("T")


def alone(
    change: Callable[Concatenate["Registry", P], T],
) -> Callable[Concatenate["Registry", P], T]:
    """What a change reads is still so when it writes: the command line decides beside the running gateway."""

    @wraps(change)
    def locked(registry: "Registry", /, *args: P.args, **named: P.kwargs) -> T:
        registry.folder.mkdir(parents=True, exist_ok=True)
        with (registry.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            return change(registry, *args, **named)

    return locked


class Registry:
    """`folder` is the data folder's `certificates`; `clock` gives the time with its offset."""

    def __init__(self, folder: Path, *, clock: Callable[[], datetime]) -> None:
        self.folder, self.clock = folder, clock
        self.ledger = Ledger(folder / "ledger.jsonl")

    # Certificates

    def certificates(self) -> list[Certificate]:
        """Return all members' certificates in any state; one that is altered is left out (the gate logs it)."""
        found = []
        for path in sorted(self.folder.glob("*.jws")):
            try:
                found.append(open_certificate(path.read_text("utf-8"), self._public()))
            except (InvalidInput, OSError):
                continue
        return found

    def certificate(self, member: str) -> Certificate:
        """Return a member's certificate in any state; raises NotFound HT-CT-49."""
        return open_certificate(self.statement(member), self._public())

    def statement(self, member: str) -> str:
        """Return the signed statement (JWS) of a member's certificate; raises NotFound HT-CT-49."""
        path = self._path(member)
        if not path.is_file():
            raise NotFound("HT-CT-49", member=member[:64])
        return path.read_text("utf-8")

    def enter(self, given: Json, *, by: str) -> Certificate:
        """Begin with a member: a draft of its target file's facts; raises BusinessRule when there is one already."""
        member = str(given.get("member", ""))
        if self._path(member).is_file() and self.certificate(member).state not in ("expired", "revoked"):
            raise BusinessRule(
                "HT-CT-43", state=self.certificate(member).state, wanted="draft", allowed="testing"
            )
        made = Certificate(
            member=member,
            vendor=str(given.get("vendor", "")),
            product=str(given.get("product", "")),
            version=str(given.get("version", "")),
            roles=tuple(given.get("roles", ())),
            interface_version=INTERFACE,
            suite_hash="",
            run="",
            issued=self.clock().date().isoformat(),
            valid_to=(self.clock().date() + timedelta(days=365)).isoformat(),
            state="draft",
        )
        return self._keep(made, "draft", by=by, reason="entered", was="")

    def issue(
        self, given: Json, verdicts: Mapping[str, Sequence[Verdict]], *, run: str, suite_hash: str, by: str
    ) -> Certificate:
        """Issue the certificate of a run; raises BusinessRule HT-CT-41 and remembers what stands in the way."""
        member = str(given["member"])
        path = self._path(member)
        was = self.certificate(member).state if path.is_file() else "testing"
        if was == "revoked":
            raise BusinessRule("HT-CT-43", state=was, wanted="certified", allowed="∅")
        try:
            made = issue(
                member=member,
                vendor=str(given.get("vendor", "")),
                product=str(given.get("product", "")),
                version=str(given.get("version", "")),
                verdicts={role: list(rows) for role, rows in verdicts.items()},
                interface_version=INTERFACE,
                suite_hash=suite_hash,
                run=run,
                today=self.clock().date(),
                fingerprint=str(given.get("fingerprint", "")),
            )
        except BusinessRule:
            self.refuse(member, verdicts, run=run)
            raise
        self._forget_refusal(member)
        return self._keep(made, made.state, by=by, reason=f"run {run}", was=was)

    def move(self, member: str, wanted: str, *, by: str, reason: str) -> Certificate:
        """Put a certificate into another state; raises BusinessRule for a transition that the table hasn't.

        A working state comes from a run (`issue`), or back from a suspension.
        """
        if wanted not in STATES:
            raise InvalidInput("HT-CT-50", name="to", detail=", ".join(STATES))
        if not by.strip() or not reason.strip():
            raise InvalidInput("HT-CT-50", name="by, reason", detail="required")
        found = self.certificate(member)
        is_working = wanted in ("certified", "conditional")
        if is_working and (
            found.state != "suspended" or not found.run or (wanted == "conditional") != bool(found.waivers)
        ):
            back = (
                ("conditional" if found.waivers else "certified",)
                if found.state == "suspended" and found.run
                else ()
            )
            raise BusinessRule(
                "HT-CT-43",
                state=found.state,
                wanted=wanted,
                allowed=", ".join(back) or "conformance run → certificate",
            )
        return self._keep(found.moved(wanted), wanted, by=by, reason=reason, was=found.state)

    # What stands in the way of a member, for the gate's answer

    @alone
    def refuse(self, member: str, verdicts: Mapping[str, Sequence[Verdict]], *, run: str) -> None:
        """Remember the requirements that keep a member from its certificate."""
        rows = self._read("refusals.json", {})
        rows[member] = {
            "run": run,
            "roles": {
                role: [row.requirement.id for row in blocking(found)][:50] for role, found in verdicts.items()
            },
        }
        self._write("refusals.json", rows)

    @alone
    def _forget_refusal(self, member: str) -> None:
        rows = self._read("refusals.json", {})
        if rows.pop(member, None) is not None:
            self._write("refusals.json", rows)

    # Overrides: two people, some hours, all of it written down

    @alone
    def ask_override(self, member: str, *, reason: str, by: str, hours: float) -> Json:
        """Ask for an emergency override; it opens nothing until another person approves."""
        begins = self.clock()
        ends = begins + timedelta(hours=hours)
        # The rule itself tells what is wrong with member, reason and time; the second person comes later.
        Override(member, reason, (by, f"{by} and another"), begins, ends)
        rows = self._read("override-requests.json", [])
        row: Json = {
            "id": f"o{len(rows) + 1}-{int(begins.timestamp())}",
            "member": member,
            "reason": reason,
            "asked_by": by,
            "hours": hours,
            "state": "asked",
        }
        self._write("override-requests.json", [*rows, row])
        self.ledger.write("override-asked", at=begins, **row)
        return row

    @alone
    def approve_override(self, id: str, *, by: str) -> Json:
        """Open it, from now for its hours; raises BusinessRule HT-CT-45 when the second person is the first."""
        rows = self._read("override-requests.json", [])
        row = _named(rows, id, "override")
        if row["state"] != "asked":
            raise BusinessRule("HT-CT-51", id=id, state=row["state"])
        begins = self.clock()
        made = Override(
            row["member"],
            row["reason"],
            (row["asked_by"], by),
            begins,
            begins + timedelta(hours=row["hours"]),
        )
        opened = {
            "member": made.member,
            "reason": made.reason,
            "approvers": list(made.approvers),
            "begins": made.begins.isoformat(),
            "ends": made.ends.isoformat(),
        }
        row |= {"state": "approved", "approved_by": by, "begins": opened["begins"], "ends": opened["ends"]}
        self._write("overrides.json", [*self._read("overrides.json", []), opened])
        self._write("override-requests.json", rows)
        self.ledger.write("override-approved", at=begins, **row)
        return row

    def overrides(self) -> list[Json]:
        """Return every request with its state, the newest first."""
        rows: list[Json] = self._read("override-requests.json", [])
        return rows[::-1]

    # Proposals: what smoke tests and quality found; a person decides

    @alone
    def propose(self, member: str, *, kind: str, facts: Json) -> Json | None:
        """Propose to suspend a member; None when the same is proposed already, or there is nothing to suspend."""
        try:
            state = self.certificate(member).state_on(self.clock().date())
        except NotFound:
            return None
        rows = self._read("proposals.json", [])
        is_open = any(
            row["member"] == member and row["kind"] == kind and row["state"] == "open" for row in rows
        )
        if is_open or state not in ("certified", "conditional"):
            return None
        row: Json = {
            "id": f"p{len(rows) + 1}-{int(self.clock().timestamp())}",
            "member": member,
            "proposal": "suspended",
            "kind": kind,
            "facts": facts,
            "at": self.clock().isoformat(timespec="seconds"),
            "state": "open",
        }
        self._write("proposals.json", [*rows, row])
        self.ledger.write("proposed", at=self.clock(), member=member, kind=kind, id=row["id"])
        return row

    def proposals(self) -> list[Json]:
        rows: list[Json] = self._read("proposals.json", [])
        return rows[::-1]

    @alone
    def decide(self, id: str, *, accept: bool, by: str, reason: str) -> Json:
        """Accept a proposal (the certificate is suspended) or dismiss it; both need a name and a reason."""
        rows = self._read("proposals.json", [])
        row = _named(rows, id, "proposal")
        if row["state"] != "open":
            raise BusinessRule("HT-CT-51", id=id, state=row["state"])
        if not by.strip() or not reason.strip():
            raise InvalidInput("HT-CT-50", name="by, reason", detail="required")
        if accept:
            self.move(row["member"], "suspended", by=by, reason=reason)
        row |= {"state": "accepted" if accept else "dismissed", "by": by, "reason": reason}
        self._write("proposals.json", rows)
        self.ledger.write(
            "proposal-decided",
            at=self.clock(),
            id=id,
            member=row["member"],
            state=row["state"],
            by=by,
            reason=reason,
        )
        return row

    def key(self) -> bytes:
        """Return the centre's private key, made on first use; the public one lies beside it for everybody."""
        path = self.folder / "centre.key"
        if not path.is_file():
            private = new_key()
            write_durably(self.folder / "centre.pem", public_key(private))
            write_durably(path, private, mode=0o600)
        return path.read_bytes()

    def _public(self) -> bytes:
        path = self.folder / "centre.pem"
        return path.read_bytes() if path.is_file() else public_key(self.key())

    def _keep(
        self, made: Certificate, state: CertificateState, *, by: str, reason: str, was: str
    ) -> Certificate:
        private = self.key()
        made = replace(made, state=state)
        write_durably(self._path(made.member), sign(made, private).encode())
        self.ledger.write(
            "certificate",
            at=self.clock(),
            member=made.member,
            was=was,
            now=state,
            by=by,
            reason=reason,
            run=made.run,
        )
        return made

    def _path(self, member: str) -> Path:
        if not NAME.fullmatch(member):
            raise InvalidInput("HT-CT-50", name="member", detail="A-Z a-z 0-9 _ -")
        return self.folder / f"{member}.jws"

    def _read(self, name: str, absent: Any) -> Any:
        path = self.folder / name
        return json.loads(path.read_text("utf-8")) if path.is_file() else absent

    def _write(self, name: str, value: Any) -> None:
        """Whole or not at all: the gate reads these files while we write them."""
        write_durably(self.folder / name, json.dumps(value, ensure_ascii=False, indent=1).encode())


def shown(certificate: Certificate, today: Any) -> Json:
    """Return a certificate as REST shows it, with the state that it is in today."""
    return asdict(certificate) | {"state_today": certificate.state_on(today)}


def _named(rows: Iterable[Json], id: str, kind: str) -> Json:
    found = next((row for row in rows if row["id"] == id), None)
    if found is None:
        raise NotFound("HT-CT-52", kind=kind, id=id[:64])
    return found
