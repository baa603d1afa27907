"""OperationDefinitions of chronic care and critical values (docs/workflow/chronic-care.md, critical-values.md)."""

from gateway.operations.definition import define, taken

ENROL = define(
    "enrol",
    "慢病建档与分级",
    "A plan with grade and timetable for a patient with the diagnosis and a result of the last 12 months.",
    ["Patient"],
    [
        taken("disease", "code", 1),
        taken("author", "Reference", 1),
        taken("careTeam", "Reference"),
        taken("start", "date"),
    ],
    result="CarePlan",
)
GRADE = define(
    "grade",
    "慢病分级",
    "The patient's grades, brought up to date: RiskAssessment with colour, findings and the pack's version.",
    ["Patient"],
    [],
    result="Bundle",
)
SIX_ONES = define(
    "six-ones",
    "六个一",
    "Six booleans with their evidence: record, contract, assessment, plan, timetable, log; colour and what is missing.",
    ["CarePlan"],
    [taken("date", "date")],
    result="Parameters",
    changes=False,
)
DUE = define(
    "due",
    "到期随访",
    "Visits that are due within some days, overdue, or lost (180 days); of one team or of all; `as=csv` gives a sheet.",
    ["CarePlan"],
    [
        taken("date", "date"),
        taken("within", "integer"),
        taken("team", "string"),
        taken("phase", "code"),
        taken("as", "code"),
    ],
    result="Parameters",
    level="type",
    changes=False,
)
ACKNOWLEDGE = define(
    "acknowledge",
    "接收危急值",
    "Without input: it was opened. `repeatBack`: item and value again, in any unit; `action`: what was done, which ends it.",
    ["Task"],
    [taken("repeatBack", "string"), taken("action", "string"), taken("practitioner", "Reference")],
    result="Task",
)
CONFIRM_CRITICAL = define(
    "confirm-critical",
    "复核危急值",
    "The second look before a critical value is told; at night one person may look twice.",
    ["Task"],
    [taken("practitioner", "Reference")],
    result="Task",
)
CRITICAL_REGISTER = define(
    "critical-register",
    "危急值登记本",
    "The register with its rates, of a time and an organisation; `as=csv` gives a sheet.",
    ["Communication"],
    [taken("start", "date"), taken("end", "date"), taken("organization", "string"), taken("as", "code")],
    result="Parameters",
    level="type",
    changes=False,
)
