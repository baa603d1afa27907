"""Resident identity number, 居民身份证号 (GB 11643-1999; 15 digits before 1999)."""

import unicodedata
from dataclasses import dataclass
from datetime import date
from typing import Literal

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK = "10X98765432"

Fault = Literal["form", "check-digit", "date"]


@dataclass(frozen=True, slots=True)
class ResidentId:
    """`value` as it is written officially (full-width folded, x as X), `fault` None when it is valid.

    `birth_date` and `gender` (male | female) are what the number says, None when it cannot say it.
    """

    value: str
    fault: Fault | None
    birth_date: date | None
    gender: Literal["male", "female"] | None

    @property
    def is_valid(self) -> bool:
        return self.fault is None


def read_resident_id(text: str) -> ResidentId:
    """Read a number of 15 or 18 characters as people write it (spaces, full-width digits, lower-case x)."""
    value = "".join(unicodedata.normalize("NFKC", text).split()).upper()
    if len(value) == 18 and value[:17].isascii() and value[:17].isdigit() and value[17] in "0123456789X":
        birth_date, serial = _date(value[6:14]), value[14:17]
        fault: Fault | None = "check-digit" if check_digit(value[:17]) != value[17] else None
    elif len(value) == 15 and value.isascii() and value.isdigit():
        birth_date, serial, fault = _date(f"{_century(value[12:])}{value[6:12]}"), value[12:], None
    else:
        return ResidentId(value, "form", None, None)
    if birth_date is None or value[:2] == "00":
        fault = "date" if birth_date is None else "form"
    return ResidentId(value, fault, birth_date, "male" if int(serial[-1]) % 2 else "female")


def to_eighteen(value: str) -> str:
    """Return the 18-digit form of a valid 15-digit number; any other value comes back unchanged."""
    if len(value) != 15 or not read_resident_id(value).is_valid:
        return value
    digits = f"{value[:6]}{_century(value[12:])}{value[6:]}"
    return digits + check_digit(digits)


def check_digit(digits: str) -> str:
    """Return the check character of 17 digits (GB 11643-1999, ISO 7064 MOD 11-2)."""
    return CHECK[sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True)) % 11]


def _century(serial: str) -> str:
    # 996 to 999 were given to people who were over a hundred when the number was introduced.
    return "18" if serial in ("996", "997", "998", "999") else "19"


def _date(digits: str) -> date | None:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
