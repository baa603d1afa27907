"""Chinese identifiers: what each number says, and whether it can be true. Pure.

A number that fails its check is kept as the sender wrote it and flagged; nothing is dropped, corrected or invented.
"""

from mappings.identifiers.check import Checked
from mappings.identifiers.kinds import KINDS, Kind, kind_of

__all__ = ["KINDS", "Checked", "Kind", "kind_of"]
