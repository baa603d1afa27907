"""HL7 v3 data types → FHIR: both ways of writing them (R1 attributes, ISO 21090 items) give the same."""

from typing import Any

import pytest

from mappings.language.converters import Context, Sender, find_converter
from mappings.xml.parse import parse
from terminology.translate import Translator

SYSTEMS = {"1.2.156.112606.1.3": "resident", "1.2.156.112606.9": "https://h1.example/codes"}


def convert(name: str, xml: str, *arguments: Any) -> Any:
    converter = find_converter(name)
    assert converter is not None
    context = Context(Sender(systems=SYSTEMS), Translator())
    return converter.function(parse(xml.encode()).root, context, *arguments)


class TestIdentifiers:
    def test_both_forms(self) -> None:
        expected = [{"system": "urn:oid:1.2.3", "value": "7"}]
        assert convert("ii", '<id root="1.2.3" extension="7"/>') == expected
        assert convert("ii", '<id><item root="1.2.3" extension="7"/></id>') == expected
        assert convert("ii", '<patient><id root="1.2.3" extension="7"/></patient>') == expected

    def test_a_private_root_means_what_the_source_says(self) -> None:
        (found,) = convert("ii", '<id root="1.2.156.112606.1.3" extension="11010519491231002x"/>')
        assert found["system"] == "urn:oid:2.16.156.10011.1.3"
        assert found["value"] == "11010519491231002X"

    def test_a_wrong_resident_number_is_kept_and_flagged(self) -> None:
        (found,) = convert("ii", '<id root="2.16.156.10011.1.3" extension="370102198501011234"/>')
        assert found["value"] == "370102198501011234"
        assert found["extension"][0]["valueCode"] == "HT-ID-03"

    def test_a_root_alone_names_the_thing(self) -> None:
        number = "123e4567-e89b-12d3-a456-426614174000"
        uuid = [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{number}"}]
        assert convert("ii", f'<id root="{number}"/>') == uuid
        oid = [{"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"}]
        assert convert("ii", '<id root="1.2.3"/>', "instance") == oid

    @pytest.mark.parametrize(
        "xml",
        [
            '<id root="2.16.156.10011.1.3"/>',
            '<id root="2.16.156.10011.1.3" extension=""/>',
            '<id><item root="1.2.3" extension=" "/></id>',
        ],
    )
    def test_a_scheme_without_a_number_identifies_nobody(self, xml: str) -> None:
        assert convert("ii", xml) is None

    def test_nothing(self) -> None:
        assert convert("ii", '<id nullFlavor="UNK"/>') is None


class TestCodes:
    def test_known_oids_become_canonicals(self) -> None:
        found = convert("cd", '<code code="29548-5" codeSystem="2.16.840.1.113883.6.1" displayName="Dx"/>')
        assert found == {
            "coding": [{"system": "http://loinc.org", "code": "29548-5", "display": "Dx"}],
            "text": "Dx",
        }

    @pytest.mark.parametrize(
        ("oid", "system"),
        [
            ("2.16.156.10011.2.3.3.11", "urn:oid:2.16.156.10011.2.3.3.11"),
            ("2.16.840.1.113883.12.74", "http://terminology.hl7.org/CodeSystem/v2-0074"),
            ("1.2.156.112606.9", "https://h1.example/codes"),
        ],
    )
    def test_other_oids(self, oid: str, system: str) -> None:
        assert convert("cd", f'<code code="1" codeSystem="{oid}"/>')["coding"][0]["system"] == system

    def test_the_name_as_element(self) -> None:
        found = convert("cd", '<code code="1"><displayName value="血常规"/></code>')
        assert found == {"coding": [{"code": "1", "display": "血常规"}], "text": "血常规"}

    def test_a_text_without_code(self) -> None:
        assert convert("cd", "<code>血常规</code>") == {"text": "血常规"}


class TestNames:
    @pytest.mark.parametrize(
        "xml",
        [
            "<name>张三丰</name>",
            '<name xsi:type="BAG_EN"><item><part value="张三丰"/></item></name>',
            '<name value="张三丰"/>',
        ],
    )
    def test_a_whole_name(self, xml: str) -> None:
        assert convert("en", xml) == [{"text": "张三丰"}]

    @pytest.mark.parametrize(
        "xml",
        [
            '<name use="L"><family>张</family><given>三丰</given></name>',
            '<name><item use="L"><part type="FAM" value="张"/><part type="GIV" value="三丰"/></item></name>',
        ],
    )
    def test_parts(self, xml: str) -> None:
        assert convert("en", xml) == [
            {"use": "official", "text": "张三丰", "family": "张", "given": ["三丰"]}
        ]


class TestTimes:
    @pytest.mark.parametrize(
        ("xml", "expected"),
        [
            ('<t value="20260315081000"/>', "2026-03-15T08:10:00+08:00"),
            ('<t><any value="20260315"/></t>', "2026-03-15"),
            ('<t xsi:type="IVL_TS"><low value="202603"/><high value="2027"/></t>', "2026-03"),
            ('<t value="20260315081000+0900"/>', "2026-03-15T08:10:00+09:00"),
        ],
    )
    def test_precision_and_zone(self, xml: str, expected: str) -> None:
        assert convert("ts", xml) == expected

    def test_an_interval(self) -> None:
        assert convert("ivl", '<t><low value="20260315"/><high value="20260316"/></t>') == {
            "start": "2026-03-15",
            "end": "2026-03-16",
        }


class TestValues:
    @pytest.mark.parametrize(
        ("xml", "kind", "value"),
        [
            (
                '<value xsi:type="PQ" value="12.50" unit="10^9/L"/>',
                "Quantity",
                {
                    "value": "12.50",
                    "unit": "10^9/L",
                    "system": "http://unitsofmeasure.org",
                    "code": "10*9/L",
                },
            ),
            ('<value xsi:type="REAL" value="12.5"/>', "Quantity", {"value": "12.5"}),
            ('<value xsi:type="ST">阴性</value>', "string", "阴性"),
            ('<value xsi:type="BL" value="true"/>', "boolean", "True"),
            ('<value xsi:type="CD" code="J18.900"/>', "CodeableConcept", {"coding": [{"code": "J18.900"}]}),
            ('<value xsi:type="TS" value="2026"/>', "dateTime", "2026"),
        ],
    )
    def test_by_type(self, xml: str, kind: str, value: Any) -> None:
        found = convert("v3value", xml)
        assert found[0] == kind
        shown = (
            {key: str(part) if key == "value" else part for key, part in found[1].items()}
            if isinstance(found[1], dict)
            else str(found[1])
        )
        assert shown == value

    def test_a_range(self) -> None:
        found = convert(
            "v3value", '<value xsi:type="IVL_PQ"><low value="3.5" unit="g"/><high value="9"/></value>'
        )
        assert found[0] == "Range"
        assert (str(found[1]["low"]["value"]), found[1]["high"]) == ("3.5", {"value": 9})


class TestPlaces:
    def test_an_address(self) -> None:
        xml = (
            '<addr use="H"><state>山东省</state><city>济南市</city><county>历下区</county>'
            "<township>姚家街道</township><houseNumber>6号</houseNumber><postalCode>250000</postalCode></addr>"
        )
        (found,) = convert("ad", xml)
        assert found["text"] == "山东省济南市历下区姚家街道6号"
        assert found["district"] == "历下区"

    def test_an_address_of_parts(self) -> None:
        xml = '<addr><item use="H"><part type="STA" value="山东省"/><part type="SAL" value="路6号"/></item></addr>'
        (found,) = convert("ad", xml)
        assert (found["use"], found["state"], found["text"]) == ("home", "山东省", "山东省路6号")

    def test_telecoms(self) -> None:
        (found,) = convert("tel", '<telecom use="MC" value="tel:13812345678"/>')
        assert (found["system"], found["use"]) == ("phone", "mobile")
        assert found["value"].endswith("13812345678")
        items = '<telecom><item value="13812345678"/><item value="mailto:a@b.cn"/></telecom>'
        assert [row["system"] for row in convert("tel", items)] == ["phone", "email"]
