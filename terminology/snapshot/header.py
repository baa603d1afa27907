"""The head of a snapshot file: enough to know which version it is, without mapping it."""

from pathlib import Path
from typing import Any

import msgspec

MAGIC = b"HTSNAP03"
"""The last two digits count the forms that the file has had."""


class DamagedSnapshot(Exception):
    """The file is not a snapshot, or it was cut off while it was written."""


def read_meta(path: Path) -> dict[str, Any]:
    """Return the meta data of a snapshot; raises DamagedSnapshot."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[:8] != MAGIC:
            raise DamagedSnapshot(f"{path.name} is not a snapshot of this version")
        meta: dict[str, Any] = msgspec.json.decode(file.read(int.from_bytes(head[8:16], "little")))["meta"]
    return meta


def is_readable(path: Path) -> bool:
    """Return whether a snapshot of this version of the format is there."""
    try:
        read_meta(path)
    except (OSError, DamagedSnapshot, msgspec.MsgspecError):
        return False
    return True
