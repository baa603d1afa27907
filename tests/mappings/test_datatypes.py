"""The datatype converters, one table a type; docs/adapters/hl7v2.md."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.datatypes import dtm, nm
from mappings.datatypes.units import ucum_of
from mappings.hl7v2.delimiters import STANDARD
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, Sender, find_converter
from terminology.translate import Translator

TRANSLATOR = Translator()


def context(facility: str = "H1", zone: str = "Asia/Shanghai") -> Context:
    return Context(
        Sender(facility=facility, zone=zone), TRANSLATOR, message=SimpleNamespace(get=lambda path: None)
    )


def convert(name: str, value: Any, *arguments: Any, under: Context | None = None) -> Any:
    found = find_converter(name)
    assert found is not None
    return found.function(value, under or context(), *arguments)


def obx(*fields: str) -> Segment:
    return Segment("OBX", "|".join(("OBX", *fields)), STANDARD, 1, 1)


class TestDateTime:
    """HL7 v2.8 §2A.22"""

    @pytest.mark.parametrize(
        ("text", "date", "moment"),
        [
            ("2026", "2026", "2026"),
            ("202603", "2026-03", "2026-03"),
            ("20260315", "2026-03-15", "2026-03-15"),
            ("2026031508", "2026-03-15", "2026-03-15T08:00:00+08:00"),
            ("202603150830", "2026-03-15", "2026-03-15T08:30:00+08:00"),
            ("20260315083012", "2026-03-15", "2026-03-15T08:30:12+08:00"),
            ("20260315083012.5678", "2026-03-15", "2026-03-15T08:30:12.5678+08:00"),
            ("20260315083012-0500", "2026-03-15", "2026-03-15T08:30:12-05:00"),
            ("20260315083012-050", "2026-03-15", "2026-03-15T08:30:12+08:00"),
            ("20260315240000", "2026-03-16", "2026-03-16T00:00:00+08:00"),
            ("2026-03-15 08:30:12", "2026-03-15", "2026-03-15T08:30:12+08:00"),
            ("2026/3/5", "2026-03-05", "2026-03-05"),
            ("2026年3月5日", "2026-03-05", "2026-03-05"),
            ("2026-03-15T08:30:12Z", "2026-03-15", "2026-03-15T08:30:12Z"),
            ("20260229", None, None),
            ("20261301", None, None),
            ("昨天", None, None),
            ("00000000", None, None),
        ],
    )
    def test_precision_and_offset_are_kept(self, text, date, moment):
        assert convert("date", text) == date
        assert convert("datetime", text) == moment

    def test_what_is_no_date_is_flagged(self):
        under = context()
        assert convert("date", "昨天", under=under) is None
        assert [note.code for note in under.notes] == ["HT-DT-01"]

    def test_an_instant_invents_no_time_of_day(self):
        under = context()
        assert convert("instant", "20260315", under=under) is None
        assert [note.code for note in under.notes] == ["HT-DT-02"]
        assert convert("instant", "202603150830") == "2026-03-15T08:30:00+08:00"

    def test_the_source_zone_decides_about_times_without_offset(self):
        assert convert("datetime", "20260315083012", under=context(zone="UTC")) == "2026-03-15T08:30:12Z"

    @given(st.datetimes())
    def test_every_date_time_reads_back(self, moment):
        read = dtm.read(moment.strftime("%Y%m%d%H%M%S").rjust(14, "0"))
        if moment.year >= 1000 and moment.strftime("%Y%m%d%H%M%S") not in dtm._NEVER:
            assert read is not None
            assert tuple(read[:6]) == (
                moment.year,
                moment.month,
                moment.day,
                moment.hour,
                moment.minute,
                moment.second,
            )

    @given(st.text(max_size=30))
    def test_no_text_breaks_the_reader(self, text):
        dtm.read(text)


class TestNames:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("张^三丰", {"text": "张三丰", "family": "张", "given": ["三丰"]}),
            ("张三丰", {"text": "张三丰"}),
            ("张^张三丰", {"text": "张三丰", "family": "张", "given": ["三丰"]}),
            ("P0001^欧阳修", {"text": "欧阳修"}),
            ("00012^张三", {"text": "张三"}),
            (
                "EVERYMAN^ADAM^A^III^DR^MD^L",
                {
                    "use": "official",
                    "text": "DR ADAM A EVERYMAN",
                    "family": "EVERYMAN",
                    "given": ["ADAM", "A"],
                    "prefix": ["DR"],
                    "suffix": ["III", "MD"],
                },
            ),
            ("买买提^吐尔逊", {"text": "买买提吐尔逊", "family": "买买提", "given": ["吐尔逊"]}),
            ("^^^^^^L", None),
            ('""', None),
        ],
    )
    def test_xpn(self, value, expected):
        assert convert("xpn", value) == expected

    @pytest.mark.parametrize(
        ("value", "identifier", "name"),
        [
            ("李建国", None, "李建国"),
            ("D01^李建国", "D01", "李建国"),
            ("D01", "D01", None),
            ("D01^李^建国", "D01", "李建国"),
            ("1234^SMITH^JOHN^^^DR^^^NPI^L^^^NPI", "1234", "DR JOHN SMITH"),
        ],
    )
    def test_xcn_is_a_practitioner(self, value, identifier, name):
        under = context()
        reference = convert("practitioner", value, under=under)
        made = under.made.entries[reference["reference"]].resource
        assert made["resourceType"] == "Practitioner"
        assert [row["value"] for row in made.get("identifier", [])] == ([identifier] if identifier else [])
        assert [row["text"] for row in made.get("name", [])] == ([name] if name else [])

    def test_two_names_under_one_number_are_both_kept(self):
        under = context()
        first = convert("practitioner", "D01^李建国", under=under)
        second = convert("practitioner", "D01^李建囯", under=under)
        assert first["reference"] == second["reference"]
        assert [row["text"] for row in under.made.entries[first["reference"]].resource["name"]] == [
            "李建国",
            "李建囯",
        ]


class TestIdentifiers:
    def test_a_number_without_authority_belongs_to_the_facility(self):
        assert convert("cx", "P0001^^^^MR")[0]["system"] == "urn:id:H1"

    def test_an_oid_authority_is_the_system(self):
        found = convert("cx", "1^^^A&2.16.840.1.113883.19&ISO^MR")[0]
        assert found["system"] == "urn:oid:2.16.840.1.113883.19"

    def test_what_is_no_oid_makes_no_oid_uri(self):
        assert convert("cx", "1^^^&not an oid&ISO")[0]["system"] == "urn:id:not%20an%20oid"

    def test_a_resident_number_is_known_by_its_type_or_by_itself(self):
        for value in ("11010519491231002x^^^^身份证", "11010519491231002X", "11010519491231002X^^^^NI"):
            found = convert("cx", value)[0]
            assert (found["system"], found["value"]) == ("urn:oid:2.16.156.10011.1.3", "11010519491231002X")

    def test_fifteen_digits_come_with_their_successor(self):
        new, old = convert("cx", "110105491231002^^^^身份证")
        assert (new["value"], old["value"], old["use"]) == ("11010519491231002X", "110105491231002", "old")

    def test_an_impossible_number_is_kept_and_flagged(self):
        under = context()
        found = convert("cx", "110105194912310021^^^^身份证", under=under)[0]
        assert found["value"] == "110105194912310021"
        assert found["extension"][0]["valueCode"] == "HT-ID-03"
        assert [note.code for note in under.notes] == ["HT-ID-03"]


class TestAddressAndTelecom:
    def test_a_chinese_address_in_one_component(self):
        assert convert("xad", "山东省济南市历下区经十路1号") == {
            "text": "山东省济南市历下区经十路1号",
            "line": ["山东省济南市历下区经十路1号"],
        }

    def test_parts_are_put_in_chinese_order(self):
        assert convert("xad", "经十路1号^^济南市^山东省^250000^CHN^H")["text"] == "山东省济南市经十路1号"

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("138 0000 0000", {"system": "phone", "value": "13800000000", "use": "mobile"}),
            ("^^^^^^13400000000", {"system": "phone", "value": "13400000000", "use": "mobile"}),
            ("^NET^Internet^a@b.cn", {"system": "email", "value": "a@b.cn"}),
            ("a@b.cn", {"system": "email", "value": "a@b.cn"}),
            ("^PRN^FX^^^^^^^^^0531-88888888", {"system": "fax", "value": "0531-88888888", "use": "home"}),
            ("不详", {"system": "other", "value": "不详"}),
            ("", None),
        ],
    )
    def test_xtn(self, value, expected):
        found = convert("xtn", value)
        if found:
            found.pop("extension", None)
        assert found == expected


class TestCodes:
    def test_all_codings_stay(self):
        found = convert("cwe", "WBC^白细胞^LOCAL^6690-2^Leukocytes^LN")
        assert found == {
            "coding": [
                {"code": "WBC", "display": "白细胞"},
                {"system": "http://loinc.org", "code": "6690-2", "display": "Leukocytes"},
            ],
            "text": "白细胞",
        }

    def test_the_county_coding_stands_before_the_senders(self):
        found = convert("code", "WBC^白细胞计数^LOCAL", "lab-item")
        assert [row["code"] for row in found["coding"]] == ["26464-8", "WBC"]

    def test_a_miss_goes_to_the_work_list(self):
        under = context()
        found = convert("code", "XYZ^没有的项目^LOCAL", "lab-item", under=under)
        assert [row["code"] for row in found["coding"]] == ["XYZ"]
        assert [(note.domain, note.code) for note in under.notes] == [("lab-item", "XYZ")]

    def test_a_name_in_the_place_of_the_code_is_a_text(self):
        assert convert("cwe", "青霉素") == {"text": "青霉素"}

    def test_a_bare_code_gets_the_system_of_its_table_only_when_the_table_has_it(self):
        assert convert("cwe", "E", "0007")["coding"] == [
            {"system": "http://terminology.hl7.org/CodeSystem/v2-0007", "code": "E"}
        ]
        assert convert("cwe", "特需", "0007") == {"text": "特需"}
        assert convert("cwe", "77", "0007")["coding"] == [{"code": "77"}]


class TestValues:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            (("1", "NM", "X", "", "12.50", "g/L"), ("Quantity", {"value": Decimal("12.50"), "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"})),
            (("1", "NM", "X", "", ">100"), ("Quantity", {"value": 100, "comparator": ">"})),
            (("1", "NM", "X", "", "≤０.5"), ("Quantity", {"value": Decimal("0.5"), "comparator": "<="})),
            (("1", "NM", "X", "", "溶血"), ("string", "溶血")),
            (("1", "NM", "X", "", "3-5"), ("Range", {"low": {"value": 3}, "high": {"value": 5}})),
            (("1", "ST", "X", "", "阴性"), ("string", "阴性")),
            (("1", "ST", "X", "", "5.2", "ng/ml"), ("Quantity", {"value": Decimal("5.2"), "unit": "ng/ml", "system": "http://unitsofmeasure.org", "code": "ng/mL"})),
            (("1", "ST", "X", "", "5.2"), ("string", "5.2")),
            (("1", "SN", "X", "", "<^10"), ("Quantity", {"value": 10, "comparator": "<"})),
            (("1", "SN", "X", "", "^1^:^128"), ("Ratio", {"numerator": {"value": 1}, "denominator": {"value": 128}})),
            (("1", "SN", "X", "", "^2^+"), ("string", "2+")),
            (("1", "CE", "X", "", "A^A型^L"), ("CodeableConcept", {"coding": [{"code": "A", "display": "A型"}], "text": "A型"})),
            (("1", "DT", "X", "", "20260315"), ("dateTime", "2026-03-15")),
            (("1", "TM", "X", "", "0830"), ("time", "08:30:00")),
            (("1", "TX", "X", "", "第一行~第二行"), ("string", "第一行\n第二行")),
            (("1", "NM", "X", "", ""), None),
            (("1", "NM", "X", "", '""'), None),
            (("1", "ED", "X", "", "^application^pdf^Base64^AAAA"), None),
        ],
    )  # fmt: skip
    def test_by_obx_2_and_by_what_is_there(self, fields, expected):
        assert convert("obxvalue", obx(*fields)) == expected

    @pytest.mark.parametrize(
        ("text", "low", "high"),
        [
            ("3.5-9.5", Decimal("3.5"), Decimal("9.5")),
            ("3.5～9.5", Decimal("3.5"), Decimal("9.5")),
            ("3.5--9.5", Decimal("3.5"), Decimal("9.5")),
            ("-2-2", -2, 2),
            ("<5.2", None, Decimal("5.2")),
            ("≥60", 60, None),
            ("阴性", None, None),
        ],
    )
    def test_reference_ranges(self, text, low, high):
        (found,) = convert("refrange", obx("1", "NM", "X", "", "1", "", text))
        assert found["text"] == text
        assert found.get("low", {}).get("value") == low
        assert found.get("high", {}).get("value") == high

    @pytest.mark.parametrize(
        ("flag", "code"),
        [
            ("H", "H"),
            ("↑", "H"),
            ("↓↓", "LL"),
            ("偏低", "L"),
            ("阳性", "POS"),
            ("*", "A"),
            ("HH", "HH"),
            ("？", None),
        ],
    )
    def test_interpretation(self, flag, code):
        found = convert("interpretation", flag)
        assert [row["code"] for row in found.get("coding", [])] == ([code] if code else [])

    @pytest.mark.parametrize(
        ("unit", "ucum"),
        [("10^9/L", "10*9/L"), ("10*12/L", "10*12/L"), ("×10^9/L", "10*9/L"), ("10E9/L", "10*9/L"), ("μmol/L", "umol/L"), ("次/分", "/min"), ("mmHg", "mm[Hg]"), ("IU/ml", "[iU]/mL"), ("％", "%"), ("个/HP", "/[HPF]"), ("无此单位", None)],
    )  # fmt: skip
    def test_units(self, unit, ucum):
        assert ucum_of(unit) == ucum

    @given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3))
    def test_digits_stay(self, value):
        text = format(value, "f")
        assert format(Decimal(nm.number(text)), "f") == text

    @given(st.text(max_size=40))
    def test_no_text_breaks_a_value(self, text):
        clean = text.replace("|", "").replace("\r", "").replace("\n", "")
        for kind in ("NM", "SN", "ST", "CE", "DT", "TM", "ED", "CQ", "NR", "DR", "XX"):
            convert("obxvalue", obx("1", kind, "X", "", clean, clean, clean))
        convert("refrange", obx("1", "NM", "X", "", "", clean, clean))


class TestPlaces:
    def test_a_ward_with_bed_and_department(self):
        under = context()
        reference = convert("location", "3F^301^05^020101&心血管内科", under=under)
        made = {row.resource["name"]: row.resource for row in under.made.entries.values()}
        assert list(made) == ["心血管内科", "3F", "301", "05"]
        assert made["05"]["physicalType"]["coding"][0]["code"] == "bd"
        assert reference["display"] == "心血管内科 3F 301 05"

    def test_the_same_place_twice_is_one(self):
        under = context()
        assert convert("location", "3F^301^05", under=under) == convert("location", "3F^301^05", under=under)
        assert len(under.made.entries) == 3


class TestMoneyAndTiming:
    def test_money_is_yuan_unless_told(self):
        assert convert("money", "20.00") == {"value": Decimal("20.00"), "currency": "CNY"}
        assert convert("money", "33.33&USD^UP") == {"value": Decimal("33.33"), "currency": "USD"}

    @pytest.mark.parametrize(
        ("text", "code"), [("S", "stat"), ("急", "stat"), ("R", "routine"), ("加急", "urgent")]
    )
    def test_priority(self, text, code):
        assert convert("priority", text) == code
