"""Whose sample it is: a device's result finds its order, specimen and patient by the sample's number.

Analysers know a bar code and often nothing else (ASTM O-3, IHE LAW SPM-2). The specimen or order that the store has
under this number says who the patient is; a result that finds none waits for a person (HT-ASTM-10), with its bytes, and
is found again by a replay once the order is there.
"""

from collections.abc import Iterable

from gateway.search import parse
from gateway.store.protocol import Store
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Issue, UnmappableMessage

# Types of a result that are about a patient and may come without one.
ABOUT = frozenset({"Specimen", "DiagnosticReport", "Observation"})
MOST = 10


async def adopted(result: Result, store: Store) -> Result:
    """Return the result with subject, order and specimen of the order that has the sample's number.

    The county's patient stands in the place of the one whom the device names; that their names differ is told.

    Raises UnmappableMessage when no order has the sample's number, or orders of several patients have it.
    """
    specimens = [entry for entry in result.entries if entry.type == "Specimen"]
    known: dict[str, Json] = {}
    for entry in specimens:
        number = _number(entry.resource)
        found = await found_by_number(number, store) if number else None
        if found is not None:
            known[entry.reference] = found
        elif "subject" not in entry.resource:
            raise UnmappableMessage("HT-ASTM-10", source="O-3", number=number or "-")
    if not known:
        return result
    references = {reference: row["specimen"] for reference, row in known.items() if "specimen" in row}
    only = next(iter(known.values())) if len(known) == 1 else None
    people = [entry for entry in result.entries if entry.type == "Patient"] if only is not None else []
    filled = [_filled(entry, known, only) for entry in result.entries if entry not in people]
    result.entries = [entry for entry in filled if entry.reference not in references]
    if only is not None:
        await _compare(people, only, result, store)
    return result.rename(references) if references else result


async def _compare(people: Iterable[Entry], known: Json, result: Result, store: Store) -> None:
    """Warn when the device names somebody else than the order does: a sample may be mislabelled."""
    type, _, id = str(known["subject"].get("reference", "")).partition("/")
    version = await store.read(type, id)
    if version is None or version.body is None:
        return
    names = {row.get("text") for row in decode_resource(version.body).get("name", ())}
    for entry in people:
        given = {row.get("text") for row in entry.resource.get("name", ())}
        if names and given and not names & given:
            result.issues = [*result.issues, Issue("HT-ASTM-13", {}, "warning", source="P-6")]


def _filled(entry: Entry, known: dict[str, Json], only: Json | None) -> Entry:
    if entry.type not in ABOUT or _is_of_device(entry.resource):
        return entry
    found = next((known[name] for name in _specimens(entry) if name in known), only)
    if found is None:
        return entry
    resource = {**entry.resource}
    resource["subject"] = found["subject"]
    if entry.type == "Specimen":
        resource.setdefault("request", found["requests"])
    elif found["requests"]:
        resource.setdefault("basedOn", found["requests"])
    return Entry(resource, entry.rule, entry.recency, entry.cleared)


def _specimens(entry: Entry) -> Iterable[str]:
    if entry.type == "Specimen":
        return [entry.reference]
    given = entry.resource.get("specimen")
    rows = given if isinstance(given, list) else [given] if given else []
    return [row.get("reference", "") for row in rows]


def _is_of_device(resource: Json) -> bool:
    return str((resource.get("subject") or {}).get("reference", "")).startswith("Device/")


def _number(specimen: Json) -> str:
    accession = (specimen.get("accessionIdentifier") or {}).get("value")
    return str(accession or next((row.get("value", "") for row in specimen.get("identifier", ())), ""))


async def found_by_number(number: str, store: Store) -> Json | None:
    """Return subject, requests and, when it is stored already, specimen for a sample's number."""
    specimens = await _search(store, "Specimen", number, ("accession", "identifier"))
    specimens = [row for row in specimens if "subject" in row]
    requests = [] if specimens else await _search(store, "ServiceRequest", number, ("identifier",))
    people = {row["subject"].get("reference"): row["subject"] for row in (*specimens, *requests)}
    if len(people) > 1:
        raise UnmappableMessage("HT-ASTM-11", source="O-3", number=number, count=len(people))
    if not people:
        return None
    found: Json = {"subject": next(iter(people.values()))}
    if specimens:
        found["specimen"] = f"Specimen/{specimens[0]['id']}"
        found["requests"] = list(specimens[0].get("request", ()))
    else:
        found["requests"] = [{"reference": f"ServiceRequest/{row['id']}"} for row in requests]
    return found


async def _search(store: Store, type: str, number: str, names: Iterable[str]) -> list[Json]:
    escaped = number.replace("\\", "\\\\").replace("|", "\\|").replace(",", "\\,").replace("$", "\\$")
    for name in names:
        params = [(name, escaped), ("_count", str(MOST))]
        query = parse(type, params, strict=True, parameters=store.parameters, max_count=MOST)
        page = await store.search(query)
        rows = [decode_resource(version.body) for version in page.matches if version.body is not None]
        if rows:
            return rows
    return []
