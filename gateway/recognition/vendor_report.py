"""A report in the words of the vendors' interface: what `getRelativeReports` lists and `getDetail` shows."""

from typing import Any

from conformance.identifiers import systems
from conformance.recognition.moment import effective_text, read_approximately
from conformance.recognition.names import MARK
from conformance.recognition.pack import CHINA
from conformance.recognition.record import code_value, codings, concept_text, extension
from gateway.recognition.earlier import Earlier
from terminology.fhirjson import Json

MARKS = {
    "national": "全国HR",
    "region": "区域HR",
    "province": "本省HR",
    "city": "本市HR",
    "community": "医共体HR",
}
OUTSIDE = "诊断结论不在互认范围，仅供参考"


def row_of(held: Earlier, patient: Json) -> Json:
    """Return the row of one report; absent values are empty texts, as vendors' readers expect."""
    report = held.report
    candidates = held.candidates
    until = [row.valid_until for row in candidates if row.valid_until is not None]
    first = codings(report.get("code")) or [
        coding for row in candidates for coding in codings(row.result.get("code"))
    ]
    codes = list(dict.fromkeys(row.item.get("code", "") for row in candidates))
    return {
        "examUid": report["id"],
        "patientName": _name(patient),
        "idCardValue": _number(patient),
        "idCardTypeCode": "01" if _number(patient) else "",
        "orgName": _organization(held, "name"),
        "orgCode": _organization(held, "code"),
        "reportName": concept_text(report.get("code")).split(" ")[0],
        "reportNo": _report_number(report),
        "reportTime": _time(report.get("issued")),
        "dataCode": ",".join(codes),
        "examItemName": next(
            (coding["display"] for coding in first if coding.get("display")), concept_text(report.get("code"))
        ),
        "examItemCode": next((coding.get("code", "") for coding in first), ""),
        "modality": _modality(held),
        "technicianName": _people(held, "performer"),
        "examDate": _time(effective_text(report)),
        "auditDate": _time(report.get("issued")),
        "imageUrl": next((row.image for row in candidates if row.image), ""),
        "hrMark": _mark(held),
        "decision": held.decision if candidates else "",
        "validUntil": _time(min(until).isoformat()) if until else "",
        "viewed": held.is_viewed,
    }


def detail(held: Earlier, patient: Json, results: list[Json], *, preliminary: str | None) -> Json:
    """Return everything of one report; the conclusion is shown and marked as outside recognition (MR-031)."""
    report = held.report
    images = [
        endpoint["address"]
        for study in (held.record.resolve(row, report) for row in report.get("imagingStudy") or ())
        if study is not None
        for endpoint in (held.record.resolve(row, study) for row in study.get("endpoint") or ())
        if endpoint is not None and endpoint.get("address")
    ]
    findings = [_value(row) for row in results if not codings(row.get("code"))]
    own = [report] if report["resourceType"] == "Observation" else results
    row = row_of(held, patient)
    return row | {
        "imageUrl": row["imageUrl"] or (images[0] if images else ""),
        "preliminaryDate": _time(preliminary),
        "auditorName": _people(held, "resultsInterpreter"),
        "imagingFinding": "；".join(filter(None, findings))
        or str((report.get("text") or {}).get("div", ""))[:4000],
        "imagingDiagnosis": report.get("conclusion", ""),
        "diagnosisRemark": OUTSIDE,
        "status": report.get("status", ""),
        "items": [_item(result) for result in own if codings(result.get("code"))],
    }


def _item(result: Json) -> Json:
    quantity = result.get("valueQuantity") or {}
    span: Json = next(iter(result.get("referenceRange") or ()), {})
    low, high = (span.get("low") or {}).get("value"), (span.get("high") or {}).get("value")
    return {
        "itemCode": codings(result.get("code"))[0].get("code", ""),
        "itemName": concept_text(result.get("code")).split(" ")[0],
        "result": _value(result),
        "unit": quantity.get("unit") or quantity.get("code") or "",
        "referenceRange": span.get("text")
        or (f"{low}-{high}" if low is not None and high is not None else ""),
        "abnormalFlag": code_value(next(iter(result.get("interpretation") or ()), {})) or "",
    }


def _value(result: Json) -> str:
    quantity = result.get("valueQuantity")
    if quantity:
        return str(quantity.get("value", ""))
    if result.get("valueCodeableConcept"):
        return concept_text(result["valueCodeableConcept"])
    return str(result.get("valueString") or result.get("valueInteger") or "")


def _time(text: Any) -> str:
    moment = read_approximately(text)
    return moment.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def _name(patient: Json) -> str:
    name: Json = next(iter(patient.get("name") or ()), {})
    return str(name.get("text") or f"{name.get('family', '')}{''.join(name.get('given') or ())}")


def _number(patient: Json) -> str:
    return next(
        (
            row.get("value", "")
            for row in patient.get("identifier") or ()
            if row.get("system") == systems.RESIDENT_ID
        ),
        "",
    )


def _report_number(report: Json) -> str:
    own = (row["value"] for row in report.get("identifier") or () if row.get("value"))
    return str(next(own, report["id"]))


def _organization(held: Earlier, part: str) -> str:
    for reference in held.report.get("performer") or ():
        found = held.record.resolve(reference, held.report)
        if found is not None and found["resourceType"] == "Organization":
            number = next((row.get("value", "") for row in found.get("identifier") or ()), "")
            return str(found.get("name", "") if part == "name" else number)
        if part == "name" and reference.get("display"):
            return str(reference["display"])
    return ""


def _people(held: Earlier, element: str) -> str:
    for reference in held.report.get(element) or ():
        found = held.record.resolve(reference, held.report)
        if found is not None and found["resourceType"] == "Practitioner":
            return _name(found)
        if reference.get("display") and not str(reference.get("reference", "")).startswith("Organization/"):
            return str(reference["display"])
    return ""


def _modality(held: Earlier) -> str:
    for reference in held.report.get("imagingStudy") or ():
        study = held.record.resolve(reference, held.report)
        for coding in (study or {}).get("modality") or ():
            return str(coding.get("code", ""))
    sections = [
        coding.get("code", "") for row in held.report.get("category") or () for coding in codings(row)
    ]
    return next(iter(sections), "")


def _mark(held: Earlier) -> str:
    holders = [held.report, *(row.result for row in held.candidates)]
    mark = next((code for row in holders if (code := code_value(extension(row, MARK)))), None)
    return MARKS.get(mark or "", "")
