"""What a laboratory device is to measure: a question (Q record) → its orders (ASTM E1394 §12, LIS02-A2 §11).

The question names sample numbers (`Q|1|^S0001`, the specimen part of the range) or ALL; the answer is H, P and O records
of the active orders with these numbers, or L|1|I when there are none.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from gateway.ingest.sample import found_by_number
from gateway.store.protocol import Store
from mappings.astm import AstmMessage, Record, parse
from mappings.astm.write import Field, write_message
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError

MOST_SAMPLES = 200
ACTIVE = frozenset({"active", "on-hold"})
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
    for number in asked_samples(message):
        found = await found_by_number(number, store)
        if found is None:
            continue
        orders = [order for order in await _orders(found, store) if order.get("status") in ACTIVE]
        if orders:
            people = sum(1 for row in records if row[0] == "P") + 1
            records.append(await _patient(found["subject"], people, store))
            records += _order_records(number, orders)
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


async def _orders(found: Json, store: Store) -> list[Json]:
    keys = [
        ("ServiceRequest", str(row.get("reference", "")).rpartition("/")[2])
        for row in found["requests"]
        if str(row.get("reference", "")).startswith("ServiceRequest/")
    ]
    versions = await store.read_many(keys) if keys else {}
    return [decode_resource(row.body) for key in keys if (row := versions.get(key)) is not None and row.body]


async def _patient(subject: Json, number: int, store: Store) -> Sequence[Field]:
    type, _, id = str(subject.get("reference", "")).partition("/")
    version = await store.read(type, id) if id else None
    patient = decode_resource(version.body) if version is not None and version.body is not None else {}
    name = next((row.get("text", "") for row in patient.get("name", ())), "")
    identifier = next(
        (row.get("value", "") for row in patient.get("identifier", ()) if row.get("use") != "old"), ""
    )
    born = str(patient.get("birthDate", "")).replace("-", "")
    return ["P", str(number), identifier, "", "", name, "", born, SEX.get(patient.get("gender", ""), "U")]


def _order_records(number: str, orders: Sequence[Json]) -> list[Sequence[Field]]:
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


def test_of(order: Json) -> tuple[str, str]:
    """Return code and name of what is ordered, the laboratory's own code before the county's: devices know that one."""
    code = order.get("code") or {}
    rows = code.get("coding") or [{}]
    own = [row for row in rows if not str(row.get("system", "")).startswith(("http", "urn:oid:"))]
    chosen = (own or rows)[0]
    return str(chosen.get("code", "")), str(code.get("text") or chosen.get("display", ""))
