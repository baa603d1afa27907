"""The five delimiters that MSH-1 and MSH-2 declare (HL7 v2.8 §2.5.4)."""

from typing import NamedTuple


class Delimiters(NamedTuple):
    field: str = "|"
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"


STANDARD = Delimiters()
