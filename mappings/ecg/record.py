"""A Recording → the record that maps of format `ecg` read: plain keys and texts (docs/adapters/ecg.md lists them)."""

import base64
import hashlib
from collections.abc import Iterable
from datetime import date

from mappings.ecg.codes import codes
from mappings.ecg.quality import check_quality, has_waveform
from mappings.ecg.recording import Lead, Recording, with_derived_leads
from mappings.ecg.sampled_data import data_of
from terminology.fhirjson import Json
from terminology.issues import Issue


def to_record(
    recording: Recording,
    raw: bytes,
    *,
    day: date,
    waveform: bool = False,
    issues: Iterable[Issue] | None = None,
) -> Json:
    """Return the record of a recording and the file it came in.

    `waveform`: with the samples of every lead, the limb leads that follow from I and II computed. `issues`: those of the
    quality gate when the caller has them already. Absent values are left out.
    """
    found = list(issues) if issues is not None else check_quality(recording, day=day)
    shows = waveform and has_waveform(recording, day=day)
    whole = with_derived_leads(recording) if shows else recording
    patient, machine, reading = recording.patient, recording.machine, recording.reading
    return _filled(
        {
            "format": recording.format,
            "title": recording.title,
            "id": recording.id,
            "start": recording.start,
            "seconds": f"{recording.seconds:.3f}".rstrip("0").rstrip("."),
            "rate": f"{recording.rate:g}",
            "order": recording.order,
            "study": recording.study,
            "series": recording.series,
            "instance": recording.instance,
            "patient": {
                "id": patient.id,
                "issuer": patient.issuer,
                "name": patient.name,
                "sex": patient.sex,
                "birth": patient.birth,
                "age": patient.age,
            },
            "device": {
                "manufacturer": machine.manufacturer,
                "model": machine.model,
                "name": machine.name,
                "serial": machine.serial,
                "software": machine.software,
                "institution": machine.institution,
                "department": machine.department,
            },
            "operator": recording.operator,
            "referrer": recording.referrer,
            "place": recording.place,
            "reason": recording.reason,
            "filters": dict(recording.filters),
            "leads": [_lead(lead) for lead in whole.leads] if shows else [],
            "measurements": [
                _measurement(row.name, row.value, row.is_derived) for row in recording.measurements
            ],
            "statements": list(reading.statements),
            "statement_source": reading.source,
            "interpreter": reading.interpreter,
            "interpreted": reading.at,
            "quality": [
                {
                    "code": issue.code,
                    "severity": issue.severity,
                    "zh": issue.text("zh"),
                    "en": issue.text("en"),
                }
                for issue in found
            ],
            "file": {
                "media_type": recording.media_type,
                "size": len(raw),
                "sha256": hashlib.sha256(raw).hexdigest(),
                # datatypes.html#Attachment: the hash is SHA-1 in Base64.
                "hash": base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode(),
                "data": base64.b64encode(raw).decode(),
            },
        }
    )


def _lead(lead: Lead) -> Json:
    row = codes().leads.get(lead.label)
    unit = "uV" if lead.factor is not None else "1"
    return {
        "name": lead.label,
        "code": row.code if row else "",
        "display": row.display if row else "",
        "period": lead.period,
        "factor": lead.factor if lead.factor is not None else 1,
        "origin": lead.origin,
        "unit": unit,
        "samples": len(lead.counts),
        "data": data_of(lead),
    }


def _measurement(name: str, value: object, is_derived: bool) -> Json:
    row = codes().measurements[name]
    return {
        "name": name,
        "value": value,
        "unit": row.unit,
        "mdc": row.mdc,
        "mdc_display": row.display,
        "loinc": row.loinc,
        "loinc_display": row.loinc_display,
        "text": row.zh,
        "derived": "true" if is_derived else "",
    }


def _filled(value: Json) -> Json:
    """Leave out what is empty, so that coverage counts only what the file says."""
    kept = {}
    for key, part in value.items():
        if isinstance(part, dict):
            part = _filled(part)
        elif isinstance(part, list):
            part = [_filled(item) if isinstance(item, dict) else item for item in part]
        if part or part == 0:
            kept[key] = part
    return kept
