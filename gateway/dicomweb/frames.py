"""Where the frames of an object stand in its file (PS3.5 §A.4, §8.2): nothing is decoded."""

import struct

from mappings.dicom import Instance
from mappings.dicom.syntax import is_native
from mappings.dicom.tree import find
from terminology.issues import InvalidInput, NotFound

Spans = list[tuple[int, int]]


def frame_spans(instance: Instance) -> list[Spans]:
    """Return the pieces of each frame; raises NotFound without pixels (HT-DCM-48), InvalidInput when frames cannot be told apart."""
    pixels = instance.pixels
    if pixels is None or instance.encoding.is_deflated:
        raise NotFound("HT-DCM-48", uid=instance.uid)
    count = _whole(instance, 0x00280008) or 1
    if is_native(instance.transfer_syntax):
        bits = (
            _whole(instance, 0x00280010) * _whole(instance, 0x00280011) * (_whole(instance, 0x00280002) or 1)
        )
        bits *= _whole(instance, 0x00280100)
        # Frames of bit masks stand without padding between them.
        if not bits or (bits % 8 and count > 1):
            raise InvalidInput("HT-DCM-49", uid=instance.uid)
        size = (bits + 7) // 8
        if size * count > pixels.length:
            raise InvalidInput("HT-DCM-49", uid=instance.uid)
        return [[(pixels.offset + size * number, size)] for number in range(count)]
    table, fragments = pixels.fragments[:1], list(pixels.fragments[1:])
    if count == 1:
        return [fragments]
    if len(fragments) == count:
        return [[fragment] for fragment in fragments]
    return _by_offsets(instance, table[0] if table else (0, 0), fragments, count)


def _by_offsets(instance: Instance, table: tuple[int, int], fragments: Spans, count: int) -> list[Spans]:
    """Several fragments a frame: the basic or the extended offset table tells where each begins."""
    starts = _extended(instance) or [
        value
        for (value,) in struct.iter_unpack(
            "<L", bytes(instance.buffer[table[0] : table[0] + table[1] // 4 * 4])
        )
    ]
    if len(starts) != count or not fragments:
        raise InvalidInput("HT-DCM-49", uid=instance.uid)
    # Offsets count from the header of the first fragment.
    base = fragments[0][0] - 8
    found: list[Spans] = []
    for number, start in enumerate(starts):
        end = starts[number + 1] if number + 1 < count else None
        found.append(
            [
                row
                for row in fragments
                if row[0] - 8 - base >= start and (end is None or row[0] - 8 - base < end)
            ]
        )
    if not all(found):
        raise InvalidInput("HT-DCM-49", uid=instance.uid)
    return found


def _extended(instance: Instance) -> list[int]:
    element = find(instance.elements, 0x7FE00001)
    if element is None or not isinstance(element.value, bytes):
        return []
    return [value for (value,) in struct.iter_unpack("<Q", element.value[: len(element.value) // 8 * 8])]


def _whole(instance: Instance, tag: int) -> int:
    text = instance.text(tag)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
