"""Patient/[id]/$recognition-decision: accept, reject with a reason, revoke, viewed (docs/recognition.md)."""

from dataclasses import replace
from typing import Any

from conformance.recognition.moment import read_instant
from conformance.recognition.names import MARK
from conformance.recognition.record import code_value, extension, references
from conformance.recognition.rules.report import DECISION_CODE
from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.recognize import library
from gateway.recognition.decision import ACTIONS, Decision, check_reason, to_resources
from gateway.recognition.remind import told
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parse import parse
from gateway.store.protocol import Commit, Put, Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput, Issue, NotFound


async def decide(request: Request, context: Context) -> Response:
    """Keep the decision as Task, DetectedIssue and Provenance in one transaction; answer the Task (201).

    A decision that a correction had opened again is that Task's next version (200).
    """
    patient = await current(request, context)
    inputs = read_inputs(request, context)
    decision = await _decision(inputs, f"Patient/{patient.id}", context)
    return await keep(decision, patient, context)


async def keep(decision: Decision, patient: Version, context: Context) -> Response:
    """Check a decision and write it; raises InvalidResource (reason), BusinessRule (somebody else's result)."""
    packs = library(context).at(decision.at)
    check_reason(decision, packs)
    result = await _check_belongs(decision, patient, context)
    decision = replace(
        decision,
        source=next(
            (held for held in references(result, "performer") if held.startswith("Organization/")), None
        ),
        mark=code_value(extension(result, MARK)),
    )
    opened = await _opened(decision, context)
    ids = (opened.id if opened is not None else context.new_id(), context.new_id(), context.new_id())
    task, *others = to_resources(decision, packs, ids)
    number = opened.version if opened is not None else 0
    if opened is not None:
        # What was asked again is answered, whatever the answer: the decision itself is the business status.
        again = [{"type": {"text": "决定 decision"}, "valueReference": {"reference": decision.result}}]
        task |= {"status": "completed", "output": task.get("output", again)}
    changes = [Put(task, expected=number, method="PUT" if opened is not None else "POST")]
    changes += [Put(resource, expected=0, method="POST") for resource in others]
    outbox = told(task, reason=decision.action, at=decision.at, version=number + 1)
    if decision.source:
        outbox.payload["receivers"] = list(dict.fromkeys([*outbox.payload["receivers"], decision.source]))
    [version, *_] = await context.store.commit(Commit(changes, outbox=[outbox]))
    assert version is not None
    assert version.body is not None
    return Response(200 if opened is not None else 201, decode_resource(version.body))


async def _opened(decision: Decision, context: Context) -> Version | None:
    """Return the Task in which a correction asks for this very decision again, if one waits."""
    query = parse(
        "Task",
        [
            ("code", DECISION_CODE),
            ("focus", decision.result.partition("/_history/")[0]),
            ("status", "in-progress"),
        ],
        strict=True,
        parameters=context.parameters,
    )
    for version in (await context.store.search(query)).matches:
        task = decode_resource(version.body or b"{}")
        is_same_order = next(iter(references(task, "basedOn")), None) == decision.order
        if is_same_order and next(iter(references(task, "owner")), None) == decision.organization:
            return version
    return None


async def _decision(inputs: Inputs, patient: str, context: Context) -> Decision:
    """Read the parameters; raises InvalidInput with every problem, NotFound when the result is not stored."""
    problems = []
    action = inputs.one("action")
    if action not in ACTIONS:
        problems.append(
            Issue(
                "HT-MR-10",
                {"value": str(action)[:40], "allowed": ", ".join(ACTIONS)},
                expression="Parameters.parameter.where(name='action')",
            )
        )
    result = _reference(inputs.one("result"))
    if result is None:
        problems.append(
            Issue("HT-MR-11", {"name": "result"}, expression="Parameters.parameter.where(name='result')")
        )
    at = context.clock()
    if inputs.one("at") is not None:
        moment = read_instant(inputs.one("at"))
        if moment is None:
            problems.append(
                Issue(
                    "HT-MR-05",
                    {"value": str(inputs.one("at"))[:40]},
                    expression="Parameters.parameter.where(name='at')",
                )
            )
        else:
            at = moment
    if problems:
        raise InvalidInput(problems)
    reason, words = _reason(inputs.one("reason"))
    note = inputs.one("note") or words
    return Decision(
        patient=patient,
        result=await _versioned(str(result), context),
        action=action,
        at=at,
        order=_plain(inputs.one("order")),
        reason=reason,
        note=str(note) if note else None,
        practitioner=_plain(inputs.one("practitioner")),
        organization=_plain(inputs.one("organization")),
        encounter=await _encounter(inputs, context),
    )


def _reason(value: Any) -> tuple[Json | None, str | None]:
    """Return the Coding of a reason and the free text beside it: a Coding, a CodeableConcept with text, or a bare code."""
    if isinstance(value, dict):
        rows = value.get("coding")
        coding = dict(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], dict) else value
        return (coding if coding.get("code") else None), (value.get("text") if rows else None)
    return ({"code": value}, None) if isinstance(value, str) and value else (None, None)


def _reference(value: Any) -> str | None:
    text = value.get("reference") if isinstance(value, dict) else value
    return text if isinstance(text, str) and "/" in text else None


def _plain(value: Any) -> str | None:
    """Return a reference without base and version; only the result's version means something here."""
    found = _reference(value)
    return "/".join(found.partition("/_history/")[0].split("/")[-2:]) if found else None


async def _encounter(inputs: Inputs, context: Context) -> str | None:
    """Return the visit of a decision: the one given, else that of the order."""
    given, order = _plain(inputs.one("encounter")), _plain(inputs.one("order"))
    if given is not None or order is None:
        return given
    found = await context.store.read("ServiceRequest", order.rpartition("/")[2])
    if found is None or found.body is None:
        return None
    return next(iter(references(decode_resource(found.body), "encounter")), None)


async def _versioned(reference: str, context: Context) -> str:
    """Return the reference with the version that was meant: the one given, else the current one."""
    plain, _, version = reference.partition("/_history/")
    kind, id = plain.split("/")[-2:]
    found = await context.store.read(kind, id) if kind in ("Observation", "DiagnosticReport") else None
    if found is None or found.body is None:
        raise NotFound(
            "HT-MR-07",
            name="result",
            reference=reference,
            expression="Parameters.parameter.where(name='result')",
        )
    return f"{kind}/{id}/_history/{version or found.version}"


async def _check_belongs(decision: Decision, patient: Version, context: Context) -> Json:
    """Return the result. A decision about a result of somebody else is a slip of the caller (HT-MR-12); linked records are one person."""
    kind, id = decision.result.split("/")[:2]
    result = await context.store.read(kind, id)
    assert result is not None
    assert result.body is not None
    found = decode_resource(result.body)
    subject = (found.get("subject") or {}).get("reference", "")
    held = decode_resource(patient.body or b"{}")
    linked = [link["other"].get("reference") for link in held.get("link") or () if "other" in link]
    own = [row.get("value") for row in held.get("identifier") or ()]
    if subject and subject != decision.patient and subject not in linked:
        other = await context.store.read("Patient", subject.rpartition("/")[2])
        numbers = (
            [row.get("value") for row in (decode_resource(other.body).get("identifier") or ())]
            if other and other.body
            else []
        )
        if not set(own) & set(numbers):
            raise BusinessRule("HT-MR-12", result=decision.result, patient=decision.patient)
    return found
