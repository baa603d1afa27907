"""National drug codes: structure and check digits. A wrong code is reported and kept, never repaired.

The structure of the NHSA code was read off the 13,738 published codes in terminology/tables/drug_nhsa_codes.csv.gz,
which all have it. The check digit of the 本位码 (GB 18937) is the alternating 3-1 sum of GS1; it was verified on
published numbers found in public sources only, so a mismatch is a warning.
"""

import re
from dataclasses import dataclass

_WESTERN = re.compile(r"(X)([A-Z]\d{2}[A-Z]{2})([A-Z]\d{3})([A-Z]\d{3})(\d{4})(\d{5})")
_PATENT = re.compile(r"([ZT])([A-Z]\d{2}[A-Z]{2})([A-Z]\d{4})()(\d{4})(\d{5})")
_APPROVAL = re.compile(r"国药准字[HZSBTJ]\d{8}|H[CJ]\d{8}|S[CJ]\d{8}|Z[CJ]\d{8}|进口药品注册证号[HZS]\d{8}")
_ATC = re.compile(r"[A-DGHJLMNPRSV](\d{2}([A-Z]([A-Z](\d{2})?)?)?)?")


@dataclass(frozen=True, slots=True)
class NhsaCode:
    """The parts of 国家医保药品代码: `kind` X western, Z Chinese patent; `form` is empty for Chinese patent medicines."""

    kind: str
    category: str
    name: str
    form: str
    pack: str
    maker: str

    @property
    def generic(self) -> str:
        """The part that all makers, packs and strengths of one generic name share."""
        return f"{self.kind}{self.category}{self.name}"


def nhsa_code(code: str) -> NhsaCode | None:
    """Return the parts of a code of 23 (western) or 20 (Chinese patent) characters, None when it has another form."""
    match = _WESTERN.fullmatch(code) or _PATENT.fullmatch(code)
    return NhsaCode(*match.groups()) if match else None


def is_standard_code(code: str) -> bool:
    """Return whether a 国家药品编码本位码 is well-formed: 14 digits, 86, 9, five maker, five product, check digit."""
    return bool(re.fullmatch(r"869\d{11}", code)) and check_digit(code[:13]) == code[13]


def check_digit(digits: str) -> str:
    """Return the check digit of 13 digits, weights 3 1 3 … from the left, modulo 10."""
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(digits))
    return str(-total % 10)


def is_approval_number(number: str) -> bool:
    """Return whether 批准文号 has the form of a domestic or import approval."""
    return _APPROVAL.fullmatch(number.replace(" ", "")) is not None


def is_atc(code: str) -> bool:
    """Return whether a code has the form of an ATC level 1 to 5."""
    return _ATC.fullmatch(code) is not None
