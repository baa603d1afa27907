"""`hutong validate`: check resource files before anything is sent."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from xml.sax.saxutils import escape, quoteattr

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.speech import language, say, styled
from terminology.issues import InvalidInput, Issue

Found = list[tuple[str, list[Issue]]]
FORMATS = ("text", "json", "junit", "sarif")
_COLOURS = {"fatal": "red", "error": "red", "warning": "yellow", "information": "dim"}


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            help=say(
                "JSON 或 XML 文件、文件夹，- 为标准输入。",
                "JSON or XML files, folders, - for standard input.",
            )
        ),
    ],
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "还要符合的 profile：URL，或 StructureDefinition 文件。",
                "Profile to conform to as well: URL, or a StructureDefinition file.",
            )
        ),
    ] = None,
    package: Annotated[
        list[str] | None,
        typer.Option(
            help=say(
                "要加载的定义：.tgz 包、文件夹或文件。", "Definitions to load: .tgz package, folder or file."
            )
        ),
    ] = None,
    level: Annotated[
        str,
        typer.Option(
            help=say(
                "structure 只查结构，full 查全部规则。", "structure checks the form only, full all rules."
            )
        ),
    ] = "full",
    extensions: Annotated[
        str,
        typer.Option(
            help=say(
                "未知扩展：allow 提示，refuse 报错。", "Unknown extensions: allow tells, refuse is an error."
            )
        ),
    ] = "refuse",
    html: Annotated[
        str,
        typer.Option(
            help=say(
                "字符串中的 HTML 标签：warn 警告，refuse 报错。", "HTML tags in strings: warn, or refuse."
            )
        ),
    ] = "warn",
    format: Annotated[
        str,
        typer.Option(help=say("输出格式：text、json、junit、sarif。", "Output: text, json, junit, sarif.")),
    ] = "text",
) -> int:
    """Exit code 0: no errors; 1: errors found; 2: wrong call; 3: a definition cannot be loaded."""
    for name, value, allowed in (
        ("--level", level, ("full", "structure")),
        ("--format", format, FORMATS),
        ("--extensions", extensions, ("allow", "refuse")),
        ("--html", html, ("warn", "refuse")),
    ):
        if value not in allowed:
            raise InvalidInput("HT-VAL-226", name=name, value=value, allowed=", ".join(allowed))
    from conformance.validation import Policy, ProfileRegistry
    from conformance.validation import validate as check

    registry = ProfileRegistry()
    for name in package or ():
        for issue in registry.load(Path(name)):
            print(f"{issue.code} {issue.text(language())}", file=sys.stderr)
    urls = [_profile(name, registry) for name in profile or ()]
    policy = Policy(unknown_extensions=extensions, html_in_strings=html)  # type: ignore[arg-type]  # checked above
    found: Found = [
        (name, check(body, level=level, profiles=urls, registry=registry, policy=policy, locate=True))  # type: ignore[arg-type]  # checked above
        for name, body in _bodies(files)
    ]
    print(_WRITERS[format](found))
    has_errors = any(row.severity in ("fatal", "error") for _, issues in found for row in issues)
    return FINDINGS if has_errors else OK


def _profile(name: str, registry: Any) -> str:
    """Return the URL of a profile; a file is loaded first."""
    path = Path(name)
    if "://" in name and not path.exists():
        return name
    registry.load(path)
    from conformance.formats.json import parse
    from conformance.formats.xml import to_json

    body = path.read_bytes()
    url = (to_json(body) if path.suffix == ".xml" else parse(body)).get("url")
    if not isinstance(url, str):
        raise InvalidInput("HT-VAL-227", file=name)
    return url


def _bodies(names: list[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for name in names:
        path = Path(name)
        if name == "-":
            found.append(("-", sys.stdin.buffer.read()))
        elif path.is_dir():
            found += [
                (str(file), file.read_bytes())
                for file in sorted(path.rglob("*"))
                if file.suffix in (".json", ".xml")
            ]
        elif path.is_file():
            found.append((name, path.read_bytes()))
        else:
            raise InvalidInput("HT-VAL-95", path=name)
    return found


def _text(found: Found) -> str:
    spoken = language()
    lines: list[str] = []
    for name, issues in found:
        errors = sum(row.severity in ("fatal", "error") for row in issues)
        warnings = sum(row.severity == "warning" for row in issues)
        verdict = (
            styled(say("通过", "valid"), "green") if not errors else styled(say("不通过", "invalid"), "red")
        )
        lines.append(
            say(
                f"{name}：{verdict}，{errors} 个错误，{warnings} 个警告",
                f"{name}: {verdict}, {errors} errors, {warnings} warnings",
            )
        )
        for row in issues:
            place = " ".join(
                part for part in (row.expression, f"({row.source})" if row.source else None) if part
            )
            lines.append(f"  {styled(row.severity, _COLOURS[row.severity])} {row.code} {place}")
            lines.append(f"    {row.text(spoken)}")
            if row.severity != "information":
                lines.append(f"    → {row.fix(spoken)}")
    return "\n".join(lines)


def _row(name: str, row: Issue) -> dict[str, Any]:
    spoken = language()
    return {
        "file": name,
        "severity": row.severity,
        "code": row.code,
        "type": row.type,
        "expression": row.expression,
        "source": row.source,
        "text": row.text(spoken),
        "fix": row.fix(spoken),
    }


def _json(found: Found) -> str:
    rows = [
        {
            "file": name,
            "valid": not any(row.severity in ("fatal", "error") for row in issues),
            "issues": [
                {key: value for key, value in _row(name, row).items() if key != "file"} for row in issues
            ],
        }
        for name, issues in found
    ]
    return json.dumps({"files": rows}, ensure_ascii=False, indent=2)


def _junit(found: Found) -> str:
    """One test case a file; its errors are the failure (the JUnit form that CI servers read)."""
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    failed = sum(any(row.severity in ("fatal", "error") for row in issues) for _, issues in found)
    lines.append(f'<testsuite name="hutong validate" tests="{len(found)}" failures="{failed}" errors="0">')
    for name, issues in found:
        wrong = [row for row in issues if row.severity in ("fatal", "error")]
        lines.append(f'  <testcase classname="hutong.validate" name={quoteattr(name)}>')
        if wrong:
            told = "\n".join(
                f"{row.code} {row.expression or ''} {row.source or ''}: {row.text(language())}"
                for row in wrong
            )
            lines.append(
                f"    <failure message={quoteattr(wrong[0].text(language()))}>{escape(told)}</failure>"
            )
        if rest := [row for row in issues if row not in wrong]:
            told = "\n".join(
                f"{row.severity} {row.code} {row.expression or ''}: {row.text(language())}" for row in rest
            )
            lines.append(f"    <system-out>{escape(told)}</system-out>")
        lines.append("  </testcase>")
    lines.append("</testsuite>")
    return "\n".join(lines)


def _sarif(found: Found) -> str:
    """SARIF 2.1.0, as code hosting services show it beside the file."""
    levels = {"fatal": "error", "error": "error", "warning": "warning", "information": "note"}
    spoken = language()
    codes = sorted({row.code for _, issues in found for row in issues})
    results = []
    for name, issues in found:
        for row in issues:
            place: dict[str, Any] = {"artifactLocation": {"uri": name}}
            if row.source and row.source.startswith("line "):
                line, column = row.source.split()[1::2]
                place["region"] = {"startLine": int(line), "startColumn": int(column)}
            location: dict[str, Any] = {"physicalLocation": place}
            if row.expression:
                location["logicalLocations"] = [{"fullyQualifiedName": row.expression}]
            message = f"{row.text(spoken)} {row.fix(spoken)}"
            results.append(
                {
                    "ruleId": row.code,
                    "level": levels[row.severity],
                    "message": {"text": message},
                    "locations": [location],
                }
            )
    driver = {"name": "hutong validate", "rules": [{"id": code} for code in codes]}
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(document, ensure_ascii=False, indent=2)


_WRITERS: dict[str, Callable[[Found], str]] = {"text": _text, "json": _json, "junit": _junit, "sarif": _sarif}
