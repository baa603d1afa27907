"""The public part of the official validator test cases: run one case, and tell whether we agree with the reference validator.

Agreement: we report an error exactly when it does. Extensions whose definition nobody gave are refused, as the
reference validator is set in these cases.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.validation import Policy, ProfileRegistry, validate
from terminology.issues import Issue

FOLDER = Path(__file__).parent.parent / "data" / "validator"
BASELINE = Path(__file__).parent / "validator_baseline.json"
POLICY = Policy()


@dataclass(frozen=True)
class Case:
    """`number` makes the id unique: the official manifest uses some names twice."""

    number: int
    row: dict[str, Any]

    @property
    def id(self) -> str:
        return f"{self.number:03d} {self.row['name']} {self.row['run']}"

    @property
    def tier(self) -> str:
        return "core" if self.row["core"] and self.row["run"] == "base" else str(self.row["run"])

    @property
    def is_invalid(self) -> bool:
        return bool(self.row["expected_errors"])


def cases() -> list[Case]:
    return [Case(number, row) for number, row in enumerate(json.loads((FOLDER / "cases.json").read_text()))]


def issues_of(case: Case) -> list[Issue]:
    registry = ProfileRegistry()
    for file in case.row["supporting"]:
        registry.load(FOLDER / file)
    profiles = []
    if file := case.row.get("profile"):
        registry.load(FOLDER / file)
        profiles.append(canonical((FOLDER / file).read_text()))
    return validate(
        (FOLDER / case.row["file"]).read_bytes(), profiles=profiles, registry=registry, policy=POLICY
    )


def canonical(text: str) -> str:
    found = re.search(r'"url"\s*:\s*"([^"]+)"\s*,\s*\n?\s*"(?:version|name|title)', text)
    return str(json.loads(text)["url"]) if text.lstrip().startswith("{") else (found[1] if found else "")


def agrees(case: Case) -> bool:
    return any(issue.severity in ("error", "fatal") for issue in issues_of(case)) == case.is_invalid


def figures() -> dict[str, tuple[int, int]]:
    """Return (agreeing, all) for the core tier, all base runs, and the profile runs."""
    found = {"core": (0, 0), "base": (0, 0), "profile": (0, 0)}
    for case in cases():
        is_right = agrees(case)
        for tier in {case.tier, case.row["run"]}:
            right, total = found[tier]
            found[tier] = (right + is_right, total + 1)
    return found


if __name__ == "__main__":
    failing = [case.id for case in cases() if not agrees(case)]
    BASELINE.write_text(
        json.dumps({"total": len(cases()), "failing": failing}, indent=2, ensure_ascii=False) + "\n"
    )
    print(figures())
