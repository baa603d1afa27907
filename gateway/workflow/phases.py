"""Task.businessStatus: the phases of each workflow, and the statuses in which each may stand (workflows §2).

The table is the pack `phases`.
"""

from collections.abc import Mapping
from typing import Any

from gateway.workflow.draft import codes_of
from gateway.workflow.packs import Packs
from terminology.fhirjson import Json

PHASE = "https://hutong.health/fhir/CodeSystem/business-status"


def phase(packs: Packs, code: str) -> Json:
    """Return the CodeableConcept of a phase."""
    row = packs.rules("phases")["phases"].get(code) or {}
    coding = {"system": PHASE, "code": code} | ({"display": row["zh"]} if row.get("zh") else {})
    return {"coding": [coding]}


def phase_of(task: Json) -> str | None:
    return next(iter(codes_of(task.get("businessStatus"), PHASE)), None)


def first_phase(packs: Packs, category: str | None) -> str:
    """Return the phase in which work of a category begins."""
    return str(_workflow(packs, category)["first"])


def phase_at(packs: Packs, category: str | None, event: str) -> str | None:
    """Return the phase that an event of a category leads to (`acquired`, `draft`, `issued`, …); None: it changes nothing."""
    found = _workflow(packs, category).get("events", {}).get(event)
    return str(found) if found is not None else None


def fits(packs: Packs, code: str, status: str) -> bool:
    """Whether a phase may stand beside a status; phases that the table doesn't limit always may."""
    row = packs.rules("phases")["phases"].get(code)
    statuses = row.get("status") if row else None
    return statuses is None or status in statuses.split()


def fallback(packs: Packs, category: str | None, status: str, code: str) -> str:
    """Return what a Task of a category shows whose phase no longer fits its new status."""
    own = _workflow(packs, category).get("fallback", {})
    return str(own.get(status) or packs.rules("phases")["fallback"].get(status, code))


def is_later(packs: Packs, category: str | None, code: str | None, than: str | None) -> bool:
    """Whether a phase lies behind another in its workflow; events that come late never turn it back."""
    order = _workflow(packs, category)["order"].split()
    if code not in order:
        return code is not None
    return than not in order or order.index(code) > order.index(than)


def _workflow(packs: Packs, category: str | None) -> Mapping[str, Any]:
    workflows: Mapping[str, Mapping[str, Any]] = packs.rules("phases")["workflows"]
    return workflows.get(category or "") or workflows["other"]
