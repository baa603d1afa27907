"""What a map does with a message: resources, ids, references, coverage, trace (docs/mapping.md)."""

from decimal import Decimal
from pathlib import Path

import pytest

from mappings.hl7v2 import parse
from mappings.language.active import load_map
from mappings.language.compile import Map
from mappings.language.converters import Sender
from mappings.language.document import read_document
from mappings.language.result import Entry, Result
from mappings.language.trial import run_trials
from terminology.fhirjson import Json
from terminology.translate import Translator

TRANSLATOR = Translator()
LAB = load_map(Path(__file__).parent / "maps" / "lab.yaml")
MESSAGE = """MSH|^~\\&|LIS|H1|GW|X|20260315083000||ORU^R01|C1|P|2.4
PID|1||P1||张^三||19850101|M|||||13800000000
ORC|RE|Q1|R1
OBR|1|Q1|R1|XCG^血常规||||||||||||D1^李^建国~D2^王|||||||||F
SPM|1|S1||BLD^全血
OBX|1|NM|WBC^白细胞||1.50|10*9/L||H|||F
NTE|1||first
NTE|2||second
OBX|2|ST|COL^颜色||淡\\T\\黄|||N|||P
ORC|RE|Q2|R2
OBR|2|Q2|R2|NCG^尿常规|||||||||||||||||||||P
OBX|1|NM|PH^酸碱度||6.5|||N|||X
ZMR|1|互认|是
"""


def convert(text: str, map: Map = LAB, *, sender: Sender | None = None, explain: bool = False) -> Result:
    message = parse(text.replace("\n", "\r"))
    return map.convert(message, sender or Sender(), TRANSLATOR, explain=explain)


def of(result: Result, type: str) -> list[Json]:
    return [entry.resource for entry in result.entries if entry.type == type]


def small(lines: str, **document: str) -> Map:
    """A map of one Patient with these `set` lines."""
    body = "\n".join(f"      {line}" for line in lines.splitlines())
    head = document.get("head", "")
    text = f"mapping: small\nsource: {{format: hl7v2, messages: ['*']}}\n{head}\nresources:\n  - id: patient\n    type: Patient\n    key: PID-3.1\n    set:\n{body}\n"
    return Map(read_document(text.encode(), file="small.yaml"))


class TestResources:
    def test_one_for_each_group(self) -> None:
        result = convert(MESSAGE)
        kinds = [entry.rule.name for entry in result.entries]
        assert kinds == ["patient", "doctor", "doctor", "specimen", "report", "report", *["observation"] * 3]

    def test_references_stay_within_their_order(self) -> None:
        result = convert(MESSAGE)
        first, second = of(result, "DiagnosticReport")
        ids = [f"Observation/{row['id']}" for row in of(result, "Observation")]
        assert [row["reference"] for row in first["result"]] == ids[:2]
        assert [row["reference"] for row in second["result"]] == ids[2:]
        assert "specimen" not in second
        assert first["subject"]["reference"] == f"Patient/{of(result, 'Patient')[0]['id']}"
        assert len(first["resultsInterpreter"]) == 2

    def test_a_sibling_loop_is_referred_to(self) -> None:
        result = convert(MESSAGE)
        specimen = of(result, "Specimen")[0]["id"]
        assert [row.get("specimen", {}).get("reference") for row in of(result, "Observation")] == [
            f"Specimen/{specimen}", f"Specimen/{specimen}", None
        ]  # fmt: skip

    def test_values(self) -> None:
        first, second, third = of(convert(MESSAGE), "Observation")
        assert first["valueQuantity"] == {"value": Decimal("1.50"), "unit": "10*9/L"}
        assert str(first["valueQuantity"]["value"]) == "1.50"
        assert first["note"] == [{"text": "first"}, {"text": "second"}]
        assert first["interpretation"] == [{"text": "H"}]
        assert second["valueString"] == "淡&黄"
        assert "interpretation" not in second
        assert [row["status"] for row in (first, second, third)] == ["final", "preliminary", "cancelled"]
        assert first["code"]["coding"][0]["system"] == "http://loinc.org"
        assert first["code"]["coding"][1]["code"] == "WBC"

    def test_a_block_of_constants_only_is_not_written(self) -> None:
        result = convert(MESSAGE.replace("|13800000000", "|"))
        assert "telecom" not in of(result, "Patient")[0]

    def test_absent_segments_make_no_resources(self) -> None:
        result = convert("MSH|^~\\&|LIS|H1|||20260315||ORU^R01|C1|P|2.4\nPID|1||P1")
        assert [entry.type for entry in result.entries] == ["Patient"]

    def test_an_orc_without_obr_is_a_group_of_its_own(self) -> None:
        result = convert(
            "MSH|^~\\&|LIS|H1|||20260315||ORU^R01|C1|P|2.4\nPID|1||P1\nORC|CA|Q1\nORC|CA|Q2\nOBR|1||R2|X^Y"
        )
        assert len(of(result, "DiagnosticReport")) == 1


class TestIds:
    def test_the_same_thing_has_the_same_id(self) -> None:
        one, two = convert(MESSAGE), convert(MESSAGE.replace("1.50", "1.60").replace("|C1|", "|C2|"))
        assert [entry.reference for entry in one.entries] == [entry.reference for entry in two.entries]

    def test_facilities_do_not_meet(self) -> None:
        one, two = convert(MESSAGE), convert(MESSAGE.replace("|H1|", "|H2|"))
        assert not {entry.id for entry in one.entries} & {entry.id for entry in two.entries}

    def test_a_configured_facility_stands_for_the_message_s(self) -> None:
        sender = Sender(facility="H1")
        other = convert(MESSAGE.replace("|LIS|H1|", "|PACS||"), sender=sender)
        assert [entry.id for entry in other.entries] == [entry.id for entry in convert(MESSAGE).entries]

    def test_key_parts_do_not_run_together(self) -> None:
        """R1 + 2WBC is not R12 + WBC."""
        head = "MSH|^~\\&|LIS|H1|||20260315||ORU^R01|C1|P|2.4\nPID|1||P1\n"
        one = convert(f"{head}OBR|1||R1|X\nOBX|1|NM|2WBC||1|||||P")
        two = convert(f"{head}OBR|1||R12|X\nOBX|1|NM|WBC||1|||||P")
        assert of(one, "Observation")[0]["id"] != of(two, "Observation")[0]["id"]

    def test_without_identifier_the_patient_is_kept_and_flagged(self) -> None:
        text = MESSAGE.replace("||P1||", "||||")
        result = convert(text)
        assert of(result, "Patient")[0]["name"] == [{"text": "张三"}]
        assert [issue.code for issue in result.issues] == ["HT-MAP-40"]
        assert of(convert(text), "Patient")[0]["id"] == of(result, "Patient")[0]["id"]
        assert of(convert(text.replace("|C1|", "|C2|")), "Patient")[0]["id"] != of(result, "Patient")[0]["id"]

    def test_two_results_with_one_key_are_both_kept(self) -> None:
        result = convert(MESSAGE.replace("OBX|2|ST|COL^颜色", "OBX|2|ST|WBC^白细胞"))
        observations = of(result, "Observation")
        assert len({row["id"] for row in observations}) == 3
        assert [issue.code for issue in result.issues] == ["HT-MAP-42"]

    def test_one_doctor_in_two_orders_is_one_practitioner(self) -> None:
        text = MESSAGE.replace("NCG^尿常规||||||||||||", "NCG^尿常规||||||||||||D1^李^建国")
        assert len(of(convert(text), "Practitioner")) == 2


class TestKnowledge:
    """What a message said that no resource holds."""

    def test_unread_fields_and_z_segments(self) -> None:
        coverage = convert(MESSAGE).coverage
        assert coverage.kept == ("ZMR|1|互认|是",)
        assert [(row.field, row.times) for row in coverage.unread] == [
            ("OBR-2", 2), ("ORC-1", 2), ("ORC-2", 2), ("ORC-3", 2), ("PID-7", 1), ("ZMR-2", 1), ("ZMR-3", 1)
        ]  # fmt: skip

    def test_unmapped_codes(self) -> None:
        found = convert(MESSAGE.replace("|M||||", "|9||||")).unmapped
        assert ("table gender", "9", "PID-8") in [(row.domain, row.code, row.source) for row in found]
        assert ("lab-item", "XCG", "OBR-4") in [(row.domain, row.code, row.source) for row in found]

    def test_problems_name_their_field(self) -> None:
        result = convert(MESSAGE.replace("|1.50|", "|阴性？|"))
        assert [(issue.code, issue.source) for issue in result.issues] == [("HT-MAP-41", "OBX-5")]
        assert "阴性？" in result.issues[0].text("zh")
        again = convert(MESSAGE.replace("|1.50|", "|阴性？|"))
        assert again.issues == result.issues

    def test_hl7_null_clears(self) -> None:
        result = convert(MESSAGE.replace("|M||||", '|""||||'))
        patient = result.entries[0]
        assert "gender" not in patient.resource
        assert patient.cleared == ("gender",)
        assert convert(MESSAGE.replace("|M||||", "|||||")).entries[0].cleared == ()

    def test_facts_for_provenance(self) -> None:
        message = parse(MESSAGE.replace("\n", "\r").encode("gbk"))
        result = LAB.convert(message, Sender(), TRANSLATOR)
        assert (result.mapping, result.version, result.control_id, result.kind) == (
            "lab-result", LAB.hash, "C1", "ORU^R01"
        )  # fmt: skip
        assert (result.codec, result.is_guessed) == ("gb18030", True)
        assert result.entries[0].recency == "2026-03-15T08:30:00+08:00"


class TestTrace:
    def test_every_leaf_has_a_line_and_a_source_or_is_a_constant(self) -> None:
        result = convert(MESSAGE, explain=True)
        assert result.trace is not None
        leaves = {(leaf.entry, leaf.path): leaf for leaf in result.trace}
        expected = {
            (number, path)
            for number, entry in enumerate(result.entries)
            for path in paths(entry.resource, entry.type)
        }
        assert leaves.keys() == expected
        assert all(
            leaf.line.startswith("lab.yaml:") and not leaf.line.endswith(":0") for leaf in result.trace
        )
        without = {leaf.path.split(".", 1)[1] for leaf in result.trace if not leaf.sources}
        assert without == {
            "resourceType", "category[0].coding[0].system", "category[0].coding[0].code", "telecom[0].system"
        }  # fmt: skip

    def test_sources_name_segment_and_field(self) -> None:
        trace = convert(MESSAGE, explain=True).trace or ()
        found = {(leaf.entry, leaf.path): leaf.sources for leaf in trace}
        assert found[0, "Patient.name[0].text"] == ("PID-5",)
        assert found[2, "Practitioner.id"] == ("OBR-16[2]",)
        assert found[7, "Observation.valueString"] == ("OBX[2]-2", "OBX[2]-5")
        assert found[7, "Observation.subject.reference"] == ("PID-3",)
        assert found[6, "Observation.note[1].text"] == ("NTE[2]-3",)

    def test_explaining_changes_nothing(self) -> None:
        plain, explained = convert(MESSAGE), convert(MESSAGE, explain=True)
        assert plain.bundle() == explained.bundle()


class TestExpressions:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("language: =zh", "zh"),
            ('language: "\\"zh\\""', "zh"),
            ("language: PID-15 or PID-16", "zh"),
            ('language: PID-16 + "-" + PID-17', "zh-CN"),
            ('language: PID-15 + "-" + PID-18', None),
            ("language: PID-17 | lower", "cn"),
            ("language: (PID-17 | lower) or PID-16", "cn"),
            ('language: PID-16 when PID-8 = "M"', "zh"),
            ('language: PID-16 when PID-8 != "M"', None),
            ('language: PID-16 when PID-8 in ("F", "M") and not PID-15', "zh"),
            ("language: PID-16 when (PID-15 or PID-17) and PID", "zh"),
            ('language: PID-16 when PV1 or (PID-8 | lower) = "m"', "zh"),
            ('language: PID-16 when PID-3[] = "P2"', "zh"),
            ("language: PID-3[2]", "P2"),
            ("language: PID-20.2.2", "c"),
            ("language: PID-16 | table words", "中文"),
            ("language: PID-16 | whole", "zh"),
            ("language: PID-17 | prefix zh-", "zh-CN"),
        ],
    )
    def test_lines(self, line: str, expected: str | None) -> None:
        map = small(line, head="tables: {words: {zh: 中文}}")
        text = "MSH|^~\\&|A|B\nPID|1||P1~P2|||||M||||||||zh|CN|||a^b&c"
        assert of(convert(text, map), "Patient")[0].get("language") == expected

    def test_lists(self) -> None:
        map = small(
            'name: {given: "PID-5[] | upper", text: "PID-5[] | join \'/\'"}\n'
            'identifier: [{$each: "PID-3[]", value: PID-3.1, system: =urn:x}]'
        )
        patient = of(convert("MSH|^~\\&|A|B\nPID|1||P1~P2||a~b", map), "Patient")[0]
        assert patient["name"] == [{"given": ["A", "B"], "text": "a/b"}]
        assert patient["identifier"] == [
            {"value": "P1", "system": "urn:x"},
            {"value": "P2", "system": "urn:x"},
        ]

    def test_dotted_and_nested_elements_meet(self) -> None:
        map = small("maritalStatus.text: PID-16\nmaritalStatus.coding: [{code: PID-17}]")
        assert of(convert("MSH|^~\\&|A|B\nPID|1||P1|||||||||||||zh|CN", map), "Patient")[0]["maritalStatus"] == {
            "text": "zh", "coding": [{"code": "CN"}]
        }  # fmt: skip

    def test_false_and_zero_are_values(self) -> None:
        map = small("active: PID-24 | boolean\nmultipleBirthInteger: PID-25 | integer")
        patient = of(convert("MSH|^~\\&|A|B\nPID|1||P1" + "|" * 21 + "N|0", map), "Patient")[0]
        assert (patient["active"], patient["multipleBirthInteger"]) == (False, 0)


class TestWriting:
    """How entries meet what is stored (mappings/language/result.py)."""

    def entry(self, type: str = "DiagnosticReport") -> Entry:
        return next(entry for entry in convert(MESSAGE).entries if entry.type == type)

    def test_a_late_preliminary_never_beats_a_final(self) -> None:
        final = self.entry()
        late = Entry({**final.resource, "status": "preliminary"}, final.rule, "2026-03-16T00:00:00+08:00")
        assert late.is_stale(final.resource, final.recency)
        assert not final.is_stale(late.resource, late.recency)

    def test_the_same_status_goes_by_time(self) -> None:
        entry = self.entry()
        assert entry.is_stale(entry.resource, "2026-03-15T08:30:01+08:00")
        assert not entry.is_stale(entry.resource, "2026-03-15T08:29:59+08:00")
        assert not entry.is_stale(entry.resource, "2026-03-15T00:30:00Z")

    def test_rows_of_writing(self) -> None:
        stored = {"resourceType": "Practitioner", "id": "x", "name": [{"text": "full"}]}
        assert self.entry("Practitioner").applied_to(stored) is stored
        assert self.entry("Practitioner").applied_to(None)["name"] == [{"text": "李"}]


def paths(value: object, path: str) -> list[str]:
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in paths(part, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for index, part in enumerate(value) for found in paths(part, f"{path}[{index}]")]
    return [path]


def test_the_map_passes_its_own_tests() -> None:
    assert run_trials(LAB, TRANSLATOR) == []
