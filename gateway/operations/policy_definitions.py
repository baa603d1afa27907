"""OperationDefinitions of the systems that the policy texts name (docs/workflow/policy.md)."""

from gateway.operations.definition import define, taken

AUDIT_DRUG_USE = define(
    "audit-drug-use",
    "合理用药事后审核",
    "The prescriptions of some days checked again: allergy, duplicate, sex, age, level, place, course, disease, insurance; `as=csv` gives a sheet.",
    ["MedicationRequest"],
    [taken("start", "date"), taken("end", "date"), taken("as", "code")],
    result="Parameters",
    level="type",
    changes=False,
)
RESOLVE_HEALTH_CARD = define(
    "resolve-health-card",
    "电子健康卡识读",
    "The patient of the QR code that an electronic health card shows; a forged or expired code is refused.",
    ["Patient"],
    [taken("code", "string", 1)],
    result="Patient",
    level="type",
    changes=False,
)
MY_RECORD = define(
    "my-record",
    "本人健康档案",
    "The record as its owner sees it, or whom he allowed by a Consent: issued results, visits, drugs, plans; paged.",
    ["Patient"],
    [
        taken("_type", "string"),
        taken("_since", "instant"),
        taken("_count", "integer"),
        taken("_cursor", "string"),
    ],
    result="Bundle",
    changes=False,
)
TIME_POINTS = define(
    "time-points",
    "救治时间节点",
    "The time points of a chest-pain, stroke or trauma visit: time, minutes, limit, state, and which are missing.",
    ["Encounter"],
    [taken("pathway", "code")],
    result="Parameters",
    changes=False,
)
VERIFY_CARDS = define(
    "verify-cards",
    "两卡制验证",
    "The resident's and the staff member's card, checked and recorded on the visit.",
    ["Encounter"],
    [taken("residentCard", "string", 1), taken("staffCard", "string", 1)],
    result="Encounter",
)
