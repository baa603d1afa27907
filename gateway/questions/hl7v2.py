"""Questions in HL7 v2, answered from the store on the line they came by: MLLP or `POST /messages/hl7v2`.

| question | answer | |
|---|---|---|
| QBP^Q22 | RSP^K22 | patients by what is known of them (IHE PDQ, ITI-21) |
| QBP^Q23 | RSP^K23 | the other numbers of a patient (IHE PIX, ITI-9) |
| QRY^A19 | ADR^A19 | one patient by number (HL7 v2.3) |
| QBP^Q11 | RSP^K11, then OML^O33 | the orders of a specimen (IHE LAW, LAB-27 and LAB-28) |
| QRY^Q02 | QCK^Q02, then DSR^Q03 | the same as Mindray chemistry analysers ask |
| ORM^O01 with ORC-1 RF | ORR^O02 | the same as Mindray haematology analysers ask |
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.gate import Gate, refusal
from gateway.ingest.hl7v2 import new_control_id
from gateway.questions import devices, patients
from gateway.questions.reply import Question, Reply
from gateway.store.protocol import Store
from mappings.hl7v2 import parse
from mappings.hl7v2.ack import acknowledge, read_header
from mappings.hl7v2.message import Message
from mappings.language.active import ActiveMaps
from terminology.issues import FhirError, MalformedMessage

Answer = Callable[[Question], Awaitable[Sequence[Reply]]]

ANSWERS: dict[tuple[str, str], Answer] = {
    ("QBP", "Q22"): patients.demographics,
    ("QBP", "Q23"): patients.cross_reference,
    ("QRY", "A19"): patients.one_patient,
    ("QBP", "Q11"): devices.work_order_steps,
    ("QRY", "Q02"): devices.sample_request,
    ("ORM", "O01"): devices.worklist_request,
}


@dataclass(frozen=True, slots=True)
class Questions:
    """Answers the questions among HL7 v2 messages; the gate is asked as for any message."""

    store: Store
    maps: ActiveMaps
    clock: Callable[[], datetime]
    fallback_charset: str | None = None
    gate: Gate | None = None

    async def answer(self, raw: bytes) -> Sequence[bytes] | None:
        """Return the messages to send back, in order; None when `raw` is no question that is known here."""
        try:
            message = parse(raw, fallback=self.fallback_charset)
        except MalformedMessage:
            # The ordinary way words the refusal.
            return None
        answer = ANSWERS.get((message.code, message.event))
        if answer is None or (message.code == "ORM" and message.get("ORC-1") != "RF"):
            return None
        header = read_header(message)
        event = f"{message.code}^{message.event}"
        issue = refusal(self.gate, message.origin[1], event) if self.gate is not None else None
        if issue is not None:
            return [
                acknowledge(
                    header, "reject", level="original", id=new_control_id(), now=self.clock(), issues=[issue]
                )
            ]
        question = self._question(message)
        try:
            replies = await answer(question)
        except FhirError as error:
            return [
                acknowledge(
                    header,
                    "error",
                    level="original",
                    id=new_control_id(),
                    now=self.clock(),
                    issues=error.issues,
                )
            ]
        return [reply.encoded(question) for reply in replies]

    def _question(self, message: Message) -> Question:
        return Question(message, self.store, self.maps, self.clock(), new_control_id)
