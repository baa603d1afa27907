"""Golden cases: tests/golden/<map>/<case>/ with message.hl7 (or message.xml, row.json, sheet.csv, object.dcm) and the bundle.json that comes of it."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mappings.convert import convert
from mappings.language.active import ActiveMaps
from mappings.language.result import Result
from terminology.fhirjson import encode

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    folder: Path
    source: Path

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


@cache
def active() -> ActiveMaps:
    return ActiveMaps()


def all_cases() -> list[Case]:
    return [
        Case(source.parent, source)
        for pattern in (
            "*/*/message.hl7",
            "*/*/message.astm",
            "*/*/row.json",
            "*/*/sheet.csv",
            "*/*/object.dcm",
            "*/*/document.xml",
            "*/*/message.xml",
            "*/*/recording.*",
            "*/*/sheet.xlsx",
        )
        for source in sorted(HERE.glob(pattern))
    ]


def run(case: Case) -> list[Result]:
    return list(convert(case.source.read_bytes(), active()))


def expected(case: Case) -> bytes:
    """Return what bundle.json must hold: the resources in order, how each is written, and what was not understood."""
    found = [
        {
            "map": result.mapping,
            "codec": result.codec,
            "entries": [
                {"write": entry.rule.write, "resource": json.loads(encode(entry.resource))}
                for entry in result.entries
            ],
            "issues": [f"{issue.code} {issue.source or ''}".strip() for issue in result.issues],
            "unmapped": [f"{row.domain}: {row.code or row.display}" for row in result.unmapped],
            "unread": [row.field for row in result.coverage.unread],
            "kept": list(result.coverage.kept),
        }
        for result in run(case)
    ]
    return (json.dumps(found, ensure_ascii=False, indent=1) + "\n").encode()


def acknowledgement(case: Case) -> bytes | None:
    """Return what ack.xml must hold: the answer to a platform's message once it is stored, at a fixed time."""
    if case.source.name != "message.xml":
        return None
    from datetime import datetime, timedelta, timezone

    from mappings.hl7v3.answer import acknowledge
    from mappings.hl7v3.check import problems
    from mappings.hl7v3.convert import action_of
    from mappings.hl7v3.envelope import read_interaction

    heard = read_interaction(case.source.read_bytes())
    action = action_of(heard)
    issues = problems(action, heard.root) if action is not None else []
    now = datetime(2026, 3, 15, 8, 30, tzinfo=timezone(timedelta(hours=8)))
    told = acknowledge(heard, action, "error" if issues else "accept", id="ANSWER", now=now, issues=issues)
    return told.replace("><", ">\n<").encode() + b"\n"
