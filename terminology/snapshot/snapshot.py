"""An opened snapshot: one version of a code system, read straight from the mapped file."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from terminology.fhirjson import decode, encode
from terminology.snapshot import arrays as files
from terminology.snapshot.build import Designation
from terminology.snapshot.hierarchy import Hierarchy
from terminology.snapshot.search import Search

Ordinals = NDArray[np.uint32]


class Snapshot:
    """Concepts are numbered 0 … count-1 in the order of the catalogue; all answers speak in these ordinals."""

    def __init__(self, path: Path) -> None:
        """Map the file; raises DamagedSnapshot or FileNotFoundError."""
        self.meta, self._arrays = files.read(path)
        self.count: int = self.meta["count"]
        self.gram_key: NDArray[np.uint64] = self._arrays["gram_key"]
        self.gram_off: NDArray[np.uint64] = self._arrays["gram_off"]
        self.gram_ord: NDArray[np.uint32] = self._arrays["gram_ord"]
        self.gram_rank: NDArray[np.uint8] = self._arrays["gram_rank"]
        self.name_lengths: NDArray[np.uint32] = self._arrays["name_length"]
        self.syllables: list[str] = self.meta["syllables"]
        self.hierarchy = Hierarchy(self._arrays)
        self.search = Search(self)
        # Plain views of the same memory: one text is then read without making an array.
        self._views = {
            name: (self._arrays[f"{name}_off"].data, self._arrays[name].data)
            for name in self._arrays
            if f"{name}_off" in self._arrays
        }
        self._code_order = self._arrays["code_order"]
        self._flags = self._arrays["flags"]
        self._columns = {code: number for number, code in enumerate(self.meta["columns"])}
        self.ordinal = lru_cache(maxsize=65536)(self._ordinal)

    def _ordinal(self, code: str) -> int | None:
        """Return the number of a concept by its exact code, None when this version does not have it."""
        wanted = code.encode()
        low = self._place(wanted)
        if low < self.count and self._bytes("code", int(self._code_order[low])) == wanted:
            return int(self._code_order[low])
        return None

    def beginning(self, prefix: str) -> Ordinals:
        """Return the sorted ordinals whose codes begin with a text."""
        start = prefix.encode()
        begin, end = self._place(start), self._place(start + b"\xff")
        return np.sort(self._code_order[begin:end]).astype(np.uint32)

    def _place(self, wanted: bytes) -> int:
        """Return where a code stands, or would stand, among the sorted codes."""
        order, low, high = self._code_order, 0, self.count
        while low < high:
            middle = (low + high) // 2
            if self._bytes("code", int(order[middle])) < wanted:
                low = middle + 1
            else:
                high = middle
        return low

    def code(self, ordinal: int) -> str:
        return self._bytes("code", ordinal).decode()

    def display(self, ordinal: int) -> str | None:
        return None if self._flags[ordinal] & 4 else self._bytes("display", ordinal).decode()

    def definition(self, ordinal: int) -> str | None:
        return self._bytes("definition", ordinal).decode() or None

    def carried(self, ordinal: int) -> dict[str, Any]:
        """Return what else the row carries, as it was given."""
        value = self._bytes("extra", ordinal)
        return decode(value) if value else {}

    def is_inactive(self, ordinal: int) -> bool:
        return bool(self._flags[ordinal] & 1)

    def is_abstract(self, ordinal: int) -> bool:
        return bool(self._flags[ordinal] & 2)

    def flagged(self, name: Literal["inactive", "abstract"]) -> Ordinals:
        """Return the sorted ordinals that are inactive or abstract."""
        return np.flatnonzero(self._flags & {"inactive": 1, "abstract": 2}[name]).astype(np.uint32)

    def is_plain(self, status: str) -> NDArray[np.bool_]:
        """Return for each concept whether it is active, has a display and carries neither extras nor the property `status`."""
        extra = np.diff(self._arrays["extra_off"]) == 0
        plain: NDArray[np.bool_] = (self._flags == 0) & extra
        number = self._columns.get(status)
        if number is not None:
            plain[self._arrays[f"p{number}_ord"]] = False
        return plain

    def designations(self, ordinal: int) -> list[Designation]:
        value = self._bytes("designation", ordinal)
        return [Designation(*row) for row in msgspec.json.decode(value)] if value else []

    def properties(self, ordinal: int) -> Iterator[tuple[str, Any]]:
        """Yield (code, JSON value) pairs; those of one code in their order."""
        for code in self._columns:
            for value in self.values(ordinal, code):
                yield code, value

    def values(self, ordinal: int, code: str) -> list[Any]:
        """Return the values of one property of a concept."""
        number = self._columns.get(code)
        if number is None:
            return []
        # Holders are written in the order of the catalogue, hence sorted.
        holders = self._arrays[f"p{number}_ord"]
        begin, end = int(holders.searchsorted(ordinal)), int(holders.searchsorted(ordinal, "right"))
        table = self._arrays[f"p{number}_val"]
        return [decode(self._bytes(f"p{number}_value", int(table[at]))) for at in range(begin, end)]

    def with_property(self, code: str, value: Any) -> Ordinals:
        """Return the sorted ordinals whose property `code` has exactly `value`."""
        number = self._columns.get(code)
        if number is None:
            return np.zeros(0, np.uint32)
        wanted = encode(value)
        values = range(len(self._arrays[f"p{number}_value_off"]) - 1)
        at = next((row for row in values if self._bytes(f"p{number}_value", row) == wanted), None)
        if at is None:
            return np.zeros(0, np.uint32)
        by_value = self._arrays[f"p{number}_by_val"]
        sorted_values = self._arrays[f"p{number}_val"][by_value]
        begin, end = np.searchsorted(sorted_values, at), np.searchsorted(sorted_values, at, "right")
        return np.unique(self._arrays[f"p{number}_ord"][by_value[int(begin) : int(end)]])

    def property_values(self, code: str) -> dict[int, list[Any]]:
        """Return all values of a property by ordinal (for filters that compare, such as regex)."""
        number = self._columns.get(code)
        if number is None:
            return {}
        values = [
            decode(self._bytes(f"p{number}_value", row))
            for row in range(len(self._arrays[f"p{number}_value_off"]) - 1)
        ]
        found: dict[int, list[Any]] = {}
        for ordinal, value in zip(
            self._arrays[f"p{number}_ord"].tolist(), self._arrays[f"p{number}_val"].tolist(), strict=True
        ):
            found.setdefault(ordinal, []).append(values[value])
        return found

    def texts(self, ordinal: int) -> str:
        return self._bytes("text", ordinal).decode()

    def _bytes(self, name: str, row: int) -> bytes:
        offsets, content = self._views[name]
        return bytes(content[offsets[row] : offsets[row + 1]])
