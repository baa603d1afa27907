"""An emergency is told at once (紧急医学救援): Flag, Communication and outbox row in the visit's own commit (effect `emergency-alert`)."""

from typing import Any

from gateway.care.record import id_of
from gateway.workflow.draft import Move, codes_of, reference_of
from terminology.fhirjson import Json

C = "https://hutong.health/fhir/CodeSystem/"
OPEN = frozenset({"planned", "arrived", "triaged", "in-progress"})
CLOSED = frozenset({"finished", "cancelled", "entered-in-error"})


async def alert(move: Move) -> None:
    """Raise the alert of a visit once; its Flag ends with the visit."""
    encounter = move.after
    rules: dict[str, Any] = move.draft.packs.rules("emergency")
    if encounter is None or (encounter.get("class") or {}).get("code") not in rules["classes"]:
        return
    id = id_of("emergency", move.reference)
    if move.now in CLOSED and not move.is_new and move.was != move.now:
        await _end(move, id)
        return
    if move.now not in OPEN or not set(codes_of(encounter.get("priority") or {})) & set(rules["priorities"]):
        return
    if not move.is_new and await move.draft.read(f"Communication/{id}") is not None:
        return
    own = reference_of(encounter.get("serviceProvider"))
    receivers = [row for row in dict.fromkeys((*rules["receivers"], own)) if row]
    subject = encounter.get("subject")
    now = move.draft.now.isoformat(timespec="milliseconds")
    await move.draft.put(_flag(id, move.reference, subject, now))
    await move.draft.put(_communication(id, move, subject, receivers, now))
    move.draft.tell("emergency", f"Communication/{id}", receivers, order=move.reference, reason="emergency")


def _flag(id: str, encounter: str, subject: Any, now: str) -> Json:
    flag: Json = {
        "resourceType": "Flag",
        "id": id,
        "status": "active",
        "category": [
            {"coding": [{"system": f"{C}flag-category", "code": "green-channel", "display": "绿色通道"}]}
        ],
        "code": {"text": "急救警报 Emergency"},
        "period": {"start": now},
        "encounter": {"reference": encounter},
    }
    if subject is not None:
        flag["subject"] = subject
    return flag


def _communication(id: str, move: Move, subject: Any, receivers: list[str], now: str) -> Json:
    encounter = move.current
    reasons = [str(row.get("text")) for row in encounter.get("reasonCode") or () if row.get("text")]
    text = "；".join(["急救警报 Emergency", *reasons])
    found: Json = {
        "resourceType": "Communication",
        "id": id,
        "status": "in-progress",
        "category": [
            {"coding": [{"system": f"{C}communication-category", "code": "emergency", "display": "急救警报"}]}
        ],
        "priority": "stat",
        "about": [{"reference": move.reference}],
        "encounter": {"reference": move.reference},
        "sent": now,
        "payload": [{"contentString": text[:500]}],
    }
    if receivers:
        found["recipient"] = [{"reference": row} for row in receivers]
    if subject is not None:
        found["subject"] = subject
    return found


async def _end(move: Move, id: str) -> None:
    flag = await move.draft.read(f"Flag/{id}")
    if flag is None or flag.get("status") != "active":
        return
    period = {**(flag.get("period") or {}), "end": move.draft.now.isoformat(timespec="milliseconds")}
    await move.draft.put({**flag, "status": "inactive", "period": period})
