"""OperationDefinitions of referral (docs/workflow/referral.md)."""

from gateway.operations.definition import define, taken

REDIRECT = define(
    "redirect",
    "改转",
    "Pass a referral that has not begun on to another organisation: this task ends as redirected, a new one is returned.",
    ["Task"],
    [taken("performer", "Reference", 1), taken("reason", "string", 1)],
    result="Task",
)
RELATIONS = define(
    "referral-relations",
    "转诊关系表",
    "Who may refer to whom, up and down, made from the levels of the organisations.",
    ["Organization"],
    [taken("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
BOOK = define(
    "book",
    "预约号源、床位",
    "Take a number (Slot), the first free number of a session (Schedule), or a bed (Location) for a referral or a patient.",
    ["Slot", "Schedule", "Location"],
    [
        taken("basedOn", "Reference"),
        taken("patient", "Reference"),
        taken("start", "dateTime"),
        taken("comment", "string"),
    ],
    result="Resource",
)
BED_POOL = define(
    "bed-pool",
    "床位池",
    "Beds by ward and state (HL7 table 0116).",
    ["Location"],
    [taken("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
REFERRAL_STATISTICS = define(
    "referral-statistics",
    "双向转诊统计",
    "Referrals of a time and an organisation: up, down, accepted, declined, passed on, closed, green channel, reasons.",
    ["ServiceRequest"],
    [taken("start", "date"), taken("end", "date"), taken("organization", "Reference")],
    result="Parameters",
    level="type",
    changes=False,
)
