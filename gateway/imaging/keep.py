"""Studies become resources: what arrived is mapped, matched with its order and written, again while objects come.

`registered` with the first object; `available` when the device reported as many as have come (MPPS), or after a quiet
minute. What no order fits goes to the list of orphans with suggestions; an order that comes later is found then.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from gateway.imaging import orphans, studies
from gateway.imaging.archive import Archive, Origin, mapped, now
from gateway.imaging.orders import Match, Orders, numbers_of
from gateway.imaging.steps import Steps, waiting
from gateway.ingest.process import Processor
from gateway.journal import Entry as Message
from mappings.dicom.study import with_study
from mappings.ecg.dicom import is_electrocardiogram, refusal_of, with_electrocardiogram
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json
from terminology.issues import FhirError, Unavailable, UnmappableMessage

if TYPE_CHECKING:
    from mappings.dicom import Instance

log = logging.getLogger("gateway.imaging")

LOOK_SECONDS = 1.0
ECG_BYTES = 64 * 1024 * 1024
RETRY_MS = (5_000, 30_000, 120_000, 600_000)
ORPHAN_LOOK_MS = 30_000


@dataclass(frozen=True, slots=True)
class Choices:
    """What the settings say of studies. `root`: where DICOMweb answers; `issuer`: of numbers that name none."""

    root: str
    issuer: str
    quiet_seconds: float
    zone: ZoneInfo


class Keeper:
    """Brings the resources up to the index. `maps` are the active maps."""

    def __init__(
        self,
        archive: Callable[[], Archive],
        maps: Any,
        processor: Processor,
        orders: Orders,
        choices: Choices,
        steps: Steps,
    ) -> None:
        self._archive, self.maps, self.processor = archive, maps, processor
        self.orders, self.choices, self.steps = orders, choices, steps
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def archive(self) -> Archive:
        return self._archive()

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        self._is_closing = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def wake(self) -> None:
        """Look now; may be called from any thread."""
        if self._task is not None and not self._is_closing:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _run(self) -> None:
        while not self._is_closing:
            try:
                await self.catch_up()
            except Exception:
                log.exception("studies could not be looked at")
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def catch_up(self) -> None:
        """Write what is due now."""
        for uid in await asyncio.to_thread(studies.due_studies, self.archive, now()):
            if self._is_closing:
                return
            await self.keep(uid)
        for step in await asyncio.to_thread(waiting, self.archive):
            try:
                await self.steps.keep(self.archive, *step)
            except FhirError as error:
                log.warning("a step could not be written", extra={"step": step[0], "detail": str(error)})
                await self.steps.postpone(self.archive, step[0])
        for uid in await asyncio.to_thread(orphans.to_look_at, self.archive, now() - ORPHAN_LOOK_MS):
            await self._look_again(uid)

    async def keep(self, uid: str) -> None:
        """Write the resources of one study; a failure is noted and tried again."""
        row = await asyncio.to_thread(studies.study_row, self.archive, uid)
        if row is None:
            return
        try:
            await self._keep(row)
        except Exception as error:
            if not isinstance(error, FhirError):
                log.exception("a study could not be written", extra={"study": uid})
            elif not row["attempts"]:
                log.warning("a study could not be written", extra={"study": uid, "detail": str(error)})
            wait = RETRY_MS[min(row["attempts"], len(RETRY_MS) - 1)]
            await asyncio.to_thread(studies.postpone, self.archive, uid, str(error), due=now() + wait)

    async def _keep(self, row: Json) -> None:
        uid = row["uid"]
        is_available = await asyncio.to_thread(self._is_available, row)
        found = await asyncio.to_thread(self.record, uid, is_available=is_available)
        if found is None:
            raise Unavailable("HT-DCM-22", study=uid)
        record, charset = found
        match = await self._match(row, record)
        result = self.maps.run_study(record, charset)
        result = with_order(result, match)
        entry = _entry(row)
        made, _ = await self.processor.commit(entry, result)
        reference = next((target for target in made.targets if target.startswith("ImagingStudy/")), "")
        order = f"ServiceRequest/{match.order['id']}" if match.order else ""
        if match.order is None:
            await asyncio.to_thread(orphans.add, self.archive, uid, match.reason, match.detail)
        else:
            await asyncio.to_thread(orphans.found, self.archive, uid)
        # Who the patient is was decided within the commit, by his identifiers.
        stored = await self.orders.by_reference(reference) if reference else None
        subject = ((stored or {}).get("subject") or {}).get("reference", "")
        await self._keep_reports(row, record, order, subject)
        quiet = int(row["changed"] + self.choices.quiet_seconds * 1000)
        values: Json = {
            "reference": reference, "subject": subject, "order_reference": order, "is_available": int(is_available), "attempts": 0, "problem": "",
        }  # fmt: skip
        due = 0 if is_available else max(quiet, now() + 100)
        await asyncio.to_thread(studies.finish, self.archive, uid, row["revision"], values, due=due)

    def _is_available(self, row: Json) -> bool:
        """Once available a study stays it: what comes late adds to it (docs/operations/imaging.md)."""
        if row["is_available"]:
            return True
        expected = studies.step_counts(self.archive, row["uid"])
        have: int = self.archive.rows("select count(*) from instance where study = ?", (row["uid"],))[0][0]
        if expected is not None and have >= expected:
            return True
        return bool(now() >= row["changed"] + self.choices.quiet_seconds * 1000)

    def record(self, uid: str, *, is_available: bool) -> tuple[Json, Any] | None:
        """Return the record of a study as maps read it, and its charset."""
        return studies.study_record(
            self.archive,
            uid,
            status="available" if is_available else "registered",
            root=self.choices.root,
            issuer=self.choices.issuer,
        )

    async def _match(self, row: Json, record: Json) -> Match:
        """The order that a person chose, that the worklist gave, or that the numbers name; in this order."""
        chosen = row["order_reference"] if row["linked_by"] else ""
        if chosen:
            order = await self.orders.by_reference(chosen)
            if order is not None:
                return Match(order, await self.orders.patient_of(order))
        given = await asyncio.to_thread(
            self.archive.rows, "select reference from scheduled where study = ?", (row["uid"],)
        )
        if given and not numbers_of(record):
            order = await self.orders.by_reference(given[0][0])
            if order is not None:
                return await self.orders.checked(order, record)
        return await self.orders.match(record)

    async def _look_again(self, uid: str) -> None:
        """An order may have come after its images."""
        found = await asyncio.to_thread(self.record, uid, is_available=False)
        await asyncio.to_thread(orphans.looked, self.archive, uid)
        if found is None:
            return
        match = await self.orders.match(found[0])
        if match.order is not None:
            await asyncio.to_thread(studies.touch, self.archive, uid, now())
            self._wake.set()

    async def _keep_reports(self, row: Json, study: Json, order: str, subject: str) -> None:
        """Map the structured reports of a study, with the order and the patient that the study has."""
        for uid, path in await asyncio.to_thread(studies.reports_of, self.archive, row["uid"], order):
            result = await asyncio.to_thread(self._report, path, study)
            result = placed(result, order, subject)
            entry = _entry({**row, "uid": uid, "received": row["received"]})
            await self.processor.commit(entry, result)
            await asyncio.to_thread(studies.note_mapped, self.archive, uid, order)

    def _report(self, path: str, study: Json) -> Result:
        with mapped(self.archive.folder / path) as instance:
            record = dict(instance.record)
            more = {name: study[name] for name in STUDY_LEVEL if name in study}
            result: Result = self.maps.run_dicom(instance, {**record, **more})
            if not is_electrocardiogram(instance) or len(instance.buffer) > ECG_BYTES:
                return result
            raw = bytes(instance.buffer)
        try:
            if refused := refusal_of(raw):
                raise UnmappableMessage(refused)
            return with_electrocardiogram(result, raw, self.maps)
        except FhirError as problem:
            # The object stays in its study; what the quality gate says of it keeps it from the ECG centre.
            log.warning("an ECG of a study is not taken", extra={"path": path, "detail": str(problem)})
            return result

    def file_message(self, raw: bytes, instance: "Instance") -> tuple[Json, Callable[[Result], Result]]:
        """File an object that came as a message; return its record with its whole study, and what the study knows of it."""
        filed = self.archive.file_bytes(raw, Origin("message", instance.source))
        if filed.outcome == "other-patient":
            raise orphans.other_patient(filed)
        row = studies.study_row(self.archive, instance.study) or {}
        record = with_study(
            {**instance.record, "TransferSyntaxUID": instance.transfer_syntax},
            studies.series_rows(self.archive, instance.study),
            status="available" if row.get("is_available") else "registered",
            root=self.choices.root,
            issuer=self.choices.issuer,
        )
        return record, lambda result: placed(result, row.get("order_reference", ""), row.get("subject", ""))


# What of a study's record its reports are mapped with.
STUDY_LEVEL = (
    "Series", "Modalities", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "StudyStatus", "DicomwebRoot",
)  # fmt: skip


def placed(result: Result, order: str, subject: str) -> Result:
    """Return the result of one object of a study: the study itself is the keeper's to change, the object's own are here."""
    own = next((entry.reference for entry in result.entries if entry.type == "Patient"), "")
    if subject and own:
        result = result.rename({own: subject})
        result.entries = [entry for entry in result.entries if entry.type != "Patient"]
    entries = []
    for entry in result.entries:
        if entry.type == "ImagingStudy":
            entry = Entry(entry.resource, replace(entry.rule, write="create"), entry.recency)
        elif entry.type in ("DiagnosticReport", "Observation") and order:
            entry = Entry({**entry.resource, "basedOn": [{"reference": order}]}, entry.rule, entry.recency)
        entries.append(entry)
    result.entries = entries
    return result


def with_order(result: Result, match: Match) -> Result:
    """Return the result as the order wants it: its patient, `basedOn`, and what only the order knows."""
    order = match.order
    if order is None:
        return result
    patient = (order.get("subject") or {}).get("reference", "")
    own = next((entry.reference for entry in result.entries if entry.type == "Patient"), "")
    if patient and own:
        # The patient is the order's: what the device wrote of him stays in the objects.
        result = result.rename({own: patient})
        result.entries = [entry for entry in result.entries if entry.type != "Patient"]
    reference = {"reference": f"ServiceRequest/{order['id']}"}
    for entry in result.entries:
        if entry.type == "ImagingStudy":
            entry.resource["basedOn"] = [reference]
            if patient:
                entry.resource["subject"] = {"reference": patient}
            if order.get("encounter"):
                entry.resource.setdefault("encounter", order["encounter"])
            if order.get("code"):
                entry.resource.setdefault("procedureCode", [order["code"]])
    return result


def _entry(row: Json) -> Message:
    """A study as what its resources came from: not one message, but all its objects."""
    return Message(
        id=0, kind="dicom", channel="study", peer=row["source"], source=row["source"] or "dicom", control_id=row["uid"],
        event="STUDY", keys=(f"study {row['uid']}",), request_id=f"study-{row['revision']}", received=row["received"],
        state="received", attempts=0, next_attempt=0, size=0,
    )  # fmt: skip
