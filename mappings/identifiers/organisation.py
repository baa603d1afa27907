"""Numbers of organisations: 组织机构代码 GB 11714, 统一社会信用代码 GB 32100-2015, 医疗机构执业许可证登记号."""

from mappings.identifiers.check import Checked, fold, is_filler

CODE_SYSTEM = "urn:oid:2.16.156.10011.1.5"
CREDIT_SYSTEM = "https://hutong.health/fhir/NamingSystem/unified-social-credit-code"
LICENCE_SYSTEM = "https://hutong.health/fhir/NamingSystem/medical-institution-licence"

_CODE_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_CODE_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# GB 32100 §4.2: no I, O, S, V, Z.
_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))


def code_check_character(body: str) -> str:
    """Return the 9th character of an organisation code for its first eight."""
    total = sum(weight * _CODE_ALPHABET.index(mark) for weight, mark in zip(_CODE_WEIGHTS, body, strict=True))
    rest = 11 - total % 11
    return {10: "X", 11: "0"}.get(rest, str(rest))


def credit_check_character(body: str) -> str:
    """Return the 18th character of a unified social credit code for its first seventeen."""
    total = sum(
        weight * _CREDIT_ALPHABET.index(mark) for weight, mark in zip(_CREDIT_WEIGHTS, body, strict=True)
    )
    return _CREDIT_ALPHABET[(31 - total % 31) % 31]


def check_code(text: str) -> Checked:
    """组织机构代码: eight digits or capitals and a check character; a hyphen before the last is taken out."""
    code = fold(text).replace("-", "")
    if is_filler(code):
        return Checked(text, "HT-ID-01", {"value": text})
    if len(code) != 9 or any(mark not in _CODE_ALPHABET for mark in code):
        return Checked(text, "HT-ID-07", {"value": text, "length": len(code)})
    expected = code_check_character(code[:8])
    if code[8] != expected:
        return Checked(text, "HT-ID-03", {"value": text, "expected": expected, "found": code[8]})
    return Checked(code)


def check_credit(text: str) -> Checked:
    """统一社会信用代码: 18 characters, the 18th by weights 3^i mod 31, the 17th that of the organisation code within."""
    code = fold(text)
    if is_filler(code):
        return Checked(text, "HT-ID-01", {"value": text})
    if len(code) != 18 or any(mark not in _CREDIT_ALPHABET for mark in code) or not code[2:8].isdigit():
        return Checked(text, "HT-ID-08", {"value": text, "length": len(code)})
    for place, expected in (
        (17, credit_check_character(code[:17])),
        (16, code_check_character(code[8:16])),
    ):
        if code[place] != expected:
            return Checked(text, "HT-ID-03", {"value": text, "expected": expected, "found": code[place]})
    return Checked(code)


def check_licence(text: str) -> Checked:
    """登记号: 22 characters: organisation code 9, area 6, economic type 2, WS 218 class 4, profit class 1.

    Since 2017 licences carry the unified social credit code instead; both are accepted.
    """
    code = fold(text).replace("-", "")
    if len(code) == 18:
        return check_credit(text)
    if is_filler(code):
        return Checked(text, "HT-ID-01", {"value": text})
    if len(code) != 22 or any(mark not in _CODE_ALPHABET for mark in code) or not code[9:15].isdigit():
        return Checked(text, "HT-ID-09", {"value": text, "length": len(code)})
    expected = code_check_character(code[:8])
    if code[8] != expected:
        return Checked(text, "HT-ID-03", {"value": text, "expected": expected, "found": code[8]})
    return Checked(code)
