"""Golden cases: tests/golden/<map>/<case>/ with message.hl7 (or row.json, sheet.csv, object.dcm) and the bundle.json that comes of it."""

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
