"""A patient's grades kept current: RiskAssessment, Flag and the plan's colour follow the data (workflows W9).

The same data gives the same resources under the same ids, so grading again writes nothing.
"""

from datetime import datetime

from conformance.chronic import Disease, Diseases, Grade, grade, measured, urgent
from conformance.chronic.grading import unsatisfactory
from gateway.care.plan import is_for, regraded
from gateway.care.record import conditions_of, id_of, observations_of, plans_of
from gateway.store.protocol import Commit, OutboxRow, Put, Store
from terminology.fhirjson import Json, decode_resource

C = "https://hutong.health/fhir/CodeSystem/"
RISK = "http://terminology.hl7.org/CodeSystem/risk-probability"
PROBABILITY = {"low": ("low", "低危"), "medium": ("moderate", "中危"), "high": ("high", "高危")}


async def regrade(patient: str, store: Store, diseases: Diseases, *, now: datetime) -> list[Grade]:
    """Bring the patient's grades up to date with what is stored; returns those that hold now."""
    conditions = await conditions_of(patient, store)
    grades: list[Grade] = []
    for disease in diseases.at(now.date()).values():
        observations = await observations_of(patient, disease.codes, store)
        found = grade(disease, observations, conditions, on=now.date())
        if found is None:
            continue
        grades.append(found)
        await _keep(patient, found, store, now=now)
        await _propose(patient, disease, observations, store, now=now)
    return grades


async def assessment_of(patient: str, disease: str, store: Store) -> Json | None:
    """Return the current RiskAssessment of a disease."""
    version = await store.read("RiskAssessment", assessment_id(patient, disease))
    return decode_resource(version.body) if version is not None and version.body is not None else None


def assessment_id(patient: str, disease: str) -> str:
    return id_of("grade", patient, disease)


def grade_of(assessment: Json) -> str:
    """Return low, medium or high; "" when the assessment tells none of ours."""
    words = {code: name for name, (code, _) in PROBABILITY.items()}
    for prediction in assessment.get("prediction", ()):
        for row in (prediction.get("qualitativeRisk") or {}).get("coding") or ():
            if row.get("system") == RISK and row.get("code") in words:
                return words[row["code"]]
    return ""


async def _keep(patient: str, found: Grade, store: Store, *, now: datetime) -> None:
    known = await assessment_of(patient, found.disease.id, store)
    wanted = to_assessment(patient, found, now=now)
    if known is not None and _says_the_same(known, wanted):
        return
    changes = [Put(wanted, expected=int(known["meta"]["versionId"]) if known is not None else 0)]
    flag_id = id_of("grade-flag", patient, found.disease.id)
    flag = await store.read("Flag", flag_id)
    changes.append(
        Put(to_flag(patient, found, flag_id, now=now), expected=flag.version if flag is not None else 0)
    )
    for plan in await plans_of(patient, store):
        changed = regraded(plan, found, f"RiskAssessment/{wanted['id']}", today=now.date())
        if changed is not None:
            changes.append(Put(changed, expected=int(plan["meta"]["versionId"])))
    await store.commit(Commit(changes))


def to_assessment(patient: str, found: Grade, *, now: datetime) -> Json:
    """Return the RiskAssessment: the grade, the findings behind it, the pack's version."""
    code, word = PROBABILITY[found.grade]
    disease = found.disease
    rationale = (
        "；".join(f"{row.zh} / {row.en}" for row in found.findings)
        or "各项均在低危范围 / nothing beyond low risk"
    )
    return {
        "resourceType": "RiskAssessment",
        "id": assessment_id(patient, disease.id),
        "status": "final",
        "method": {"text": disease.name},
        "code": {
            "coding": [{"system": f"{C}care-plan-category", "code": disease.id, "display": disease.zh}],
            "text": f"{disease.zh}分级",
        },
        "subject": {"reference": patient},
        "occurrenceDateTime": now.isoformat(timespec="seconds"),
        "basis": [{"reference": row} for row in found.basis],
        "prediction": [
            {
                "outcome": {"text": f"{disease.zh} {disease.en}"},
                "qualitativeRisk": {
                    "coding": [
                        {"system": RISK, "code": code},
                        {"system": f"{C}grade", "code": found.colour, "display": word},
                    ]
                },
                "rationale": rationale,
            }
        ],
    }


def to_flag(patient: str, found: Grade, id: str, *, now: datetime) -> Json:
    _, word = PROBABILITY[found.grade]
    return {
        "resourceType": "Flag",
        "id": id,
        "status": "active",
        "category": [
            {"coding": [{"system": f"{C}flag-category", "code": "risk-grade", "display": "风险分级"}]}
        ],
        "code": {
            "coding": [{"system": f"{C}grade", "code": found.colour, "display": word}],
            "text": f"{found.disease.zh}{word}",
        },
        "subject": {"reference": patient},
        "period": {"start": now.isoformat(timespec="seconds")},
    }


async def _propose(
    patient: str,
    disease: Disease,
    observations: list[Json],
    store: Store,
    *,
    now: datetime,
) -> None:
    """Propose a referral: at once beyond the urgent limits, or after so many unsatisfactory visits in a row."""
    values = measured(observations, disease)
    findings, priority = urgent(disease, values), "urgent"
    if not findings:
        findings, priority = unsatisfactory(disease, values), "routine"
    if not findings:
        return
    id = id_of("propose", patient, disease.id, findings[0].source)
    if await store.read("ServiceRequest", id) is not None:
        return
    reason = "；".join(f"{row.zh} / {row.en}" for row in findings)
    proposal: Json = {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "draft",
        "intent": "proposal",
        "priority": priority,
        "category": [{"coding": [{"system": f"{C}order-category", "code": "referral", "display": "转诊"}]}],
        "code": {"text": f"{disease.zh}转诊建议 {disease.en}: referral proposed"},
        "subject": {"reference": patient},
        "authoredOn": now.isoformat(timespec="seconds"),
        "reasonCode": [{"text": reason}],
        "supportingInfo": [{"reference": row.source} for row in findings],
    }
    plans = [plan for plan in await plans_of(patient, store) if is_for(plan, disease.id)]
    if plans:
        proposal["basedOn"] = [{"reference": f"CarePlan/{plans[0]['id']}"}]
    receivers = [str((plan.get("author") or {}).get("reference", "")) for plan in plans]
    payload: Json = {
        "focus": f"ServiceRequest/{id}/_history/1",
        "receivers": [row for row in dict.fromkeys(receivers) if row],
        "reason": priority,
        "at": now.isoformat(timespec="milliseconds"),
    }
    await store.commit(
        Commit([Put(proposal, expected=0)], outbox=[OutboxRow("referral-status", patient, payload)])
    )


def _says_the_same(known: Json, wanted: Json) -> bool:
    return all(known.get(name) == wanted[name] for name in ("method", "basis", "prediction", "status"))
