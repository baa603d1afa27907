"""XML as a source of maps: paths, loops, selection, coverage, trace, and what the compiler refuses."""

from pathlib import Path

import pytest

from mappings.convert import convert
from mappings.language.active import ActiveMaps
from mappings.language.compile import Map
from mappings.language.converters import Sender
from mappings.language.document import read_document
from mappings.language.result import Result
from mappings.language.sources.xml_path import find, read, walk
from mappings.xml.parse import parse
from terminology.issues import InvalidInput, UnmappableMessage
from terminology.translate import Translator

HEAD = "mapping: m\nsource: {format: xml, root: doc}\nresources:\n"
DOCUMENT = """
<doc xmlns="urn:hl7-org:v3">
  <who><id root="1.2.3" extension="P1"/><name>张三</name></who>
  <part><section><code code="A"/><entry><obs><id extension="1"/><code code="WBC"/></obs></entry></section></part>
  <part><section><code code="B"/>
    <entry><obs><id extension="2"/><code code="RBC"/></obs></entry>
    <entry><obs><id extension="3"/><code code="HGB"/><note><text>x</text></note></obs></entry>
  </section></part>
  <other w="1">left <b>over</b></other>
</doc>"""


def run(lines: str, text: str = DOCUMENT, *, explain: bool = False) -> Result:
    map = Map(read_document((HEAD + lines).encode(), file="m.yaml"))
    return map.convert(parse(text.encode()), Sender(), Translator(), explain=explain)


def patient(line: str) -> object:
    found = run(f"  - {{id: p, type: Patient, key: message, set: {{name: [{{text: '{line}'}}]}}}}\n")
    return found.entries[0].resource.get("name", [{}])[0].get("text")


class TestPaths:
    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("who/name", "张三"),
            ("who/id/@extension", "P1"),
            ("/who/name", "张三"),
            ("hl7:who/hl7:name", "张三"),
            # The first match in document order that has a value, whichever branch it is in.
            ("part/section/entry/obs/note/text", "x"),
            ('part/section[code/@code="B"]/entry/obs/id/@extension', "2"),
            ('part/section[code/@code="Z","B"]/entry[2]/obs/id/@extension', "3"),
            ('part/section[code/@code!="A"]/entry/obs/code/@code', "RBC"),
            ("part[2]/section/code/@code", "B"),
            ("part/section/entry/obs[note]/id/@extension", "3"),
            ("part/*/code/@code", "A"),
            ("part/section/../../who/name", "张三"),
            ("other/text()", "left over"),
            ("who/missing", None),
            ("missing/name", None),
            ("part[3]/section/code/@code", None),
        ],
    )
    def test_a_path_gives_its_text(self, path: str, text: str | None) -> None:
        assert patient(path) == text

    def test_all_of_a_path(self) -> None:
        assert patient('part[]/section/entry/obs/id/@extension | join ","') == "1,2,3"

    @pytest.mark.parametrize("path", ["", "/", "a/", "a//b", "a[", "a[0]", "@", "a/@b/c", "text(", "a[b="])
    def test_no_path(self, path: str) -> None:
        found = read(path, 0)
        assert found is None or found[1] < len(path)

    def test_find_and_walk_agree(self) -> None:
        root = parse(DOCUMENT.encode()).root
        path = read("part/section/entry/obs", 0)
        assert path is not None
        steps = path[0].steps
        assert find(root, steps) is next(walk(root, steps))
        assert len(list(walk(root, steps))) == 3


LOOPS = """
  - id: report
    type: DiagnosticReport
    each: part[]/section
    key: code/@code
    set: {status: =final, code: {text: code/@code}, result: refs item}
  - id: item
    type: Observation
    each: part[]/section[]/entry/obs
    key: [/who/id/@extension, id/@extension]
    set:
      status: =final
      code: code | cd
      note: [{$each: note, text: text}]
      derivedFrom: ref report
"""


class TestLoops:
    def test_loops_stand_in_each_other(self) -> None:
        found = run(LOOPS.replace("      derivedFrom: ref report\n", "")).bundle()["entry"]
        reports = [row["resource"] for row in found if row["resource"]["resourceType"] == "DiagnosticReport"]
        assert [len(report["result"]) for report in reports] == [1, 2]
        items = [row["resource"] for row in found if row["resource"]["resourceType"] == "Observation"]
        assert [item.get("note") for item in items] == [None, None, [{"text": "x"}]]

    def test_a_loop_over_nothing_makes_nothing(self) -> None:
        lines = LOOPS.replace("      derivedFrom: ref report\n", "")
        assert run(lines, "<doc><part><section/></part></doc>").entries == []

    def test_an_element_that_says_nothing_is_none(self) -> None:
        text = '<doc><id nullFlavor="UNK"/><id root="1.2" extension="7"/></doc>'
        found = run("  - {id: p, type: Patient, key: id | ii_key, set: {identifier: id | ii}}\n", text)
        assert found.entries[0].resource["identifier"] == [{"system": "urn:oid:1.2", "value": "7"}]

    def test_without_the_thing_of_its_key_there_is_no_resource(self) -> None:
        lines = "  - {id: p, type: Patient, key: who/id/@extension, set: {name: who/name | en}}\n"
        assert run(lines, "<doc><x/></doc>").entries == []
        flagged = run(lines, "<doc><who><name>张三</name></who></doc>")
        assert [issue.code for issue in flagged.issues] == ["HT-MAP-40"]


class TestCoverage:
    def test_what_no_line_reads_is_told(self) -> None:
        found = run("  - {id: p, type: Patient, key: who/id | ii_key, set: {name: who/name | en}}\n")
        unread = {row.field: row.times for row in found.coverage.unread}
        assert unread["part/section/entry/obs/id/@extension"] == 3
        assert unread["other/@w"] == 1
        assert unread["other/b"] == 1
        assert not any(field.startswith("who") for field in unread)

    def test_the_trace_names_places(self) -> None:
        found = run(LOOPS.replace("      derivedFrom: ref report\n", ""), explain=True)
        sources = {(leaf.entry, leaf.path): leaf.sources for leaf in found.trace or ()}
        assert sources[4, "Observation.code.coding[0].code"] == ("part[2]/section/entry[2]/obs/code",)
        assert sources[4, "Observation.note[0].text"] == ("part[2]/section/entry[2]/obs/note/text",)


SITE = {
    "base": "source: {format: xml, root: [doc, d*]}",
    "template": "source: {format: xml, root: doc, template: 2.16.156.10011.2.1.1.27}",
    "where": "source: {format: xml, root: doc, where: ['code/@code = \"C0007\"']}",
    "sender": 'source: {format: xml, root: doc, senders: ["HIS|H2"]}',
    "other": "source: {format: xml, root: doc, namespace: 'urn:y'}",
}


class TestSelection:
    @pytest.fixture
    def maps(self, tmp_path: Path) -> ActiveMaps:
        for name, source in SITE.items():
            body = f"mapping: {name}\n{source}\nresources:\n  - {{id: p, type: Patient, key: a, set: {{id: a}}}}\n"
            body = body.replace("set: {id: a}", "set: {name: [{text: a}]}")
            (tmp_path / f"{name}.yaml").write_text(body)
        return ActiveMaps(tmp_path, shipped=None)

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("<doc/>", "base"),
            ("<d2/>", "base"),
            ('<doc><templateId root="2.16.156.10011.2.1.1.27"/></doc>', "template"),
            ('<doc><code code="C0007"/></doc>', "where"),
            ('<doc xmlns="urn:y"/>', "other"),
        ],
    )
    def test_the_most_particular_map_takes_it(self, maps: ActiveMaps, text: str, name: str) -> None:
        assert maps.find_xml(parse(text.encode())).name == name

    def test_a_map_of_a_sender_comes_first(self, maps: ActiveMaps) -> None:
        assert maps.find_xml(parse(b"<doc/>"), "HIS", "H2").name == "sender"

    def test_no_map(self, maps: ActiveMaps) -> None:
        with pytest.raises(UnmappableMessage) as refused:
            next(convert(b"<unknown/>", maps))
        assert refused.value.issues[0].code == "HT-MAP-35"


class TestCompileErrors:
    @pytest.mark.parametrize(
        ("text", "code"),
        [
            (HEAD + "  - {id: p, type: Patient, key: 'a//b', set: {}}\n", "HT-MAP-10"),
            (HEAD + "  - {id: p, type: Patient, each: a/@b, key: a, set: {}}\n", "HT-MAP-08"),
            (HEAD + "  - {id: p, type: Patient, key: a, set: {birthDate: a | nothing}}\n", "HT-MAP-18"),
            (
                HEAD.replace("root: doc", "root: doc, where: 'a ='")
                + "  - {id: p, type: Patient, key: a, set: {}}\n",
                "HT-MAP-08",
            ),
            (HEAD + "  - {id: p, type: Patient, key: a, set: {}}\ngroups: {g: {starts: A}}\n", "HT-MAP-08"),
        ],
    )
    def test_code_and_line(self, text: str, code: str) -> None:
        with pytest.raises(InvalidInput) as refused:
            Map(read_document(text.encode(), file="m.yaml"))
        assert code in {issue.code for issue in refused.value.issues}
