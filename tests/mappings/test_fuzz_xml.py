"""Mutated messages of the platforms: read, checked, answered and mapped, or refused with a code; never anything else.

Mutations cut, double and replace bytes and tags with a seed, and set in what attacks XML: entities, DTDs, depth, size.
"""

import random
import re
import time
import tracemalloc
from pathlib import Path

import pytest

from gateway.ingest.hl7v3 import Hl7v3
from gateway.ingest.kind import Origin
from mappings.convert import convert
from mappings.language.active import ActiveMaps
from terminology.fhirjson import encode
from terminology.issues import FhirError

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES = [path.read_bytes() for path in sorted(GOLDEN.glob("*/*/message.xml"))]
MAPS = ActiveMaps()
PARTS = [
    b"<", b">", b"</", b"/>", b'"', b"'", b"&", b"&amp;", b"&#0;", b"&#x1F;", b"&x;", b"<!--", b"-->", b"]]>",
    b"<![CDATA[", b"<?xml version='1.0' encoding='gbk'?>", b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", "张".encode("gbk"), "张".encode(), b'extension=""', b'root="1..2"',
    b'value="20260230"', b'value="99999999999999"', b'xsi:type="QQ"', b'nullFlavor="UNK"', b"<id/>", b"<patient>",
    b"</patient>", b"<item/>", b'code=" "', b"x" * 5000, b"<a>" * 150, b"</controlActProcess>",
]  # fmt: skip


def mutate(raw: bytes, chance: random.Random) -> bytes:
    body = bytearray(raw)
    if chance.random() < 0.4:
        # Only values of attributes: the message stays well-formed.
        spans = [found.span(1) for found in re.finditer(rb'="([^"]+)"', raw)]
        for start, end in chance.sample(spans, min(len(spans), chance.randint(1, 4))):
            body[chance.randrange(start, end)] = chance.choice(b"0123456789abcXYZ- .")
        return bytes(body)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(body) + 1)
        end = min(len(body), place + chance.randint(1, 60))
        match chance.randrange(6):
            case 0:
                body[place:place] = chance.choice(PARTS)
            case 1:
                del body[place:end]
            case 2:
                body[place:place] = body[place:end]
            case 3 if place < len(body):
                body[place] = chance.randrange(256)
            case 4:
                # A whole element is lost, doubled or moved.
                tags = bytes(body).split(b"<")
                first, second = (chance.randrange(len(tags)) for _ in range(2))
                tags[first] = tags[second]
                body = bytearray(b"<".join(tags))
            case _:
                del body[place:]
    return bytes(body)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_six_hundred_mutated_messages(seed: int) -> None:
    chance = random.Random(seed)
    kind = Hl7v3(MAPS, clock=lambda: pytest.fail("nothing is answered here"), ask=None)  # type: ignore[arg-type]  # never asked
    mapped = 0
    for _ in range(600):
        raw = mutate(chance.choice(SAMPLES), chance)
        (admission,) = kind.admit(raw, Origin("test", "-", "-", 0))
        assert admission.incoming is not None, "even what can't be read is kept"
        assert admission.incoming.raw == raw
        if admission.error is not None:
            assert all(issue.text("zh") and issue.text("en") for issue in admission.error.issues)
            continue
        try:
            result = kind.map(admission.message)
        except FhirError:
            continue
        mapped += 1
        for entry in result.entries:
            encode(entry.resource)
    assert mapped > 60


class TestAttacks:
    def test_no_file_is_read(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("the-secret")
        for attack in (
            f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]><PRPA_IN201311UV02>&x;</PRPA_IN201311UV02>',
            f'<!DOCTYPE a [<!ENTITY % x SYSTEM "file://{secret}"> %x;]><PRPA_IN201311UV02/>',
            f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file://{secret}" parse="text"/></a>',
        ):
            with pytest.raises(FhirError) as refused:
                list(convert(attack.encode(), MAPS, adapter="hl7v3"))
            assert "the-secret" not in str(refused.value)

    @pytest.mark.parametrize(
        "bomb",
        [
            b"<!DOCTYPE a [<!ENTITY a0 'lol'>"
            + b"".join(b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))
            + b"]><a>&a11;</a>",
            b"<a>" * 2_000_000,
            b"<a>" + b"<b/>" * 2_000_000 + b"</a>",
            b"<a " + b" ".join(b"x%d='1'" % n for n in range(100_000)) + b"/>",
        ],
        ids=["entities", "depth", "elements", "attributes"],
    )
    def test_bombs_cost_little(self, bomb: bytes) -> None:
        tracemalloc.start()
        started = time.process_time()
        with pytest.raises(FhirError):
            list(convert(bomb, MAPS, adapter="hl7v3"))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert time.process_time() - started < 20
        # The text and its UTF-8 copy, and at most the 200,000 elements that are allowed.
        assert peak < 6 * len(bomb) + 250_000_000
