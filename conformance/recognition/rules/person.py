"""MR-001 same person, MR-002 valid identity number, MR-032 consent."""

from conformance.identifiers import read_resident_id, systems, to_eighteen
from conformance.recognition.case import Case
from conformance.recognition.moment import read_approximately
from conformance.recognition.record import Record, reference_of, references
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json

ID_TYPES = frozenset({"PPN", "NI", "NNCHN", "SS"})


def resident_ids(patient: Json) -> list[str]:
    """Return the identity numbers of a patient as they are held (resident id by system or type)."""
    return [
        row["value"]
        for row in patient.get("identifier") or ()
        if isinstance(row.get("value"), str)
        and (
            row.get("system") == systems.RESIDENT_ID
            or any(coding.get("code") in ID_TYPES for coding in (row.get("type") or {}).get("coding") or ())
        )
    ]


def is_same_record(first: Json, second: Json) -> bool:
    """Return whether two Patient resources are one, or linked by replaced-by, replaces or seealso."""
    own, other = reference_of(first), reference_of(second)
    return own == other or _links(first, other) or _links(second, own)


def is_other_person(asked: Json, found: Json) -> bool:
    """Return whether a result belongs to somebody else: ids that differ, or nothing that could tell them the same."""
    if is_same_record(asked, found):
        return False
    own, other = _valid_ids(asked), _valid_ids(found)
    if own and other:
        return not own & other
    return not _same_demographics(asked, found)


def same_person(case: Case) -> RuleResult | None:
    asked, found = case.question.patient, case.patient
    if found is None or reference_of(asked) == reference_of(found):
        return judge("MR-001", "pass", input=reference_of(asked))
    if is_same_record(asked, found):
        return judge("MR-001", "pass", "linked", input=reference_of(found))
    if _valid_ids(asked) & _valid_ids(found):
        return judge("MR-001", "pass", input=reference_of(found))
    return judge("MR-001", "warn", "demographics", input=reference_of(found))


def valid_identity(case: Case) -> RuleResult | None:
    numbers = resident_ids(case.question.patient)
    if not numbers:
        return None
    for number in numbers:
        fault = _identity_fault(number, case.question.patient)
        if fault is not None:
            return judge("MR-002", "warn", input=_masked(number), limit=fault)
    return judge("MR-002", "pass", input=_masked(numbers[0]))


def _identity_fault(number: str, patient: Json) -> str | None:
    found = read_resident_id(number)
    if found.fault is not None:
        return found.fault
    if patient.get("gender") in ("male", "female") and found.gender != patient["gender"]:
        return "sex"
    born = str(patient.get("birthDate", ""))
    return (
        "birth date"
        if len(born) == 10 and found.birth_date and born != found.birth_date.isoformat()
        else None
    )


def consent(case: Case) -> RuleResult | None:
    """Treatment is the legal basis; an active Consent that denies the requester takes it away."""
    for row in case.record.of("Consent"):
        provision = row.get("provision") or {}
        if row.get("status") != "active" or not _denies(provision, case):
            continue
        return judge("MR-032", "block", input=reference_of(row))
    return judge("MR-032", "pass")


def _denies(provision: Json, case: Case) -> bool:
    if (
        provision.get("type") == "deny"
        and _in_period(provision, case)
        and _is_about(provision.get("actor") or [], case)
    ):
        # A permission nested inside for this requester is the exception from the denial (consent provisions alternate).
        return not any(
            inner.get("type") == "permit" and _is_about(inner.get("actor") or [], case)
            for inner in provision.get("provision") or ()
        )
    return any(
        inner.get("type") == "deny" and _in_period(inner, case) and _is_about(inner.get("actor") or [], case)
        for inner in provision.get("provision") or ()
    )


def _in_period(provision: Json, case: Case) -> bool:
    period = provision.get("period") or {}
    start, end = read_approximately(period.get("start")), read_approximately(period.get("end"))
    return (start is None or start <= case.question.at) and (end is None or case.question.at <= end)


def _is_about(actors: list[Json], case: Case) -> bool:
    """Whether a provision's actors cover the requester or an organisation above it; no actors are everybody."""
    chain = _with_parents(case.question.requester, case.record)
    return not actors or any(held in chain for actor in actors for held in references(actor, "reference"))


def _with_parents(organization: Json | None, record: Record) -> set[str]:
    found: set[str] = set()
    while organization is not None and reference_of(organization) not in found:
        found.add(reference_of(organization))
        organization = record.resolve(organization.get("partOf"), organization)
    return found


def _valid_ids(patient: Json) -> set[str]:
    return {
        to_eighteen(found.value)
        for number in resident_ids(patient)
        if (found := read_resident_id(number)).is_valid
    }


def _links(patient: Json, other: str) -> bool:
    return any(
        other in references(link, "other")
        for link in patient.get("link") or ()
        if link.get("type") in ("replaced-by", "replaces", "seealso")
    )


def _same_demographics(first: Json, second: Json) -> bool:
    return (
        bool(_names(first) & _names(second))
        and first.get("gender") is not None
        and first.get("gender") == second.get("gender")
        and first.get("birthDate") is not None
        and first.get("birthDate") == second.get("birthDate")
    )


def _names(patient: Json) -> set[str]:
    found = set()
    for name in patient.get("name") or ():
        text = name.get("text") or f"{name.get('family', '')}{''.join(name.get('given') or ())}"
        found.add("".join(text.split()).casefold())
    return found - {""}


def _masked(number: str) -> str:
    return (
        f"{number[:3]}{'*' * max(0, len(number) - 7)}{number[-4:]}" if len(number) > 7 else "*" * len(number)
    )
