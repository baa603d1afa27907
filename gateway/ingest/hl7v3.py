"""Messages of the Chinese platforms at the door: HL7 v3 of the hospital, `rhin:` of the region, bare or in SOAP."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from gateway.gate import Gate, refusal
from gateway.ingest.kind import Admission, Level, Origin, Verdict
from gateway.journal import Incoming
from mappings.language.result import Result
from terminology.issues import FhirError, Forbidden, Issue, UnmappableMessage

if TYPE_CHECKING:
    from mappings.hl7v3.actions import Action, Table
    from mappings.hl7v3.envelope import Interaction
    from mappings.language.active import ActiveMaps

MOST_KEYS = 4


@dataclass(frozen=True, slots=True)
class Heard:
    """What was understood of a message; `action` None: nobody knows it, `interaction` None: it could not be read."""

    interaction: "Interaction | None" = None
    action: "Action | None" = None


Remind = Callable[[bytes, str], Awaitable[bytes]]
"""Answers a query for earlier examinations (IST-RS1–3): message and transaction → the whole answer; raises FhirError."""
Ask = Callable[["Interaction", "Action"], Awaitable[str]]
"""Answers a query from the store: the XML that its answer carries; raises FhirError."""


class Hl7v3:
    """`ask` answers queries; `clock` gives the current time with its offset."""

    name = "hl7v3"
    media_type = "application/xml; charset=utf-8"

    def __init__(
        self,
        maps: "ActiveMaps",
        *,
        clock: Callable[[], datetime],
        ask: Ask,
        remind: Remind | None = None,
        fallback_charset: str | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.maps, self.clock, self.ask, self.remind = maps, clock, ask, remind
        self.fallback, self.gate = fallback_charset, gate

    def tables(self) -> "tuple[Table, ...]":
        """The platforms whose actions are taken, in the order in which a name is looked for."""
        from mappings.hl7v3.actions import hospital, region

        return hospital(), region()

    def admit(self, raw: bytes, origin: Origin) -> Sequence[Admission]:
        try:
            heard = self.parse(raw)
        except FhirError as error:
            # Even what can't be read is kept: a person may know what the sender meant.
            return [
                Admission(
                    self._guess(error), self._incoming(raw, Heard(), origin, error), None, error, "reject"
                )
            ]
        assert heard.interaction is not None
        problem, verdict = self._problem(heard)
        if self.gate is not None:
            member = heard.interaction.source.rpartition("|")[2] or heard.interaction.sender[1]
            issue = refusal(self.gate, member, heard.action.name if heard.action else self.name)
            if issue is not None:
                return [Admission(heard, None, None, Forbidden([issue]), "reject")]
        return [Admission(heard, self._incoming(raw, heard, origin, problem), heard, problem, verdict)]

    def parse(self, raw: bytes) -> Heard:
        from mappings.hl7v3.actions import choose
        from mappings.hl7v3.envelope import read_interaction

        found = read_interaction(raw, fallback=self.fallback)
        chosen = (choose(table, found.action, found.root) for table in self.tables())
        return Heard(found, next((action for action in chosen if action is not None), None))

    def map(self, message: Heard) -> Result:
        from mappings.hl7v3.convert import convert_interaction

        assert message.interaction is not None
        problem, _ = self._problem(message)
        if problem is not None:
            raise problem
        return convert_interaction(message.interaction, self.maps)

    def wants(self, header: Heard, level: Level, verdict: Verdict) -> bool:
        # What is wrong at the door is told at once, everything else when it is stored.
        return level == "application" or (level == "accept" and verdict != "accept")

    def answer(
        self, header: Heard, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        return self._answer(header, verdict, issues)

    async def found(self, header: Heard) -> bytes | None:
        """Return the answer to a query, None when the message is none."""
        if header.action is None or header.action.does != "query" or header.interaction is None:
            return None
        if header.action.finds.startswith("reminder") and self.remind is not None:
            return await self._reminded(header, self.remind)
        try:
            body = await self.ask(header.interaction, header.action)
        except FhirError as error:
            return self._answer(header, "error", error.issues)
        return self._answer(header, "accept", (), body=body)

    async def _reminded(self, header: Heard, remind: Remind) -> bytes:
        from mappings.hl7v3.answer import in_soap

        assert header.interaction is not None
        assert header.action is not None
        message = header.interaction.message
        try:
            told = await remind(message.root.xml(message.namespace).encode(), header.action.name)
        except FhirError as error:
            return self._answer(header, "error", error.issues)
        return in_soap(told.decode(), header.interaction).encode() if header.interaction.soap else told

    def join(self, answers: Sequence[bytes], header: Heard) -> bytes:
        return answers[0]

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        try:
            heard = self.parse(raw)
        except FhirError as unread:
            heard = self._guess(unread)
        return self._answer(heard, "reject", error.issues)

    def _guess(self, error: FhirError) -> Heard:
        """What the envelope said of a message that can't be read: the refusal has the form of its action."""
        from mappings.hl7v3.actions import choose
        from mappings.hl7v3.envelope import UnreadableMessage

        if not isinstance(error, UnreadableMessage):
            return Heard()
        found = error.interaction
        chosen = (choose(table, found.action, found.root) for table in self.tables())
        return Heard(found, next((action for action in chosen if action is not None), None))

    def _answer(self, header: Heard, verdict: Verdict, issues: Sequence[Issue], *, body: str = "") -> bytes:
        from mappings.hl7v3.answer import acknowledge, in_soap

        made = acknowledge(
            header.interaction,
            header.action,
            verdict,
            id=secrets.token_hex(16).upper(),
            now=self.clock(),
            issues=issues,
            body=body,
        )
        is_soap = header.interaction is not None and bool(header.interaction.soap)
        return (in_soap(made, header.interaction) if is_soap else made).encode()

    def _problem(self, heard: Heard) -> tuple[FhirError | None, Verdict]:
        from mappings.hl7v3.check import problems

        interaction = heard.interaction
        assert interaction is not None
        if heard.action is None:
            known = ", ".join(action.name for table in self.tables() for action in table.actions)
            said = interaction.action or interaction.root.name
            return UnmappableMessage("HT-XML-15", source="action", action=said[:80], known=known), "reject"
        issues = problems(heard.action, interaction.root)
        is_reminder = heard.action.finds.startswith("reminder")
        if not issues and heard.action.does == "query" and not is_reminder and self._is_empty(interaction):
            issues = [Issue("HT-XML-16", {}, source="queryByParameter")]
        return (UnmappableMessage(issues), "error") if issues else (None, "accept")

    def _is_empty(self, interaction: "Interaction") -> bool:
        from mappings.hl7v3.question import read_question
        from mappings.language.converters import Context

        return read_question(interaction.root, Context(self.maps.sender, self.maps.translator)).is_empty

    def _incoming(self, raw: bytes, heard: Heard, origin: Origin, error: FhirError | None) -> Incoming:
        interaction = heard.interaction
        action = heard.action.name if heard.action is not None else ""
        return origin.incoming(
            self.name,
            raw,
            source=interaction.source if interaction is not None else "",
            control_id=(interaction.id[1] or interaction.id[0])[:200] if interaction is not None else "",
            event=action or (interaction.root.name[:80] if interaction is not None else ""),
            keys=keys(interaction.root) if interaction is not None else (),
            hash=content_hash(interaction, raw),
            error=error,
        )


def keys(root: Any) -> tuple[str, ...]:
    """Return what orders messages: the numbers of the patients that a message names."""
    from mappings.datatypes.v3_ii import pairs

    found: list[str] = []
    for element in root.walk():
        if element.name in ("patient", "priorRegisteredRole", "patientPerson") or element.name == "patientId":
            ids = element.all("id") if element.name != "patientId" else [element]
            found += [extension for one in ids for _, extension in pairs(one) if extension]
        elif element.name in ("SourcePatientID", "IdentityId") and element.text.strip():
            found.append(element.text.strip())
    return tuple(dict.fromkeys(found))[:MOST_KEYS]


def content_hash(interaction: "Interaction | None", raw: bytes) -> bytes:
    """Return the hash of a message without its creation time and envelope: a resend is the same message."""
    digest = blake2b(digest_size=16)
    if interaction is None:
        digest.update(raw)
    else:
        digest.update(interaction.root.name.encode())
        for child in interaction.root.children:
            if child.name != "creationTime":
                digest.update(repr(child).encode())
    return digest.digest()


class Rhin(Hl7v3):
    """Messages of the regional platform: the same door, its own actions first (docs/adapters/rhin.md)."""

    name = "rhin"

    def tables(self) -> "tuple[Table, ...]":
        return tuple(reversed(super().tables()))
