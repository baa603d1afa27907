"""Online visits (在线复诊) follow a visit in person for the same disease (effect `check-online-visit`, pack `online-visit`)."""

from datetime import timedelta
from typing import Any

from gateway.care.record import find
from gateway.workflow.draft import Move, codes_of, reference_of
from gateway.workflow.time_points import diagnoses_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

MOST = 100
OPEN = frozenset({"planned", "arrived", "triaged", "in-progress", "finished"})


async def check(move: Move) -> None:
    """Look when an online visit is made or begins; what a member's system reports was held already and is noted."""
    encounter = move.after
    if encounter is None or move.now not in OPEN or not (move.is_new or move.now != move.was):
        return
    rules: dict[str, Any] = move.draft.packs.rules("online-visit")
    if rules["level"] == "off" or (encounter.get("class") or {}).get("code") not in rules["classes"]:
        return
    if move.now == "finished" and not move.is_new:
        return
    if await _is_consultation(move, encounter) or await _has_earlier(move, encounter, rules):
        return
    issue = Issue(
        "HT-EM-03", {"reference": move.reference, "days": rules["days"]}, expression="Encounter.class"
    )
    if rules["level"] == "error" and move.actor.channel != "message":
        raise BusinessRule([issue])
    move.notes.append(f"{issue.code} {issue.text('zh')} / {issue.text('en')}")


async def _is_consultation(move: Move, encounter: Json) -> bool:
    """A remote consultation is between doctors: the one who asked for it has seen the patient."""
    for row in encounter.get("basedOn", ()):
        order = await move.draft.read(reference_of(row))
        if order is not None and "consult" in codes_of(order.get("category") or []):
            return True
    return False


async def _has_earlier(move: Move, encounter: Json, rules: dict[str, Any]) -> bool:
    patient = reference_of(encounter.get("subject"))
    if not patient:
        return False
    start = str((encounter.get("period") or {}).get("start") or move.draft.now.isoformat())[:10]
    try:
        since = move.draft.now.fromisoformat(start).date() - timedelta(days=int(rules["days"]))
    except (ValueError, OverflowError):
        return False
    params = [
        ("subject", patient), ("class", ",".join(rules["in_person"])), ("status", "finished"),
        ("date", f"ge{since.isoformat()}"), ("date", f"le{start}"), ("_sort", "-date"),
    ]  # fmt: skip
    earlier = await find(move.draft.store, "Encounter", params, most=MOST)
    earlier = [row for row in earlier if f"Encounter/{row['id']}" != move.reference]
    wanted = _families(await diagnoses_of(encounter, move.draft.read), rules)
    if not wanted:
        return bool(earlier)
    for row in earlier:
        if wanted & _families(await diagnoses_of(row, move.draft.read), rules):
            return True
    return False


def _families(codes: list[str], rules: dict[str, Any]) -> set[str]:
    return {code[: int(rules["characters"])].upper() for code in codes}
