"""What maps make holds against the county profiles: a message may leave things out, what it says is said as agreed.

What these messages do not carry is listed in `NOT_CARRIED` (docs/adapters/hl7v2.md, "Against the county profiles");
every other required element must be there, and codes, types, patterns and extensions must be as the profiles want them.
"""

import re
from pathlib import Path

import cases
import pytest

from conformance import profiles
from conformance.profiles.extensions import extension_table
from conformance.profiles.table import table_ids
from conformance.validation import Policy, ProfileRegistry, validate
from terminology.fhirjson import Json

ROOT = Path(__file__).parent.parent.parent
CASES = cases.all_cases()
URLS = re.compile(
    r"(?:hutong\.health/fhir/StructureDefinition/|\{HUTONG\}|\{CANONICAL\}/StructureDefinition/|\{EXTENSION\}/)([a-z0-9-]+)"
)
REGISTRY = ProfileRegistry()
POLICY = Policy(unknown_extensions="refuse")
# A missing element or slice; a rule that asks for one; a sender's own codes and names (tests/golden/test_golden.py).
LEFT_OUT = {"HT-VAL-82", "HT-VAL-134", "HT-VAL-30"}
SENDERS_OWN = {"HT-VAL-34", "HT-VAL-35"}
# Messages that only change a stored resource leave the other elements out.
MANDATORY = {"HT-VAL-14", "HT-VAL-82"}
CHANGES = {
    "rhin-appointment-cancel",
    "rhin-contract-abort",
    "rhin-referral-abort",
    "rhin-schedule-resume",
    "rhin-schedule-stop",
}
NOT_CARRIED = {
    "care-plan": {
        "CarePlan.activity.detail.location",
        "CarePlan.activity.detail.performer",
        "CarePlan.author",
        "CarePlan.careTeam",
        "CarePlan.category:kind",
        "CarePlan.extension:grade",
        "CarePlan.goal",
        "CarePlan.identifier",
        "CarePlan.supportingInfo",
    },
    # A file that names neither its machine nor its institution has no author and no keeper.
    "document-reference": {"DocumentReference.author", "DocumentReference.custodian", "Attachment.hash"},
    "encounter": {"Encounter.identifier", "Encounter.period", "Encounter.serviceProvider", "ht-enc-1"},
    "goal": {"Goal.target.detail[x]", "Goal.target.measure"},
    # A device knows neither order nor laboratory, and often no time; the order gives them when the result is stored.
    "laboratory-report": {
        "DiagnosticReport.basedOn",
        "DiagnosticReport.effective[x]",
        "DiagnosticReport.encounter",
        "DiagnosticReport.performer",
        "ht-rep-1",
        "ht-rep-2",
    },
    "laboratory-result": {"Observation.effective[x]", "Observation.performer"},
    "organization": {"Organization.identifier", "Organization.name"},
    # Test objects of devices name nobody.
    "patient": {"Patient.birthDate", "Patient.gender", "Patient.identifier", "Patient.name"},
    "practitioner": {"Practitioner.identifier", "Practitioner.name"},
    "practitioner-role": {"ht-rol-1"},
    # Platforms of hospitals write a request's item as text (POOR_IN200901UV with an empty code).
    "service-request": {
        "CodeableConcept.coding",
        "ServiceRequest.authoredOn",
        "ServiceRequest.category",
        "ServiceRequest.category:kind",
        "ServiceRequest.code",
        "ServiceRequest.encounter",
        "ServiceRequest.identifier",
        "ServiceRequest.performer",
        "ServiceRequest.priority",
        "ServiceRequest.requester",
        "ht-req-2",
    },
    "specimen": {
        "Specimen.accessionIdentifier",
        "Specimen.collection",
        "Specimen.request",
        "Specimen.status",
        "ht-spe-1",
    },
    "vital-sign": {"Observation.performer"},
}
GAP = re.compile(r"^(?:'|The slice '|Rule )([\w.:\[\]-]+)")
BY_TYPE = {
    "Patient": "patient",
    "Organization": "organization",
    "Practitioner": "practitioner",
    "PractitionerRole": "practitioner-role",
    "Encounter": "encounter",
    "Specimen": "specimen",
    "Condition": "condition",
    "Goal": "goal",
    "CarePlan": "care-plan",
    "CareTeam": "care-team",
    "MedicationRequest": "medication-request",
    "MedicationDispense": "medication-dispense",
    "Medication": "medication",
    "DocumentReference": "document-reference",
    "Provenance": "provenance",
}
BY_CATEGORY = {"laboratory": "laboratory-result", "vital-signs": "vital-sign"} | dict.fromkeys(
    ("LAB", "CH", "HM", "MB", "SR", "IMM"), "laboratory-report"
)


def profile_of(resource: Json) -> str | None:
    """Return the profile that the resource is meant to hold; none for what the county has not profiled."""
    kind = resource["resourceType"]
    if kind in BY_TYPE:
        return BY_TYPE[kind]
    if kind == "ServiceRequest":
        # A proposal of a follow-up form is no order yet.
        return "service-request" if resource.get("intent") == "order" else None
    if kind not in ("Observation", "DiagnosticReport"):
        return None
    codes = {
        coding.get("code") for concept in resource.get("category", ()) for coding in concept.get("coding", ())
    }
    return next((name for code, name in BY_CATEGORY.items() if code in codes), None)


def gap_of(sentence: str) -> str:
    """Return the element, slice or rule that a sentence begins with."""
    found = GAP.match(sentence)
    return found[1] if found else sentence


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_map_says_is_said_as_the_profiles_want_it(case: cases.Case):
    problems = []
    for result in cases.run(case):
        for entry in result.entries:
            if entry.rule.write == "retire":
                continue
            name = profile_of(entry.resource)
            urls = [f"{profiles.BASE}StructureDefinition/hutong-{name}"] if name else []
            problems += [
                f"{entry.reference} {issue.code} {issue.expression} {issue.text('en')}"
                for issue in validate(entry.resource, profiles=urls, registry=REGISTRY, policy=POLICY)
                if issue.severity in ("error", "fatal")
                and issue.code not in SENDERS_OWN
                and not (
                    issue.code in LEFT_OUT and gap_of(issue.text("en")) in NOT_CARRIED.get(name or "", ())
                )
                and "StructureDefinition/heartrate" not in issue.text("en")
                and not (issue.code in MANDATORY and result.mapping in CHANGES)
            ]
    assert problems == []


def test_every_extension_that_is_written_is_defined():
    files = [
        path for folder in ("mappings", "gateway", "terminology") for path in (ROOT / folder).rglob("*.*")
    ]
    used = {
        name
        for path in files
        if path.suffix in (".py", ".yaml", ".toml")
        for name in URLS.findall(path.read_text("utf-8"))
    }
    assert len(used) > 40
    assert used - set(extension_table()) - set(table_ids()) == set()
