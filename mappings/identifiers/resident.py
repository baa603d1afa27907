"""公民身份号码 GB 11643-1999: area, birth date, sex and check character of a resident's number.

Also the residence permits of Hong Kong, Macao and Taiwan people (areas 810000, 820000, 830000), which are built alike.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from mappings.identifiers.check import Checked, fold, is_filler

SYSTEM = "urn:oid:2.16.156.10011.1.3"

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# GB 11643 annex: serials 996–999 of a 15-digit number were given to people born in the 1800s.
_CENTENARIANS = ("996", "997", "998", "999")
# GB/T 2260: first digits of the provinces, and those of the residence permits.
_PROVINCES = frozenset(
    [
        "11",
        "12",
        "13",
        "14",
        "15",
        "21",
        "22",
        "23",
        "31",
        "32",
        "33",
        "34",
        "35",
        "36",
        "37",
        "41",
        "42",
        "43",
        "44",
        "45",
        "46",
        "50",
        "51",
        "52",
        "53",
        "54",
        "61",
        "62",
        "63",
        "64",
        "65",
        "71",
        "81",
        "82",
        "83",
        "91",
    ]
)

Sex = Literal["male", "female"]


@dataclass(frozen=True)
class Resident:
    """What a valid number says of its holder. `area`: GB/T 2260 code of the first registration."""

    number: str
    area: str
    birth_date: date
    sex: Sex


def check_character(seventeen: str) -> str:
    """Return the last character (ISO 7064 mod 11-2) for the first 17 digits."""
    return _CHECKS[sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, seventeen, strict=True)) % 11]


def upgrade(fifteen: str) -> str:
    """Return the 18-character number of a 15-digit one (digits only, not checked)."""
    century = "18" if fifteen[12:] in _CENTENARIANS else "19"
    seventeen = fifteen[:6] + century + fifteen[6:]
    return seventeen + check_character(seventeen)


def check(text: str) -> Checked:
    """Return the folded 18-character number, or the sender's text with the reason why it can't be one.

    A valid 15-digit number becomes its 18-character form; `older` keeps what was sent.
    """
    number = fold(text)
    if is_filler(number):
        return Checked(text, "HT-ID-01", {"value": text})
    if len(number) == 15 and _is_digits(number):
        longer = upgrade(number)
        return (
            Checked(text, problem, {"value": text})
            if (problem := _problem(longer))
            else Checked(longer, older=number)
        )
    if len(number) != 18 or not _is_digits(number[:17]) or not (_is_digits(number[17]) or number[17] == "X"):
        return Checked(text, "HT-ID-02", {"value": text, "length": len(number)})
    problem = _problem(number)
    if problem:
        return Checked(text, problem, {"value": text})
    expected = check_character(number[:17])
    if number[17] != expected:
        return Checked(text, "HT-ID-03", {"value": text, "expected": expected, "found": number[17]})
    return Checked(number)


def read(text: str) -> Resident | None:
    """Return what a number says, None when `check` finds it invalid."""
    checked = check(text)
    if not checked.is_valid:
        return None
    number = checked.value
    born = _birth_date(number)
    assert born is not None
    return Resident(number, number[:6], born, "male" if int(number[16]) % 2 else "female")


def _problem(number: str) -> str | None:
    if number[:2] not in _PROVINCES:
        return "HT-ID-05"
    return None if _birth_date(number) else "HT-ID-04"


def _birth_date(number: str) -> date | None:
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None
    # The scheme began with people alive in 1984; a date before 1800 is a slip. The future is the caller's clock.
    return born if born.year >= 1800 else None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
