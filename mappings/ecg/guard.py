"""Bounds before a file is decoded: sizes that the file itself names, compressed parts, XML that refers elsewhere.

The decoder trusts counts; a stranger's file must not make it ask for gigabytes.
"""

import base64
import binascii
from itertools import pairwise

from mappings.xml.charset import decode
from terminology.issues import MalformedMessage, TooLarge

MOST_BYTES = 32 * 1024 * 1024
MOST_SAMPLES = 8_000_000
MOST_COMPRESSED_SAMPLES = 1_500_000
MOST_LEADS = 64
DEFLATED = b"1.2.840.10008.1.2.1.99"


def checked_size(raw: bytes) -> None:
    """Raise TooLarge (HT-ECG-22) above the size of a file."""
    if len(raw) > MOST_BYTES:
        raise TooLarge("HT-ECG-22", what="bytes of the file", what_zh="文件字节数", limit=MOST_BYTES)


def checked_dicom(raw: bytes) -> None:
    """Refuse the deflated transfer syntax: its size is known only after it was unpacked."""
    if DEFLATED in raw[132:2048]:
        raise malformed("DICOM ECG", "deflated transfer syntax (1.2.840.10008.1.2.1.99)")


def checked_scp(raw: bytes) -> None:
    """Check the lead table of SCP-ECG (EN 1064 §5.6) and the reference beat (§5.7) against the bounds."""
    sections = _sections(raw)
    leads = raw[slice(*sections.get(3, (0, 0)))][16:]
    count = leads[0] if leads else 0
    is_compressed = 2 in sections
    if count > MOST_LEADS:
        raise _too_many("导联数", "leads", MOST_LEADS)
    total = 0
    for number in range(count):
        row = leads[2 + 9 * number : 11 + 9 * number]
        if len(row) == 9:
            total += int.from_bytes(row[4:8], "little") - int.from_bytes(row[:4], "little") + 1
    limit = MOST_COMPRESSED_SAMPLES if is_compressed else MOST_SAMPLES
    beat = raw[slice(*sections.get(4, (0, 0)))][16:18]
    interval = raw[slice(*sections.get(5, (0, 0)))][18:20]
    if beat and interval and int.from_bytes(interval, "little"):
        length = int.from_bytes(beat, "little") * 1000 // int.from_bytes(interval, "little")
        total = max(total, total + length * count)
    if total > limit:
        raise _too_many("采样点数", "samples", limit)


def _sections(raw: bytes) -> dict[int, tuple[int, int]]:
    """Return section id → (start, end) of the pointers in section 0."""
    end = min(6 + int.from_bytes(raw[10:14], "little"), len(raw))
    found: dict[int, tuple[int, int]] = {}
    for at, following in pairwise(range(22, end + 1, 10)):
        id = int.from_bytes(raw[at : at + 2], "little")
        length = int.from_bytes(raw[at + 2 : at + 6], "little")
        start = int.from_bytes(raw[at + 6 : following], "little") - 1
        if length and start >= 0:
            found[id] = (start, start + length)
    return found


def secure_xml(raw: bytes, title: str) -> bytes:
    """Return the document as UTF-8 without declaration; DTD, entities and external references are refused.

    Raises MalformedMessage (HT-ECG-20, HT-ECG-24), TooLarge (HT-ECG-22), or what the charset ladder raises. The charset
    is the declared one when the bytes are in it, else the one that they are.
    """
    from lxml import etree

    text = decode(raw).text.lstrip("\ufeff \t\r\n")
    if text.startswith("<?xml"):
        text = text[text.find("?>") + 2 :].lstrip()
    body = text.rstrip("\x00 \t\r\n").encode()
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise MalformedMessage("HT-ECG-24", format=title) from None
        raise malformed(title, str(error)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise MalformedMessage("HT-ECG-24", format=title)
    _checked_xli(root, title)
    return body


def _checked_xli(root: object, title: str) -> None:
    """Sum up what the LZW chunks of Philips' XLI would unpack to (up to 600 times their size)."""
    for node in root.iter("{*}parsedwaveforms"):  # type: ignore[attr-defined]  # an lxml element
        words = f"{node.get('compression', '')} {node.get('compressmethod', '')}".upper()
        if "XLI" not in words:
            continue
        try:
            packed = base64.b64decode("".join((node.text or "").split()), validate=True)
        except (binascii.Error, ValueError):
            raise malformed(title, "the waveform is no Base64") from None
        if _xli_size(packed) > MOST_COMPRESSED_SAMPLES * 2:
            raise _too_many("采样点数", "samples", MOST_COMPRESSED_SAMPLES)


def _xli_size(packed: bytes) -> int:
    """Return how many bytes the chunks unpack to, counting only: 10-bit codes, a string table of lengths."""
    total = at = 0
    while at + 8 <= len(packed):
        size = int.from_bytes(packed[at : at + 4], "little", signed=True)
        if size <= 0:
            break
        total += _lzw_size(packed[at + 8 : at + 8 + size], MOST_COMPRESSED_SAMPLES * 2)
        if total > MOST_COMPRESSED_SAMPLES * 2:
            break
        at += 8 + size
    return total


def _lzw_size(chunk: bytes, enough: int) -> int:
    lengths = dict.fromkeys(range(256), 1)
    total = previous = 0
    following = 256
    width = len(chunk) * 8
    for at in range(0, width - 9, 10):
        start = at >> 3
        window = int.from_bytes(chunk[start : start + 3].ljust(3, b"\0"), "big")
        code = (window >> (14 - (at & 7))) & 0x3FF
        if code > 1022:
            break
        length = lengths.get(code) or previous + 1
        lengths.setdefault(code, length)
        if previous and following <= 1022:
            lengths[following] = previous + 1
            following += 1
        previous = length
        total += length
        if total > enough:
            break
    return total


def checked_waveform(leads: int, samples: int) -> None:
    """Raise TooLarge when what was decoded is more than any resting ECG."""
    if leads > MOST_LEADS:
        raise _too_many("导联数", "leads", MOST_LEADS)
    if samples > MOST_SAMPLES:
        raise _too_many("采样点数", "samples", MOST_SAMPLES)


def malformed(title: str, reason: str) -> MalformedMessage:
    return MalformedMessage("HT-ECG-20", format=title, reason=" ".join(reason.split())[:200])


def _too_many(zh: str, en: str, limit: int) -> TooLarge:
    return TooLarge("HT-ECG-22", what=en, what_zh=zh, limit=limit)
