"""Identifiers of organisations: USCC (GB 32100-2015), organisation code (GB 11714), practice licence."""

import re

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = tuple(3**place % 31 for place in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def is_uscc(value: str) -> bool:
    """Return whether a 统一社会信用代码 of 18 characters passes its own check and that of the organisation code inside."""
    if len(value) != 18 or any(character not in _USCC_ALPHABET for character in value):
        return False
    total = sum(
        _USCC_ALPHABET.index(character) * weight
        for character, weight in zip(value[:17], _USCC_WEIGHTS, strict=True)
    )
    return _USCC_ALPHABET[-total % 31] == value[17] and is_organisation_code(value[8:17])


def is_organisation_code(value: str) -> bool:
    """Return whether a 组织机构代码 (8 characters and a check character, a hyphen between them or not) is right."""
    value = value.replace("-", "")
    if not re.fullmatch(r"[0-9A-Z]{8}[0-9X]", value):
        return False
    total = sum(
        int(character, 36) * weight
        for character, weight in zip(value[:8], _ORGANISATION_WEIGHTS, strict=True)
    )
    return "0123456789X0"[11 - total % 11] == value[8]


def is_licence_number(value: str) -> bool:
    """Return whether a 医疗机构登记号 has its 22 characters: organisation 9, area 6, economy 2, class 4, profit 1."""
    return re.fullmatch(r"[0-9A-Z]{9}\d{6}\d{2}[A-Z0-9]{4}\d", value) is not None
