"""A visit of an emergency centre ends: needed time points that are missing are told (effect `check-time-points`, pack `time-points`)."""

from typing import Any

from gateway.care.record import find
from gateway.care.time_points import missing, pathway_of, points_of
from gateway.drug_use.case import Read
from gateway.store.protocol import Store
from gateway.workflow.draft import Move, codes_of, reference_of
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, Issue

MOST = 200


async def check(move: Move) -> None:
    encounter = move.after
    rules: dict[str, Any] = move.draft.packs.rules("time-points")
    if encounter is None or move.now != "finished" or move.was == "finished" or rules["level"] == "off":
        return
    if (encounter.get("class") or {}).get("code") != "EMER":
        return
    name = pathway_of(await diagnoses_of(encounter, move.draft.read), rules)
    if not name:
        return
    pathway = rules["pathways"][name]
    points = points_of(pathway, encounter, await observations_of(move.reference, move.draft.store))
    lacking = missing(points)
    if not lacking:
        return
    issue = Issue(
        "HT-EM-01",
        {
            "reference": move.reference,
            "pathway_zh": pathway["zh"],
            "pathway_en": pathway["en"],
            "missing_zh": "、".join(row.zh for row in lacking),
            "missing_en": ", ".join(row.en for row in lacking),
        },
        expression="Encounter.status",
    )
    if rules["level"] == "error":
        raise BusinessRule([issue])
    move.notes.append(f"{issue.code} {issue.text('zh')} / {issue.text('en')}")


async def diagnoses_of(encounter: Json, read: Read) -> list[str]:
    """Return the codes of a visit's reasons and diagnoses."""
    codes = codes_of(encounter.get("reasonCode") or [])
    for row in (
        *encounter.get("diagnosis", ()),
        *({"condition": one} for one in encounter.get("reasonReference", ())),
    ):
        reference = reference_of(row.get("condition"))
        condition = await read(reference) if reference else None
        if condition is not None:
            codes += codes_of(condition.get("code") or {})
    return codes


async def observations_of(encounter: str, store: Store) -> list[Json]:
    return await find(
        store, "Observation", [("encounter", encounter), ("value-date:missing", "false")], most=MOST
    )
