"""Mutate sample messages with a seed; reading and mapping may refuse them, and never fail otherwise.

`scripts/fuzz_v2 [COUNT] [SEED]` runs many; a small run is a test.
"""

import random
import sys
import time
from pathlib import Path

from mappings.convert import convert
from mappings.hl7v2 import parse
from mappings.hl7v2.batch import is_batch, split
from mappings.language.active import ActiveMaps
from terminology.fhirjson import encode
from terminology.issues import FhirError

MAPS = Path(__file__).parent / "maps"
SAMPLES = Path(__file__).parent.parent / "data" / "hl7v2"
PARTS = [b"|", b"^", b"~", b"\\", b"&", b"\r", b"\n", b'""', b"\\X", b"\\F\\", b"\\M2441\\", b"MSH|", b"OBX|", b"\x0b",
         b"\x1c", b"\x00", b"\xff", "张".encode("gbk"), "张".encode(), b"ZZZ|1", b"20260230", b"-9" * 20, b"UNICODE",
         b"GBK", b"ORC|CA", b"[", b"{", b"NM", b"ED", b"SN", b"|^~\\&|", b"\xef\xbb\xbf"]  # fmt: skip


def samples() -> list[bytes]:
    return [path.read_bytes() for path in sorted(SAMPLES.rglob("*.hl7"))]


def mutate(raw: bytes, random: random.Random) -> bytes:
    """Return `raw` with one to eight changes: bytes replaced, parts inserted, cut, doubled or swapped."""
    body = bytearray(raw)
    for _ in range(random.randint(1, 8)):
        place = random.randrange(len(body) + 1)
        end = min(len(body), place + random.randint(1, 40))
        match random.randrange(6):
            case 0:
                body[place:place] = random.choice(PARTS)
            case 1:
                del body[place:end]
            case 2:
                body[place:place] = body[place:end]
            case 3 if place < len(body):
                body[place] = random.randrange(256)
            case 4:
                lines = bytes(body).split(b"\r")
                random.shuffle(lines)
                body = bytearray(b"\r".join(lines if random.random() < 0.2 else [lines[0], *lines]))
            case _:
                body[place:end] = random.choice(PARTS)
    return bytes(body)


def run(count: int, seed: int, maps: ActiveMaps) -> tuple[int, int]:
    """Return how many were mapped and how many refused; anything else raises."""
    chance = random.Random(seed)
    originals = samples()
    mapped = refused = 0
    for number in range(count):
        raw = mutate(chance.choice(originals), chance)
        try:
            for part in split(raw).messages if is_batch(raw) else (raw,):
                parse(part).get("PID-3[1].4.2")
            for result in convert(raw, maps, adapter="hl7v2", explain=number % 10 == 0):
                encode(result.bundle())
                assert result.coverage.ratio <= 1
            mapped += 1
        except FhirError as error:
            refused += all(
                issue.text("zh") and issue.text("en") and issue.fix("zh") for issue in error.issues
            )
        except Exception:
            Path("fuzz_failure.hl7").write_bytes(raw)
            print(f"case {number} of seed {seed} is in fuzz_failure.hl7", file=sys.stderr)
            raise
    return mapped, refused


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.perf_counter()
    maps = ActiveMaps(MAPS)
    mapped, refused = run(count, seed, maps)
    seconds = time.perf_counter() - started
    print(
        f"{count} mutated messages, seed {seed}: {mapped} mapped, {refused} refused, none failed; {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
