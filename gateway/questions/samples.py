"""The orders of a sample number, for devices that ask what to measure."""

from gateway.ingest.sample import found_by_number
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource

ACTIVE = frozenset({"active", "on-hold"})


async def orders_of(found: Json, store: Store) -> list[Json]:
    """Return the open ServiceRequests of what `found_by_number` found."""
    keys = [
        ("ServiceRequest", str(row.get("reference", "")).rpartition("/")[2])
        for row in found["requests"]
        if str(row.get("reference", "")).startswith("ServiceRequest/")
    ]
    versions = await store.read_many(keys) if keys else {}
    rows = [decode_resource(row.body) for key in keys if (row := versions.get(key)) is not None and row.body]
    return [row for row in rows if row.get("status") in ACTIVE]


async def resource_of(reference: str, store: Store) -> Json:
    """Return the current resource of a reference, {} when there is none."""
    type, _, id = reference.partition("/")
    version = await store.read(type, id) if id else None
    return decode_resource(version.body) if version is not None and version.body is not None else {}


async def specimen_of(number: str, store: Store) -> tuple[Json, list[Json], Json] | None:
    """Return the specimen of a number (made up when only an order carries it), its open orders and its patient."""
    found = await found_by_number(number, store)
    if found is None:
        return None
    orders = await orders_of(found, store)
    if not orders:
        return None
    patient = await resource_of(str(found["subject"].get("reference", "")), store)
    stored = await resource_of(found["specimen"], store) if "specimen" in found else {}
    specimen: Json = {
        **(stored or {"resourceType": "Specimen", "id": "asked", "accessionIdentifier": {"value": number}}),
        "subject": found["subject"],
        "request": [{"reference": f"ServiceRequest/{row['id']}"} for row in orders],
    }
    return specimen, orders, patient


def test_of(order: Json) -> tuple[str, str]:
    """Return code and name of what is ordered, the laboratory's own code before the county's: devices know that one."""
    code = order.get("code") or {}
    rows = code.get("coding") or [{}]
    own = [row for row in rows if not str(row.get("system", "")).startswith(("http", "urn:oid:"))]
    chosen = (own or rows)[0]
    return str(chosen.get("code", "")), str(code.get("text") or chosen.get("display", ""))


def number_of(patient: Json) -> str:
    """Return the number that a device shows for a patient: the first in use."""
    rows = (row for row in patient.get("identifier", ()) if row.get("use") != "old")
    return next((str(row.get("value", "")) for row in rows), "")


def name_of(patient: Json) -> str:
    return next((str(row.get("text", "")) for row in patient.get("name", ())), "")
