"""Which order a device's record belongs to: the ServiceRequest that carries the number, and its patient.

Devices know an order by a number only (accession, order number). A map writes it as a logical reference
(`basedOn: {type: ServiceRequest, identifier: {value: …}}`); here it becomes a literal one when exactly one order has
that number and its patient is not somebody else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.ingest.lookup import Key, Lookup
from gateway.search import parse
from gateway.search.escape import escape
from gateway.store.protocol import Version
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Issue

MOST_ORDERS = 10


async def ordered(result: Result, stored: dict[Key, Version], lookup: Lookup) -> tuple[Result, list[Issue]]:
    """Return the result with its orders found, and what was not found. `stored` gains the order's patient."""
    numbers = {
        number for entry in result.entries for row in _logical(entry.resource) if (number := _number(row))
    }
    if not numbers:
        return result, []
    issues: list[Issue] = []
    found: dict[str, Json] = {}
    renamed: dict[str, str] = {}
    for number in sorted(numbers):
        order = await _order(number, lookup)
        if order is None:
            issues.append(
                Issue("HT-ECG-12", {"number": number}, "information", expression="Observation.basedOn")
            )
            continue
        subject = str((order.get("subject") or {}).get("reference", ""))
        patient = next((entry for entry in result.entries if entry.type == "Patient"), None)
        if patient is not None and subject and subject != patient.reference:
            type, _, id = subject.rpartition("/")
            key = ("Patient", id)
            version = (await lookup.versions([key])).get(key) if type == "Patient" else None
            if (
                version is None
                or version.body is None
                or not _is_same(patient.resource, decode_resource(version.body))
            ):
                issues.append(
                    Issue("HT-ECG-13", {"number": number}, "warning", expression="Observation.basedOn")
                )
                continue
            stored[key] = version
            renamed[patient.reference] = subject
        found[number] = order
    linked = replace(result, entries=[_linked(entry, found) for entry in result.entries])
    return (linked.rename(renamed) if renamed else linked), issues


def unlinked_numbers(issues: Sequence[Issue]) -> list[str]:
    """Return the numbers of orders that were not there (HT-ECG-12)."""
    return [str(issue.values["number"]) for issue in issues if issue.code == "HT-ECG-12"]


async def _order(number: str, lookup: Lookup) -> Json | None:
    for name in ("identifier", "requisition"):
        query = parse(
            "ServiceRequest",
            [(name, escape(number)), ("_count", str(MOST_ORDERS))],
            strict=True,
            parameters=lookup.store.parameters,
            max_count=MOST_ORDERS,
        )
        page = await lookup.store.search(query)
        bodies = [decode_resource(version.body) for version in page.matches if version.body is not None]
        living = [body for body in bodies if body.get("status") != "entered-in-error"]
        if len(living) == 1:
            return living[0]
        if living:
            # Two orders with one number: which is meant is for a person to say.
            return None
    return None


def _is_same(told: Json, known: Json) -> bool:
    """Tell whether the device's patient may be the order's: a shared number, or the same name and no other birth date.

    A device that was told nobody (no number, no name) takes the order's word.
    """
    numbers = {row.get("value") for row in told.get("identifier", ())}
    if numbers & {row.get("value") for row in known.get("identifier", ())}:
        return True
    names = {_folded(row.get("text")) for row in told.get("name", ())} - {""}
    if not numbers and not names:
        return True
    same_name = bool(names & {_folded(row.get("text")) for row in known.get("name", ())})
    births = {told.get("birthDate"), known.get("birthDate")} - {None}
    return same_name and len(births) <= 1


def _folded(text: object) -> str:
    return "".join(str(text or "").split()).casefold()


def _linked(entry: Entry, found: dict[str, Json]) -> Entry:
    rows = [row for row in _logical(entry.resource) if _number(row) in found]
    if not rows:
        return entry
    order = found[_number(rows[0])]
    resource = dict(entry.resource)
    if "basedOn" in resource:
        resource["basedOn"] = [_literal(row, found) for row in resource["basedOn"]]
        if (
            entry.type in ("Observation", "DiagnosticReport")
            and "encounter" not in resource
            and "encounter" in order
        ):
            resource["encounter"] = order["encounter"]
    context = resource.get("context")
    if isinstance(context, dict) and "related" in context:
        resource["context"] = {**context, "related": [_literal(row, found) for row in context["related"]]}
    return Entry(resource, entry.rule, entry.recency, entry.cleared)


def _literal(row: Json, found: dict[str, Json]) -> Json:
    order = found.get(_number(row)) if _is_logical(row) else None
    return {"reference": f"ServiceRequest/{order['id']}", **row} if order is not None else row


def _logical(resource: Json) -> Iterator[Json]:
    context = resource.get("context")
    related = context.get("related", ()) if isinstance(context, dict) else ()
    for row in (*resource.get("basedOn", ()), *related):
        if _is_logical(row):
            yield row


def _is_logical(row: Json) -> bool:
    return row.get("type") == "ServiceRequest" and "reference" not in row and "identifier" in row


def _number(row: Json) -> str:
    return str((row.get("identifier") or {}).get("value", ""))
