"""Options and arguments of `hutong terms` and `hutong codes`: each worded once, in both languages."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.speech import say

File = Annotated[
    Path,
    typer.Argument(
        help=say(
            "目录文件：CSV、XLSX、FHIR JSON、NDJSON、tgz、ClaML、LOINC、RF2。",
            "The file: CSV, XLSX, FHIR JSON, NDJSON, tgz, ClaML, LOINC, RF2.",
        )
    ),
]
Name = Annotated[str, typer.Argument(help=say("目录名，例如 icd10。", "The catalogue, such as icd10."))]
Number = Annotated[int, typer.Argument(help=say("变更集编号。", "Number of the change set."))]
Who = Annotated[
    str,
    typer.Option(help=say("办理人，默认当前系统用户。", "Who does it; the user of the system by default.")),
]
Columns = Annotated[Path | None, typer.Option(help=say("列映射（TOML）。", "Column map (TOML)."))]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help=say("只检查和比较，不保存。", "Check and compare, keep nothing."))
]
Effective = Annotated[
    str | None,
    typer.Option(help=say("生效日期，默认今天。", "The day it comes into force, today by default.")),
]
Label = Annotated[
    str | None,
    typer.Option(help=say("版本名，默认生效日期。", "Name of the version, the effective day by default.")),
]
On = Annotated[
    str | None, typer.Option("--date", help=say("某日生效的版本。", "The version in force on that day."))
]
Reason = Annotated[str, typer.Option(help=say("原因。", "Why."))]
Url = Annotated[
    str | None, typer.Option(help=say("新目录的地址（canonical）。", "Canonical URL of a new catalogue."))
]
Title = Annotated[
    str | None,
    typer.Option(
        help=say("新目录的名称，或变更集的标题。", "Title of a new catalogue or of the change set.")
    ),
]
Kind = Annotated[
    str,
    typer.Option(
        help=say(
            "新目录的种类：diagnosis procedure drug lab-item exam-item codes。",
            "Kind of a new catalogue: diagnosis procedure drug lab-item exam-item codes.",
        )
    ),
]
Partial = Annotated[
    bool,
    typer.Option(
        "--partial",
        help=say("文件只含部分编码，未列出的保留。", "The file holds a part; codes it does not list stay."),
    ),
]
Levels = Annotated[
    bool,
    typer.Option(
        "--levels",
        help=say(
            "药品：按通用名、剂型规格、产品、包装建立层级。",
            "Drugs: build the levels generic, form and strength, product, pack.",
        ),
    ),
]
Shipped = Annotated[
    bool,
    typer.Option(
        "--shipped", help=say("导入随软件提供的目录。", "Load the catalogues that come with Hutong.")
    ),
]
FileOrNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE | NAME…",
        help=say(
            "目录文件；与 --shipped 同用时为目录名，不写则全部。",
            "The file; with --shipped the catalogues to load, all when none is named.",
        ),
    ),
]
OptionalName = Annotated[str | None, typer.Option("--catalogue", help=say("目录名。", "The catalogue."))]
Format = Annotated[
    str,
    typer.Option(
        help=say(
            "导出格式：csv、json，或 recognition（互认规则包的 items.csv）。",
            "Format: csv, json, or recognition (items.csv of a recognition pack).",
        )
    ),
]
To = Annotated[int, typer.Option(help=say("回退到的版本号。", "The version to go back to."))]

# hutong codes

Member = Annotated[str, typer.Argument(help=say("成员单位代号。", "The member unit."))]
Domain = Annotated[
    str,
    typer.Argument(
        help=say(
            "术语域：diagnosis procedure drug lab-item exam-item。",
            "Domain: diagnosis procedure drug lab-item exam-item.",
        )
    ),
]
LocalFile = Annotated[
    Path, typer.Argument(help=say("本地编码表（CSV、XLSX）。", "The local table (CSV, XLSX)."))
]
Catalogue = Annotated[str, typer.Option(help=say("对到哪个目录。", "The catalogue to map to."))]
Blind = Annotated[bool, typer.Option("--blind", help=say("双人盲对。", "Two authors map independently."))]
Source = Annotated[
    str | None,
    typer.Option(
        help=say(
            "消息中这些编码的 system；不写则按本单位自定。",
            "The system that messages give these codes; the member's own when left out.",
        )
    ),
]
Cut = Annotated[
    float, typer.Option(help=say("批量接受的置信度下限。", "Confidence from which suggestions are accepted."))
]
Code = Annotated[str, typer.Argument(help=say("本地编码。", "The local code."))]
Codes = Annotated[
    list[str] | None,
    typer.Argument(
        help=say("本地编码；不写则全部待审行。", "Local codes; all submitted rows when none is given.")
    ),
]
Target = Annotated[
    str | None,
    typer.Option(help=say("目标编码；不写表示无对应。", "The target code; without it there is none.")),
]
Relationship = Annotated[
    str,
    typer.Option(
        help=say(
            "关系：equivalent equal broader narrower inexact relatedto。",
            "Relationship of the target: equivalent equal broader narrower inexact relatedto.",
        )
    ),
]
Note = Annotated[str | None, typer.Option(help=say("说明。", "A note."))]
Count = Annotated[int, typer.Option(help=say("最多几行。", "How many rows at most."))]
MapFormat = Annotated[
    str,
    typer.Option(
        help=say("导出格式：csv、xlsx 或 json（ConceptMap）。", "Format: csv, xlsx or json (ConceptMap).")
    ),
]
Output = Annotated[Path | None, typer.Option(help=say("写入此文件。", "Write to this file."))]
