"""The modality worklist: orders that wait, as scheduled procedure steps (PS3.4 §K; IHE RAD-5).

A step is an order with its Task: accession number, requested procedure, patient, planned time, and the station when one
is planned. An order without a station is there for every station of its kind. Patients' names come in the charset that
the device asks for; one that asks for letters only gets pinyin.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.imaging.accession import number_of
from gateway.imaging.archive import Archive
from gateway.imaging.matching import STEP, first_item, is_pattern, matches
from gateway.imaging.modality import modalities_of
from gateway.imaging.names import CHARSETS, letters_only, person_name
from gateway.imaging.orders import CATEGORY, Orders, escaped
from gateway.imaging.steps import finished_orders, imaged_orders
from terminology.fhirjson import Json

MOST_STEPS = 1_000
ENDED = frozenset({"rejected", "cancelled", "completed", "failed", "entered-in-error"})
PRIORITIES = {"stat": "STAT", "asap": "HIGH", "urgent": "HIGH", "routine": "ROUTINE"}
SEXES = {"male": "M", "female": "F", "other": "O"}
# Coding of Task.input and Device identifiers that name a station's AE title.
STATION_CODES = frozenset({"scheduled-station-ae", "scheduled-station-ae-title", "ae-title"})
SH, LO = 16, 64


class Worklist:
    """`charset`: what a device gets that names none; `zone`: of planned times."""

    def __init__(self, orders: Orders, archive: Any, *, charset: str, zone: ZoneInfo) -> None:
        self.orders, self._archive, self.charset, self.zone = orders, archive, charset, zone

    async def find(self, asked: Json, *, caller: str) -> list[Json]:
        """Return the steps that match the keys of a query, each with exactly the attributes that were asked for."""
        steps = [row async for row in self._steps(asked, caller)]
        wanted_charset = str(asked.get("SpecificCharacterSet") or "").split("\\")[-1].strip() or self.charset
        term, codec = CHARSETS.get(wanted_charset.upper(), ("", "ascii"))
        found = [self._entry(step, asked, term, codec) for step in steps]
        self._remember(steps)
        return found

    async def _steps(self, asked: Json, caller: str) -> Any:
        orders = await self._orders(asked)
        tasks = await self._tasks(orders)
        patients = await self._patients(orders)
        numbers = {number for order in orders if (number := number_of(order))}
        done = finished_orders(self._archive(), numbers)
        # A device without MPPS is done when its images are whole.
        seen = imaged_orders(self._archive())
        for order in orders:
            task = tasks.get(order["id"])
            is_done = number_of(order) in done or f"ServiceRequest/{order['id']}" in seen
            if is_done or (task is not None and task.get("status") in ENDED):
                continue
            patient = patients.get((order.get("subject") or {}).get("reference", ""), {})
            step = step_of(order, task, patient, zone=self.zone, asked=asked, caller=caller)
            if matches(step, asked):
                yield step

    async def _orders(self, asked: Json) -> list[Json]:
        params = [
            ("category", f"{CATEGORY}|imaging,{CATEGORY}|ecg"),
            ("status", "active"),
            ("_sort", "-authored"),
        ]
        number = str(asked.get("AccessionNumber") or "")
        if number and not is_pattern(number):
            return await self.orders.search(
                "ServiceRequest", [*params, ("identifier", escaped(number))], count=20
            )
        patient = str(asked.get("PatientID") or "")
        if patient and not is_pattern(patient):
            return await self.orders.search(
                "ServiceRequest", [*params, ("subject:Patient.identifier", escaped(patient))], count=100
            )
        return await self.orders.search("ServiceRequest", params, count=MOST_STEPS)

    async def _tasks(self, orders: list[Json]) -> dict[str, Json]:
        """Return the coordination Task of each order, by the order's id."""
        found: dict[str, Json] = {}
        for start in range(0, len(orders), 50):
            references = ",".join(f"ServiceRequest/{order['id']}" for order in orders[start : start + 50])
            for task in await self.orders.search("Task", [("focus", references)], count=500):
                id = (task.get("focus") or {}).get("reference", "").rpartition("/")[2]
                known = found.get(id)
                if known is None or (known.get("status") in ENDED and task.get("status") not in ENDED):
                    found[id] = task
        return found

    async def _patients(self, orders: list[Json]) -> dict[str, Json]:
        from terminology.fhirjson import decode_resource

        keys = {
            ("Patient", reference.partition("/")[2])
            for order in orders
            if (reference := (order.get("subject") or {}).get("reference", "")).startswith("Patient/")
        }
        versions = await self.orders.store.read_many(sorted(keys)) if keys else {}
        return {
            f"Patient/{id}": decode_resource(version.body)
            for (_, id), version in versions.items()
            if version.body is not None
        }

    def _entry(self, step: Json, asked: Json, term: str, codec: str) -> Json:
        """Return the attributes that were asked for, in a charset that the device reads."""
        entry = _asked_of(step, asked)
        patient = step["_patient"]
        if "PatientName" in entry:
            entry["PatientName"] = person_name(patient, with_characters=bool(term))
        entry = _encodable(entry, codec)
        if term:
            entry = {"SpecificCharacterSet": term, **entry}
        return entry

    def _remember(self, steps: Iterable[Json]) -> None:
        """Note which order a Study Instance UID was given for: a device may send it without any number."""
        archive: Archive = self._archive()
        with archive.writing() as connection:
            connection.executemany(
                "insert or ignore into scheduled values (?, ?)",
                [(step["StudyInstanceUID"], step["_order"]) for step in steps],
            )


def study_uid(order_id: str) -> str:
    """Return the Study Instance UID of an order: always the same, in the UUID arc 2.25 (PS3.5 §B.2)."""
    return f"2.25.{int.from_bytes(hashlib.blake2b(f'study {order_id}'.encode(), digest_size=16).digest())}"


def step_of(
    order: Json, task: Json | None, patient: Json, *, zone: ZoneInfo, asked: Json, caller: str
) -> Json:
    """Return an order as a scheduled procedure step, by keywords; `_patient` and `_order` beside them."""
    concept = order.get("code") or {}
    name = str(
        concept.get("text")
        or next((row.get("display") or row.get("code") for row in concept.get("coding", ())), "")
    )
    number, planned = number_of(order), planned_at(order, task, zone)
    wanted = first_item(asked.get(STEP))
    station = station_of(order, task)
    kinds = modalities_of(order)
    kind = str(wanted.get("Modality") or "")
    codes = [_code_item(row) for row in concept.get("coding", ()) if row.get("code")][:1]
    identifiers = [
        row for row in patient.get("identifier", ()) if row.get("value") and row.get("use") != "old"
    ]
    number_row = next((row for row in identifiers if _is_local(row)), identifiers[0] if identifiers else {})
    own = {
        # The device that asks gets what no station was chosen for.
        "ScheduledStationAETitle": station
        or str(wanted.get("ScheduledStationAETitle") or caller).strip("*?")
        or caller,
        "Modality": kind if kind in kinds else next(iter(sorted(kinds)), kind or "OT"),
        "ScheduledProcedureStepStartDate": planned.strftime("%Y%m%d"),
        "ScheduledProcedureStepStartTime": planned.strftime("%H%M%S"),
        "ScheduledPerformingPhysicianName": "",
        "ScheduledProcedureStepDescription": name[:LO],
        "ScheduledProtocolCodeSequence": codes,
        "ScheduledProcedureStepID": number[:SH],
        "ScheduledStationName": "",
        "ScheduledProcedureStepLocation": _display(order.get("locationReference"), order.get("locationCode"))[
            :SH
        ],
        "ScheduledProcedureStepStatus": "STARTED"
        if task and task.get("status") == "in-progress"
        else "SCHEDULED",
        "CommentsOnTheScheduledProcedureStep": str(order.get("patientInstruction") or ""),
    }
    placer = next(
        (row["value"] for row in order.get("identifier", ()) if _has_type(row, "PLAC") and row.get("value")),
        "",
    )
    return {
        "_patient": patient,
        "_order": f"ServiceRequest/{order['id']}",
        "_kinds": kinds,
        "_has_station": bool(station),
        "PatientName": "",
        "PatientID": str(number_row.get("value") or "")[:LO],
        "IssuerOfPatientID": _issuer(number_row)[:LO],
        "PatientBirthDate": str(patient.get("birthDate") or "").replace("-", "")
        if len(str(patient.get("birthDate") or "")) == 10
        else "",
        "PatientSex": SEXES.get(str(patient.get("gender")), ""),
        "AccessionNumber": number[:SH],
        "RequestedProcedureID": number[:SH],
        "RequestedProcedureDescription": name[:LO],
        "RequestedProcedureCodeSequence": codes,
        "RequestedProcedurePriority": PRIORITIES.get(str(order.get("priority")), "ROUTINE"),
        "ReasonForTheRequestedProcedure": _reason(order)[:LO],
        "StudyInstanceUID": study_uid(order["id"]),
        "ReferringPhysicianName": _display(order.get("requester")),
        "RequestingPhysician": _display(order.get("requester")),
        "RequestingService": "",
        "PlacerOrderNumberImagingServiceRequest": str(placer),
        "FillerOrderNumberImagingServiceRequest": number,
        "ImagingServiceRequestComments": " ".join(str(row.get("text", "")) for row in order.get("note", ())),
        "IssueDateOfImagingServiceRequest": str(order.get("authoredOn") or "")[:10].replace("-", ""),
        "AdmissionID": _identifier(order.get("encounter")),
        STEP: [own],
    }


def planned_at(order: Json, task: Json | None, zone: ZoneInfo) -> datetime:
    """Return when the examination is planned: of the Task, of the order, else when it was written."""
    places = [
        ((task or {}).get("executionPeriod") or {}).get("start"),
        ((task or {}).get("restriction") or {}).get("period", {}).get("start"),
        order.get("occurrenceDateTime"),
        (order.get("occurrencePeriod") or {}).get("start"),
        *((order.get("occurrenceTiming") or {}).get("event") or ()),
        order.get("authoredOn"),
    ]
    for text in places:
        try:
            moment = datetime.fromisoformat(str(text))
        except ValueError:
            continue
        return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
    return datetime(1970, 1, 1, tzinfo=zone)


def station_of(order: Json, task: Json | None) -> str:
    """Return the AE title that an examination is planned for: an input of the Task, or a performer with such an identifier."""
    for row in (task or {}).get("input", ()):
        codes = {part.get("code") for part in (row.get("type") or {}).get("coding", ())} | {
            (row.get("type") or {}).get("text")
        }
        if codes & STATION_CODES:
            return str(row.get("valueString") or row.get("valueCode") or "")
    for row in order.get("performer", ()):
        identifier = row.get("identifier") or {}
        if _has_type(identifier, "ae-title") or str(identifier.get("system", "")).endswith("ae-title"):
            return str(identifier.get("value") or "")
    return ""


# What is returned


def _asked_of(step: Json, asked: Json) -> Json:
    """Return of a step what was asked for; an attribute that it doesn't have is empty, as the standard wants."""
    found: Json = {}
    for keyword, wanted in asked.items():
        if keyword == "SpecificCharacterSet":
            continue
        value = step.get(keyword, "")
        if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
            rows = value if isinstance(value, list) else []
            keys = wanted[0]
            found[keyword] = [_asked_of(row, keys) if keys else _public(row) for row in rows]
        elif isinstance(wanted, list) or isinstance(value, list):
            found[keyword] = [_public(row) for row in value] if isinstance(value, list) else []
        else:
            found[keyword] = value
    return found


def _public(row: Json) -> Json:
    return {name: value for name, value in row.items() if not name.startswith("_")}


def _encodable(value: Any, codec: str) -> Any:
    """Return texts that the device's charset can write: Chinese becomes pinyin where it cannot."""
    if isinstance(value, dict):
        return {name: _encodable(part, codec) for name, part in value.items()}
    if isinstance(value, list):
        return [_encodable(part, codec) for part in value]
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode(codec)
    except UnicodeEncodeError:
        return letters_only(value) if codec == "ascii" else value.encode(codec, "replace").decode(codec)
    return value


def _code_item(coding: Json) -> Json:
    # A scheme designator is a short name; ours are URIs.
    system = str(coding.get("system") or "")
    designator = {"http://snomed.info/sct": "SCT", "http://loinc.org": "LN"}.get(system, "99HUTONG")
    return {
        "CodeValue": str(coding["code"])[:SH],
        "CodingSchemeDesignator": designator,
        "CodeMeaning": str(coding.get("display") or coding["code"])[:LO],
    }


def _has_type(identifier: Json, code: str) -> bool:
    return any(part.get("code") == code for part in (identifier.get("type") or {}).get("coding", ()))


def _is_local(identifier: Json) -> bool:
    """The number of a hospital rather than the national one: what devices and archives file by."""
    return not str(identifier.get("system") or "").startswith("urn:oid:2.16.156.10011.1.3") and not _has_type(
        identifier, "NI"
    )


def _issuer(identifier: Json) -> str:
    from urllib.parse import unquote

    system = str(identifier.get("system") or "")
    return unquote(system.removeprefix("urn:id:")) if system.startswith("urn:id:") else ""


def _display(*values: Any) -> str:
    for value in values:
        row = value[0] if isinstance(value, list) and value else value
        if isinstance(row, dict):
            text = row.get("display") or row.get("text")
            if text:
                return str(text)
    return ""


def _identifier(reference: Any) -> str:
    return str(((reference or {}).get("identifier") or {}).get("value") or "")


def _reason(order: Json) -> str:
    return next(
        (
            text
            for concept in order.get("reasonCode", ())
            if (text := _display(concept, concept.get("coding")))
        ),
        "",
    )
