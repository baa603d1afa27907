"""Which representation a DICOMweb client takes (PS3.18 §8.7.4–8.7.6): media types with `type` and `transfer-syntax`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

DICOM, DICOM_JSON, JSON, OCTETS = (
    "application/dicom",
    "application/dicom+json",
    "application/json",
    "application/octet-stream",
)
MULTIPART = "multipart/related"
MOST_RANGES = 50

_PARAMETER = re.compile(r';\s*([\w.+-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)')
_RANGE = re.compile(r'\s*([\w.+*/-]+)((?:\s*;\s*[\w.+-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^;,\s]*))*)\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range. `inner`: the type of the parts of a multipart, "" otherwise; `syntax`: transfer syntax, "" = any."""

    type: str
    inner: str
    syntax: str
    quality: float

    @property
    def is_multipart(self) -> bool:
        return self.type == MULTIPART

    def takes(self, type: str) -> bool:
        """Whether a single part of `type` fits."""
        return self.type in ("*/*", type) or (self.type.endswith("/*") and type.startswith(self.type[:-1]))

    def takes_parts(self, type: str) -> bool:
        """Whether a multipart of `type` fits; a multipart that names no type takes any."""
        if self.type in ("*/*", "multipart/*"):
            return True
        return self.is_multipart and (
            self.inner in ("", "*/*", type)
            or (self.inner.endswith("/*") and type.startswith(self.inner[:-1]))
        )


def read_accept(header: str, wanted: str | None = None) -> list[Range]:
    """Return the ranges of an Accept header, the preferred first; the query parameter `accept` comes before the header.

    Nothing acceptable to us in a header that cannot be read is the same as no header (PS3.18 §8.3.3.1).
    """
    text = wanted or header or "*/*"
    found: list[Range] = []
    for match in list(_RANGE.finditer(text))[:MOST_RANGES]:
        parameters = {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(match[2])}
        try:
            quality = float(parameters.get("q", "1"))
        except ValueError:
            quality = 0.0
        if quality > 0:
            inner = parameters.get("type", "").lower()
            found.append(Range(match[1].lower(), inner, parameters.get("transfer-syntax", ""), quality))
    found.sort(key=lambda row: -row.quality)
    return found


def accepts_json(ranges: Sequence[Range]) -> bool:
    return any(row.takes(DICOM_JSON) or row.takes(JSON) for row in ranges)
