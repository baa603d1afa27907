"""The file of a snapshot: named arrays behind a JSON header, mapped and never changed.

Layout: 8 bytes magic, 8 bytes little-endian length of the header, the header
({"meta": …, "arrays": {name: [dtype, offset, length]}}), then the arrays, each at a multiple of 64 bytes.
"""

import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from terminology.snapshot.header import MAGIC, DamagedSnapshot

ALIGNMENT = 64

Array = NDArray[Any]


def write(path: Path, meta: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file beside its final name and rename it, so that a reader never sees half of it."""
    places: dict[str, tuple[str, int, int]] = {}
    offset = 0
    for name, array in arrays.items():
        places[name] = (array.dtype.str, offset, len(array))
        offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    header = msgspec.json.encode({"meta": meta, "size": offset, "arrays": places})
    header += b" " * (-(16 + len(header)) % ALIGNMENT)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)
            file.write(b"\0" * (-array.nbytes % ALIGNMENT))
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """Map the file and return its meta data and arrays; raises DamagedSnapshot."""
    mapped = np.memmap(path, dtype=np.uint8, mode="r")
    if len(mapped) < 16 or bytes(mapped[:8]) != MAGIC:
        raise DamagedSnapshot(f"{path.name} is not a snapshot of this version")
    start = 16 + int.from_bytes(bytes(mapped[8:16]), "little")
    header = msgspec.json.decode(bytes(mapped[16:start]))
    if len(mapped) != start + header["size"]:
        raise DamagedSnapshot(
            f"{path.name} has {len(mapped)} bytes, its header says {start + header['size']}"
        )
    arrays: dict[str, Array] = {}
    # A plain view of the map: np.memmap's own slicing costs microseconds more at every access.
    plain = np.asarray(mapped)
    for name, (dtype, offset, length) in header["arrays"].items():
        size = length * np.dtype(dtype).itemsize
        arrays[name] = plain[start + offset : start + offset + size].view(dtype)
    return header["meta"], arrays


def ragged(begins: Array, counts: Array) -> Array:
    """Return the positions of runs of `counts` that begin at `begins`, laid end to end."""
    lead = np.cumsum(counts) - counts
    at: Array = np.arange(int(counts.sum())) + np.repeat(begins - lead, counts)
    return at
