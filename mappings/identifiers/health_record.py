"""城乡居民健康档案编号 (WS 365, format N17): 6 area + 3 township + 3 village + 5 serial digits."""

from mappings.identifiers.check import Checked, fold, is_filler

SYSTEM = "urn:oid:2.16.156.10011.1.2"
LENGTH = 17


def check(text: str) -> Checked:
    """Return the folded 17 digits, or the sender's text with the reason why it can't be such a number."""
    number = fold(text).replace("-", "")
    if is_filler(number):
        return Checked(text, "HT-ID-01", {"value": text})
    if len(number) != LENGTH or not (number.isascii() and number.isdigit()):
        return Checked(text, "HT-ID-06", {"value": text, "length": len(number)})
    return Checked(number)
