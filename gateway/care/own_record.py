"""What a patient may see: his own record, and another's with that one's Consent (china §5, row 20).

居民健康档案向个人开放; https://hl7.org/fhir/R4/consent.html: provision.type, period, actor, class, securityLabel, and
nested exceptions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.rest.request import Request
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json
from terminology.issues import Forbidden

TYPES = (
    "Patient", "AllergyIntolerance", "Appointment", "CarePlan", "Composition", "Condition", "Contract",
    "DiagnosticReport", "DocumentReference", "Encounter", "Goal", "ImagingStudy", "Immunization",
    "MedicationDispense", "MedicationRequest", "Observation", "Procedure", "RiskAssessment", "ServiceRequest",
)  # fmt: skip
"""The record as a person reads it; tasks, audit and internal notices of the institutions are none of it."""

ISSUED = frozenset({"final", "amended", "corrected", "appended"})
"""A result is shown when it is issued, not while somebody works on it."""
RESTRICTED = frozenset({"R", "V"})
OWNER = ("subject", "patient", "for")


@dataclass(frozen=True, slots=True)
class Permission:
    """`labels`: restricted labels that may be seen; `types`: the only ones (empty: all), less `without`."""

    labels: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    without: frozenset[str] = field(default_factory=frozenset)

    def shows(self, resource: Json, patient: str) -> bool:
        """Whether a resource is the patient's own, issued, and covered."""
        kind = resource["resourceType"]
        if kind not in TYPES or kind in self.without or (self.types and kind not in self.types):
            return False
        if not _is_of(resource, patient):
            return False
        if kind in ("DiagnosticReport", "Observation") and resource.get("status") not in ISSUED:
            return False
        if resource.get("status") == "entered-in-error":
            return False
        labels = {row.get("code") for row in (resource.get("meta") or {}).get("security") or ()}
        return not (labels & RESTRICTED) - self.labels


OWN = Permission(labels=RESTRICTED)


def permission(consents: Sequence[Json], reader: str, moment: str) -> Permission | None:
    """Return what the consents of a patient let another person see; None when none does."""
    for consent in consents:
        provision: Json = consent.get("provision") or {}
        if consent.get("status") != "active" or provision.get("type") != "permit":
            continue
        if _covers(provision, moment) and reader in _actors(provision):
            nested = [
                row
                for row in provision.get("provision") or ()
                if row.get("type") == "deny" and _covers(row, moment)
            ]
            return Permission(
                labels=_codes(provision.get("securityLabel")),
                types=_codes(provision.get("class")),
                without=frozenset().union(*(_codes(row.get("class")) for row in nested)),
            )
    return None


def check_patient(request: Request, patient: str) -> None:
    """Raise Forbidden (HT-MY-01) for whatever a patient may not call: all but his Patient, $my-record and the capabilities."""
    if request.operation is not None:
        if request.operation.name == "my-record" and request.type == "Patient":
            return
    elif request.method in ("GET", "HEAD") and request.path in ("metadata", f"Patient/{patient}"):
        return
    raise Forbidden("HT-MY-01", path=f"{request.method} {request.path}"[:120])


def _is_of(resource: Json, patient: str) -> bool:
    if resource["resourceType"] == "Patient":
        return f"Patient/{resource.get('id')}" == patient
    if resource["resourceType"] == "Appointment":
        actors = (reference_of(row.get("actor")) for row in resource.get("participant") or ())
        return patient in actors
    for name in OWNER:
        value = resource.get(name)
        rows = value if isinstance(value, list) else [value]
        if any(reference_of(row) == patient for row in rows):
            return True
    return False


def _actors(provision: Json) -> list[str]:
    return [reference_of(row.get("reference")) for row in provision.get("actor") or ()]


def _codes(rows: Any) -> frozenset[str]:
    return frozenset(str(row.get("code")) for row in rows or () if isinstance(row, dict) and row.get("code"))


def _covers(provision: Json, moment: str) -> bool:
    """Compare by day: a Consent's period is written in days."""
    period = provision.get("period") or {}
    start, end = str(period.get("start", ""))[:10], str(period.get("end", ""))[:10]
    return (not start or start <= moment[:10]) and (not end or moment[:10] <= end)
