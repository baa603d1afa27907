"""The table of commands: name, where it lives, and its help in both languages.

A new command is a row here and a file beside this one with the function; docs/operations has its page. Only the
command that is called is imported: `hutong --help` imports none.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from gateway.cli.speech import language, say, table
from terminology.issues import InvalidInput


@dataclass(frozen=True, slots=True)
class Row:
    """One command. `function`: "module:name"; `group`: the word it stands under, "" for the top."""

    name: str
    function: str
    zh: str
    en: str
    group: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        return (self.group, self.name) if self.group else (self.name,)


ROWS = (
    Row("serve", "serve:serve", "启动网关：HTTP 与 MLLP。", "Run the gateway: HTTP and MLLP."),
    Row(
        "demo",
        "demo:demo",
        "演示：启动网关，发送示例消息，展示它们变成了什么。",
        "Start a gateway, send it the sample messages, show what they became.",
    ),
    Row("receive", "receive:receive", "接收文件中的消息。", "Take the messages of files."),
    Row(
        "list", "messages:list_messages", "列出消息，最新的在前。", "List messages, newest first.", "messages"
    ),
    Row(
        "show",
        "messages:show",
        "显示一条消息及其去向。",
        "Show one message and what became of it.",
        "messages",
    ),
    Row("replay", "messages:replay", "重新处理消息。", "Process messages again.", "messages"),
    Row(
        "unmapped",
        "messages:unmapped",
        "列出没有对照的本地编码。",
        "List the local codes that no table translates.",
        "messages",
    ),
    Row(
        "list",
        "sources:list_sources",
        "列出自动读取的数据源及其进度。",
        "List the sources that are read, and how far.",
        "sources",
    ),
    Row("run", "sources:run_sources", "立即读取一个数据源。", "Read a source now.", "sources"),
    Row(
        "list",
        "deliveries:list_deliveries",
        "列出发送记录，最新的在前。",
        "List deliveries, newest first.",
        "deliveries",
    ),
    Row("show", "deliveries:show", "显示一条发送记录。", "Show one delivery.", "deliveries"),
    Row("replay", "deliveries:replay", "重新发送。", "Send deliveries again.", "deliveries"),
    Row("park", "deliveries:park", "搁置未送达的记录。", "Park what is not delivered.", "deliveries"),
    Row(
        "discard", "deliveries:discard", "丢弃未送达的记录。", "Discard what is not delivered.", "deliveries"
    ),
    Row(
        "list",
        "destinations:list_destinations",
        "列出发送目标及其状态。",
        "List destinations and where they stand.",
        "destinations",
    ),
    Row(
        "test",
        "destinations:try_destinations",
        "试连发送目标，检查其映射。",
        "Try to reach destinations and look at their maps.",
        "destinations",
    ),
    Row("run", "map:run", "试运行一个映射，不写入。", "Map a message without storing anything.", "map"),
    Row(
        "new",
        "map_new:new",
        "新建一个映射：骨架、测试、样例、说明页。",
        "Begin a map: skeleton, test, sample, page.",
        "map",
    ),
    Row(
        "coverage",
        "map_coverage:coverage",
        "映射读了消息的哪些字段，留下了哪些。",
        "Which fields of messages the maps read, and which they leave.",
        "map",
    ),
    Row("test", "map:try_maps", "运行映射自带的测试。", "Run the tests that maps carry.", "map"),
    Row(
        "orphans",
        "imaging:orphans",
        "列出待匹配申请单的检查及建议。",
        "List studies without an order, with suggestions.",
        "imaging",
    ),
    Row("link", "imaging:link", "把检查匹配到申请单。", "Link a study with an order.", "imaging"),
    Row(
        "dismiss",
        "imaging:dismiss",
        "检查不需要申请单，移出列表。",
        "Take a study off the list.",
        "imaging",
    ),
    Row(
        "aside",
        "imaging:aside",
        "另行保存的影像：列出、采用、放弃。",
        "Objects kept aside: list, accept, discard.",
        "imaging",
    ),
    Row(
        "forwards",
        "imaging:forwards",
        "转发到归档的进度。",
        "How far forwarding to archives is.",
        "imaging",
    ),
    Row(
        "resend",
        "imaging:resend",
        "重新转发等待与搁置的影像。",
        "Forward again what waits or was parked.",
        "imaging",
    ),
    Row(
        "echo", "imaging:echo", "测试 DICOM 连接（C-ECHO）。", "Test a DICOM connection (C-ECHO).", "imaging"
    ),
    Row(
        "recognize",
        "recognize:recognize",
        "判断已有检查检验结果能否互认。",
        "Judge whether earlier results can be recognised.",
    ),
    Row(
        "validate",
        "validate:validate",
        "校验资源文件：结构、规则、profile。",
        "Check resource files: structure, rules, profiles.",
    ),
    Row(
        "list",
        "terms:list_catalogues",
        "列出目录与待办的变更集。",
        "List catalogues and open change sets.",
        "terms",
    ),
    Row("load", "terms:load", "导入目录文件，起草变更集。", "Load a file and draft a change set.", "terms"),
    Row("diff", "terms:diff", "比较文件与最新版本。", "Compare a file with the newest version.", "terms"),
    Row("changes", "terms:changes", "变更集改了哪些编码。", "What a change set does to each code.", "terms"),
    Row(
        "affected",
        "terms:affected",
        "变更集涉及哪些对码和在用的处方、申请。",
        "Which mappings, prescriptions and orders a change set touches.",
        "terms",
    ),
    Row("submit", "terms:submit", "提交变更集。", "Submit a change set.", "terms"),
    Row(
        "approve",
        "terms:approve",
        "审核变更集（不能是起草人）。",
        "Approve a change set (not its author).",
        "terms",
    ),
    Row("reject", "terms:reject", "退回变更集。", "Reject a change set.", "terms"),
    Row(
        "publish", "terms:publish", "发布变更集，定生效日期。", "Publish a change set from a day on.", "terms"
    ),
    Row(
        "rollback",
        "terms:rollback",
        "回到早先版本的内容。",
        "Go back to an earlier version's content.",
        "terms",
    ),
    Row("export", "terms:export", "导出某日生效的版本。", "Export the version in force on a day.", "terms"),
    Row("versions", "terms:versions", "列出目录的各版。", "List the versions of a catalogue.", "terms"),
    Row("audit", "terms:audit", "谁在何时改了什么。", "Who changed what, and when.", "terms"),
    Row(
        "import", "codes:import_table", "导入成员单位的本地编码表。", "Load a member's local table.", "codes"
    ),
    Row(
        "list",
        "codes:list_projects",
        "列出对码项目与进度。",
        "List mapping projects and their progress.",
        "codes",
    ),
    Row("suggest", "codes:suggest", "为本地编码建议目标。", "Suggest targets for local codes.", "codes"),
    Row(
        "accept",
        "codes:accept",
        "批量提交高置信度的建议。",
        "Submit suggestions above a confidence.",
        "codes",
    ),
    Row("propose", "codes:propose", "为一个本地编码对码。", "Map one local code.", "codes"),
    Row(
        "approve",
        "codes:approve",
        "审核对码（不能是对码人）。",
        "Approve mappings (not their author).",
        "codes",
    ),
    Row("reject", "codes:reject", "驳回对码。", "Reject mappings.", "codes"),
    Row(
        "reconcile",
        "codes:reconcile",
        "裁定双人盲对的争议。",
        "Decide a conflict of two blind authors.",
        "codes",
    ),
    Row(
        "publish",
        "codes:publish",
        "发布已审的对码，即刻用于消息转换。",
        "Publish approved mappings; messages are translated by them at once.",
        "codes",
    ),
    Row(
        "carry-over",
        "codes:carry_over",
        "对码转到目录的新版本。",
        "Carry mappings over to the catalogue's version in force.",
        "codes",
    ),
    Row(
        "export",
        "codes:export",
        "导出对码（CSV 或 ConceptMap）。",
        "Export mappings (CSV or ConceptMap).",
        "codes",
    ),
    Row(
        "list",
        "conformance:list_tests",
        "列出符合性测试。",
        "List the conformance tests.",
        "conformance",
    ),
    Row(
        "run",
        "conformance:run",
        "对一个目标运行测试并写报告。",
        "Run tests against a target and write reports.",
        "conformance",
    ),
    Row(
        "coverage",
        "conformance:coverage",
        "检查每条必须的要求都有测试。",
        "Check that every MUST has a test.",
        "conformance",
    ),
    Row(
        "certificate",
        "conformance:certificate",
        "签发或验证证书。",
        "Issue or verify a certificate.",
        "conformance",
    ),
    Row(
        "compare",
        "conformance:compare",
        "比较两次运行。",
        "Compare two runs.",
        "conformance",
    ),
    Row(
        "status",
        "members:status",
        "查看或变更成员的证书状态。",
        "See or change the state of members' certificates.",
        "conformance",
    ),
    Row(
        "override",
        "members:override",
        "紧急放行：一人申请，另一人批准。",
        "Emergency override: one asks, another approves.",
        "conformance",
    ),
    Row(
        "proposals",
        "members:proposals",
        "查看并决定暂停建议。",
        "See and decide proposed suspensions.",
        "conformance",
    ),
    Row(
        "quality",
        "members:quality",
        "评定成员生产数据的质量（A–E）。",
        "Grade the quality of a member's production data (A–E).",
        "conformance",
    ),
    Row(
        "presets",
        "members:list_presets",
        "厂商产品的预设。",
        "Presets of vendor products.",
        "conformance",
    ),
    Row("list", "care:list_critical", "列出未确认的危急值。", "List critical values that wait.", "critical"),
    Row(
        "acknowledge",
        "care:acknowledge",
        "打开、复述并处理危急值。",
        "Open a critical value, read it back, tell what was done.",
        "critical",
    ),
    Row(
        "register",
        "care:register",
        "危急值登记本与及时率。",
        "The register of critical values and its rates.",
        "critical",
    ),
    Row("due", "care:due", "到期、逾期与失访的随访。", "Visits that are due, overdue or lost.", "care"),
    Row("six-ones", "care:six_ones", "一份计划的“六个一”。", "The six ones of a plan.", "care"),
    Row("list", "task:list_tasks", "列出任务，最急的在前。", "List tasks, the most urgent first.", "task"),
    Row("claim", "task:claim", "领取一项任务。", "Claim a task.", "task"),
    Row("transition", "task:transition", "变更任务状态。", "Take a task to another state.", "task"),
    Row(
        "stats",
        "stats:stats",
        "各中心的数量、用时与按时率，可导出 CSV、Excel。",
        "Counts, turnaround and time limits of the centres; exports CSV and Excel.",
    ),
    Row(
        "doctor",
        "doctor:doctor",
        "检查环境、数据与端口，并给出修复办法。",
        "Check environment, data and ports, and say how to fix them.",
    ),
)

# The overview in sections: what somebody wants to do, and the first words of the commands that do it. A command that
# no section names stands in the last one.
SECTIONS = (
    ("运行", "Running", ("serve", "demo", "doctor")),
    ("收消息、转换", "Messages in", ("receive", "messages", "sources", "map", "validate")),
    ("发消息", "Messages out", ("destinations", "deliveries")),
    ("工作流程", "Work", ("task", "stats", "critical", "care", "imaging", "recognize")),
    ("目录与对码", "Catalogues and codes", ("terms", "codes")),
    ("成员测试与准入", "Testing members", ("conformance",)),
)
OTHERS = ("其他", "Others")

# The words of the option parser, as a Chinese reader sees them.
CHINESE = {
    "Usage: ": "用法：",
    "[OPTIONS]": "[选项]",
    "Options:": "选项：",
    "Arguments:": "参数：",
    "Show this message and exit.": "显示帮助。",
    "[default: ": "[默认：",
    "[required]": "[必填]",
    "  [default:": "  [默认：",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; raises FhirError for what the caller gave wrong."""
    row, rest = find(arguments)
    if row is None:
        return _without_command(rest)
    import typer

    module, _, name = row.function.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"gateway.cli.{module}"), name)
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(row.name, cls=_command_class(), help=say(row.zh, row.en))(function)
    usage_error: Any = typer.BadParameter.__bases__[0]
    try:
        code = app(args=list(rest), prog_name=" ".join(("hutong", *row.words)), standalone_mode=False)
    except usage_error as error:
        detail = error.format_message()
        raise InvalidInput("HT-CLI-19", detail=detail, command=" ".join(row.words)) from None
    return code if isinstance(code, int) else 0


def find(arguments: Sequence[str]) -> tuple[Row | None, Sequence[str]]:
    """Return the command that the first words name and what follows them."""
    for length in (2, 1):
        words = tuple(arguments[:length])
        for row in ROWS:
            if row.words == words:
                return row, arguments[length:]
    return None, arguments


def overview(group: str = "") -> str:
    """Return the list of commands."""
    rows = [row for row in ROWS if row.group == group] if group else _by_section()
    names = [
        (row, "") if isinstance(row, str) else ("hutong " + " ".join(row.words), say(row.zh, row.en))
        for row in rows
    ]
    title = say(
        "Hutong 互通：县域医共体 FHIR 网关与术语服务",
        "Hutong: FHIR gateway and terminology service of a county medical community",
    )
    end = say(
        "每个命令可加 --help 查看用法，加 --json 得到 JSON。\n返回码：0 正常，1 有问题待处理，2 用法错误，3 暂不可用。",
        "Each command has --help, and --json for programs.\nExit codes: 0 ok, 1 findings, 2 usage, 3 unavailable.",
    )
    return f"{title}\n\n{table(names)}\n\n{end}"


def _by_section() -> list["Row | str"]:
    """Return the rows under the headings of their sections, an empty line before each heading but the first."""
    known = {word for _, _, words in SECTIONS for word in words}
    others = tuple(dict.fromkeys(row.words[0] for row in ROWS if row.words[0] not in known))
    found: list[Row | str] = []
    for zh, en, words in (*SECTIONS, (*OTHERS, others)):
        rows = [row for word in words for row in ROWS if row.words[0] == word]
        if rows:
            found += [*([""] if found else []), say(zh, en), *rows]
    return found


def _without_command(arguments: Sequence[str]) -> int:
    groups = {row.group for row in ROWS}
    first = arguments[0] if arguments else ""
    if first in ("--version", "-V"):
        print(f"hutong {version()}")
        return 0
    is_asking = not arguments or arguments[-1] in ("--help", "-h", "help")
    if is_asking or (first in groups and len(arguments) == 1):
        print(overview(first if first in groups else ""))
        return 0 if arguments and is_asking else 2
    name = " ".join(arguments[: 2 if first in groups else 1])
    known = [" ".join(row.words) for row in ROWS]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise InvalidInput("HT-CLI-18", name=name[:80], near=near[0] if near else "--help")


def version() -> str:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    try:
        return installed("hutong")
    except PackageNotFoundError:
        return "(source)"


def _command_class() -> Any:
    from typer.core import TyperCommand

    class Command(TyperCommand):
        def get_help(self, ctx: Any) -> str:
            text = str(super().get_help(ctx))
            if language() == "zh":
                for english, chinese in CHINESE.items():
                    text = text.replace(english, chinese)
            return text

    return Command
