"""Mutate DICOM files with a seed; reading and mapping may refuse them, and never fail otherwise.

`scripts/fuzz_dicom [COUNT] [SEED]` runs many; a small run is a test.
"""

import random
import sys
import tracemalloc

from mappings.convert import convert
from mappings.dicom import read_instance
from mappings.dicom.tree import to_json
from mappings.language.active import ActiveMaps
from terminology.fhirjson import encode
from terminology.issues import FhirError
from tests.mappings.dicom_files import SAMPLES, ct

PARTS = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0", b"\xff\xff\xff\x7f", b"SQ\0\0", b"UN\0\0\xff\xff\xff\xff",
         b"\x1b$)A", b"\\", b"=", b"^", "张".encode("gb18030"), b"ISO_IR 192", b"\xe0\x7f\x10\x00", b"1.2.840.10008.1.2.1.99"]  # fmt: skip
PEAK = 64 * 1024 * 1024


def samples() -> list[bytes]:
    return [path.read_bytes() for path in sorted(SAMPLES.glob("*.dcm"))] + [ct(), ct(explicit=False)]


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Return `raw` with one to twelve changes: bits flipped, bytes cut, inserted, overwritten, the end lost."""
    body = bytearray(raw)
    for _ in range(chance.randint(1, 12)):
        at = chance.randrange(len(body))
        match chance.randrange(5):
            case 0:
                body[at] ^= 1 << chance.randrange(8)
            case 1:
                del body[at : at + chance.randint(1, 64)]
            case 2:
                body[at:at] = chance.randbytes(chance.randint(1, 16))
            case 3:
                part = chance.choice(PARTS)
                body[at : at + len(part)] = part
            case _:
                if chance.random() < 0.1:
                    del body[at:]
        if not body:
            return b"\0"
    return bytes(body)


def run(count: int, seed: int) -> set[str]:
    """Return the codes of the refusals; raises whatever else comes, and AssertionError over the memory bound."""
    chance, maps, seeds, codes = random.Random(seed), ActiveMaps(), samples(), set[str]()
    tracemalloc.start()
    for number in range(count):
        raw = mutate(seeds[number % len(seeds)], chance)
        try:
            instance = read_instance(raw)
            encode(to_json(instance.elements, instance.charset, is_little=instance.encoding.is_little))
            for result in convert(raw, maps, adapter="dicom"):
                encode(result.bundle())
        except FhirError as error:
            codes.update(issue.code for issue in error.issues if issue.text("zh") and issue.text("en"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < PEAK, peak
    return codes


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    print(sorted(run(given[0] if given else 100_000, given[1] if len(given) > 1 else 1)))
