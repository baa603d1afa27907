"""Who else hears of an event: the notifications matrix over the outbox rows of a commit (workflows §2.2, pack `notifications`).

Whom the event itself concerns was named when the row was made; here the patient's family-doctor team and the
information centre are added. How they hear (subscription, message, polling) is the way out's business.
"""

from dataclasses import replace

from gateway.care.record import contracts_of, in_force
from gateway.store.protocol import OutboxRow
from gateway.workflow.draft import Draft, reference_of
from terminology.fhirjson import Json


async def complete(draft: Draft) -> None:
    """Add the receivers that the matrix names to the rows of a draft."""
    rules = draft.packs.rules("notifications")
    for number, row in enumerate(draft.outbox):
        kinds = rules["topics"].get(row.topic) or ()
        more: list[str] = []
        if "family-doctor" in kinds:
            more += await _family_doctors(draft, row)
        if row.payload.get("reason") in rules["breaches"] and rules.get("information_centre"):
            more.append(str(rules["information_centre"]))
        known = list(row.payload.get("receivers") or ())
        added = [one for one in more if one and one not in known]
        if added:
            draft.outbox[number] = replace(row, payload={**row.payload, "receivers": [*known, *added]})


async def _family_doctors(draft: Draft, row: OutboxRow) -> list[str]:
    """Return the teams of the contracts that the patient has in force today."""
    focus = await draft.read(str(row.payload.get("focus", "")).partition("/_history/")[0])
    patient = _patient_of(focus or {})
    if not patient:
        return []
    day = draft.now.date().isoformat()
    authors = [
        reference_of(contract.get("author"))
        for contract in await contracts_of(patient, draft.store)
        if in_force(contract, day)
    ]
    return [author for author in authors if author.startswith("Organization/")]


def _patient_of(focus: Json) -> str:
    for name in ("subject", "for", "patient"):
        reference = reference_of(focus.get(name))
        if reference.startswith("Patient/"):
            return reference
    return ""
