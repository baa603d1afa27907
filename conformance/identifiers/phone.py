"""Telephone numbers of China as people write them: folded to digits, mobile or landline told apart."""

import re
import unicodedata
from typing import Literal, NamedTuple

Line = Literal["mobile", "landline", "service", "foreign", "unknown"]

_MARKS = re.compile(r"[-()./·—–_]")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_LANDLINE = re.compile(r"(0(?:10|2\d|[3-9]\d{2}))?([2-8]\d{6,7})")
_SERVICE = re.compile(r"(?:400|800)\d{7}|1\d{2,4}|9[56]\d{3,4}")
_EXTENSION = re.compile(r"(?:#|,|;|转|EXT\.?|X)(\d{1,6})$")


class Phone(NamedTuple):
    """`value`: as people dial it at home (13800000000, 0531-88888888), +… for foreign ones; `extension`: 分机.

    Nobody in the county writes +86, and a search for the digits must find the patient.
    """

    value: str
    line: Line
    extension: str | None = None

    @property
    def is_valid(self) -> bool:
        return self.line != "unknown"


def normalise_phone(text: str) -> Phone:
    """Return a number's stored form. What can't be a number stays as the sender wrote it, with line "unknown".

    >>> normalise_phone("+86 138 0000-0000").value
    '13800000000'
    """
    number = "".join(unicodedata.normalize("NFKC", text).split()).upper()
    extension: str | None = None
    found = _EXTENSION.search(number)
    if found:
        extension, number = found[1], number[: found.start()]
    number = _MARKS.sub("", number)
    for prefix in ("+86", "0086"):
        if number.startswith(prefix):
            national = number.removeprefix(prefix)
            break
    else:
        if number.startswith("+") and number[1:].isdigit() and 7 <= len(number) <= 16:
            return Phone(number, "foreign", extension)
        national = number.removeprefix("86") if re.fullmatch(r"861[3-9]\d{9}", number) else number
    national = national.removeprefix("0") if re.fullmatch(r"01[3-9]\d{9}", national) else national
    if _MOBILE.fullmatch(national):
        return Phone(national, "mobile", extension)
    landline = _LANDLINE.fullmatch(national)
    if landline and landline[1]:
        return Phone(f"{landline[1]}-{landline[2]}", "landline", extension)
    if landline:
        # Without an area code the number is only good locally; the county isn't known here.
        return Phone(landline[2], "landline", extension)
    if _SERVICE.fullmatch(national):
        return Phone(national, "service", extension)
    return Phone(text.strip(), "unknown", None)
