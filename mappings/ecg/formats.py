"""Which ECG format bytes are in, by their first bytes and nothing else."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """`parser`: the class of ecgdatakit; `adapter`: the name in `adapter=` and `/messages/…`; `media_type` of the file."""

    name: str
    adapter: str
    title: str
    parser: str
    media_type: str
    is_xml: bool = False


FORMATS: dict[str, Format] = {
    row.name: row
    for row in (
        Format("aecg", "aecg", "HL7 aECG", "hl7_aecg:HL7aECGParser", "application/xml", is_xml=True),
        Format("scp", "scp", "SCP-ECG", "scp_ecg:SCPECGParser", "application/octet-stream"),
        Format("dicom", "dicom", "DICOM ECG", "dicom_waveform:DICOMWaveformParser", "application/dicom"),
        Format("muse", "ecg", "GE MUSE XML", "ge_muse_xml:GEMuseXMLParser", "application/xml", is_xml=True),
        Format("sierra", "ecg", "Philips Sierra XML", "sierra_xml:SierraXMLParser", "application/xml", is_xml=True),
        Format("mortara", "ecg", "Mortara ELI XML", "mortara_el250:MortaraEL250Parser", "application/xml", is_xml=True),
        Format("edf", "ecg", "EDF", "edf:EDFParser", "application/octet-stream"),
        Format("ishne", "ecg", "ISHNE Holter", "ishne_holter:ISHNEHolterParser", "application/octet-stream"),
        Format("mfer", "ecg", "MFER", "mfer:MFERParser", "application/octet-stream"),
        Format("kardia", "ecg", "AliveCor Kardia JSON", "alivecor_kardia:AliveCorKardiaParser", "application/json"),
    )
}  # fmt: skip

_ROOTS = (
    ("aecg", re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?AnnotatedECG[\s>/]")),
    ("sierra", re.compile(rb"<restingecgdata[\s>]")),
    ("muse", re.compile(rb"<RestingECG[\s>]", re.IGNORECASE)),
    ("mortara", re.compile(rb"<ECG[\s>]")),
)
_HEAD = 8192


def format_of(raw: bytes) -> Format | None:
    """Return the format that the bytes begin as, None when it is none of ours."""
    name = _name_of(raw)
    return FORMATS[name] if name else None


def _name_of(raw: bytes) -> str | None:
    if raw[128:132] == b"DICM":
        return "dicom"
    if raw[:8] == b"ISHNE1.0":
        return "ishne"
    if raw[:8] == b"0       " and len(raw) >= 256:
        return "edf"
    if _is_scp(raw):
        return "scp"
    head = raw[:_HEAD]
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        head = head[2:].replace(b"\x00", b"")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start[:1] == b"<":
        return next((name for name, root in _ROOTS if root.search(head)), None)
    if start[:1] == b"{":
        return "kardia" if b'"recordedAt"' in head and b'"data"' in raw else None
    # Preamble tag 0x40 (MWF_PRE), its length, "MFR " (ISO/TS 11073-92001).
    return "mfer" if raw[:1] == b"\x40" and raw[2:6] == b"MFR " else None


def _is_scp(raw: bytes) -> bool:
    """EN 1064: section 0 stands at byte 7 and its first pointer is to itself."""
    if len(raw) < 32:
        return False
    length = int.from_bytes(raw[10:14], "little")
    return raw[8:10] == b"\0\0" and length >= 26 and raw[22:24] == b"\0\0" and raw[28:32] == b"\x07\0\0\0"
