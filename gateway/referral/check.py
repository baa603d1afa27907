"""What is looked at when a referral is made: direction and levels, diseases, the papers of a down-referral (W6–W8).

Everything that is wrong is told at once. What another member's system decided already (a message) is kept, and what
would have been refused is noted for the desk that receives it.
"""

from collections.abc import Mapping
from typing import Any

from gateway.care.record import contracts_of, in_force
from gateway.referral.diseases import codings_of, on_list
from gateway.referral.order import (
    DIRECTION,
    REASONS,
    C,
    E,
    direction_of,
    extension,
    is_referral,
    receiver_of,
    sender_of,
)
from gateway.referral.relation import directions, is_paired, level_of
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import Draft, Move, codes_of, reference_of
from gateway.workflow.order import ORDERS
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

OTHER = "other"


async def check(move: Move) -> None:
    """Judge a referral that becomes active; note warnings, grant the green channel (effect `check-referral`)."""
    order = move.after
    if order is None or not is_referral(order) or move.now != "active" or move.was == "active":
        return
    if order.get("intent", "order") not in ORDERS:
        return
    rules: Mapping[str, Any] = move.draft.packs.rules("referral")
    issues = await _relation(move, order, rules)
    issues += await _diseases(move, order, rules)
    if direction_of(order) == "down":
        issues += await _papers(move, order, rules["down"])
    if issues and move.actor.channel == "message":
        _note(order, issues, move.draft.now.isoformat(timespec="seconds"))
    elif issues:
        raise BusinessRule(issues)
    await _green_channel(move, order, rules["green_channel"])


async def _relation(move: Move, order: Json, rules: Mapping[str, Any]) -> list[Issue]:
    draft, way = move.draft, direction_of(order)
    sender, receiver = await sender_of(draft, order), await receiver_of(draft, order)
    if not way:
        levels = [level_of(await draft.read(row), rules) if row else None for row in (sender, receiver)]
        ways = directions(levels[0], levels[1], rules)
        if len(ways) != 1:
            return [Issue("HT-REF-01", {}, expression="ServiceRequest.code")]
        # The levels of the two leave one way only.
        way = ways[0]
        code = order.get("code") or {}
        told = {"system": DIRECTION, "code": way}
        order["code"] = {**code, "coding": [*(code.get("coding") or ()), told]}
    if not sender or not receiver:
        return []
    return await relation_issues(draft, sender, receiver, way, rules)


async def relation_issues(
    draft: Draft, sender: str, receiver: str, way: str, rules: Mapping[str, Any]
) -> list[Issue]:
    """Return what stands against a referral from one organisation to another."""
    values = {"sender": sender, "receiver": receiver, "direction": way}
    if sender == receiver:
        return [Issue("HT-REF-02", values, expression="ServiceRequest.performer")]
    levels = [level_of(await draft.read(row), rules) for row in (sender, receiver)]
    if way not in directions(levels[0], levels[1], rules):
        return [Issue("HT-REF-03", values, expression="ServiceRequest.performer")]
    if not is_paired(sender, receiver, rules):
        return [Issue("HT-REF-04", values, expression="ServiceRequest.performer")]
    return []


async def _diseases(move: Move, order: Json, rules: Mapping[str, Any]) -> list[Issue]:
    """Look the diagnoses up; a hit becomes a DetectedIssue, or is refused without a reason that counts."""
    concepts = list(order.get("reasonCode") or ())
    for row in order.get("reasonReference") or ():
        condition = await move.draft.read(reference_of(row))
        if condition is not None and condition["resourceType"] == "Condition":
            concepts.append(condition.get("code") or {})
    codings, way = codings_of(concepts), direction_of(order)
    issues: list[Issue] = []
    for row in rules["lists"]:
        if row["level"] == "off" or (way and row.get("direction", way) != way):
            continue
        hit = await on_list(row["value_set"], codings, move.draft.terminology)
        if hit is None:
            continue
        values = {"code": str(hit["code"]), "list_zh": row["zh"], "list_en": row["en"]}
        if row["level"] == "error":
            issues.append(Issue("HT-REF-05", values, expression="ServiceRequest.reasonCode"))
        elif row["level"] == "override":
            issues += _override(order, values)
        if not issues:
            await _detected(move, order, row, hit)
    return issues


def _override(order: Json, values: Mapping[str, str]) -> list[Issue]:
    given = extension(order, "referral-override")
    if not isinstance(given, Mapping):
        return [Issue("HT-REF-06", dict(values), expression="ServiceRequest.reasonCode")]
    from conformance.profiles import resources

    known = {
        str(concept["code"])
        for system in resources("CodeSystem")
        if system.get("url") == REASONS
        for concept in system.get("concept") or ()
    }
    codes = [code for code in codes_of(given, REASONS) if code in known]
    if not codes or (codes == [OTHER] and not str(given.get("text") or "").strip()):
        return [
            Issue("HT-REF-07", {"known": ", ".join(sorted(known))}, expression="ServiceRequest.extension")
        ]
    return []


async def _detected(move: Move, order: Json, row: Mapping[str, Any], hit: Json) -> None:
    """Keep that a disease of a list was referred, and why."""
    now = move.draft.now.isoformat(timespec="seconds")
    found: Json = {
        "resourceType": "DetectedIssue",
        "id": task_id(row["issue"], order["id"]),
        "status": "final",
        "code": {"coding": [{"system": f"{C}detected-issue", "code": row["issue"], "display": row["zh"]}]},
        "severity": "moderate" if row["level"] == "override" else "low",
        "identifiedDateTime": now,
        "implicated": [{"reference": move.reference}],
        "detail": f"{hit.get('code')} {hit.get('display') or ''} {row['zh']} / {row['en']}",
    }
    if order.get("subject"):
        found["patient"] = order["subject"]
    reason = extension(order, "referral-override")
    if row["level"] == "override" and isinstance(reason, Mapping):
        found["mitigation"] = [{"action": dict(reason), "date": now}]
    await move.draft.put(found)
    move.notes.append(f"{row['issue']} {hit.get('code')}: {row['zh']} / {row['en']}")


async def _papers(move: Move, order: Json, rules: Mapping[str, Any]) -> list[Issue]:
    """A down-referral takes a plan or discharge document, and the list of drugs (W7)."""
    patient = reference_of(order.get("subject"))
    has_plan = has_drugs = False
    for row in order.get("supportingInfo") or ():
        found = await move.draft.read(reference_of(row))
        if found is None or reference_of(found.get("subject")) not in ("", patient):
            continue
        type = found["resourceType"]
        has_plan |= type in rules["plan"] and (type == "CarePlan" or _is_discharge(found, rules))
        has_drugs |= type in rules["medication"]
    expression = "ServiceRequest.supportingInfo"
    issues = [] if has_plan else [Issue("HT-REF-08", {}, expression=expression)]
    return issues if has_drugs else [*issues, Issue("HT-REF-09", {}, expression=expression)]


def _is_discharge(document: Json, rules: Mapping[str, Any]) -> bool:
    concepts = [document.get("type") or {}, *(document.get("category") or ())]
    if set(codes_of(concepts)) & set(map(str, rules["discharge_codes"])):
        return True
    words = [str(document.get(name) or "") for name in ("title", "description")]
    words += [str(concept.get("text") or "") for concept in concepts]
    words += [str(row.get("display") or "") for concept in concepts for row in concept.get("coding") or ()]
    return any(word in text.lower() for word in rules["discharge_words"] for text in words)


async def _green_channel(move: Move, order: Json, rules: Mapping[str, Any]) -> None:
    """Grant the green channel by priority or by a contract in force; one that was asked for without either is taken out."""
    why = ""
    if (order.get("priority") or "routine") in rules["priorities"]:
        why = str(order["priority"])
    elif rules["contract"] and order.get("subject"):
        day = move.draft.now.date().isoformat()
        contracts = await contracts_of(reference_of(order["subject"]), move.draft.store)
        why = "contract" if any(in_force(row, day) for row in contracts) else ""
    kept = [
        row
        for row in order.get("extension") or ()
        if row.get("url") not in (f"{E}green-channel", f"{E}green-channel-reason")
    ]
    if why:
        kept += [
            {"url": f"{E}green-channel", "valueBoolean": True},
            {"url": f"{E}green-channel-reason", "valueCode": why},
        ]
        move.notes.append(f"green-channel {why}")
    if kept or order.get("extension"):
        order["extension"] = kept
        if not kept:
            del order["extension"]


def _note(order: Json, issues: list[Issue], now: str) -> None:
    text = "; ".join(f"{issue.code} {issue.text('zh')} / {issue.text('en')}" for issue in issues)
    order["note"] = [*(order.get("note") or ()), {"authorString": "gateway", "time": now, "text": text}]
