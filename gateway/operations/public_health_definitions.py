"""OperationDefinitions of public health (docs/workflow/public-health.md)."""

from gateway.operations.care_definitions import _definition as defined
from gateway.operations.care_definitions import _in as taken

REPORT_CARD = defined(
    "report-card",
    "传染病报告卡",
    "Makes the card of an infectious disease (Composition) from what is known and completes the task; what the card lacks is told at once.",
    "Task",
    "instance",
    [taken("practitioner", "Reference", 1), taken("onset", "date")],
    result="Composition",
    changes=True,
)
FINISH = defined(
    "finish",
    "完成随访或上门服务",
    "Completes a follow-up or a visit at home with what was done: an Encounter, Observation or QuestionnaireResponse of the same patient.",
    "Task",
    "instance",
    [taken("output", "Reference", 1)],
    result="Task",
    changes=True,
)
PUBLIC_HEALTH_LIST = defined(
    "public-health-list",
    "公共卫生任务清单",
    "Tasks of one code (infectious-report, discharge-follow-up, home-visit): due, overdue, done, late; `as=csv` gives a sheet. Names of sensitive rows are masked.",
    "Task",
    "type",
    [taken("code", "code", 1), taken("phase", "code"), taken("organization", "string"), taken("as", "code")],
    result="Parameters",
    changes=False,
)
FIVE_COLOURS = defined(
    "five-colours",
    "孕产妇与儿童五色分级",
    "Colour, risk factors and plan of a pregnancy or a young child; high risk without a plan is a warning.",
    "Patient",
    "instance",
    [],
    result="Parameters",
    changes=True,
)
HIGH_RISK = defined(
    "high-risk",
    "高危孕产妇与儿童清单",
    "All who are orange, red or purple, those without a plan first; `as=csv` gives a sheet.",
    "RiskAssessment",
    "type",
    [taken("as", "code")],
    result="Parameters",
    changes=False,
)
SCORE = defined(
    "score",
    "老年人生活自理能力评估",
    "Adds up an elderly self-care assessment and keeps the score as an Observation with its level.",
    "QuestionnaireResponse",
    "instance",
    [],
    result="Observation",
    changes=True,
)
DISPATCH = defined(
    "dispatch",
    "居家服务派单",
    "From an application for home care to the visit: needs a recent assessment that asks for it; makes the task of a team.",
    "ServiceRequest",
    "instance",
    [taken("owner", "Reference", 1)],
    result="Task",
    changes=True,
)
