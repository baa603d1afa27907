"""Performed procedure steps (MPPS): what the modality says it does, as Procedure; PS3.4 §F.7.

In progress → completed or discontinued; a finished step cannot be changed any more. The row in the index is durable
before the modality hears success; the Procedure follows from it, again and again until it is written.
"""

import logging
from typing import Any

import msgspec

from gateway.imaging.archive import Archive, now
from gateway.imaging.orders import Orders, numbers_of
from gateway.imaging.studies import touch
from gateway.ingest.process import Processor
from gateway.journal import Entry as Message
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import GATEWAY, acting_as
from mappings.dicom.charset import Charset
from mappings.dicom.read import is_uid
from mappings.language.result import Result
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError

log = logging.getLogger("gateway.imaging")

STATES = ("IN PROGRESS", "COMPLETED", "DISCONTINUED")
# PS3.7 §C.4–C.5, PS3.4 §F.7.2.2.
DUPLICATE, NO_SUCH, MISSING, INVALID, FINISHED = 0x0111, 0x0112, 0x0120, 0x0106, 0x0110
RETRY_MS = 30_000
NEWEST = 20_000


class StepRefused(Exception):
    """A step that may not be created or changed so; `status` is the DIMSE one."""

    def __init__(self, status: int, comment: str) -> None:
        super().__init__(comment)
        self.status, self.comment = status, comment


def create(archive: Archive, uid: str, record: Json) -> None:
    """Keep a new step. Raises StepRefused."""
    if not is_uid(uid):
        raise StepRefused(INVALID, "HT-DCM-02 the step has no UID")
    if record.get("PerformedProcedureStepStatus") != "IN PROGRESS":
        raise StepRefused(INVALID, "HT-DCM-27 a new step is IN PROGRESS")
    if not record.get("ScheduledStepAttributesSequence"):
        raise StepRefused(MISSING, "HT-DCM-27 ScheduledStepAttributesSequence is missing")
    study, number = _study_of(record), next(iter(numbers_of(record)), "")
    with archive.writing() as connection:
        if connection.execute("select 1 from step where uid = ?", (uid,)).fetchone():
            raise StepRefused(DUPLICATE, "HT-DCM-27 this step exists already")
        connection.execute(
            "insert into step (uid, status, study, accession, record, received, changed) values (?, ?, ?, ?, ?, ?, ?)",
            (uid, "IN PROGRESS", study, number, _json(record), now(), now()),
        )


def change(archive: Archive, uid: str, record: Json) -> None:
    """Keep what changed of a step. Raises StepRefused."""
    status = record.get("PerformedProcedureStepStatus")
    if status not in (None, "", *STATES):
        raise StepRefused(INVALID, f"HT-DCM-27 unknown status {status}")
    with archive.writing() as connection:
        known = connection.execute("select status, record, study from step where uid = ?", (uid,)).fetchone()
        if known is None:
            raise StepRefused(NO_SUCH, "HT-DCM-27 no such step")
        if known[0] != "IN PROGRESS":
            raise StepRefused(FINISHED, "HT-DCM-27 a finished step may no longer be updated")
        merged = {
            **msgspec.json.decode(known[1]),
            **{key: value for key, value in record.items() if value not in ("", [])},
        }
        connection.execute(
            "update step set status = ?, record = ?, changed = ?, kept = 0 where uid = ?",
            (status or known[0], _json(merged), now(), uid),
        )
    if status in ("COMPLETED", "DISCONTINUED") and known[2]:
        # The number of objects is known now: the study may be complete.
        touch(archive, known[2], now())
        archive.notice()


def waiting(archive: Archive) -> list[tuple[str, str, str, int]]:
    """Return (uid, status, record, changed) of the steps whose Procedure is behind."""
    statement = "select uid, status, record, changed from step where kept <> changed and kept <= ? order by changed limit 50"
    return archive.rows(statement, (now() - RETRY_MS,))


def finished_orders(archive: Archive, numbers: set[str]) -> set[str]:
    """Return those accession numbers whose examination was completed."""
    if not numbers:
        return set()
    marks = ", ".join("?" * len(numbers))
    statement = f"select distinct accession from step where status = 'COMPLETED' and accession in ({marks})"
    return {number for (number,) in archive.rows(statement, sorted(numbers))}


def imaged_orders(archive: Archive) -> set[str]:
    """Return the orders (references) of the newest studies that are whole."""
    statement = """select order_reference from study where is_available = 1 and order_reference <> ''
      order by changed desc limit ?"""
    return {reference for (reference,) in archive.rows(statement, (NEWEST,))}


class Steps:
    """Writes the Procedures of steps and moves the Task of their order on."""

    def __init__(self, maps: Any, processor: Processor, orders: Orders) -> None:
        self.maps, self.processor, self.orders = maps, processor, orders

    async def keep(self, archive: Archive, uid: str, status: str, text: str, changed: int) -> None:
        record: Json = {
            **msgspec.json.decode(text),
            "SOPInstanceUID": uid,
            "PerformedProcedureStepStatus": status,
        }
        match = await self.orders.match(_matched_record(record))
        result: Result = self.maps.run_step(record, Charset("utf-8"))
        if match.order is not None:
            result = _with_order(result, match.order)
        await self.processor.commit(_entry(uid, record, changed), result)
        with archive.writing() as connection:
            connection.execute("update step set kept = changed where uid = ? and changed = ?", (uid, changed))
        if match.order is not None and status == "IN PROGRESS":
            await self._begin(match.order)

    async def postpone(self, archive: Archive, uid: str) -> None:
        with archive.writing() as connection:
            connection.execute("update step set kept = ? where uid = ?", (now(), uid))

    async def _begin(self, order: Json) -> None:
        """The examination has begun: a Task that was accepted is in progress (workflows §1.3). Its own rules may say no."""
        reference = f"ServiceRequest/{order['id']}"
        for task in await self.orders.search("Task", [("focus", reference), ("status", "accepted")], count=5):
            version = await self.orders.store.read("Task", task["id"])
            if version is None or version.body is None:
                continue
            body = decode_resource(version.body)
            if body.get("status") != "accepted":
                continue
            try:
                with acting_as(GATEWAY):
                    await self.orders.store.commit(
                        Commit([Put({**body, "status": "in-progress"}, expected=version.version)])
                    )
            except FhirError as error:
                log.info("a step did not move its Task", extra={"task": task["id"], "detail": str(error)})


def _with_order(result: Result, order: Json) -> Result:
    patient = (order.get("subject") or {}).get("reference", "")
    own = next((entry.reference for entry in result.entries if entry.type == "Patient"), "")
    if patient and own:
        result = result.rename({own: patient})
        result.entries = [entry for entry in result.entries if entry.type != "Patient"]
    for entry in result.entries:
        if entry.type == "Procedure":
            entry.resource["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"}]
            if patient:
                entry.resource["subject"] = {"reference": patient}
            if order.get("code"):
                entry.resource.setdefault("code", order["code"])
    return result


def _matched_record(record: Json) -> Json:
    """The numbers of the scheduled step, the patient of the performed one."""
    rows = [row for row in record.get("ScheduledStepAttributesSequence", ()) if isinstance(row, dict)]
    return {**record, "RequestAttributesSequence": rows}


def _study_of(record: Json) -> str:
    rows = [row for row in record.get("ScheduledStepAttributesSequence", ()) if isinstance(row, dict)]
    return next((str(row["StudyInstanceUID"]) for row in rows if row.get("StudyInstanceUID")), "")


def _entry(uid: str, record: Json, received: int) -> Message:
    source = str(record.get("PerformedStationAETitle") or "mpps")
    return Message(
        id=0, kind="dicom", channel="mpps", peer=source, source=source, control_id=uid, event="MPPS", keys=(f"step {uid}",),
        request_id=f"step-{received}", received=received, state="received", attempts=0, next_attempt=0, size=0,
    )  # fmt: skip


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()
