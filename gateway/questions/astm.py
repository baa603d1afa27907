"""What a laboratory device is to measure: a question (Q record) → its orders (ASTM E1394 §12, LIS02-A2 §11).

The question names sample numbers (`Q|1|^S0001`, the specimen part of the range) or ALL; the answer is H, P and O records
of the active orders with these numbers, or L|1|I when there are none.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from gateway.questions.samples import name_of, number_of, specimen_of, test_of
from gateway.store.protocol import Store
from mappings.astm import AstmMessage, Record, parse
from mappings.astm.write import Field, write_message
from terminology.fhirjson import Json
from terminology.issues import FhirError

MOST_SAMPLES = 200
# R4 request-priority → E1394 §8.4.6
PRIORITY = {"stat": "S", "asap": "A", "urgent": "A", "routine": "R"}
SEX = {"male": "M", "female": "F"}


async def answer_to(text: bytes, store: Store, *, clock: Callable[[], datetime]) -> bytes | None:
    """Return the answer when the message is a question, None when it is anything else."""
    try:
        (message,) = parse(text)
    except (FhirError, ValueError):
        return None
    return await orders_for(message, store, clock=clock) if message.code == "Q" else None


async def orders_for(message: AstmMessage, store: Store, *, clock: Callable[[], datetime]) -> bytes:
    """Return the answer to a question, in the charset that the device used (GB 18030 when it sent plain ASCII)."""
    records: list[Sequence[Field]] = []
    people = 0
    for number in asked_samples(message):
        found = await specimen_of(number, store)
        if found is not None:
            _, orders, patient = found
            people += 1
            records.append(_patient(patient, people))
            records += _orders(number, orders)
    now = clock().strftime("%Y%m%d%H%M%S")
    header: list[Field] = ["H", "", "", "", "HUTONG", *[""] * 4, message.header(5), "", "P", "LIS2-A2", now]
    end: list[Field] = ["L", "1", "F" if records else "I"]
    codec = message.codec if not message.decoded.text.isascii() else "gb18030"
    return write_message([header, *records, end], codec=codec)


def asked_samples(message: AstmMessage) -> list[str]:
    """Return the sample numbers of the question's ranges: Q-3 (patient ^ specimen, repeated), up to Q-4."""
    found: list[str] = []
    for record in message.all("Q"):
        assert isinstance(record, Record)
        for number in range(1, len(record.repetitions(3)) + 1):
            text = record.get(3, 2, repetition=number, codec=message.codec)
            text = text or record.get(3, 1, repetition=number, codec=message.codec)
            if text and text.strip() and text.strip().upper() != "ALL":
                found.append(text.strip())
    return list(dict.fromkeys(found))[:MOST_SAMPLES]


def _patient(patient: Json, number: int) -> Sequence[Field]:
    born = str(patient.get("birthDate", "")).replace("-", "")
    sex = SEX.get(patient.get("gender", ""), "U")
    return ["P", str(number), number_of(patient), "", "", name_of(patient), "", born, sex]


def _orders(number: str, orders: Sequence[Json]) -> list[Sequence[Field]]:
    """One O record a test: devices disagree on repeated tests in O-5, and all of them take one a record."""
    rows: list[Sequence[Field]] = []
    for place, order in enumerate(orders, 1):
        code, display = test_of(order)
        ordered = "".join(part for part in str(order.get("authoredOn", ""))[:19] if part.isdigit())
        priority = PRIORITY.get(order.get("priority", ""), "R")
        rows.append(
            ["O", str(place), number, "", ["", "", "", code, display], priority, ordered, *[""] * 4, "N"]
        )
    return rows
