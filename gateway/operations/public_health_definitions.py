"""OperationDefinitions of public health (docs/workflow/public-health.md)."""

from gateway.operations.definition import define, taken

REPORT_CARD = define(
    "report-card",
    "传染病报告卡",
    "Makes the card of an infectious disease (Composition) from what is known and completes the task; what the card lacks is told at once.",
    ["Task"],
    [taken("practitioner", "Reference", 1), taken("onset", "date")],
    result="Composition",
)
FINISH = define(
    "finish",
    "完成随访或上门服务",
    "Completes a follow-up or a visit at home with what was done: an Encounter, Observation or QuestionnaireResponse of the same patient.",
    ["Task"],
    [taken("output", "Reference", 1)],
    result="Task",
)
PUBLIC_HEALTH_LIST = define(
    "public-health-list",
    "公共卫生任务清单",
    "Tasks of one code (infectious-report, discharge-follow-up, home-visit): due, overdue, done, late; `as=csv` gives a sheet. Names of sensitive rows are masked.",
    ["Task"],
    [taken("code", "code", 1), taken("phase", "code"), taken("organization", "string"), taken("as", "code")],
    result="Parameters",
    level="type",
    changes=False,
)
FIVE_COLOURS = define(
    "five-colours",
    "孕产妇与儿童五色分级",
    "Colour, risk factors and plan of a pregnancy or a young child; high risk without a plan is a warning.",
    ["Patient"],
    [],
    result="Parameters",
)
HIGH_RISK = define(
    "high-risk",
    "高危孕产妇与儿童清单",
    "All who are orange, red or purple, those without a plan first; `as=csv` gives a sheet.",
    ["RiskAssessment"],
    [taken("as", "code")],
    result="Parameters",
    level="type",
    changes=False,
)
SCORE = define(
    "score",
    "老年人生活自理能力评估",
    "Adds up an elderly self-care assessment and keeps the score as an Observation with its level.",
    ["QuestionnaireResponse"],
    [],
    result="Observation",
)
DISPATCH = define(
    "dispatch",
    "居家服务派单",
    "From an application for home care to the visit: needs a recent assessment that asks for it; makes the task of a team.",
    ["ServiceRequest"],
    [taken("owner", "Reference", 1)],
    result="Task",
)
