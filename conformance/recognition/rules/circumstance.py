"""MR-019 … MR-023, MR-025: the item's volatility and the patient's circumstances."""

from datetime import datetime

from conformance.recognition.case import Case
from conformance.recognition.moment import read_approximately
from conformance.recognition.names import (
    EMERGENCY_CLASS,
    INPATIENT_CLASSES,
    SNOMED,
    SURGERY,
    TRANSFUSION,
    URGENT,
)
from conformance.recognition.record import codings, concept_text, reference_of, references
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json

DONE = frozenset({"completed", "in-progress"})
REFUTED = frozenset({"refuted", "entered-in-error"})


def volatile(case: Case) -> RuleResult | None:
    if case.item is None:
        return None
    return judge("MR-019", "warn" if case.item.is_volatile else "pass", input=case.item.code)


def unchanged_condition(case: Case) -> RuleResult | None:
    since = case.effective_moment
    if since is None:
        return None
    event = next(
        filter(None, (_new_diagnosis(case, since), _admission(case, since), _procedure(case, since))), None
    )
    return judge("MR-020", "warn", input=event) if event else judge("MR-020", "pass")


def _between(text: object, since: datetime, until: datetime) -> bool:
    moment = read_approximately(text)
    return moment is not None and since < moment <= until


def _new_diagnosis(case: Case, since: datetime) -> str | None:
    """A Condition recorded since, unless the patient already had its code."""
    conditions = [
        row
        for row in case.record.of("Condition")
        if not REFUTED & {coding.get("code") for coding in codings(row.get("verificationStatus"))}
    ]
    earlier = set()
    for row in conditions:
        known = read_approximately(row.get("recordedDate")) or read_approximately(row.get("onsetDateTime"))
        if known is None or known <= since:
            earlier |= _keys(row)
    for row in conditions:
        if (
            _between(row.get("recordedDate") or row.get("onsetDateTime"), since, case.question.at)
            and not _keys(row) & earlier
        ):
            return concept_text(row.get("code")) or reference_of(row)
    return None


def _keys(condition: Json) -> set[tuple[str | None, str | None]]:
    return {(coding.get("system"), coding.get("code")) for coding in codings(condition.get("code"))}


def _admission(case: Case, since: datetime) -> str | None:
    own = reference_of(case.question.encounter) if case.question.encounter else None
    for row in case.record.of("Encounter"):
        if reference_of(row) == own or row.get("status") in ("cancelled", "entered-in-error", "planned"):
            continue
        if (row.get("class") or {}).get("code") in INPATIENT_CLASSES and _between(
            (row.get("period") or {}).get("start"), since, case.question.at
        ):
            return reference_of(row)
    return None


def _procedure(case: Case, since: datetime) -> str | None:
    for row in case.record.of("Procedure"):
        period = row.get("performedPeriod") or {}
        performed = row.get("performedDateTime") or period.get("end") or period.get("start")
        if row.get("status") in DONE and _between(performed, since, case.question.at):
            return concept_text(row.get("code")) or reference_of(row)
    return None


def major_measure(case: Case) -> RuleResult | None:
    for row in case.record.of("ServiceRequest"):
        if row.get("status") not in ("active", "draft", "on-hold"):
            continue
        concepts = [row.get("code"), *(row.get("category") or ())]
        coded = {
            (coding.get("system"), coding.get("code")) for concept in concepts for coding in codings(concept)
        }
        words = " ".join(concept_text(concept) for concept in concepts)
        if coded & {(SNOMED, TRANSFUSION), (SNOMED, SURGERY)} or "手术" in words or "输血" in words:
            return judge("MR-021", "warn", input=words or reference_of(row))
    return judge("MR-021", "pass")


def is_emergency(encounter: Json | None, order: Json | None) -> bool:
    return ((encounter or {}).get("class") or {}).get("code") == EMERGENCY_CLASS or (order or {}).get(
        "priority"
    ) in URGENT


def emergency(case: Case) -> RuleResult | None:
    return judge("MR-022", "warn" if is_emergency(case.question.encounter, case.question.order) else "pass")


def purpose(case: Case) -> RuleResult | None:
    asked = case.question.purpose
    return judge("MR-023", "pass" if asked == "treatment" else "fail", input=asked)


def monitoring(case: Case) -> RuleResult | None:
    order = case.question.order
    if order is None:
        return None
    is_planned = any(reference.startswith("CarePlan/") for reference in references(order, "basedOn"))
    repeats = bool((order.get("occurrenceTiming") or {}).get("repeat"))
    return judge("MR-025", "warn" if is_planned or repeats else "pass")
