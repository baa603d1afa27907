"""A new map to begin with: a commented skeleton with a test that passes, a sample, and the stub of its page."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "skeletons"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# What people call a format → the format of the mapping language.
FORMATS = {
    "hl7v2": "hl7v2", "v2": "hl7v2", "xml": "xml", "json": "json", "table": "table", "csv": "table", "xlsx": "table",
    "dicom": "dicom", "ecg": "ecg", "aecg": "ecg", "scp": "ecg", "astm": "astm",
}  # fmt: skip
_MARK = re.compile(r"\{(name|tag|format)\}")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """`sample`: name and bytes of a message of the format, None for binary ones."""

    name: str
    format: str
    map: str
    page: str
    sample: tuple[str, bytes] | None


def skeleton(name: str, format: str) -> Skeleton:
    """Return the files of a new map `name` of one of `FORMATS`."""
    made = FORMATS[format]
    values = {"name": name, "format": made, "tag": re.sub(r"[^A-Za-z0-9]", "_", name)}

    def filled(text: str) -> str:
        return _MARK.sub(lambda mark: values[mark[1]], text)

    sample = next(iter(sorted(FOLDER.glob(f"{made}.sample.*"))), None)
    body = None
    if sample is not None:
        text = filled(sample.read_text("utf-8"))
        # Segments and records end with CR on the wire.
        ends = text.replace("\n", "\r") if made in ("hl7v2", "astm") else text
        body = (f"sample{sample.suffix}", ends.encode())
    return Skeleton(
        name,
        made,
        filled((FOLDER / f"{made}.yaml").read_text("utf-8")),
        filled((FOLDER / "page.md").read_text("utf-8")),
        body,
    )


def guess_format(name: str) -> str | None:
    """Return the format that a name begins or ends with ("json-lis", "lis_v2"), None when it tells none."""
    words = re.split(r"[-_]", name.lower())
    return next((word for word in (words[0], words[-1]) if word in FORMATS), None)
