"""ECG files of any of our formats → one Recording, through ecgdatakit (the optional extra `ecg`).

The library reads by path only; it is given a file that lives in memory (memfd), so nothing is written or looked up.
What it leaves open is settled here: exact sample rates, Chinese texts in undeclared charsets, DICOM ideographic names and
offsets, rates and intervals that a device gives only as marks.
"""

import os
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from importlib import import_module
from typing import Any

from mappings.ecg.formats import FORMATS, Format, format_of
from mappings.ecg.guard import (
    checked_dicom,
    checked_scp,
    checked_size,
    checked_waveform,
    malformed,
    secure_xml,
)
from mappings.ecg.intervals import measurements_of
from mappings.ecg.recording import Lead, Machine, Person, Reading, Recording, plain
from mappings.ecg.texts import repaired
from terminology.issues import MalformedMessage, Unavailable

TITLES = ", ".join(dict.fromkeys(row.title for row in FORMATS.values()))
_ORDER_NUMBERS = (
    "accessionnumber",
    "requisitionnumber",
    "ordernumber",
    "hisordernumber",
    "placerordernumber",
    "uniqueorderid",
    "orderid",
)
_MOST_TEXT = 2_000
_MOST_STATEMENTS = 200
# The library reports through `warnings`, whose filters belong to the whole process.
_LOCK = threading.Lock()


def read_recording(raw: bytes, *, adapter: str = "ecg") -> Recording:
    """Return the recording in an ECG file. `adapter`: "aecg", "scp", "dicom" or "muse" take that format only, "ecg" any.

    Raises TooLarge (HT-ECG-22), MalformedMessage (HT-ECG-20 damaged, HT-ECG-21 no ECG, HT-ECG-24 DTD, HT-ECG-25 another
    format), Unavailable (HT-ECG-23) when the extra isn't installed.
    """
    checked_size(raw)
    format = format_of(raw)
    if format is None:
        raise MalformedMessage("HT-ECG-21", known=TITLES)
    if adapter not in ("ecg", format.adapter, format.name):
        raise MalformedMessage("HT-ECG-25", wanted=adapter, found=format.title)
    decoded = _decoded(raw, format)
    try:
        recording = _recording(decoded, format)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError) as error:
        raise malformed(format.title, f"{type(error).__name__}: {error}") from error
    if format.name == "dicom":
        recording = _with_dicom(recording, raw)
    return recording if recording.id else replace(recording, id=f"sha256:{sha256(raw).hexdigest()}")


def _decoded(raw: bytes, format: Format) -> Any:
    """Return ecgdatakit's record, samples in counts."""
    if format.is_xml:
        raw = secure_xml(raw, format.title)
    elif format.name == "scp":
        checked_scp(raw)
    elif format.name == "dicom":
        checked_dicom(raw)
    try:
        module, _, name = format.parser.partition(":")
        parser = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), name)
        if format.name == "dicom":
            import_module("pydicom")
    except ModuleNotFoundError as error:
        raise Unavailable("HT-ECG-23", missing=error.name or "ecgdatakit") from None
    with _LOCK, warnings.catch_warnings(), _in_memory(raw) as path:
        warnings.simplefilter("ignore")
        try:
            record = parser().parse(path)
        except (Exception, RecursionError) as error:
            # A decoder of thirteen formats meets bytes of strangers: whatever it stumbles on, the file is at fault.
            raise malformed(
                format.title, str(error).replace(str(path), "").strip(" :") or type(error).__name__
            ) from error
    leads = list(record.leads)
    checked_waveform(len(leads), sum(len(lead.samples) for lead in leads))
    if not leads or not any(len(lead.samples) for lead in leads):
        raise malformed(format.title, "no samples")
    return record


@contextmanager
def _in_memory(raw: bytes) -> Iterator[Any]:
    """Give the bytes a path: a memory file on Linux, a temporary file elsewhere."""
    from pathlib import Path

    if hasattr(os, "memfd_create"):
        number = os.memfd_create("ecg", os.MFD_CLOEXEC)
        with os.fdopen(number, "wb") as file:
            file.write(raw)
            file.flush()
            yield Path(f"/proc/self/fd/{number}")
        return
    with tempfile.NamedTemporaryFile(prefix="ecg") as file:
        file.write(raw)
        file.flush()
        yield Path(file.name)


def _recording(record: Any, format: Format) -> Recording:
    meta: dict[str, Any] = record.raw_metadata
    info, device, person = record.recording, record.recording.device, record.patient
    texts = _Texts()
    rate = _exact_rate(record, meta)
    leads = tuple(_lead(lead, rate) for lead in record.leads)
    machine = Machine(
        texts(device.manufacturer), texts(device.model), texts(device.name), texts(device.serial_number),
        texts(device.software_version), texts(device.institution), texts(device.department),
    )  # fmt: skip
    said = record.interpretation
    statements = [texts(text) for text, _ in said.statements[:_MOST_STATEMENTS]]
    return Recording(
        format=format.name,
        title=format.title,
        media_type=format.media_type,
        leads=leads,
        id=texts(str(meta.get("document_id") or meta.get("sop_instance_uid") or "")),
        start=_moment(info.date) or _day(meta.get("acquisition_date")) or _start(meta),
        order=texts(_order_number(meta)),
        patient=Person(
            id=texts(person.patient_id),
            name=_name(texts(person.last_name), texts(person.first_name)),
            birth=_day(person.birth_date),
            sex=person.sex if person.sex in ("M", "F") else "",
            age=str(person.age) if person.age is not None else "",
        ),
        machine=machine,
        reading=Reading(
            tuple(dict.fromkeys(text for text in statements if text)), said.source, texts(said.interpreter),
            _moment(said.interpretation_date),
        ),
        measurements=measurements_of(record),
        operator=texts(info.technician),
        referrer=texts(info.referring_physician),
        place=texts(info.location) or texts(info.room),
        reason=texts(person.clinical_history) or texts(str(meta.get("reason") or "")),
        filters=_filters(info.acquisition.filters),
        repaired=texts.is_repaired,
    )  # fmt: skip


def _order_number(meta: dict[str, Any]) -> str:
    """The accession of DICOM, else what MUSE and Philips keep of the order."""
    if meta.get("accession_number"):
        return str(meta["accession_number"])
    for block in (meta.get("order"), meta.get("order_info")):
        if not isinstance(block, dict):
            continue
        known = {str(name).lower(): value for name, value in block.items()}
        for name in _ORDER_NUMBERS:
            value = known.get(name)
            text = value.get("#text") if isinstance(value, dict) else value
            if isinstance(text, str) and text.strip():
                return text.strip()
    return ""


class _Texts:
    """Cleans texts and remembers whether one had to be read in another charset."""

    def __init__(self) -> None:
        self.is_repaired = False

    def __call__(self, text: str | None) -> str:
        if not text:
            return ""
        found = repaired(text)
        self.is_repaired |= found != text
        return " ".join("".join(c if c.isprintable() or c == "\n" else " " for c in found).split())[
            :_MOST_TEXT
        ]


def _lead(lead: Any, rate: float | None) -> Lead:
    import numpy

    factor, origin = _scale(lead)
    counts = numpy.asarray(lead.samples, dtype=numpy.float64)
    known = counts[numpy.isfinite(counts)]
    if factor is not None and len(known) and not numpy.array_equal(known, numpy.rint(known)):
        # Physical values were written: nanovolts hold them as whole numbers.
        counts = numpy.rint(counts * float(factor) * 1000)
        factor = Decimal("0.001")
    return Lead(str(lead.label)[:40], counts, rate or float(lead.sampling_rate), factor, origin)


def _scale(lead: Any) -> tuple[Decimal | None, Decimal]:
    """Return (µV a count, µV at count 0); (None, 0) when the file tells no voltage."""
    from ecgdatakit.models import _TO_UV, _normalize_unit

    unit = _normalize_unit(lead.resolution_unit or lead.units or "")
    if unit is None or not lead.resolution:
        return None, Decimal(0)
    to_microvolts = Decimal(repr(_TO_UV[unit]))
    factor = Decimal(repr(round(float(lead.resolution), 12))) * to_microvolts
    origin = Decimal(repr(round(float(lead.offset), 12))) * to_microvolts
    return plain(factor), plain(origin)


def _exact_rate(record: Any, meta: dict[str, Any]) -> float | None:
    """The library rounds to whole Hz; a recorder with 360.36 Hz would drift by a beat in ten minutes."""
    time = meta.get("rhythm_time")
    if isinstance(time, dict) and time.get("sampling_rate_exact"):
        return float(time["sampling_rate_exact"])
    interval = meta.get("rhythm_sample_interval_us")
    if interval:
        return 1_000_000 / float(interval)
    groups = meta.get("multiplex_groups")
    if isinstance(groups, list) and groups and len({lead.sampling_rate for lead in record.leads}) == 1:
        return float(groups[0]["sampling_frequency"]) if len(groups) == 1 or record.median_beats else None
    return None


def _start(meta: dict[str, Any]) -> str:
    """The library drops times without minutes; what the file has of them still orders and dates the recording."""
    text = str(meta.get("effective_time") or "")
    return text if text[:8].isdigit() and len(text) >= 8 else ""


def _moment(value: datetime | None) -> str:
    if value is None:
        return ""
    offset = value.strftime("%z")
    fraction = f".{value.microsecond:06}".rstrip("0") if value.microsecond else ""
    return f"{value:%Y%m%d%H%M%S}{fraction}{offset[:5]}"


def _day(value: "date | str | None") -> str:
    if not value:
        return ""
    return value.replace("-", "")[:8] if isinstance(value, str) else f"{value:%Y%m%d}"


def _name(family: str, given: str) -> str:
    """family^given, as the name converter reads it; a delimiter within a name is a blank."""
    parts = [part.replace("^", " ").replace("&", " ").replace("~", " ").strip() for part in (family, given)]
    return "^".join(parts).rstrip("^")


def _filters(settings: Any) -> dict[str, str]:
    found = {"highpass": settings.highpass, "lowpass": settings.lowpass, "notch": settings.notch}
    return {name: f"{value:g}" for name, value in found.items() if value}


def _with_dicom(recording: Recording, raw: bytes) -> Recording:
    """Add what only DICOM has: UIDs, the issuer of the patient's number, names in Chinese characters."""
    from io import BytesIO

    import pydicom

    tags = ["PatientName", "IssuerOfPatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID",
            "SpecificCharacterSet", "AccessionNumber", "RequestAttributesSequence"]  # fmt: skip
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = pydicom.dcmread(BytesIO(raw), specific_tags=tags, stop_before_pixels=True)
            name = data.get("PatientName")
            person = replace(
                recording.patient,
                name=_person_name(name) or recording.patient.name,
                issuer=repaired(str(data.get("IssuerOfPatientID") or "")),
            )
            return replace(
                recording,
                patient=person,
                study=str(data.get("StudyInstanceUID") or ""),
                series=str(data.get("SeriesInstanceUID") or ""),
                instance=str(data.get("SOPInstanceUID") or ""),
            )
        except (Exception, RecursionError) as error:
            raise malformed("DICOM ECG", str(error)) from error


def _person_name(name: Any) -> str:
    """PN (PS3.5 §6.2.1.1): the ideographic group before the alphabetic one."""
    if name is None:
        return ""
    for group in (str(getattr(name, "ideographic", "") or ""), str(getattr(name, "alphabetic", "") or "")):
        parts = [repaired(part.strip()) for part in group.split("^")]
        if any(parts):
            return _name(parts[0], parts[1] if len(parts) > 1 else "")
    return ""
