"""QuestionnaireResponse/[id]/$score and ServiceRequest/[id]/$dispatch: from assessment to a visit at home (docs/workflow/public-health.md)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from gateway.care.record import find, id_of
from gateway.operations.parameters import read_inputs
from gateway.operations.task_version import enforced
from gateway.public_health.task import C, to_task
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.store.protocol import Commit, Put
from gateway.workflow.actor import GATEWAY, acting_as
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput, Issue

ASSESSMENT = f"{C}assessment"


async def score(request: Request, context: Context) -> Response:
    """Add up the answers; 201 with the Observation. All answers that are missing or impossible are told at once."""
    answers = decode_resource((await current(request, context)).body or b"{}")
    rules = enforced(context).packs().rules("follow-up")["assessment"]
    patient = reference_of(answers.get("subject"))
    if not str(answers.get("questionnaire", "")).startswith(rules["questionnaire"]) or not patient:
        raise BusinessRule("HT-CARE-35", questionnaire=rules["questionnaire"])
    points = points_of(answers, rules)
    total = sum(points.values())
    level = next(row for row in rules["levels"] if total <= row["to"])
    known = await context.store.read("Observation", id_of("score", str(answers["id"])))
    at = str(answers.get("authored") or context.clock().isoformat(timespec="seconds"))
    observation: Json = {
        "resourceType": "Observation",
        "id": id_of("score", str(answers["id"])),
        "status": "final" if known is None else "amended",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "survey"}]}],
        "code": {"coding": [{"system": ASSESSMENT, "code": rules["code"]}], "text": "老年人生活自理能力评估"},
        "subject": {"reference": patient},
        "effectiveDateTime": at,
        "valueQuantity": {"value": total, "unit": "分", "system": "http://unitsofmeasure.org", "code": "{score}"},
        "interpretation": [{"coding": [{"system": f"{C}self-care-level", "code": level["level"]}], "text": f"{level['zh']} {level['en']}"}],
        "derivedFrom": [{"reference": f"QuestionnaireResponse/{answers['id']}"}],
        "component": [
            {"code": {"coding": [{"system": f"{C}self-care-item", "code": name}], "text": rules["items"][name]["zh"]}, "valueInteger": value}
            for name, value in points.items()
        ],
    }  # fmt: skip
    with acting_as(GATEWAY):
        await context.store.commit(Commit([Put(observation, expected=known.version if known else 0)]))
    return Response(201, observation, headers={"Location": f"{request.base}/Observation/{observation['id']}"})


def points_of(answers: Json, rules: Mapping[str, Any]) -> dict[str, int]:
    """Return the points of each item; raises InvalidInput (HT-CARE-36) with every one that has none of its points."""
    given = {str(row.get("linkId")): (row.get("answer") or [{}])[0] for row in answers.get("item") or ()}
    points: dict[str, int] = {}
    problems: list[Issue] = []
    for name, item in rules["items"].items():
        value = given.get(name, {}).get("valueInteger")
        if value in item["points"] and not isinstance(value, bool):
            points[name] = int(value)
        else:
            allowed = ", ".join(map(str, item["points"]))
            values = {"item_zh": item["zh"], "item_en": item["en"], "value": str(value), "allowed": allowed}
            path = f"QuestionnaireResponse.item.where(linkId='{name}').answer"
            problems.append(Issue("HT-CARE-36", values, expression=path))
    if problems:
        raise InvalidInput(problems)
    return points


async def dispatch(request: Request, context: Context) -> Response:
    """Make the Task `home-visit` of a team; refused without a recent assessment that asks for it."""
    inputs, desk = read_inputs(request, context), enforced(context)
    order = decode_resource((await current(request, context)).body or b"{}")
    owner = reference_of(inputs.one("owner"))
    if not owner:
        raise InvalidInput("HT-WF-40", name="owner", expression="Parameters.parameter.where(name='owner')")
    packs = desk.packs()
    rule, code = packs.rules("follow-up")["home_care"], packs.rules("follow-up")["assessment"]["code"]
    patient, now = reference_of(order.get("subject")), desk.clock()
    since = (now - timedelta(days=int(rule["assessment_days"]))).date().isoformat()
    params = [
        ("subject", patient),
        ("code", f"{ASSESSMENT}|{code}"),
        ("date", f"ge{since}"),
        ("_sort", "-date"),
    ]
    found = await find(context.store, "Observation", params, most=1) if patient else []
    total = (found[0].get("valueQuantity") or {}).get("value") if found else None
    if order.get("status") != "active" or total is None or total < rule["from"]:
        values = {"days": str(rule["assessment_days"]), "least": str(rule["from"]), "score": "–" if total is None else str(total)}  # fmt: skip
        raise BusinessRule("HT-CARE-37", **values)
    id = task_id("home", str(order["id"]))
    if await context.store.read("Task", id) is not None:
        raise BusinessRule("HT-CARE-38", task=f"Task/{id}")
    task = to_task(
        "home-visit",
        id=id,
        focus=f"ServiceRequest/{order['id']}",
        patient=patient,
        owner=owner,
        now=now,
        limit=now + timedelta(hours=int(rule["hours"])),
        text="居家上门服务 visit at home",
        basedOn=[{"reference": f"ServiceRequest/{order['id']}"}],
        reasonReference={"reference": f"Observation/{found[0]['id']}"},
    )
    with acting_as(GATEWAY):
        await context.store.commit(Commit([Put(task, expected=0)]))
    return Response(201, task, headers={"Location": f"{request.base}/Task/{id}"})
