"""terminology/translate.py: local codes become the county's codes."""

import pytest

from terminology.tables import domain_names, load_domain
from terminology.translate import Translator

CASES = [
    # domain, system, code, display, expected code
    ("administrative-gender", None, "1", None, "male"),
    ("administrative-gender", None, "F", None, "female"),
    ("administrative-gender", None, "男", None, "male"),
    ("administrative-gender", None, None, "女性", "female"),
    ("administrative-gender", None, "1", "女", "female"),  # a HIS that numbers its own way, but names it
    ("administrative-gender", None, "9", None, "other"),
    ("administrative-gender", None, "0", None, "unknown"),
    ("administrative-gender", None, "７", None, None),
    ("sex", None, "M", None, "1"),
    ("ethnic", None, "1", None, "01"),
    ("ethnic", None, "01", "汉族", "01"),
    ("ethnic", None, None, "汉", "01"),
    ("ethnic", None, "HA", None, "01"),
    ("ethnic", None, None, "德昂族", "46"),
    ("marital", None, "M", None, "20"),
    ("marital-status", None, None, "离异", "D"),
    ("education", None, None, "大学本科毕业", "21"),
    ("insurance", None, "1", None, "01"),
    ("relation", None, None, "母亲", "52"),
    ("relationship", None, "51", None, "FTH"),
    ("district", None, "110000", None, "110000"),
    ("diagnosis", None, "A01.000x002", None, "A01.003"),
    ("diagnosis", None, "I10.X00", "高血压", "I10.x00"),
    ("diagnosis", None, "I10", None, "I10.x00"),
    ("diagnosis", None, "Ｉ１０．ｘ００", None, "I10.x00"),
    ("diagnosis", None, "A00.000.", None, "A00.000"),
    ("diagnosis", None, None, "古典生物型霍乱", "A00.000x001"),
    ("diagnosis", None, "HIS-77", "没有这个病", None),
    ("procedure", None, "00.0101", None, "00.0101"),
    ("lab-item", "LOCAL", "WBC", "白细胞计数", "26464-8"),
    ("lab-item", None, "WBC", None, "26464-8"),
    ("lab-item", "LOCAL", "WBC", "尿沉渣白细胞镜检", None),
    ("lab-item", "http://loinc.org", "718-7", "whatever", "718-7"),
    ("lab-item", None, "HRLB01.01.010", None, "718-7"),
    ("lab-item", "urn:lis", "101", "红细胞平均厚度测定", "10101401"),
    ("lab-item-moh", None, None, "白细胞计数", "101003"),
    ("lab-item", None, "101", "没有这个项目", None),
    ("exam-item", None, "B020ZYZZZ", None, "B020ZYZZZ"),
    ("exam-item", "urn:ris", "CT01", "颅脑CT普通扫描（平扫）", "B020ZYZZZ"),
    ("atc", None, None, "苯磺酸氨氯地平片", "C08CA01"),
    ("drug", None, "XA02AXX095A001010103357", None, "XA02AXX095A001010103357"),
]


@pytest.mark.parametrize(("domain", "system", "code", "display", "expected"), CASES)
def test_a_local_code_becomes_the_county_code(domain, system, code, display, expected):
    parts = {"system": system, "code": code, "display": display}
    coding = {name: value for name, value in parts.items() if value is not None}
    answer = Translator().translate(domain, coding)
    assert (answer or {}).get("code") == expected


def test_the_answer_carries_system_and_display():
    assert Translator().translate("sex", {"code": "男"}) == {
        "system": "urn:oid:2.16.156.10011.2.3.3.4",
        "code": "1",
        "display": "男性",
    }


def test_an_unknown_marital_status_is_a_null_flavor():
    answer = Translator().translate("marital-status", {"code": "90"})
    assert answer is not None
    assert answer["system"] == "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"


def test_the_answer_is_the_callers_own():
    translator = Translator()
    answer = translator.translate("sex", {"code": "1"})
    assert answer is not None
    answer["code"] = "changed"
    assert (translator.translate("sex", {"code": "1"}) or {})["code"] == "1"


def test_a_members_approved_map_wins():
    translator = Translator()
    translator.add(
        "lab-item",
        {
            "group": [
                {
                    "source": "urn:lis",
                    "target": "http://loinc.org",
                    "element": [
                        {"code": "7", "target": [{"code": "718-7", "equivalence": "equivalent"}]},
                        {"code": "8", "target": [{"code": "1-8", "equivalence": "inexact"}]},
                    ],
                }
            ]
        },
    )
    assert translator.translate("lab-item", {"system": "urn:lis", "code": "7"}) == {
        "system": "http://loinc.org",
        "code": "718-7",
    }
    assert translator.translate("lab-item", {"system": "urn:lis", "code": "8"}) is None


def test_every_hospital_diagnosis_finds_its_national_code():
    domain = load_domain("diagnosis")
    assert len(domain.displays) >= 33_000
    assert all(target in domain.displays for target in domain.codes.values())


@pytest.mark.parametrize("name", domain_names())
def test_every_domain_loads(name):
    domain = load_domain(name)
    assert domain.codes
    assert domain.otherwise is None or domain.otherwise in domain_names()
