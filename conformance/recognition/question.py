"""What is asked: the ordered items, for whom, by whom, when, and why (`Patient/[id]/$recognize`, in parameters)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from conformance.recognition.moment import read_instant
from conformance.recognition.record import Record, codings, concept_text
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

PURPOSES = ("treatment", "judicial", "disability", "sick-leave", "labour-arbitration")


@dataclass(frozen=True, slots=True)
class Question:
    """`items`: for each ordered item its codings (one item may be coded in several systems), in order of importance."""

    patient: Json
    items: tuple[tuple[Json, ...], ...]
    at: datetime
    order: Json | None = None
    requester: Json | None = None
    encounter: Json | None = None
    purpose: str = "treatment"


def read_question(parameters: Json, *, patient: Json, record: Record, now: datetime) -> Question:
    """Read the Parameters resource of the operation; raises InvalidInput HT-MR-04 … 06, NotFound HT-MR-07."""
    held: dict[str, list[Mapping[str, Any]]] = {}
    for parameter in parameters.get("parameter") or ():
        held.setdefault(parameter.get("name", ""), []).append(parameter)
    order = _resource(held, "order", record)
    items: list[tuple[Json, ...]] = [
        (row["valueCoding"],) for row in held.get("item", ()) if isinstance(row.get("valueCoding"), dict)
    ]
    items += [
        tuple(codings(row["valueCodeableConcept"]))
        for row in held.get("item", ())
        if "valueCodeableConcept" in row
    ]
    if not items and order is not None:
        items = [tuple(codings(order.get("code")))] if codings(order.get("code")) else []
    if not items:
        raise InvalidInput("HT-MR-04", expression="Parameters.parameter")
    encounter = _resource(held, "encounter", record) or record.resolve((order or {}).get("encounter"), order)
    return Question(
        patient=patient,
        items=tuple(items),
        at=_moment(held, now),
        order=order,
        requester=_resource(held, "requester", record) or _ordering_organization(order, encounter, record),
        encounter=encounter,
        purpose=_purpose(held, order),
    )


def _moment(held: Mapping[str, list[Mapping[str, Any]]], now: datetime) -> datetime:
    for row in held.get("at", ()):
        text = row.get("valueDateTime") or row.get("valueInstant") or row.get("valueString")
        moment = read_instant(text)
        if moment is None:
            raise InvalidInput("HT-MR-05", value=text, expression="Parameters.parameter.where(name='at')")
        return moment
    return now


def _purpose(held: Mapping[str, list[Mapping[str, Any]]], order: Json | None) -> str:
    for row in held.get("purpose", ()):
        purpose = row.get("valueCode") or row.get("valueString")
        if purpose not in PURPOSES:
            raise InvalidInput(
                "HT-MR-06",
                value=purpose,
                allowed=", ".join(PURPOSES),
                expression="Parameters.parameter.where(name='purpose')",
            )
        return str(purpose)
    words = " ".join(concept_text(reason) for reason in (order or {}).get("reasonCode") or ())
    return "judicial" if "鉴定" in words else "treatment"


def _resource(held: Mapping[str, list[Mapping[str, Any]]], name: str, record: Record) -> Json | None:
    for row in held.get(name, ()):
        if isinstance(row.get("resource"), dict):
            return dict(row["resource"])
        reference = row.get("valueReference") or (
            {"reference": row["valueString"]} if "valueString" in row else None
        )
        found = record.resolve(reference)
        if found is None:
            raise NotFound(
                "HT-MR-07",
                name=name,
                reference=(reference or {}).get("reference"),
                expression=f"Parameters.parameter.where(name='{name}')",
            )
        return found
    return None


def _ordering_organization(order: Json | None, encounter: Json | None, record: Record) -> Json | None:
    """Return who orders: the requester's organisation, else where the encounter is."""
    requester = record.resolve((order or {}).get("requester"), order)
    if requester is not None and requester["resourceType"] == "PractitionerRole":
        requester = record.resolve(requester.get("organization"), requester)
    if requester is not None and requester["resourceType"] == "Organization":
        return requester
    return record.resolve((encounter or {}).get("serviceProvider"), encounter)
