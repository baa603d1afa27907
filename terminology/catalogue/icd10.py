"""Dagger and asterisk pairs of ICD-10: the disease (†) and its manifestation (*), written "A01.001+K77.0*".

ICD-10 volume 2, section 3.1.3: the dagger code is primary, an asterisk code never stands alone.
"""

import re
from dataclasses import dataclass

PAIR = re.compile(r"([A-Z][0-9]{2}[0-9A-Zx.]{0,10})[+†]([A-Z][0-9]{2}[0-9A-Zx.]{0,10})\*", re.ASCII)
MAX_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Pair:
    dagger: str
    asterisk: str


def split_pair(code: str) -> Pair | None:
    """Return both codes of a pair, None for any other code."""
    found = PAIR.fullmatch(code) if "*" in code and len(code) <= MAX_LENGTH else None
    return Pair(found[1], found[2]) if found else None
