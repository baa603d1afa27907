"""Message → resources, whole: a difference is a decision that the reviewer sees (scripts/golden writes them anew)."""

import cases
import pytest

from conformance.validation import validate

CASES = cases.all_cases()
# What the sender got wrong stays as sent: codes and names that their code system doesn't have.
SENDERS_OWN = {"HT-VAL-34", "HT-VAL-35"}
# Messages that only change a stored resource leave the other elements out.
MANDATORY = {"HT-VAL-14", "HT-VAL-82"}
CHANGES = {
    "rhin-appointment-cancel",
    "rhin-contract-abort",
    "rhin-referral-abort",
    "rhin-schedule-resume",
    "rhin-schedule-stop",
}
# The heart rate of these samples is the text "60~120", which the vital signs profile rightly refuses.
HEART_RATE = "http://hl7.org/fhir/StructureDefinition/heartrate"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_message_becomes_its_golden_resources(case: cases.Case):
    assert cases.expected(case).decode() == (case.folder / "bundle.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_resource_is_valid(case: cases.Case):
    problems = [
        f"{entry.reference} {issue.expression} {issue.text('en')}"
        for result in cases.run(case)
        for entry in result.entries
        if entry.rule.write != "retire"
        for issue in validate(entry.resource)
        if issue.severity in ("error", "fatal")
        and issue.code not in SENDERS_OWN
        and HEART_RATE not in issue.text("en")
        and not (issue.code in MANDATORY and result.mapping in CHANGES)
    ]
    assert problems == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_references_lead_to_entries_of_the_message(case: cases.Case):
    for result in cases.run(case):
        made = {entry.reference for entry in result.entries}
        for entry in result.entries:
            assert set(_references(entry.resource)) <= made


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.source.name == "message.xml"], ids=lambda case: case.name
)
def test_a_message_of_a_platform_gets_its_golden_answer(case: cases.Case):
    assert cases.acknowledgement(case) == (case.folder / "ack.xml").read_bytes()


def test_the_same_message_twice_gives_the_same_ids():
    for case in CASES:
        first, second = cases.run(case), cases.run(case)
        assert [[e.reference for e in r.entries] for r in first] == [
            [e.reference for e in r.entries] for r in second
        ]


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [found for part in value.values() for found in _references(part)]
    if isinstance(value, list):
        return [found for part in value for found in _references(part)]
    return []
