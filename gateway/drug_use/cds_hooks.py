"""`/cds-services`: CDS Hooks for drug use before prescribing (事前提醒): order-select and order-sign.

https://cds-hooks.hl7.org/2.0/ discovery, calling, feedback. Findings are cards; every call and every feedback is kept
in the audit.
"""

import json
from collections.abc import Sequence
from typing import Any

from conformance.drug_use import Finding, check
from gateway.channels.part import Part, Receive, Reply, json_reply, read_body
from gateway.drug_use.case import case_of
from gateway.drug_use.stage import audit_row
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.store.protocol import Commit
from gateway.workflow.actor import LOCAL, Actor
from gateway.workflow.draft import local
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, NotAllowed, NotFound, PreconditionFailed

PREFIX = "/cds-services"
MAX_BODY = 1024 * 1024
MOST_DRAFTS = 50
SUMMARY = 139
"""CDS Hooks: a card's summary is shorter than 140 characters."""
INDICATOR = {"critical": "critical", "warning": "warning", "information": "info"}
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "allergies": "AllergyIntolerance?patient={{context.patientId}}",
}
TITLES = {
    "order-select": ("合理用药提醒(选择医嘱时)", "Checks the drugs that are being selected."),
    "order-sign": ("合理用药审查(签署医嘱时)", "Checks the prescriptions before they are signed."),
}
SERVICES = {
    f"hutong-drug-use-{hook}": {
        "hook": hook,
        "id": f"hutong-drug-use-{hook}",
        "title": title,
        "description": f"{text} Allergy, duplicate, sex, age, level, place, course, disease, insurance.",
        "prefetch": PREFETCH,
    }
    for hook, (title, text) in TITLES.items()
}


class CdsServices(Part):
    def __init__(self, context: Context) -> None:
        super().__init__(PREFIX)
        self.context = context

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # of every part
        if not request.path:
            _only(request, "GET")
            return json_reply({"services": list(SERVICES.values())})
        name, _, rest = request.path.partition("/")
        if name not in SERVICES or rest not in ("", "feedback"):
            raise NotFound("HT-DU-20", name=request.path[:80], known=", ".join(SERVICES))
        _only(request, "POST")
        body = _tree(await read_body(request, receive, MAX_BODY))
        desk = self.context.workflow
        actor = desk.actor(request.headers, request.request_id) if desk is not None else LOCAL
        if rest:
            return await self._feedback(body, name, actor)
        return json_reply({"cards": await self._cards(body, name, actor, request.language)})

    async def _cards(self, body: Json, name: str, actor: Actor, language: str) -> list[Json]:
        called = _called(body, str(SERVICES[name]["hook"]))
        drafts = _drafts(called, is_selecting=SERVICES[name]["hook"] == "order-select")
        patient = str(called["patientId"]).removeprefix("Patient/")
        given = body.get("prefetch") if isinstance(body.get("prefetch"), dict) else {}
        known = await self._known(patient, given or {})
        findings: list[Finding] = []
        for draft in drafts:
            draft["subject"] = {"reference": f"Patient/{patient}"}
            if called.get("encounterId"):
                visit = str(called["encounterId"]).removeprefix("Encounter/")
                draft.setdefault("encounter", {"reference": f"Encounter/{visit}"})
            case = await case_of(
                draft,
                read=known.read,
                store=self.context.store,
                on=self.context.clock().date(),
                beside=[row for row in drafts if row is not draft],
                organization=actor.organization or "",
            )
            findings += check(case)
        row = audit_row(
            "before", findings, actor, about=[f"Patient/{patient}"], now=self.context.clock(),
            note=f"{name} {body.get('hookInstance', '')}",
        )  # fmt: skip
        await self.context.store.commit(Commit([], audit=[row]))
        return [_card(finding, language, self.context.new_id()) for finding in findings]

    async def _known(self, patient: str, prefetch: Json) -> "_Known":
        known = _Known(self.context, prefetch)
        if await known.read(f"Patient/{patient}") is None:
            raise PreconditionFailed("HT-DU-22", patient=f"Patient/{patient}"[:80])
        return known

    async def _feedback(self, body: Json, name: str, actor: Actor) -> Reply:
        """Keep what the physician did with the cards: accepted, or overridden with a reason."""
        rows = body.get("feedback")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
            raise InvalidInput("HT-DU-21", detail="feedback")
        now = self.context.clock()
        kept = [
            audit_row(
                "before",
                (),
                actor,
                about=(),
                now=now,
                note=f"{name} feedback {json.dumps(row, ensure_ascii=False)}",
            )
            for row in rows[:MOST_DRAFTS]
        ]
        await self.context.store.commit(Commit([], audit=kept))
        return json_reply({})


class _Known:
    """Resources of the store; the patient of the prefetch where the store has none."""

    def __init__(self, context: Context, prefetch: Json) -> None:
        self._context = context
        patient = prefetch.get("patient")
        is_one = isinstance(patient, dict) and patient.get("resourceType") == "Patient"
        self._patient: Json | None = patient if is_one else None

    async def read(self, reference: str) -> Json | None:
        place = local(reference)
        if place is None:
            return None
        version = await self._context.store.read(*place)
        if version is not None and version.body is not None:
            return decode_resource(version.body)
        if self._patient is not None and reference == f"Patient/{self._patient.get('id')}":
            return self._patient
        return None


def _only(request: Request, method: str) -> None:
    if request.method != method:
        raise NotAllowed("HT-CT-58", method=request.method, path=f"{PREFIX}/{request.path}", allowed=method)


def _tree(raw: bytes) -> Json:
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        raise InvalidInput("HT-DU-21", detail="JSON") from None
    if not isinstance(tree, dict):
        raise InvalidInput("HT-DU-21", detail="JSON")
    return tree


def _called(body: Json, hook: str) -> Json:
    """Return the context of a call; raises InvalidInput for another hook and for what the specification requires."""
    called = body.get("context")
    if body.get("hook") != hook:
        raise InvalidInput("HT-DU-21", detail=f"hook = {hook}")
    if not body.get("hookInstance"):
        raise InvalidInput("HT-DU-21", detail="hookInstance")
    if (
        not isinstance(called, dict)
        or not isinstance(called.get("patientId"), str)
        or not called["patientId"]
    ):
        raise InvalidInput("HT-DU-21", detail="context.patientId")
    return called


def _drafts(called: Json, *, is_selecting: bool) -> list[Json]:
    bundle = called.get("draftOrders")
    entries = bundle.get("entry", []) if isinstance(bundle, dict) else None
    if not isinstance(entries, list):
        raise InvalidInput("HT-DU-21", detail="context.draftOrders")
    rows = [row.get("resource") for row in entries if isinstance(row, dict)]
    drafts: list[Json] = [
        dict(row) for row in rows if isinstance(row, dict) and row.get("resourceType") == "MedicationRequest"
    ]
    if len(drafts) > MOST_DRAFTS:
        raise InvalidInput("HT-DU-21", detail=f"context.draftOrders ≤ {MOST_DRAFTS}")
    _check_structure(drafts)
    selected = called.get("selections")
    if is_selecting and isinstance(selected, list) and selected:
        return [row for row in drafts if f"MedicationRequest/{row.get('id')}" in selected]
    return drafts


def _check_structure(drafts: Sequence[Json]) -> None:
    """A draft may lack what only a signed one has, but what it holds is FHIR."""
    for number, draft in enumerate(drafts):
        for name, kind in (("medicationCodeableConcept", dict), ("medicationReference", dict), ("requester", dict),
                           ("dispenseRequest", dict), ("reasonCode", list), ("encounter", dict)):  # fmt: skip
            value: Any = draft.get(name)
            if value is not None and not isinstance(value, kind):
                raise InvalidInput("HT-DU-21", detail=f"context.draftOrders.entry[{number}].resource.{name}")


def _card(finding: Finding, language: str, uuid: str) -> Json:
    issue = finding.issue
    text = issue.text("zh" if language == "zh" else "en")
    card: Json = {
        "uuid": uuid,
        "summary": text if len(text) <= SUMMARY else f"{text[: SUMMARY - 1]}…",
        "indicator": INDICATOR[finding.severity],
        "detail": f"{issue.text('zh')}\n\n{issue.text('en')}" + (f"\n\n{finding.about}" if finding.about else ""),
        "source": {"label": "Hutong", "topic": {
            "system": "https://hutong.health/fhir/CodeSystem/error-code", "code": issue.code}},
        "overrideReasons": [
            {"system": "https://hutong.health/fhir/CodeSystem/drug-use-override", "code": code, "display": text}
            for code, text in (("benefit", "获益大于风险"), ("verified", "记录已核实有误"), ("self-pay", "患者自费"))
        ],
    }  # fmt: skip
    return card
