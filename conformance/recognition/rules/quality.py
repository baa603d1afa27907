"""MR-008/009 quality assurance, MR-015 images, MR-016 waveform, MR-017 data, MR-018 specimen."""

import re
from datetime import datetime
from decimal import Decimal, InvalidOperation

from conformance.recognition.case import Case
from conformance.recognition.moment import read_approximately
from conformance.recognition.names import ECG_LEADS, QUALITY_ASSURANCE, WAVEFORM_FORMATS
from conformance.recognition.pack import CHINA
from conformance.recognition.record import code_value, codings, extension, extensions
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json

PASSED = frozenset({"pass", "passed", "in-control", "qualified", "true", "合格", "通过", "在控"})


def external_assessment(case: Case) -> RuleResult | None:
    return _assured(case, "MR-008", "eqa")


def internal_control(case: Case) -> RuleResult | None:
    return _assured(case, "MR-009", "iqc")


def _assured(case: Case, rule: str, scheme: str) -> RuleResult | None:
    """Laboratory items only; the period that holds the day of the examination decides."""
    if case.kind != "laboratory":
        return judge(rule, "pass")
    moment = case.effective_moment
    day = moment.astimezone(CHINA).date().isoformat() if moment else "—"
    entries = [
        row
        for holder in (case.result, case.report, case.producer)
        for row in extensions(holder, QUALITY_ASSURANCE)
        if _is_for(row, case, scheme)
    ]
    if not entries or moment is None:
        return judge(rule, "warn", input=day)
    holding = [row for row in entries if _holds(extension(row, "period"), moment)]
    if holding and all((code_value(extension(row, "result")) or "").lower() in PASSED for row in holding):
        return judge(rule, "pass", input=day)
    return judge(rule, "fail", input=day)


def _is_for(row: Json, case: Case, scheme: str) -> bool:
    if code_value(extension(row, "scheme")) != scheme:
        return False
    wanted = extension(row, "item")
    if wanted is None:
        return True
    options = codings(wanted) or [wanted] if isinstance(wanted, dict) else [{"code": wanted}]
    own = [*case.ordered, *((case.result.get("code") or {}).get("coding") or ())]
    return any(
        option.get("code") == coding.get("code") and option.get("system") in (None, coding.get("system"))
        for option in options
        for coding in own
    )


def _holds(period: object, moment: datetime) -> bool:
    if not isinstance(period, dict):
        return True
    start, end = read_approximately(period.get("start")), read_approximately(period.get("end"))
    day = moment.astimezone(CHINA).date()
    # A period's end that is a date includes that day (datatypes.html#Period).
    return (start is None or start.astimezone(CHINA).date() <= day) and (
        end is None or day <= end.astimezone(CHINA).date()
    )


def images(case: Case) -> RuleResult | None:
    if case.kind != "imaging":
        return None
    if not image_address(case):
        return judge("MR-015", "fail", "missing", reason="98")
    number = sum(_instances(study) for study in case.studies)
    least = case.item.min_images if case.item else None
    if least is not None and number < least:
        return judge("MR-015", "warn", "few", input=number, limit=least)
    return judge("MR-015", "pass", input=number, limit=least or "")


def image_address(case: Case) -> str | None:
    """Return the address of an active Endpoint of the study or of a series, else of the waveform document."""
    for study in case.studies:
        if study.get("status") in ("cancelled", "entered-in-error"):
            continue
        holders = [study, *(study.get("series") or ())]
        for reference in (reference for holder in holders for reference in holder.get("endpoint") or ()):
            endpoint = case.record.resolve(reference, study)
            if endpoint is not None and endpoint.get("status") == "active" and endpoint.get("address"):
                return str(endpoint["address"])
    return (
        next((attachment["url"] for attachment in _waveform_files(case) if attachment.get("url")), None)
        if case.kind == "ecg"
        else None
    )


def _instances(study: Json) -> int:
    held = study.get("numberOfInstances")
    if isinstance(held, int):
        return held
    return sum(
        series.get("numberOfInstances") or len(series.get("instance") or ())
        for series in study.get("series") or ()
    )


def waveform(case: Case) -> RuleResult | None:
    if case.kind != "ecg":
        return None
    leads = _leads(case)
    if leads >= ECG_LEADS or _waveform_files(case) or any(_modality(study) for study in case.studies):
        return judge("MR-016", "pass", input=f"{leads}")
    return judge("MR-016", "warn", input=f"{leads}", limit=ECG_LEADS)


def _leads(case: Case) -> int:
    """Return the largest number of leads that one observation of the report carries as sampled data."""
    observations = [case.result] if case.result["resourceType"] == "Observation" else []
    for reference in [
        *((case.report or {}).get("result") or ()),
        *(case.result.get("derivedFrom") or ()),
        *(case.result.get("hasMember") or ()),
    ]:
        found = case.record.resolve(reference, case.report)
        if found is not None and found["resourceType"] == "Observation":
            observations.append(found)
    return max(
        (
            sum("valueSampledData" in part for part in observation.get("component") or ())
            for observation in observations
        ),
        default=0,
    )


def _waveform_files(case: Case) -> list[Json]:
    """Return attachments in a waveform format (aECG, SCP-ECG, DICOM); a PDF is a picture, not a waveform."""
    documents = [
        found
        for reference in case.result.get("derivedFrom") or ()
        if (found := case.record.resolve(reference, case.result)) is not None
        and found["resourceType"] == "DocumentReference"
    ]
    own = {f"{row['resourceType']}/{row.get('id')}" for row in (case.result, case.report) if row is not None}
    for document in case.record.of("DocumentReference"):
        related = {held.get("reference") for held in (document.get("context") or {}).get("related") or ()}
        if related & own:
            documents.append(document)
    contents = [content for document in documents for content in document.get("content") or ()]
    contents += [{"attachment": attachment} for attachment in (case.report or {}).get("presentedForm") or ()]
    return [content.get("attachment") or {} for content in contents if _is_waveform(content)]


def _is_waveform(content: Json) -> bool:
    attachment = content.get("attachment") or {}
    words = " ".join(
        filter(
            None,
            (
                attachment.get("contentType"),
                (content.get("format") or {}).get("code"),
                attachment.get("title"),
            ),
        )
    ).lower()
    return "pdf" not in words and any(format in words for format in WAVEFORM_FORMATS)


def _modality(study: Json) -> bool:
    return any(
        row.get("code") == "ECG"
        for row in [
            *(study.get("modality") or ()),
            *(series.get("modality") or {} for series in study.get("series") or ()),
        ]
    )


def complete_data(case: Case) -> RuleResult | None:
    if case.result["resourceType"] != "Observation" or case.kind == "imaging":
        return None
    value = [name for name in case.result if name.startswith("value") and case.result[name] not in (None, "")]
    parts = case.result.get("component") or case.result.get("hasMember")
    if not value and not parts:
        return judge("MR-017", "block", "empty")
    quantity = case.result.get("valueQuantity")
    if not quantity:
        return judge("MR-017", "pass")
    if quantity.get("value") is None:
        return judge("MR-017", "block", "empty")
    ranges = case.result.get("referenceRange") or ()
    lacking = []
    if not (quantity.get("unit") or quantity.get("code")):
        lacking.append("单位 unit")
    if not ranges:
        lacking.append("参考范围 referenceRange")
    if not case.result.get("interpretation") and _is_outside(quantity["value"], ranges):
        lacking.append("异常标识 interpretation")
    return (
        judge("MR-017", "warn", input=", ".join(lacking))
        if lacking
        else judge("MR-017", "pass", input=str(quantity["value"]))
    )


def _is_outside(value: object, ranges: object) -> bool:
    try:
        number = Decimal(str(value))
        for row in ranges if isinstance(ranges, list) else ():
            low, high = ((row.get(side) or {}).get("value") for side in ("low", "high"))
            if (low is not None and number < Decimal(str(low))) or (
                high is not None and number > Decimal(str(high))
            ):
                return True
    except InvalidOperation:
        return False
    return False


_BAD = re.compile(r"(溶血|脂血|乳糜|凝块|凝固|h[ae]{1,2}moly[sz]|lip[ae]{1,2}mi|\bclot)", re.IGNORECASE)
_NEGATED = re.compile(
    r"(未见|无|没有|未|非|排除|阴性|\bno\b|\bnot\b|without|non-?)[^。;,，;、]{0,6}$", re.IGNORECASE
)
_BAD_CODES = frozenset({"HEM", "CLOT", "LIP"})


def acceptable_specimen(case: Case) -> RuleResult | None:
    if case.kind != "laboratory":
        return None
    for specimen in case.specimens:
        conditions = specimen.get("condition") or ()
        if any(coding.get("code") in _BAD_CODES for condition in conditions for coding in codings(condition)):
            return judge(
                "MR-018",
                "fail",
                input=" ".join(
                    coding.get("code", "") for condition in conditions for coding in codings(condition)
                ),
            )
        texts = [
            f"{condition.get('text') or ''} {' '.join(coding.get('display') or '' for coding in codings(condition))}"
            for condition in conditions
        ]
        if (found := next((text for text in [*texts, *_notes(specimen)] if _is_bad(text)), None)) is not None:
            return judge("MR-018", "fail", input=found.strip())
    if (found := next((text for text in _notes(case.result) if _is_bad(text)), None)) is not None:
        return judge("MR-018", "fail", input=found.strip())
    return judge("MR-018", "pass")


def _notes(resource: Json) -> list[str]:
    return [row.get("text") or "" for row in resource.get("note") or ()]


def _is_bad(text: str) -> bool:
    """Whether words name a spoiled specimen; 「未见溶血」 and 「无凝块」 say the contrary, 「溶血(-)」 too."""
    for match in _BAD.finditer(text):
        rest = text[match.end() : match.end() + 4]
        if not _NEGATED.search(text[: match.start()]) and not re.match(r"\s*[((:：]?\s*(-|阴性|无)", rest):
            return True
    return False
