"""NamingSystem/$preferred-id: one identification of a system for another (https://hl7.org/fhir/R4/namingsystem-operation-preferred-id.html).

Asked are the NamingSystems that are stored, then the code systems that FHIR ships and those that it lists by URI and OID.
"""

import csv
import uuid
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path

from conformance.recognition.moment import read_approximately
from gateway.operations.parameters import read_inputs
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.escape import escape
from gateway.search.parse import parse
from terminology.fhir_core import FhirCore
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, Issue, NotFound

TYPES = ("oid", "uuid", "uri", "other")
KNOWN = Path(__file__).with_name("known_systems.csv")
MAX_SYSTEMS = 50


async def preferred_id(request: Request, context: Context) -> Response:
    """Answer `result`; 400 without `id` or with an unknown `type`, 404 when nothing has that identifier or no such type."""
    inputs = read_inputs(request, context)
    given, wanted = inputs.one("id"), inputs.one("type")
    problems = [
        Issue("HT-MR-11", {"name": name}) for name, value in (("id", given), ("type", wanted)) if not value
    ]
    if wanted and wanted not in TYPES:
        problems.append(Issue("HT-TX-61", {"value": str(wanted)[:40], "allowed": ", ".join(TYPES)}))
    if problems:
        raise InvalidInput(problems)
    own = bare(str(given))
    for ids in [*await _stored(own, context), *_shipped(own)]:
        found = _preferred(ids, str(wanted), context.clock())
        if found is not None:
            return Response(
                200, {"resourceType": "Parameters", "parameter": [{"name": "result", "valueString": found}]}
            )
    raise NotFound("HT-TX-62", id=str(given)[:200], type=wanted)


def bare(identifier: str) -> str:
    """Return an OID or UUID without its URN prefix, which a caller may or may not write."""
    for prefix in ("urn:oid:", "urn:uuid:"):
        if identifier.lower().startswith(prefix):
            return identifier[len(prefix) :]
    return identifier


async def _stored(own: str, context: Context) -> list[list[Json]]:
    """Return the identifiers of each active NamingSystem that has this one."""
    values = ",".join(escape(form) for form in dict.fromkeys((own, f"urn:oid:{own}", f"urn:uuid:{own}")))
    query = parse(
        "NamingSystem",
        [("value", values), ("_count", str(MAX_SYSTEMS))],
        strict=True,
        parameters=context.parameters,
    )
    rows = [
        decode_resource(version.body)
        for version in (await context.store.search(query)).matches
        if version.body
    ]
    # The search by text finds beginnings too; a draft says nothing that holds, unless nothing else does.
    rows.sort(key=lambda row: row.get("status") != "active")
    return [
        row["uniqueId"]
        for row in rows
        if any(bare(str(one.get("value", ""))) == own for one in row.get("uniqueId", ()))
        and row.get("status") != "retired"
    ]


def _shipped(own: str) -> Iterator[list[Json]]:
    rows = _listed()
    if own not in rows:
        rows = _of_code_systems()
    if own in rows:
        uri, oid = rows[own]
        yield [
            {"type": "uri", "value": uri, "preferred": True},
            {"type": "oid", "value": oid, "preferred": True},
        ]


def _preferred(ids: list[Json], wanted: str, now: datetime) -> str | None:
    """Return the preferred identifier of a type that holds now, else any of that type; uuids also from urn:uuid."""
    rows = [row for row in ids if row.get("type") == wanted and row.get("value") and _holds(row, now)]
    rows.sort(key=lambda row: row.get("preferred") is not True)
    value = str(rows[0]["value"]) if rows else None
    if value is not None and wanted == "uuid":
        try:
            return str(uuid.UUID(bare(value)))
        except ValueError:
            return value
    return bare(value) if value is not None and wanted == "oid" else value


def _holds(row: Json, now: datetime) -> bool:
    period = row.get("period") or {}
    start, end = read_approximately(period.get("start")), read_approximately(period.get("end"))
    return (start is None or start <= now) and (end is None or now.date() <= end.date())


@cache
def _listed() -> dict[str, tuple[str, str]]:
    with KNOWN.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {name: (row["uri"], row["oid"]) for row in rows for name in (row["uri"], row["oid"])}


@cache
def _of_code_systems() -> dict[str, tuple[str, str]]:
    """Return URL and OID of the code systems that FHIR ships, by either; read once."""
    found: dict[str, tuple[str, str]] = {}
    for row in FhirCore().code_systems():
        names = [one.get("value", "") for one in row.get("identifier", ())]
        oid = next((bare(name) for name in names if name.startswith("urn:oid:")), None)
        if oid is not None:
            found |= {row["url"]: (row["url"], oid), oid: (row["url"], oid)}
    return found
