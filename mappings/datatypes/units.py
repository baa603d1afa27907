"""Units as analysers and people write them → UCUM codes. Rows: mappings/datatypes/units.csv."""

import csv
import re
from functools import cache
from pathlib import Path

UCUM = "http://unitsofmeasure.org"

_POWER = re.compile(r"(?:[×xX*]\s*)?10\s*(?:\^|\*\*|\*|E|e|～|~|﹡)?\s*(-?\d{1,2})\s*/\s*(\S+)")
_SPACES = re.compile(r"\s+")


@cache
def _table() -> dict[str, str]:
    with (Path(__file__).parent / "units.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {fold(row["unit"]): row["ucum"] for row in rows}


def fold(text: str) -> str:
    """Return a unit's spelling without differences that never matter: blanks, full width, μ and µ."""
    text = "".join(chr(ord(mark) - 0xFEE0) if "！" <= mark <= "～" else mark for mark in text)
    return _SPACES.sub("", text.replace("μ", "u").replace("µ", "u").replace("·", "."))


@cache
def ucum_of(unit: str) -> str | None:
    """Return the UCUM code that a unit stands for, None when it isn't known: "10^9/L" → "10*9/L", "次/分" → "/min"."""
    folded = fold(unit)
    if not folded:
        return None
    known = _table().get(folded)
    if known:
        return known
    power = _POWER.fullmatch(folded)
    if power:
        below = ucum_of(power[2])
        return f"10*{power[1]}/{below}" if below else None
    lower = _table().get(folded.lower())
    if lower:
        return lower
    return folded if _is_valid(folded) else None


def _is_valid(code: str) -> bool:
    try:
        from terminology.ucum import is_valid
    except ImportError:
        return False
    return bool(is_valid(code))
