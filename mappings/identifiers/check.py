"""The outcome of checking one number of a message, with the sentence that tells what is wrong with it.

Forms and check digits are those of `conformance.identifiers`; here they become findings of a message.
"""

import re
from dataclasses import dataclass, field

from conformance.identifiers import (
    is_health_record_number,
    is_licence_number,
    is_organisation_code,
    is_uscc,
    read_resident_id,
    to_eighteen,
)
from terminology.fhirjson import Json

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_SPACING = re.compile(r"[\s\u200b\ufeff]+")
_FILLER = re.compile(r"(.)\1*")
_CARD = re.compile(r"[0-9A-Z]{6,32}")
_INDEX = re.compile(r"[0-9A-F]{64}")
# The code shown on a telephone is `<64-digit index>:<type>:<time or token>`; only the index stays the same.
_CODE = re.compile(r"([0-9A-F]{64})[:_|].+")
_RESIDENT_PROBLEMS = {"form": "HT-ID-02", "check-digit": "HT-ID-03", "date": "HT-ID-04"}


@dataclass(frozen=True)
class Checked:
    """`value`: what is stored: the folded number when it is valid, the sender's own text when it isn't.

    `problem`: an HT-ID code, None for a valid number; `facts`: blanks of that code's sentences; `older`: the number as
    it was before an upgrade (a 15-digit resident id).
    """

    value: str
    problem: str | None = None
    facts: Json = field(default_factory=dict)
    older: str | None = None

    @property
    def is_valid(self) -> bool:
        return self.problem is None


def fold(text: str) -> str:
    """Return `text` with full-width characters made ASCII, without white space, in capitals."""
    return _SPACING.sub("", text.translate(_FULL_WIDTH)).upper()


def is_filler(text: str) -> bool:
    """Tell whether `text` is one character repeated ("000000", "111111"), as systems write for "unknown"."""
    return len(text) > 3 and _FILLER.fullmatch(text) is not None


def check_resident(text: str) -> Checked:
    """居民身份号码 GB 11643: 18 characters; a valid 15-digit number becomes its 18-character form, `older` keeps it."""
    number = fold(text)
    if is_filler(number):
        return _wrong("HT-ID-01", text, number)
    found = read_resident_id(number)
    if found.fault:
        return _wrong(_RESIDENT_PROBLEMS[found.fault], text, number)
    longer = to_eighteen(found.value)
    return Checked(longer, older=found.value if longer != found.value else None)


def check_health_record(text: str) -> Checked:
    """城乡居民健康档案编号 WS 365: 17 digits."""
    number = fold(text).replace("-", "")
    return _checked(text, number, is_valid=is_health_record_number(number), problem="HT-ID-06")


def check_organisation_code(text: str) -> Checked:
    """组织机构代码 GB 11714: eight characters and a check character."""
    code = fold(text).replace("-", "")
    return _checked(text, code, is_valid=is_organisation_code(code), problem="HT-ID-07")


def check_uscc(text: str) -> Checked:
    """统一社会信用代码 GB 32100: 18 characters, two of them checks."""
    code = fold(text)
    return _checked(text, code, is_valid=is_uscc(code), problem="HT-ID-08")


def check_licence(text: str) -> Checked:
    """医疗机构登记号: 22 characters; licences of today carry the 18 of the credit code instead, both are taken."""
    code = fold(text).replace("-", "")
    valid = is_uscc(code) if len(code) == 18 else is_licence_number(code) and is_organisation_code(code[:9])
    return _checked(text, code, is_valid=valid, problem="HT-ID-09")


def check_health_card(text: str) -> Checked:
    """居民健康卡 (WS/T 543): a card number, or a main index of 64 digits; a QR code gives its index, `older` the code.

    The electronic card's layout is set by each province, so only what all share is checked.
    """
    number = fold(text)
    code = _CODE.fullmatch(number)
    if code:
        return Checked(code[1], older=text)
    valid = _INDEX.fullmatch(number) is not None or _CARD.fullmatch(number) is not None
    return _checked(text, number, is_valid=valid, problem="HT-ID-10")


def _checked(text: str, number: str, *, is_valid: bool, problem: str) -> Checked:
    if is_filler(number):
        return _wrong("HT-ID-01", text, number)
    return Checked(number) if is_valid else _wrong(problem, text, number)


def _wrong(problem: str, text: str, number: str) -> Checked:
    return Checked(text, problem, {"value": text, "length": len(number)})
