"""Every shipped map compiles, passes the tests it carries, and is chosen for its messages."""

from pathlib import Path

import pytest

from mappings.hl7v2 import parse
from mappings.language.active import SHIPPED, ActiveMaps, load_map, try_map
from terminology.issues import UnmappableMessage
from terminology.translate import Translator

TRANSLATOR = Translator()
HEADER = "MSH|^~\\&|LIS|H1|GW|XYLYGT|20260315083012||{}|T1|P|2.4\r"
FILES = sorted(SHIPPED.glob("*.yaml"))
# What others extend; they take no message themselves.
BASES = {
    "cda-followup",
    "followup",
    "rhin-patient",
    "hl7v2-patient",
    "hl7v2-order-items",
    "out-hl7v2-patient",
    "out-hl7v2-order-items",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_map_passes_its_own_tests(path: Path):
    map = load_map(path)
    assert map.name == path.stem
    assert map.document.trials or map.name in BASES
    assert [issue.text("en") for issue in try_map(map, TRANSLATOR)] == []


def test_all_shipped_maps_become_active():
    maps = ActiveMaps(translator=TRANSLATOR)
    out = {path.stem for path in FILES if path.stem.startswith("out-")}
    assert {map.name for map in maps.all()} == {path.stem for path in FILES} - out
    assert {maps.outbound(name).name for name in out} == out
    assert maps.problems == {}
    assert maps.find("hl7v2", "ORU^R01").name == "hl7v2-results"
    assert maps.find("hl7v2", "ADT^A40").name == "hl7v2-merge"


class TestOnePatient:
    """Results must never reach the wrong record."""

    def test_two_patients_in_one_message_are_refused(self):
        text = (
            HEADER.format("ORU^R01") + "PID|1||P1^^^H1^MR\rOBR|1|R1|L1|X\rPID|2||P2^^^H1^MR\rOBR|1|R2|L2|X\r"
        )
        with pytest.raises(UnmappableMessage) as refused:
            ActiveMaps(translator=TRANSLATOR).run(parse(text.encode()))
        assert [issue.code for issue in refused.value.issues] == ["HT-ID-14"]

    def test_the_same_patient_twice_is_one(self):
        text = (
            HEADER.format("ORU^R01") + "PID|1||P1^^^H1^MR\rOBR|1|R1|L1|X\rPID|1||P1^^^H1^MR\rOBR|1|R2|L2|X\r"
        )
        result = ActiveMaps(translator=TRANSLATOR).run(parse(text.encode()))
        assert [entry.type for entry in result.entries].count("Patient") == 1
        assert [entry.type for entry in result.entries].count("DiagnosticReport") == 2


class TestCountyPractice:
    def test_a_name_on_an_order_never_overwrites_a_doctor(self):
        text = (
            HEADER.format("ORM^O01")
            + "PID|1||P1^^^H1^MR\rORC|NW|R1||||||||||D01^李建国\rOBR|1|R1||X^血常规\r"
        )
        result = ActiveMaps(translator=TRANSLATOR).run(parse(text.encode()))
        assert {
            entry.rule.write for entry in result.entries if entry.type in ("Practitioner", "Patient")
        } == {"create"}

    def test_an_invalid_resident_number_matches_nobody(self):
        text = HEADER.format("ADT^A28") + "PID|1||P1^^^H1^MR~111111111111111111^^^^身份证||张三\r"
        result = ActiveMaps(translator=TRANSLATOR).run(parse(text.encode()))
        patient = next(entry for entry in result.entries if entry.type == "Patient")
        assert patient.match == [("urn:id:H1", "P1")]
        assert "HT-ID-01" in [issue.code for issue in result.issues]

    def test_a_late_preliminary_is_stale_after_the_final(self):
        maps = ActiveMaps(translator=TRANSLATOR)
        body = "PID|1||P1^^^H1^MR\rOBR|1|R1|L1|X|||||||||||||||||||||{}\rOBX|1|NM|K||4.1||||||{}\r"
        final, late = (
            {
                entry.type: entry
                for entry in maps.run(parse((HEADER.format("ORU^R01") + body.format(s, s)).encode())).entries
            }
            for s in ("F", "P")
        )
        for type in ("DiagnosticReport", "Observation"):
            assert late[type].id == final[type].id
            assert late[type].is_stale(final[type].resource, final[type].recency)
            assert not final[type].is_stale(late[type].resource, late[type].recency)
