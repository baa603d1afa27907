"""The outcome of one rule for one candidate."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

Outcome = Literal["pass", "warn", "fail", "block"]
WORDING = Path(__file__).with_name("wording.toml")
PRECEDENCE: tuple[Outcome, ...] = ("pass", "warn", "fail", "block")


@dataclass(frozen=True, slots=True)
class RuleResult:
    """`input` is the value judged, `limit` what it was held against, `reason` a code of the county's list or an MR code."""

    id: str
    outcome: Outcome
    input: str = ""
    limit: str = ""
    reason: str = ""
    zh: str = ""
    en: str = ""


def judge(
    id: str, outcome: Outcome, case: str = "", *, input: Any = "", limit: Any = "", reason: str = ""
) -> RuleResult:
    """Return a result worded by `wording.toml` ([MR-010.older]); a pass without its own words says that the rule holds."""
    words = _wording().get(id, {})
    sentence = words.get(case or outcome) or _wording()["default"][outcome]
    title = words.get("title") or {"zh": id, "en": id}
    zh = sentence["zh"].format(title=title["zh"], input=input, limit=limit)
    en = sentence["en"].format(title=title["en"], input=input, limit=limit)
    code = reason or ("" if outcome == "pass" else words.get("reason", ""))
    return RuleResult(id, outcome, str(input), str(limit), code, zh, en)


@cache
def _wording() -> dict[str, dict[str, Any]]:
    return tomllib.loads(WORDING.read_text("utf-8"))
