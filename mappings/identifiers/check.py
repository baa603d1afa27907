"""The outcome of checking one identifier, and the spellings that every check folds first."""

import re
from dataclasses import dataclass, field

from terminology.fhirjson import Json

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_SPACING = re.compile(r"[\s\u200b\ufeff]+")
_FILLER = re.compile(r"(.)\1*")


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
