"""Reader and auditor of a report are two persons, unless the pack `signing` lets one do it (workflows §3.6)."""

from gateway.workflow.actor import Actor
from gateway.workflow.coordination import category_of, coordination_task
from gateway.workflow.draft import Draft, Move, reference_of
from gateway.workflow.packs import Packs
from gateway.workflow.work import done_readings
from terminology.fhirjson import Json
from terminology.issues import Issue

V2_0074 = {
    "LAB": "lab", "CH": "lab", "HM": "lab", "MB": "lab", "SR": "lab", "IMM": "lab", "RAD": "imaging", "CT": "imaging",
    "NMR": "imaging", "RUS": "imaging", "CUS": "imaging", "EC": "ecg", "SP": "pathology", "PAT": "pathology",
    "CP": "pathology",
}  # fmt: skip
"""Sections of HL7 table 0074 as categories of the county."""


async def second_person(move: Move) -> Issue | None:
    """A need of every transition to `final`: messages tell what a member's own system decided and are not asked."""
    actor, report = move.actor, move.current
    if actor.is_gateway or actor.channel == "message" or actor.is_local:
        return None
    if may_sign_alone(move.draft.packs, await category(move.draft, report)):
        return None
    if "aud" not in actor.roles:
        return Issue("HT-WF-38", {"reference": move.reference}, expression="DiagnosticReport.status")
    if await is_reader(move.draft, report, actor):
        return Issue("HT-WF-37", {"reference": move.reference}, expression="DiagnosticReport.status")
    return None


def may_sign_alone(packs: Packs, category: str | None) -> bool:
    listed = packs.rules("signing").get("single_sign") or ()
    return "*" in listed or category in listed


async def category(draft: Draft, report: Json) -> str | None:
    """Return the category of a report: its own, else that of its order's Task."""
    own = category_of(report)
    if own is not None:
        return own
    for concept in report.get("category") or ():
        for row in concept.get("coding") or ():
            if row.get("code") in V2_0074:
                return V2_0074[row["code"]]
    for row in report.get("basedOn") or ():
        reference = reference_of(row)
        task = await coordination_task(draft, reference) if reference.startswith("ServiceRequest/") else None
        if task is not None:
            return category_of(task)
    return None


async def is_reader(draft: Draft, report: Json, actor: Actor) -> bool:
    """Whether the caller read the report himself: as its performer, or by the reading that he claimed."""
    if actor.practitioner is None:
        return False
    me = await person(draft, actor.practitioner)
    readers = [reference_of(row) for row in report.get("performer") or ()]
    for row in report.get("basedOn") or ():
        reference = reference_of(row)
        task = await coordination_task(draft, reference) if reference.startswith("ServiceRequest/") else None
        if task is not None:
            readers += [
                reference_of(work.get("owner")) for work in await done_readings(draft, f"Task/{task['id']}")
            ]
    for reader in readers:
        if reader and await person(draft, reader) & me:
            return True
    return False


async def person(draft: Draft, reference: str) -> set[str]:
    """Return the references by which a person is known: his role's and his own."""
    found = {reference}
    if reference.startswith("PractitionerRole/"):
        role = await draft.read(reference)
        own = reference_of((role or {}).get("practitioner"))
        if own:
            found.add(own)
    return found if not reference.startswith(("Organization/", "HealthcareService/")) else set()
