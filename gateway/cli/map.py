"""`hutong map run FILE` and `hutong map test [DIR]`: try maps without a gateway."""

import difflib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli import FINDINGS
from gateway.cli.serve import AsJson, Config
from gateway.cli.speech import language, print_json, say, styled, table
from gateway.settings import load_settings
from mappings.convert import FORMATS, convert
from mappings.language.active import SHIPPED, ActiveMaps, load_map, try_map
from mappings.language.result import Result
from terminology.fhirjson import Json, encode_pretty
from terminology.issues import FhirError, Issue, NotFound
from terminology.translate import Translator

MOST_LINES = 40
MOST_MESSAGES = 100_000

File = Annotated[Path, typer.Argument(help=say("消息或表格文件。", "File of a message or table."))]
Adapter = Annotated[
    str,
    typer.Option(help=say("格式或映射名；格式：", "Format or name of a map; formats: ") + ", ".join(FORMATS)),
]
Maps = Annotated[Path | None, typer.Option(help=say("自有映射目录。", "Folder of your own maps."))]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help=say("列出每个值的映射行和来源字段。", "List map line and source fields of every value."),
    ),
]
Waveform = Annotated[
    bool,
    typer.Option("--waveform", help=say("心电图带上波形采样。", "With the samples of an ECG.")),
]
Directory = Annotated[
    Path | None,
    typer.Argument(
        help=say("映射目录或文件；缺省为随附的映射。", "Folder or file of maps; default: the shipped ones.")
    ),
]
Update = Annotated[
    bool,
    typer.Option(
        "--update",
        help=say(
            "用当前结果改写 NAME.expected.json。", "Rewrite NAME.expected.json files with what comes out now."
        ),
    ),
]


def run(
    file: File,
    adapter: Adapter = "",
    maps: Maps = None,
    explain: Explain = False,
    waveform: Waveform = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    settings = load_settings(os.environ, file=config, maps=maps)
    if not file.is_file():
        raise NotFound("HT-CLI-14", path=file)
    active = ActiveMaps(settings.maps)
    if adapter and active.is_outbound(adapter):
        _write_back(file.read_bytes(), active, adapter, explain=explain, as_json=as_json)
        return
    results = list(
        convert(
            file.read_bytes(),
            active,
            adapter=adapter,
            explain=explain,
            waveform=waveform,
            limit=MOST_MESSAGES,
        )
    )
    if as_json:
        print_json({"results": [_as_json(result) for result in results]})
    else:
        for result in results:
            print(_shown(result))
    for issue in (issue for issues in active.problems.values() for issue in issues):
        typer.echo(f"{issue.text(language())}", err=True)
    if any(issue.severity in ("error", "fatal") for result in results for issue in result.issues):
        raise typer.Exit(FINDINGS)


def _write_back(body: bytes, active: ActiveMaps, name: str, *, explain: bool, as_json: bool) -> None:
    """Print what a map that runs back would write about the Bundle in the file."""
    from mappings.outbound.preview import as_text, write_preview

    written = write_preview(body, active, name, now=datetime.now(UTC).astimezone(), explain=explain)
    text = as_text(written)
    if as_json:
        trace = [leaf._asdict() for leaf in written.trace or ()]
        unmapped = [row._asdict() for row in written.unmapped]
        row = {
            "mapping": written.mapping,
            "version": written.version,
            "text": text,
            "charset": written.charset,
        }
        print_json({**row, "media_type": written.media_type, "trace": trace, "unmapped": unmapped})
        return
    print(text)
    if written.trace is not None:
        rows = [(leaf.path, ", ".join(leaf.sources) or "=", leaf.line) for leaf in written.trace]
        print(table(rows, head=(say("字段", "field"), say("来源", "source"), say("映射行", "line"))))
    for missed in dict.fromkeys(written.unmapped):
        print(say(f"  未对照 {missed.domain}：{missed.code}", f"  not mapped {missed.domain}: {missed.code}"))
    for issue in written.issues:
        print(f"  {issue.severity}: {_worded(issue)}")


def try_maps(directory: Directory = None, update: Update = False, as_json: AsJson = False) -> None:
    target = directory or SHIPPED
    if not target.exists():
        raise NotFound("HT-CLI-14", path=target)
    paths = sorted(target.glob("*.y*ml")) if target.is_dir() else [target]
    rows: list[Json] = []
    translator = Translator()
    for path in paths:
        rows.append(test_one(path, translator, update=update))
    if as_json:
        print_json({"maps": rows})
    else:
        for row in rows:
            mark = styled("✓", "green") if not row["problems"] else styled("✗", "red")
            print(f"{mark} {row['map']}  {say('测试', 'tests')}: {row['tests']}")
            for text in row["problems"]:
                print(f"    {text}")
    if any(row["problems"] for row in rows):
        raise typer.Exit(FINDINGS)


def test_one(path: Path, translator: Translator, *, update: bool) -> Json:
    """Compile a map, run its tests, compare the golden files beside it: `tests/NAME.hl7` with `NAME.expected.json`."""
    try:
        map = load_map(path)
    except FhirError as error:
        return {"map": path.name, "tests": 0, "problems": [_worded(issue) for issue in error.issues]}
    problems = [_worded(issue) for issue in try_map(map, translator)]
    count = len(map.document.trials)
    folder = path.parent / "tests" / map.name
    for sample in sorted(folder.glob("*")) if folder.is_dir() else []:
        if sample.name.endswith(".expected.json"):
            continue
        count += 1
        expected = sample.with_suffix(".expected.json")
        try:
            found = golden(sample, path.parent, map.name)
        except FhirError as error:
            problems += [f"{sample}: {_worded(issue)}" for issue in error.issues]
            continue
        if update:
            expected.write_bytes(found)
        elif not expected.is_file():
            problems.append(
                say(f"{expected} 不存在，用 --update 生成", f"{expected} is missing; --update writes it")
            )
        elif expected.read_bytes() != found:
            problems.append(say(f"{expected} 与结果不同：", f"{expected} differs from what comes out:"))
            problems += _difference(expected.read_bytes(), found)
    return {"map": map.name, "tests": count, "problems": problems}


def _difference(expected: bytes, found: bytes) -> list[str]:
    """Return the lines that differ, with a line around them, at most forty."""
    before, after = (text.decode("utf-8", "replace").splitlines() for text in (expected, found))
    lines = list(difflib.unified_diff(before, after, "expected", "found", lineterm="", n=1))[2:]
    shown = [f"  {line}" for line in lines[:MOST_LINES]]
    return [*shown, f"  … +{len(lines) - MOST_LINES}"] if len(lines) > MOST_LINES else shown


def golden(sample: Path, folder: Path, name: str) -> bytes:
    """Return what NAME.expected.json holds: the Bundles that a map makes of a sample."""
    active = ActiveMaps(folder if folder != SHIPPED else None)
    if active.is_outbound(name):
        from mappings.outbound.preview import as_text, write_preview

        # A golden message doesn't change with the day.
        now = datetime.fromisoformat("2026-01-01T00:00:00+08:00")
        return (as_text(write_preview(sample.read_bytes(), active, name, now=now)) + "\n").encode()
    found = [result.bundle() for result in convert(sample.read_bytes(), active, adapter=name)]
    return b"\n".join(encode_pretty(bundle) for bundle in found) + b"\n"


def _worded(issue: Issue) -> str:
    return f"{issue.text(language())} ({issue.code})"


def _as_json(result: Result) -> Json:
    coverage = result.coverage
    return {
        "mapping": result.mapping,
        "version": result.version,
        "bundle": result.bundle(),
        "trace": [leaf._asdict() for leaf in result.trace or ()],
        "read": coverage.read,
        "unread": [row._asdict() for row in coverage.unread],
        "kept": list(coverage.kept),
        "unmapped": [row._asdict() for row in result.unmapped],
        "issues": [
            {"code": issue.code, "severity": issue.severity, "text": _worded(issue)}
            for issue in result.issues
        ],
    }


def _shown(result: Result) -> str:
    lines = [
        styled(f"{result.mapping} {result.version[:12]}", "bold")
        + f"  {result.kind}  {result.codec}{say('（推断）', ' (guessed)') if result.is_guessed else ''}"
    ]
    if result.trace is not None:
        rows = [
            (
                f"[{leaf.entry}] {leaf.path}",
                _value(result, leaf.entry, leaf.path),
                ", ".join(leaf.sources) or "=",
                leaf.line,
            )
            for leaf in result.trace
        ]
        lines.append(
            table(
                rows,
                head=(
                    say("元素", "element"),
                    say("值", "value"),
                    say("来源", "source"),
                    say("映射行", "line"),
                ),
            )
        )
    else:
        lines.append(encode_pretty(result.bundle()).decode())
    coverage = result.coverage
    lines.append(say(f"读取 {coverage.read} 个字段", f"{coverage.read} fields read"))
    for row in coverage.unread:
        lines.append(
            say(
                f"  未读 {row.field} ×{row.times}：{row.example}",
                f"  not read {row.field} ×{row.times}: {row.example}",
            )
        )
    for line in coverage.kept:
        lines.append(say(f"  保留 {line}", f"  kept {line}"))
    for missed in dict.fromkeys(result.unmapped):
        shown = " ".join(part for part in (missed.code, missed.display, missed.system) if part)
        lines.append(say(f"  未对照 {missed.domain}：{shown}", f"  not mapped {missed.domain}: {shown}"))
    lines += [f"  {issue.severity}: {_worded(issue)}" for issue in result.issues]
    return "\n".join(lines)


def _value(result: Result, entry: int, path: str) -> str:
    """Return the value at a trace path such as "Patient.name[0].text"."""
    value: object = result.entries[entry].resource
    for step in path.split(".")[1:]:
        name, _, rest = step.partition("[")
        value = value[name] if isinstance(value, dict) else ""
        for number in rest.rstrip("]").split("][") if rest else ():
            value = value[int(number)] if isinstance(value, list) else ""
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"
