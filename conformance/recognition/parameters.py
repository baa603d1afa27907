"""The answer as FHIR Parameters, and the request's shape (docs/recognition.md)."""

from datetime import datetime

from conformance.recognition.engine import Answer, Candidate
from conformance.recognition.record import reference_of
from conformance.recognition.verdict import RuleResult
from terminology.fhirjson import Json

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"


def to_parameters(answer: Answer) -> Json:
    """Return `decision, candidate*, missing*, pack*, bypass?`; messages are zh with their English translation beside."""
    parameters: list[Json] = [{"name": "decision", "valueCode": answer.decision}]
    parameters += [_candidate(candidate) for candidate in answer.candidates]
    parameters += [{"name": "missing", "valueCoding": coding} for coding in answer.missing]
    parameters += [{"name": "pack", "valueString": pack} for pack in answer.packs]
    if answer.is_bypassed:
        parameters.append({"name": "bypass", "valueBoolean": True})
    return {"resourceType": "Parameters", "parameter": parameters}


def _candidate(candidate: Candidate) -> Json:
    parts: list[Json] = [
        {"name": "item", "valueCoding": candidate.item},
        {"name": "result", "valueReference": {"reference": reference_of(candidate.result)}},
        {"name": "decision", "valueCode": candidate.decision},
    ]
    if candidate.valid_until is not None:
        parts.append({"name": "validUntil", "valueDateTime": _text(candidate.valid_until)})
    parts += [{"name": "rule", "part": _rule(rule)} for rule in candidate.rules]
    if candidate.image is not None:
        parts.append({"name": "image", "valueUrl": candidate.image})
    return {"name": "candidate", "part": parts}


def _rule(rule: RuleResult) -> list[Json]:
    parts: list[Json] = [{"name": "id", "valueCode": rule.id}, {"name": "outcome", "valueCode": rule.outcome}]
    for name, value in (("input", rule.input), ("limit", rule.limit)):
        if value:
            parts.append({"name": name, "valueString": value})
    if rule.reason:
        parts.append({"name": "reason", "valueCode": rule.reason})
    english = {
        "extension": [{"url": "lang", "valueCode": "en"}, {"url": "content", "valueString": rule.en}],
        "url": TRANSLATION,
    }
    parts.append({"name": "message", "valueString": rule.zh, "_valueString": {"extension": [english]}})
    return parts


def _text(moment: datetime) -> str:
    return moment.isoformat()
