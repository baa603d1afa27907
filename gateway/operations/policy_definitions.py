"""OperationDefinitions of the systems that the policy texts name (docs/workflow/policy.md)."""

from gateway.operations.care_definitions import _definition as define
from gateway.operations.care_definitions import _in as taken

AUDIT_DRUG_USE = define(
    "audit-drug-use",
    "合理用药事后审核",
    "The prescriptions of some days checked again: allergy, duplicate, sex, age, level, place, course, disease, insurance; `as=csv` gives a sheet.",
    "MedicationRequest",
    "type",
    [taken("start", "date"), taken("end", "date"), taken("as", "code")],
    result="Parameters",
    changes=False,
)
