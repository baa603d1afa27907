"""DICOM files as devices write them, made byte by byte: what pydicom would refuse to write can be tested too."""

import struct
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "data" / "dicom"
EXPLICIT, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
LONG = {"OB", "OW", "SQ", "UN", "UT", "UC", "UR"}


def element(tag: int, vr: str, value: bytes, *, explicit: bool = True, little: bool = True) -> bytes:
    order = "<" if little else ">"
    if len(value) % 2:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack(f"{order}L", len(value)) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}L", len(value)) + value
    return head + vr.encode() + struct.pack(f"{order}H", len(value)) + value


def sequence(tag: int, *items: bytes) -> bytes:
    body = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<L", len(item)) + item for item in items)
    return element(tag, "SQ", body)


def part10(dataset: bytes, *, syntax: str = EXPLICIT, sop_class: str = CT_CLASS, uid: str = "1.2.3") -> bytes:
    meta = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", sop_class.encode())
        + element(0x00020003, "UI", uid.encode())
        + element(0x00020010, "UI", syntax.encode())
    )
    length = element(0x00020000, "UL", struct.pack("<L", len(meta)))
    return b"\0" * 128 + b"DICM" + length + meta + dataset


TAGS = {
    "charset": (0x00080005, "CS"), "sop_class": (0x00080016, "UI"), "uid": (0x00080018, "UI"),
    "study_date": (0x00080020, "DA"), "study_time": (0x00080030, "TM"), "accession": (0x00080050, "SH"),
    "modality": (0x00080060, "CS"), "institution": (0x00080080, "LO"), "station": (0x00081010, "SH"), "description": (0x00081030, "LO"),
    "name": (0x00100010, "PN"), "patient": (0x00100020, "LO"), "issuer": (0x00100021, "LO"), "birth": (0x00100030, "DA"),
    "sex": (0x00100040, "CS"), "study": (0x0020000D, "UI"), "series": (0x0020000E, "UI"), "study_id": (0x00200010, "SH"),
    "series_number": (0x00200011, "IS"), "number": (0x00200013, "IS"),
}  # fmt: skip


def ct(
    *,
    codec: str = "gb18030",
    pixels: bytes = b"\0" * 64,
    explicit: bool = True,
    syntax: str = "",
    **changed: Any,
) -> bytes:
    """A CT image of 张三丰; a value of None leaves its element out."""
    values: dict[str, Any] = {
        "charset": "GB18030", "sop_class": CT_CLASS, "uid": "1.2.3.1.1.1", "study_date": "20260315",
        "study_time": "083012", "accession": "", "modality": "CT", "institution": "县医院", "station": "CT01",
        "description": "胸部平扫", "name": "Zhang^Sanfeng=张^三丰", "patient": "P0001", "issuer": "H1", "birth": "19850101",
        "sex": "M", "study": "1.2.3.1", "series": "1.2.3.1.1", "study_id": "S1", "series_number": "1", "number": "1",
    } | changed  # fmt: skip
    rows = []
    for name, (tag, vr) in sorted(TAGS.items(), key=lambda row: row[1][0]):
        value = values[name]
        if value is not None:
            raw = value if isinstance(value, bytes) else str(value).encode(codec)
            rows.append(element(tag, vr, raw, explicit=explicit))
    for tag, number in ((0x00280002, 1), (0x00280010, 8), (0x00280011, 8), (0x00280100, 8), (0x00280101, 8), (0x00280102, 7), (0x00280103, 0)):  # fmt: skip
        rows.append(element(tag, "US", struct.pack("<H", number), explicit=explicit))
        if tag == 0x00280002:
            rows.append(element(0x00280004, "CS", b"MONOCHROME2", explicit=explicit))
    rows.append(element(0x7FE00010, "OW", pixels, explicit=explicit))
    chosen = syntax or (EXPLICIT if explicit else IMPLICIT)
    return part10(b"".join(rows), syntax=chosen, uid=str(values["uid"] or "1.2.3"))
