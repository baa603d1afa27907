"""The five colours of a patient kept current: RiskAssessment and Flag follow the data; high risk without a plan warns."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gateway.care.record import conditions_of, find, id_of, plans_of
from gateway.public_health.maternal import Risk, grade, programme_of
from gateway.rest.labels import CONFIDENTIALITY
from gateway.store.protocol import Commit, Put, Store
from gateway.workflow.coordination import coding
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json, decode_resource

C = "https://hutong.health/fhir/CodeSystem/"


async def regrade(patient: str, store: Store, packs: Packs, *, now: datetime) -> Risk | None:
    """Bring the patient's colour up to date; None for somebody in no programme. The same data writes nothing."""
    rules = packs.rules("maternal-child")
    programme = programme_of(await find(store, "EpisodeOfCare", [("patient", patient)]), rules)
    if programme is None:
        return None
    person = await store.read("Patient", patient.partition("/")[2])
    found = grade(
        programme,
        decode_resource(person.body) if person is not None and person.body is not None else {},
        await conditions_of(patient, store),
        await _observations(patient, programme, store, packs),
        packs.rules("infectious-diseases"),
        on=now.date(),
    )
    id = assessment_id(patient, found.programme)
    known = await store.read("RiskAssessment", id)
    wanted = _assessment(id, patient, found, packs["maternal-child"].name, now)
    if known is not None and known.body is not None:
        held = decode_resource(known.body)
        if all(held.get(name) == wanted.get(name) for name in ("method", "basis", "prediction")):
            return found
    flag_id = id_of("five-colours", patient, found.programme)
    flag = await store.read("Flag", flag_id)
    changes = [
        Put(wanted, expected=known.version if known is not None else 0),
        Put(_flag(flag_id, patient, found, now), expected=flag.version if flag is not None else 0),
    ]
    await store.commit(Commit(changes))
    return found


async def plan_of(patient: str, programme: str, store: Store) -> str:
    """Return the active plan of the programme (CarePlan.category), "" without one."""
    for plan in await plans_of(patient, store):
        codes = [row.get("code") for one in plan.get("category", ()) for row in one.get("coding", ())]
        if programme in codes:
            return f"CarePlan/{plan['id']}"
    return ""


def assessment_id(patient: str, programme: str) -> str:
    return id_of("five", patient, programme)


def colour_of(assessment: Json) -> str:
    return next(
        (
            str(row.get("code"))
            for one in assessment.get("prediction", ())
            for row in (one.get("qualitativeRisk") or {}).get("coding", ())
            if row.get("system") == f"{C}grade"
        ),
        "",
    )


async def _observations(patient: str, programme: Mapping[str, Any], store: Store, packs: Packs) -> list[Json]:
    codes = {code for row in programme["measures"].values() for code in row.get("codes", ())}
    codes |= {code for row in packs.rules("infectious-diseases")["diseases"] for code in row.get("codes", ())}
    params = [("subject", patient), ("combo-code", ",".join(sorted(codes))), ("_sort", "-date")]
    return await find(store, "Observation", params)


def _assessment(id: str, patient: str, found: Risk, pack: str, now: datetime) -> Json:
    rationale = "；".join(f"{row.zh} / {row.en}" for row in found.factors) or "无风险因素 / no risk factor"
    assessment: Json = {
        "resourceType": "RiskAssessment",
        "id": id,
        "status": "final",
        "method": {"text": pack},
        "code": {
            "coding": [{"system": f"{C}care-plan-category", "code": found.programme}],
            "text": f"{found.zh}风险分级",
        },
        "subject": {"reference": patient},
        "occurrenceDateTime": now.isoformat(timespec="seconds"),
        "basis": [{"reference": row} for row in dict.fromkeys(one.source for one in found.factors)],
        "prediction": [
            {
                "outcome": {"text": f"{found.zh}风险"},
                "qualitativeRisk": {"coding": [{"system": f"{C}grade", "code": found.colour}]},
                "rationale": rationale,
            }
        ],
    }
    if found.colour == "purple":
        # Purple tells of an infection.
        assessment["meta"] = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    return {name: value for name, value in assessment.items() if value}


def _flag(id: str, patient: str, found: Risk, now: datetime) -> Json:
    flag: Json = {
        "resourceType": "Flag",
        "id": id,
        "status": "active",
        "category": [coding(f"{C}flag-category", "risk-grade")],
        "code": {"coding": [{"system": f"{C}grade", "code": found.colour}], "text": f"{found.zh}五色分级"},
        "subject": {"reference": patient},
        "period": {"start": now.isoformat(timespec="seconds")},
    }
    if found.colour == "purple":
        flag["meta"] = {"security": [{"system": CONFIDENTIALITY, "code": "R"}]}
    return flag
