"""A notifiable infectious disease in a diagnosis or a result (传染病): which one, how soon it is to be reported. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.recognition.record import codings
from terminology.fhirjson import Json

GOOD = frozenset({"final", "amended", "corrected"})
NO_CASE = frozenset({"refuted", "entered-in-error", "resolved", "inactive"})


@dataclass(frozen=True, slots=True)
class Notifiable:
    """`hours`: the limit of its class; `sensitive`: named only to those who need it."""

    id: str
    zh: str
    en: str
    category: str
    hours: int
    sensitive: bool


def detect(resource: Json, rules: Mapping[str, Any]) -> Notifiable | None:
    """Return the disease that a Condition or an Observation is a case of; None for any other."""
    if resource.get("resourceType") == "Condition":
        states = {
            str(row.get("code"))
            for name in ("clinicalStatus", "verificationStatus")
            for row in codings(resource.get(name))
        }
        return None if states & NO_CASE else by_diagnosis(resource, rules)
    if resource.get("resourceType") != "Observation" or resource.get("status") not in GOOD:
        return None
    for part in (resource, *(resource.get("component") or ())):
        if is_positive(part, rules["positive"]):
            found = by_test(part, rules)
            if found is not None:
                return found
    return None


def by_diagnosis(condition: Json, rules: Mapping[str, Any]) -> Notifiable | None:
    codes = [str(row.get("code", "")).upper() for row in codings(condition.get("code"))]
    for row in rules["diseases"]:
        if any(code.startswith(tuple(row["icd10"])) for code in codes):
            return _notifiable(row)
    return None


def by_test(part: Json, rules: Mapping[str, Any]) -> Notifiable | None:
    """Return the disease that a test looks for, whatever it found."""
    codes = {str(row.get("code", "")) for row in codings(part.get("code"))}
    for row in rules["diseases"]:
        if codes & set(row.get("codes", ())):
            return _notifiable(row)
    return None


def is_positive(part: Json, words: Mapping[str, Any]) -> bool:
    value = part.get("valueCodeableConcept") or {}
    said = {str(row.get("code")) for row in codings(value)}
    texts = {str(text).strip().lower() for text in (part.get("valueString"), value.get("text")) if text}
    flags = {str(row.get("code")) for one in part.get("interpretation") or () for row in codings(one)}
    return bool(
        part.get("valueBoolean") is True
        or said & set(words["codes"])
        or flags & set(words["interpretations"])
        or texts & {str(word).lower() for word in words["words"]}
    )


def _notifiable(row: Mapping[str, Any]) -> Notifiable:
    return Notifiable(
        row["id"], row["zh"], row["en"], row["class"], int(row["hours"]), bool(row.get("sensitive"))
    )
