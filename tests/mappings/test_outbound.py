"""Maps that run back: FHIR resources → HL7 v2, XML, JSON (docs/mapping.md, "The way back")."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps
from mappings.language.converters import Sender
from mappings.language.document import extend, read_document
from mappings.language.sources.focus import Focus
from mappings.outbound.compile import Envelope, OutboundMap
from mappings.outbound.trial import ask
from mappings.outbound.xml import write_xml
from terminology.issues import InvalidInput
from terminology.translate import Translator

TRANSLATOR = Translator()
NOW = datetime.fromisoformat("2026-03-15T08:30:12+08:00")
HEAD = "mapping: m\nsource: {format: fhir, focus: [DiagnosticReport]}\ntarget: {format: %s}\n"


def resource(type: str, id: str, **elements: Any) -> dict[str, Any]:
    return {"resourceType": type, "id": id, **elements}


PATIENT = resource(
    "Patient",
    "p",
    identifier=[
        {"system": "urn:id:H1", "value": "P1", "type": {"coding": [{"code": "MR"}]}},
        {"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231002X"},
    ],
    name=[{"text": "张𠮷|三"}],
    gender="male",
)
REPORT = resource(
    "DiagnosticReport",
    "r",
    status="final",
    subject={"reference": "http://gw/fhir/Patient/p/_history/4"},
    result=[{"reference": "#o"}, {"reference": "Observation/x"}],
    contained=[resource("Observation", "o", status="final", valueQuantity={"value": Decimal("1.50")})],
)


def written(
    text: str, *, envelope: Envelope | None = None, sender: Sender | None = None, explain: bool = False
):
    map = OutboundMap(read_document(text.encode(), file="m.yaml"))
    focus = Focus(REPORT, [PATIENT])
    return map.write(
        focus, envelope or Envelope(id="C1", now=NOW), TRANSLATOR, sender=sender, explain=explain
    )


def v2(lines: str, *, charset: str = "UTF-8", **more: Any):
    text = HEAD % "hl7v2, message: ORU^R01" + "segments:\n" + lines
    return written(text, envelope=Envelope(id="C1", now=NOW, charset=charset, receiver=("HIS", "H1")), **more)


class TestHl7v2:
    def test_the_header_is_written_from_the_envelope(self):
        message = parse(v2("  - {segment: ZZZ, set: {ZZZ-1: status}}\n").body)
        got = [message.get(f"MSH-{n}") for n in (3, 5, 6, 7, 9, 10, 11, 12, 18)]
        assert got == ["HUTONG", "HIS", "H1", "20260315083012", "ORU", "C1", "P", "2.4", "UNICODE UTF-8"]

    def test_a_map_may_set_header_fields(self):
        body = v2("  - {segment: MSH, set: {MSH-3: =MINE}}\n  - {segment: ZZZ, set: {ZZZ-1: status}}\n").body
        assert parse(body).get("MSH-3") == "MINE"

    @pytest.mark.parametrize("charset", ["GBK", "GB18030", "UTF-8"])
    def test_delimiters_and_rare_characters_survive_every_charset(self, charset: str):
        lines = "  - each: subject->Patient\n    id: p\n    segments:\n      - {segment: PID, set: {PID-5.1: name.text}}\n"
        body = v2(lines, charset=charset).body
        message = parse(body)
        assert message.get("PID-5.1") == "张𠮷|三"
        assert message.get("PID-1") == "1"
        if charset == "GBK":
            # A GBK receiver can't read four-byte characters; none is in the bytes.
            body.decode("gbk")

    def test_segments_repeat_and_are_counted(self):
        lines = "  - id: r\n    each: result[]->Observation\n    segments:\n      - {segment: OBX, set: {OBX-5: $this | obx_value}}\n"
        found = v2(lines)
        assert ask("OBX[]-5", found) == ["1.50"]
        assert ask("OBX[]-1", found) == ["1"]

    def test_a_segment_of_constants_and_no_value_is_left_out(self):
        assert (
            "OBR" not in v2("  - {segment: OBR, set: {OBR-1: =1, OBR-2: identifier.value}}\n").body.decode()
        )

    def test_the_receivers_own_names_of_systems(self):
        lines = "  - each: subject->Patient\n    id: p\n    segments:\n      - {segment: PID, set: {PID-3: 'identifier[] | to_cx'}}\n"
        sender = Sender(systems={"SFZ": "urn:oid:2.16.156.10011.1.3"})
        assert parse(v2(lines, sender=sender).body).get("PID-3[2].4") == "SFZ"
        plain = parse(v2(lines).body)
        assert [plain.get(f"PID-3[2].4.{part}") for part in (2, 3)] == ["2.16.156.10011.1.3", "ISO"]

    def test_every_value_tells_line_and_element(self):
        lines = "  - each: subject->Patient\n    id: p\n    segments:\n      - segment: PID\n        set:\n          PID-8: gender\n          PID-9: =x\n"
        trace = {leaf.path: leaf for leaf in v2(lines, explain=True).trace or ()}
        assert trace["PID[1]-8"].line == "m.yaml:10"
        assert trace["PID[1]-8"].sources == ("Patient/p.gender",)
        assert trace["PID[1]-9"].sources == ()


class TestXml:
    def test_elements_attributes_texts_and_repetitions(self):
        text = HEAD % "xml, root: report, namespaces: {'': 'urn:x', r: 'urn:y'}" + (
            "body:\n"
            "  status.@code: status\n"
            "  subject:\n"
            "    - {$each: 'subject->Patient.identifier[]', '@root': system, '@extension': value}\n"
            '  "r:name": subject->Patient.name.text\n'
            "  missing: {'@nullFlavor': =UNK, '#text': conclusion}\n"
        )
        body = written(text, envelope=Envelope(charset="GBK")).body
        from lxml import etree

        root = etree.fromstring(body)
        assert body.startswith(b'<?xml version="1.0" encoding="GBK"?>')
        assert root.tag == "{urn:x}report"
        assert root.find("{urn:x}status").get("code") == "final"
        assert [row.get("extension") for row in root.findall("{urn:x}subject")] == [
            "P1",
            "11010519491231002X",
        ]
        assert root.find("{urn:y}name").text == "张𠮷|三"
        assert root.find("{urn:x}missing") is None

    def test_the_writer_escapes_what_xml_cannot_hold(self):
        body = write_xml(
            "a", {"@b": 'x"<\n', "c": ["1 & 2", None, True, Decimal("1.50")], "d": "\x00", "e": ""}
        )
        assert body.decode().splitlines()[1] == (
            '<a b="x&quot;&lt;&#10;"><c>1 &amp; 2</c><c>true</c><c>1.50</c><d>\ufffd</d><e/></a>'
        )

    @pytest.mark.parametrize("name", ["", "1a", "a b", "a>", ":a"])
    def test_a_name_that_xml_forbids_is_refused(self, name: str):
        with pytest.raises(ValueError, match="no XML name"):
            write_xml("a", {name: "x"})


class TestJson:
    def test_members_lists_numbers_and_flags(self):
        text = HEAD % "json" + (
            "body:\n"
            "  code: 0\n"
            "  data.xm: subject->Patient.name.text\n"
            '  "data.list[]": status\n'
            '  data.n: "($this | obx_value) or \\"0\\" | integer"\n'
            "  data.none: conclusion\n"
        )
        assert written(text).content == {"code": 0, "data": {"xm": "张𠮷|三", "list": ["final"], "n": 0}}

    def test_a_narrow_charset_escapes_the_rest(self):
        text = HEAD % "json" + "body:\n  xm: subject->Patient.name.text\n"
        body = written(text, envelope=Envelope(charset="GBK")).body
        assert body == '{"xm":"张\\ud842\\udfb7|三"}'.encode("gbk")


class TestRefused:
    """Every line is checked when the map is read."""

    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("PID-5: nosuch", "HT-MAP-08"),
            ("PID-5: subject->Patient.nosuch", "HT-MAP-08"),
            ("PID-5: subject->Observation.status", "HT-MAP-08"),
            ("PID-5: status->Patient", "HT-MAP-08"),
            ("PID-5: code", "HT-MAP-12"),
            ("PID-7: issued", "HT-MAP-12"),
            ("PID-5: status | nosuch", "HT-MAP-18"),
            ("PID-5: status | table nosuch", "HT-MAP-19"),
            ("PID-5: ref patient", "HT-MAP-17"),
            ("PID-5: $nosuch", "HT-MAP-08"),
            ("OBX-5: status", "HT-MAP-25"),
            ("PID-0: status", "HT-MAP-25"),
            ("PID-5.x: status", "HT-MAP-25"),
            ("PID-5: status |", "HT-MAP-10"),
        ],
    )
    def test_a_wrong_line(self, line: str, code: str):
        with pytest.raises(InvalidInput) as refused:
            v2(f"  - segment: PID\n    set:\n      {line}\n")
        assert [issue.code for issue in refused.value.issues] == [code]
        assert "m.yaml:" in refused.value.issues[0].text("en")

    @pytest.mark.parametrize(
        "target", ["pdf", "xml", "hl7v2"], ids=["unknown format", "no root", "no segments"]
    )
    def test_an_incomplete_target(self, target: str):
        with pytest.raises(InvalidInput):
            written(HEAD % target)

    def test_another_focus(self):
        map = ActiveMaps(translator=TRANSLATOR).outbound("out-hl7v2-results")
        with pytest.raises(InvalidInput) as refused:
            map.write(Focus(PATIENT), Envelope(), TRANSLATOR)
        assert refused.value.issues[0].code == "HT-MAP-26"


class TestOverlay:
    BASE = HEAD % "hl7v2, message: ORU^R01" + (
        "tables: {s: {final: F}}\nsegments:\n  - {segment: OBR, set: {OBR-25: status | table s, OBR-2: =x}}\n"
        "  - {id: end, segment: ZZZ, set: {ZZZ-1: status}}\n"
    )

    def over(self, text: str):
        base = read_document(self.BASE.encode(), file="base")
        overlay = read_document(f"mapping: o\nextends: m\n{text}".encode(), file="over")
        map = OutboundMap(extend(base, overlay))
        return map.write(Focus(REPORT, [PATIENT]), Envelope(id="1", now=NOW), TRANSLATOR).content

    def test_rows_fields_and_segments_change(self):
        found = self.over(
            "tables: {s: {final: '9'}}\nsegments:\n  - {id: OBR, set: {OBR-2: ~}}\n  - {id: end, remove: true}\n"
            "  - {segment: ZMR, after: OBR, set: {ZMR-1: =1}}\n"
        )
        assert found == [("OBR", {"OBR-25": "9"}), ("ZMR", {"ZMR-1": "1"})]


class TestHotReload:
    def test_a_changed_map_is_active_and_a_broken_one_is_refused(self, tmp_path: Path):
        seconds = [0.0]
        maps = ActiveMaps(tmp_path, translator=TRANSLATOR, clock=lambda: seconds[0])
        path = tmp_path / "mine.yaml"
        overlay = "mapping: mine\nextends: out-hl7v2-results\ntables: {sex: {male: '1'}}\n"
        path.write_text(overlay)
        focus = Focus(REPORT, [PATIENT])

        def sex() -> str | None:
            seconds[0] += 2
            written = maps.outbound("mine").write(focus, Envelope(id="1", now=NOW), TRANSLATOR)
            return parse(written.body).get("PID-8")

        assert sex() == "1"
        path.write_text(overlay.replace("'1'", "'男'") + "tests: []\n")
        assert sex() == "男"
        path.write_text(overlay + "segments: [{id: OBR, set: {OBR-4: nosuch}}]\n")
        assert sex() == "男"
        assert maps.problems[str(path)][0].code == "HT-MAP-08"


class TestPlatform:
    """What is written for the hospital platform is read again by the maps that read the platform's messages."""

    def test_a_result_and_its_values_come_back(self):
        from mappings.xml.parse import parse as parse_xml

        maps = ActiveMaps(translator=TRANSLATOR)
        report = resource(
            "DiagnosticReport",
            "r",
            status="final",
            identifier=[{"system": "urn:oid:2.16.156.10011.1.33", "value": "BG1"}],
            code={"coding": [{"code": "XCG", "display": "血常规"}]},
            subject={"reference": "Patient/p"},
            issued="2026-03-15T10:00:00+08:00",
            effectiveDateTime="2026-03-15T09:00:00+08:00",
            basedOn=[{"reference": "ServiceRequest/s"}],
            result=[{"reference": "Observation/o"}, {"reference": "Observation/t"}],
            conclusion="<正常> & 好",
        )
        placer = {
            "type": {"coding": [{"code": "PLAC"}]},
            "system": "urn:oid:2.16.156.10011.1.24",
            "value": "SQD1",
        }
        around = [
            PATIENT,
            resource("ServiceRequest", "s", identifier=[placer]),
            resource(
                "Observation",
                "o",
                status="final",
                code={"coding": [{"code": "WBC", "display": "白细胞计数"}]},
                valueQuantity={"value": Decimal("12.50"), "unit": "10^9/L"},
            ),
            resource("Observation", "t", status="final", code={"text": "乙肝表面抗原"}, valueString="阴性"),
        ]
        written = maps.outbound("out-platform-result").write(
            Focus(report, around), Envelope(id="1", now=NOW), TRANSLATOR
        )
        result = maps.run_xml(parse_xml(written.body))
        found = {entry.type: entry.resource for entry in result.entries}
        assert found["DiagnosticReport"]["status"] == "final"
        assert found["DiagnosticReport"]["conclusion"] == "<正常> & 好"
        assert found["DiagnosticReport"]["basedOn"][0]["identifier"]["value"] == "SQD1"
        assert found["Patient"]["name"][0]["text"] == "张𠮷|三"
        values = [entry.resource for entry in result.entries if entry.type == "Observation"]
        assert [
            str(one.get("valueQuantity", {}).get("value") or one.get("valueString")) for one in values
        ] == [
            "12.50",
            "阴性",
        ]

    def test_a_status_comes_back(self):
        from mappings.xml.parse import parse as parse_xml

        maps = ActiveMaps(translator=TRANSLATOR)
        task = resource(
            "Task",
            "t",
            status="in-progress",
            intent="order",
            focus={"reference": "ServiceRequest/s"},
            **{"for": {"reference": "Patient/p"}},
        )
        order = resource("ServiceRequest", "s", identifier=[{"value": "SQD1"}], code={"text": "心电图"})
        written = maps.outbound("out-platform-status").write(
            Focus(task, [order, PATIENT]), Envelope(id="1", now=NOW), TRANSLATOR
        )
        result = maps.run_xml(parse_xml(written.body))
        found = {entry.type: entry.resource for entry in result.entries}
        assert found["Task"]["status"] == "in-progress"
        assert found["ServiceRequest"]["identifier"][0]["value"] == "SQD1"
