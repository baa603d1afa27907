"""OperationDefinitions of the workflows (docs/workflow/operations.md)."""

from gateway.operations.definition import define, taken

CLAIM = define(
    "claim",
    "领取任务",
    "Accept a work task (or an order's task) for oneself. One of parallel claims wins; the others are told the department that did.",
    ["Task"],
    [taken("owner", "Reference")],
    result="Task",
)
RELEASE = define(
    "release",
    "释放任务",
    "Give a claimed task back: it is cancelled (failed once it began), and a new one takes its place, with the draft.",
    ["Task"],
    [taken("reason", "string")],
    result="Task",
)
ASSIGN = define(
    "assign",
    "指派任务",
    "The dispatcher gives a task to a reader; one that was claimed is released first.",
    ["Task"],
    [taken("owner", "Reference", 1)],
    result="Task",
)
WORKLIST = define(
    "worklist",
    "工作列表",
    "Open tasks, the most urgent first, then by their time limit, with their orders; page by page.",
    ["Task"],
    [
        taken("owner", "string", high="*"),
        taken("code", "code", high="*"),
        taken("category", "code", high="*"),
        taken("status", "code", high="*"),
        taken("priority", "code", high="*"),
        taken("phase", "code", high="*"),
        taken("patient", "string"),
        taken("overdue", "boolean"),
        taken("due-before", "dateTime"),
        taken("mine", "boolean"),
        taken("count", "positiveInt"),
        taken("cursor", "string"),
    ],
    result="Bundle",
    level="type",
    changes=False,
)
SIGN = define(
    "sign",
    "签发报告",
    "Verify and sign a report: it becomes final, with the signature in a Provenance, and goes to the placer.",
    ["DiagnosticReport"],
    [taken("comment", "string")],
    result="DiagnosticReport",
)
AMEND = define(
    "amend",
    "修订报告",
    "Change an issued report: amended, corrected or appended, signed anew; everybody who saw the earlier version is told.",
    ["DiagnosticReport"],
    [
        taken("status", "code"),
        taken("conclusion", "string"),
        taken("report", "DiagnosticReport"),
        taken("reason", "string", 1),
    ],
    result="DiagnosticReport",
)
WITHDRAW = define(
    "withdraw",
    "撤回报告",
    "Withdraw an issued report (entered-in-error); everybody who saw it is told.",
    ["DiagnosticReport"],
    [taken("reason", "string", 1)],
    result="DiagnosticReport",
)
RECALL = define(
    "recall",
    "召回",
    "Ask everybody who saw a result to acknowledge a notice about it; the answer tells who they are.",
    ["DiagnosticReport", "Observation", "ImagingStudy"],
    [taken("reason", "string", 1)],
    result="Parameters",
)
VERIFY_SIGNATURE = define(
    "verify-signature",
    "验签",
    "Check the signature of a report's current version against its content.",
    ["DiagnosticReport"],
    [],
    result="Parameters",
    changes=False,
)
ROUTE = define(
    "route",
    "分派申请",
    "Send an order to a centre (the one that is named, else by the rules): one that had none, or that its centre rejected.",
    ["ServiceRequest"],
    [taken("performer", "Reference")],
    result="Task",
)
STATISTICS = define(
    "statistics",
    "中心统计",
    "Counts, turnaround and time limits of orders by month, centre and category, recomputed from the tasks.",
    ["Task"],
    [taken("month", "string"), taken("owner", "string"), taken("category", "code")],
    result="Parameters",
    level="type",
    changes=False,
    id="task-statistics",
)
