"""Transfer syntaxes: how the elements of a data set are encoded (DICOM PS3.5 §10, Annex A)."""

from typing import NamedTuple

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"


class Encoding(NamedTuple):
    """What must be known to walk a data set."""

    is_explicit: bool
    is_little: bool
    is_deflated: bool


# Everything else, also the private ones, is explicit little endian (PS3.5 §A.4).
_SPECIAL = {
    IMPLICIT_LITTLE: Encoding(False, True, False),
    DEFLATED: Encoding(True, True, True),
    EXPLICIT_BIG: Encoding(True, False, False),
}

# Media types of the encapsulated pixels of one frame (PS3.18 table 8.7.3-5).
FRAME_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}


def encoding_of(transfer_syntax: str) -> Encoding:
    return _SPECIAL.get(transfer_syntax, Encoding(True, True, False))


def is_native(transfer_syntax: str) -> bool:
    """Whether pixels stand uncompressed in their element (the others are fragments of compressed frames)."""
    return transfer_syntax in _SPECIAL or transfer_syntax == EXPLICIT_LITTLE
