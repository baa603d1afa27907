"""The short function of a sender gives what the whole one gives, and steps aside for what it was not made for."""

from collections import defaultdict
from pathlib import Path

import pytest

from mappings.hl7v2 import parse
from mappings.hl7v2.message import Message
from mappings.language import specialise
from mappings.language.active import ActiveMaps
from mappings.language.result import Result
from mappings.language.specialise import Specialised
from terminology.fhirjson import encode
from terminology.issues import FhirError

TESTS = Path(__file__).parent.parent
FILES = sorted([*TESTS.glob("golden/*/*/message.hl7"), *TESTS.glob("data/v2-pairs/**/*.hl7")])
MAPS = ActiveMaps()


def told(result: Result) -> list[object]:
    return [
        [(encode(entry.resource), entry.rule.name, entry.recency) for entry in result.entries],
        [(issue.code, issue.source, issue.values) for issue in result.issues],
        list(result.unmapped),
    ]


def by_map() -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = defaultdict(list)
    for path in FILES:
        try:
            message = parse(path.read_bytes())
            found[MAPS.find("hl7v2", f"{message.code}^{message.event}").name].append(message)
        except FhirError:
            continue
    return found


MESSAGES = by_map()


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_messages_become_the_same_by_the_short_function(name: str, monkeypatch: pytest.MonkeyPatch):
    messages = MESSAGES[name]
    whole = [told(MAPS.run(message)) for message in messages]
    monkeypatch.setattr(specialise, "_FIRST", 1)
    # The message that fills the least leaves the most out.
    index = min(range(len(messages)), key=lambda number: len(messages[number].decoded.text))
    maps = ActiveMaps()
    maps.run(messages[index])
    assert all(run.short is not None for _, run in maps.get(name)._binders.values())
    assert [told(maps.run(message)) for message in messages] == whole


def test_a_field_that_the_sender_never_filled_is_read_when_it_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(specialise, "_FIRST", 1)
    plain = b"MSH|^~\\&|LIS|H1|GW|X|20260315||ORU^R01|C1|P|2.4\rPID|1||P1\rOBR|1||R1|XCG\rOBX|1|NM|WBC||1.5|||||F\r"
    longer = plain.replace(b"PID|1||P1", b"PID|1||P1||A^B||19800101|F").replace(b"1.5|", b"1.5|10*9/L|")
    maps = ActiveMaps()
    maps.run(parse(plain))
    short = maps.run(parse(plain))
    found = maps.run(parse(longer))
    run = next(run for _, run in maps.get(short.mapping)._binders.values())
    assert isinstance(run, Specialised)
    assert run.choose(parse(plain).segments) is run.short
    assert run.choose(parse(longer).segments) is run.whole
    patient = next(entry.resource for entry in found.entries if entry.type == "Patient")
    assert patient["birthDate"] == "1980-01-01"


def test_short_functions_are_made_anew_when_strangers_are_many_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
):
    made: list[dict[str, frozenset[int]]] = []
    monkeypatch.setattr(specialise, "_FIRST", 2)
    monkeypatch.setattr(specialise, "_NEXT", 2)
    monkeypatch.setattr(specialise, "_LIMIT", 2)
    monkeypatch.setattr(specialise, "shortened", lambda code, filled: made.append(filled))
    chooser = Specialised("", lambda root, context: None, lambda code: lambda root, context: None)
    for count in range(12):
        chooser.choose(parse(b"MSH|^~\\&|A" + b"|X" * count + b"\r").segments)
    assert len(made) == 2
    assert made[0]["MSH"] < made[1]["MSH"]
