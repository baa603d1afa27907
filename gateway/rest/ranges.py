"""Range requests on bytes (RFC 9110 §14)."""

import re
from dataclasses import dataclass

RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole: bytes [start, end) of `size`."""

    start: int
    end: int
    size: int

    @property
    def header(self) -> str:
        return f"bytes {self.start}-{self.end - 1}/{self.size}"


def read_range(header: str | None, size: int) -> Part | None:
    """Return the part that is asked for, None for the whole; raises ValueError when it can't be satisfied.

    What isn't one byte range (another unit, several ranges, bad syntax) is ignored, as RFC 9110 §14.2 allows.
    """
    found = RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", "") or max(map(len, found.groups())) > 18:
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        if length == 0:
            raise ValueError(header)
        return Part(size - length, size, size)
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise ValueError(header)
    return Part(start, end, size)
