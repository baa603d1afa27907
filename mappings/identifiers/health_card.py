"""居民健康卡 (WS/T 543) and its electronic form: a card number, or a 64-digit main-index id in a QR code.

The electronic card's layout is set by each province, so only what all share is checked.
"""

import re

from mappings.identifiers.check import Checked, fold, is_filler

SYSTEM = "urn:oid:2.16.156.10011.1.19"

_CARD = re.compile(r"[0-9A-Z]{6,32}")
_INDEX = re.compile(r"[0-9A-F]{64}")
# The code shown on a telephone is `<64-digit index>:<type>:<time or token>`; only the index stays the same.
_CODE = re.compile(r"([0-9A-F]{64})[:_|].+")


def check(text: str) -> Checked:
    """Return the card number or main-index id; a QR code gives its index, `older` keeps the code as read."""
    number = fold(text)
    if is_filler(number):
        return Checked(text, "HT-ID-01", {"value": text})
    code = _CODE.fullmatch(number)
    if code:
        return Checked(code[1], older=text)
    if _INDEX.fullmatch(number) or _CARD.fullmatch(number):
        return Checked(number)
    return Checked(text, "HT-ID-10", {"value": text, "length": len(number)})
