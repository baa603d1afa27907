"""Which order a study belongs to: by its number, and when that fails the most likely ones with the reasons.

A number alone is not enough: a technician who picks the wrong line of the worklist gives a study the number of somebody
else. The patient is always compared.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.imaging.archive import is_other_patient
from gateway.imaging.modality import modalities_of
from gateway.search import parse
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource
from terminology.hanzi import pinyin

CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
KINDS = ("imaging", "ecg")
OPEN = ("active", "on-hold", "draft")
SUGGESTIONS = 10
DAYS = 30
MOST_ORDERS = 1_000
# What a suggestion is worth; the sum is at most 100.
WEIGHTS = {"patient-number": 40, "name": 20, "birth-date": 10, "sex": 5, "modality": 15, "day": 10}


@dataclass(frozen=True)
class Match:
    """`order` and its `patient` when exactly one fits; otherwise why none does."""

    order: Json | None = None
    patient: Json | None = None
    reason: str = ""
    detail: str = ""


@dataclass
class Suggestion:
    """An order that a study may belong to; `score` 0–100, `reasons` for and against."""

    order: Json
    patient: Json | None
    score: int
    reasons: list[str] = field(default_factory=list)

    def row(self) -> Json:
        order = self.order
        return {
            "order": f"ServiceRequest/{order['id']}",
            "score": self.score,
            "reasons": self.reasons,
            "code": _text_of(order.get("code")),
            "authored": order.get("authoredOn"),
            "status": order.get("status"),
            "numbers": [row["value"] for row in order.get("identifier", ()) if row.get("value")],
            "patient": (self.patient or {}).get("name", [{}])[0].get("text"),
        }


class Orders:
    """Orders of a store as imaging asks for them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def by_reference(self, reference: str) -> Json | None:
        type, _, id = reference.partition("/")
        version = await self.store.read(type, id.partition("/")[0]) if id else None
        return decode_resource(version.body) if version is not None and version.body is not None else None

    async def search(self, type: str, params: list[tuple[str, str]], *, count: int = 50) -> list[Json]:
        query = parse(
            type,
            [*params, ("_count", str(count))],
            strict=True,
            parameters=self.store.parameters,
            max_count=MOST_ORDERS,
        )
        page = await self.store.search(query)
        return [decode_resource(version.body) for version in page.matches if version.body is not None]

    async def numbered(self, number: str) -> list[Json]:
        """Return the orders that carry a number: the accession number, the placer's or the filler's."""
        found = await self.search("ServiceRequest", [("identifier", escaped(number))])
        return [
            order
            for order in found
            if order.get("status") != "entered-in-error" and kind_of(order) in (*KINDS, "")
        ]

    async def match(self, record: Json) -> Match:
        """Return the order of a study by the numbers that its objects carry."""
        numbers = numbers_of(record)
        if not numbers:
            return Match(reason="no-number")
        orders: dict[str, Json] = {}
        for number in numbers:
            for order in await self.numbered(number):
                orders.setdefault(order["id"], order)
            if orders:
                break
        if not orders:
            return Match(reason="no-order", detail=", ".join(numbers))
        fitting = [
            (order, patient)
            for order in orders.values()
            if not differs(patient := await self.patient_of(order), record)
        ]
        if len(fitting) == 1:
            return Match(*fitting[0])
        if fitting:
            return Match(
                reason="several-orders",
                detail=", ".join(f"ServiceRequest/{order['id']}" for order, _ in fitting),
            )
        return Match(reason="other-patient", detail=", ".join(f"ServiceRequest/{id}" for id in orders))

    async def checked(self, order: Json, record: Json) -> Match:
        """Return an order as the match of a study unless its patient is somebody else."""
        patient = await self.patient_of(order)
        if differs(patient, record):
            return Match(reason="other-patient", detail=f"ServiceRequest/{order['id']}")
        return Match(order, patient)

    async def patient_of(self, order: Json) -> Json | None:
        return await self.by_reference((order.get("subject") or {}).get("reference", ""))

    async def suggest(self, record: Json) -> list[Suggestion]:
        """Return the open orders that the study may belong to, the likeliest first."""
        found: dict[str, Json] = {}
        for order in await self._candidates(record):
            found.setdefault(order["id"], order)
        rows = []
        for order in list(found.values())[:MOST_ORDERS]:
            patient = await self.patient_of(order)
            rows.append(scored(order, patient, record))
        rows = [row for row in rows if row.score > 0]
        rows.sort(key=lambda row: (-row.score, row.order["id"]))
        return rows[:SUGGESTIONS]

    async def _candidates(self, record: Json) -> list[Json]:
        orders: list[Json] = []
        for number in numbers_of(record):
            orders += await self.numbered(number)
        people: list[Json] = []
        if record.get("PatientID"):
            people += await self.search(
                "Patient", [("identifier", escaped(str(record["PatientID"])))], count=20
            )
        for name in names_of(record):
            people += await self.search("Patient", [("name:contains", escaped(name))], count=20)
        for id in dict.fromkeys(person["id"] for person in people):
            orders += await self.search(
                "ServiceRequest", [("subject", f"Patient/{id}"), ("_sort", "-authored")], count=20
            )
        open_ones = [("category", f"{CATEGORY}|imaging"), ("status", "active"), ("_sort", "-authored")]
        open_ones += _around(str(record.get("StudyDate", "")))
        orders += await self.search("ServiceRequest", open_ones, count=100)
        return [order for order in orders if order.get("status") in OPEN and kind_of(order) in (*KINDS, "")]


def numbers_of(record: Json) -> list[str]:
    """Return the numbers by which an object may name its order, the surest first."""
    rows = [record, *(row for row in record.get("RequestAttributesSequence", ()) if isinstance(row, dict))]
    rows += [row for row in record.get("ReferencedRequestSequence", ()) if isinstance(row, dict)]
    rows += [row for row in record.get("ScheduledStepAttributesSequence", ()) if isinstance(row, dict)]
    names = (
        "AccessionNumber",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "RequestedProcedureID",
    )
    found = [str(row[name]).strip() for name in names for row in rows if isinstance(row.get(name), str)]
    return list(dict.fromkeys(text for text in found if text))


def names_of(record: Json) -> list[str]:
    """Return the ways in which a record writes the patient's name, characters first."""
    groups = [group.replace("^", " ").strip() for group in str(record.get("PatientName", "")).split("=")]
    forms = [group.replace(" ", "") if not group.isascii() else group for group in groups if group]
    return sorted(dict.fromkeys(forms), key=str.isascii)


def differs(patient: Json | None, record: Json) -> bool:
    """Whether the patient of an order is surely not the one of a study."""
    if patient is None:
        return False
    number = str(record.get("PatientID", ""))
    own = {row.get("value") for row in patient.get("identifier", ())}
    if number and number in own:
        return False
    if not number or not own:
        name = next(iter(names_of(record)), "")
        theirs = (patient.get("name") or [{}])[0].get("text", "")
        birth = str(record.get("PatientBirthDate", ""))
        return is_other_patient(
            ("", "", name, birth), ("", "", theirs, str(patient.get("birthDate", "")).replace("-", ""))
        )
    # Other numbers: a department's own, or somebody else. The name and the birth date tell.
    return not (_same_name(patient, record) and _same_birth(patient, record) is not False)


def scored(order: Json, patient: Json | None, record: Json) -> Suggestion:
    """Weigh an order against a study."""
    made = Suggestion(order, patient, 0)

    def add(name: str, holds: bool | None) -> None:
        if holds is not None:
            made.reasons.append(f"{'+' if holds else '-'}{name}")
            made.score += WEIGHTS[name] if holds else -WEIGHTS[name] // 2

    if patient is not None:
        number = str(record.get("PatientID", ""))
        own = {row.get("value") for row in patient.get("identifier", ())}
        add("patient-number", number in own if number and own else None)
        add("name", _same_name(patient, record) if record.get("PatientName") else None)
        add("birth-date", _same_birth(patient, record))
        sex = {"M": "male", "F": "female"}.get(str(record.get("PatientSex", "")))
        add(
            "sex",
            patient.get("gender") == sex if sex and patient.get("gender") in ("male", "female") else None,
        )
    kinds = modalities_of(order)
    taken = {row["Modality"] for row in record.get("Modalities", ())}
    add("modality", bool(kinds & taken) if kinds and taken else None)
    add("day", _same_days(order, record))
    made.score = max(0, min(100, made.score))
    return made


def _same_name(patient: Json, record: Json) -> bool:
    names = {name.replace(" ", "").casefold() for name in names_of(record)}
    for row in patient.get("name", ()):
        text = str(row.get("text", "")).replace(" ", "").casefold()
        forms = {text, "".join([row.get("family", ""), *row.get("given", ())]).casefold()}
        if text and not text.isascii():
            forms |= {form.replace(" ", "").casefold() for form in pinyin(text)}
        if forms & names - {""}:
            return True
    return False


def _same_birth(patient: Json, record: Json) -> bool | None:
    own, taken = str(patient.get("birthDate", "")).replace("-", ""), str(record.get("PatientBirthDate", ""))
    return own == taken if len(own) == 8 and len(taken) == 8 else None


def _around(day: str) -> list[tuple[str, str]]:
    """Return the search for orders written in the weeks before a study; none when its day isn't known."""
    try:
        taken = datetime.strptime(day, "%Y%m%d").date()
    except ValueError:
        return []
    first, last = taken - timedelta(days=DAYS), taken + timedelta(days=3)
    return [("authored", f"ge{first.isoformat()}"), ("authored", f"le{last.isoformat()}")]


def _same_days(order: Json, record: Json) -> bool | None:
    planned = str(
        order.get("occurrenceDateTime")
        or (order.get("occurrencePeriod") or {}).get("start")
        or order.get("authoredOn")
        or ""
    )
    try:
        day = datetime.strptime(str(record.get("StudyDate", "")), "%Y%m%d")
        return abs((day - datetime.fromisoformat(planned[:10])).days) <= 3
    except ValueError:
        return None


def kind_of(order: Json) -> str:
    """Return the county's category of an order: imaging, ecg, lab …, "" when it has none."""
    return next(
        (
            str(coding.get("code"))
            for concept in order.get("category", ())
            for coding in concept.get("coding", ())
            if coding.get("system") == CATEGORY
        ),
        "",
    )


def escaped(text: str) -> str:
    """Escape what separates values in a search (search.html#escaping)."""
    for mark in ("\\", "|", ",", "$"):
        text = text.replace(mark, f"\\{mark}")
    return text


def _text_of(concept: Any) -> str:
    if not isinstance(concept, dict):
        return ""
    return str(
        concept.get("text")
        or next((row.get("display") or row.get("code") for row in concept.get("coding", ())), "")
        or ""
    )
