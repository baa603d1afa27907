"""Family-doctor contracts (家庭医生签约): one in force a person, a year or longer; what signing and ending set in motion.

Workflows W10: Contract + EpisodeOfCare(type family-doctor); the 2018 guidance on contract services (term of a year).
"""

from datetime import date, timedelta

from gateway.care.record import contracts_of, in_force
from gateway.workflow.coordination import task_id
from gateway.workflow.draft import Move, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

C = "https://hutong.health/fhir/CodeSystem/"
LEAST = timedelta(days=364)
"""From the first day to the last of a year: 2026-03-01 to 2027-02-28."""


async def check(move: Move) -> None:
    """Refuse a contract in force that is too short (HT-CTR-01), unsigned (02) or beside another (03)."""
    contract = move.after
    if contract is None or move.now not in ("executed", "renewed", "amended"):
        return
    issues: list[Issue] = []
    period = contract.get("applies") or {}
    start, end = _day(period.get("start")), _day(period.get("end"))
    if start is None or end is None or end - start < LEAST:
        values = {"start": str(period.get("start", "-")), "end": str(period.get("end", "-"))}
        issues.append(Issue("HT-CTR-01", values, expression="Contract.applies"))
    kinds = {reference_of(row.get("party")).partition("/")[0] for row in contract.get("signer", ())}
    if not kinds & {"Patient", "RelatedPerson"} or not kinds & {"Practitioner", "PractitionerRole"}:
        issues.append(Issue("HT-CTR-02", {}, expression="Contract.signer"))
    issues += await _others(move, contract, start, end)
    if issues:
        raise BusinessRule(issues)


async def _others(move: Move, contract: Json, start: date | None, end: date | None) -> list[Issue]:
    if start is None or end is None:
        return []
    found = []
    for subject in contract.get("subject", ()):
        for other in await contracts_of(reference_of(subject), move.draft.store):
            if f"Contract/{other['id']}" == move.reference or other.get("status") not in (
                "executed",
                "renewed",
                "amended",
            ):
                continue
            if (
                in_force(other, start.isoformat())
                or in_force(other, end.isoformat())
                or _within(other, start, end)
            ):
                values = {"other": f"Contract/{other['id']}"}
                found.append(Issue("HT-CTR-03", values, expression="Contract.applies"))
    return found


def _within(other: Json, start: date, end: date) -> bool:
    first = _day((other.get("applies") or {}).get("start"))
    return first is not None and start <= first <= end


async def begin(move: Move) -> None:
    """A contract in force opens an EpisodeOfCare of the family doctor's; one that ended closes it."""
    contract = move.after
    if contract is None:
        return
    id = task_id("contract", contract["id"])
    known = await move.draft.read(f"EpisodeOfCare/{id}")
    if move.now in ("executed", "renewed", "amended"):
        await move.draft.put(_episode(id, contract, known, "active"))
    elif move.now in ("terminated", "revoked", "entered-in-error") and known is not None:
        await move.draft.put({**known, "status": "finished"})


def _episode(id: str, contract: Json, known: Json | None, status: str) -> Json:
    episode: Json = {
        **(known or {}),
        "resourceType": "EpisodeOfCare",
        "id": id,
        "status": status,
        "type": [
            {
                "coding": [
                    {"system": f"{C}episode-type", "code": "family-doctor", "display": "家庭医生签约服务"}
                ]
            }
        ],
        "patient": contract["subject"][0] if contract.get("subject") else {},
        "period": contract.get("applies") or {},
    }
    author = reference_of(contract.get("author"))
    if author.startswith("Organization/"):
        episode["managingOrganization"] = {"reference": author}
    return {name: value for name, value in episode.items() if value}


def _day(value: object) -> date | None:
    try:
        return date.fromisoformat(str(value or "")[:10])
    except ValueError:
        return None
