"""Patient/[id]/$enrol: a confirmed chronic patient gets a graded plan with a timetable (workflows W9: confirmed → enrolled → graded)."""

from datetime import date, timedelta

from conformance.chronic import Disease, grade
from conformance.chronic.grading import active_codes, has_any
from gateway.care.grading import assessment_id, regrade, to_assessment
from gateway.care.plan import GRADE, C, is_for, scheduled
from gateway.care.record import conditions_of, find, id_of, observations_of, plans_of
from gateway.rest.context import Context
from gateway.store.protocol import Commit, Put
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue


async def enrol(
    patient: str, disease: Disease, context: Context, *, author: Json, team: Json | None, day: date
) -> Json:
    """Return the new plan. Raises BusinessRule: no diagnosis (HT-CARE-02), no assessment possible (03), enrolled already (04)."""
    store = context.store
    plans = [plan for plan in await plans_of(patient, store) if is_for(plan, disease.id)]
    if plans:
        raise BusinessRule("HT-CARE-04", plan=f"CarePlan/{plans[0]['id']}", disease=disease.zh)
    conditions = await conditions_of(patient, store)
    if not has_any(active_codes(conditions), disease.diagnoses):
        raise BusinessRule("HT-CARE-02", disease=disease.zh, codes=", ".join(disease.diagnoses))
    observations = await observations_of(patient, disease.codes, store)
    found = grade(disease, observations, conditions, on=day)
    if found is None:
        measures = "、".join(measure.zh for measure in disease.measures.values())
        raise BusinessRule("HT-CARE-03", disease=disease.zh, measures=measures)
    now = context.clock()
    goal: Json = {
        "resourceType": "Goal",
        "id": id_of("goal", patient, disease.id, day.isoformat()),
        "lifecycleStatus": "active",
        "description": {"text": disease.goal},
        "subject": {"reference": patient},
        "startDate": day.isoformat(),
    }
    addressed = [row for row in conditions if has_any(active_codes([row]), disease.diagnoses)]
    plan: Json = {
        "resourceType": "CarePlan",
        "id": id_of("plan", patient, disease.id, day.isoformat()),
        "extension": [{"url": GRADE, "valueCode": found.colour}],
        "identifier": [
            {
                "system": "https://hutong.health/fhir/NamingSystem/care-plan",
                "value": id_of("P", patient, disease.id, day.isoformat())[:14],
            }
        ],
        "status": "active",
        "intent": "plan",
        "category": [
            {"coding": [{"system": f"{C}care-plan-category", "code": disease.id, "display": disease.zh}]}
        ],
        "title": f"{disease.zh}管理计划",
        "subject": {"reference": patient},
        "period": {"start": day.isoformat(), "end": (day + timedelta(days=365)).isoformat()},
        "created": day.isoformat(),
        "author": author,
        "addresses": [{"reference": f"Condition/{row['id']}"} for row in addressed],
        "supportingInfo": [{"reference": f"RiskAssessment/{assessment_id(patient, disease.id)}"}],
        "goal": [{"reference": f"Goal/{goal['id']}"}],
    }
    if team is not None:
        plan["careTeam"] = [team]
    plan = scheduled(plan, disease, found.grade, start=day)
    assessment = to_assessment(patient, found, now=now)
    known = await store.read("RiskAssessment", assessment["id"])
    changes = [Put(goal), Put(plan, expected=0)]
    if known is None:
        changes.append(Put(assessment, expected=0))
    written = await store.commit(Commit(changes))
    assert written[1] is not None
    await regrade(patient, store, context.diseases, now=now)
    (stored,) = await find(store, "CarePlan", [("_id", plan["id"])])
    return stored


def unknown_disease(code: str, known: dict[str, Disease]) -> Issue:
    return Issue("HT-CARE-05", {"code": code[:40], "known": ", ".join(known)})
