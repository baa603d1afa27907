"""Suggestions for local codes: drug names taken apart, signs that veto, learned aliases; the labelled sets."""

import csv
from pathlib import Path

import pytest

from terminology.tables.domain import TABLES
from terminology.workbench.drug_name import parse
from terminology.workbench.signs import clashes
from terminology.workbench.suggest import Local, Suggester, Target

LOCAL_NAMES = Path(__file__).parent.parent / "data" / "drugs" / "local_names.csv"


@pytest.mark.parametrize(
    ("name", "generic", "salt", "form", "pack"),
    [
        ("苯磺酸氨氯地平片 5mg×7片/板×2板", "氨氯地平", "苯磺酸", "片剂", 14),
        ("阿司匹林肠溶片(拜阿司匹灵)100mg*30片", "阿司匹林", "", "肠溶片", 30),
        ("拜新同30mg", "硝苯地平", "", "控释片", None),
        ("注射用青霉素钠160万单位", "青霉素", "钠", "注射用粉针", None),
        ("吸入用布地奈德混悬液2ml:1mg*5支", "布地奈德", "", "吸入混悬液", 5),
        ("硝酸甘油片0.5mg*100片", "硝酸甘油", "", "片剂", 100),
        ("0.9%氯化钠注射液250ml", "氯化钠", "", "注射液", None),
    ],
)
def test_parts_of_a_name(name: str, generic: str, salt: str, form: str, pack: int | None) -> None:
    found = parse(name)
    assert (found.generic, found.salt, found.form, found.pack) == (generic, salt, form, pack)


@pytest.mark.parametrize(
    ("first", "second", "agreement"),
    [
        ("片0.25g", "片250mg", "equal"),
        ("片5mg", "片10mg", "clash"),
        ("片5mg", "片", "unknown"),
        ("注射液0.9% 100ml", "注射液100ml:0.9g", "equal"),
        ("注射液0.9% 250ml", "注射液100ml:0.9g", "clash"),
        ("注射液0.9%", "注射液100ml:0.9g", "unknown"),
        ("片150mg/12.5mg", "片150mg:12.5mg", "equal"),
        ("片150mg/12.5mg", "片150mg", "clash"),
        ("注射液3ml:300单位", "注射液300IU/3ml", "equal"),
        ("注射液3ml:300单位", "注射液10ml:400单位", "clash"),
        ("片50μg", "片0.05mg", "equal"),
    ],
)
def test_strengths_agree_after_conversion(first: str, second: str, agreement: str) -> None:
    assert parse(f"甲{first}").strength_agrees(parse(f"甲{second}")) == agreement


@pytest.mark.parametrize(
    ("local", "target", "found"),
    [
        ("左肾结石", "右肾结石", ["side"]),
        ("1型糖尿病", "2型糖尿病", ["type"]),
        ("Ⅱ型糖尿病", "2型糖尿病", []),
        ("急性阑尾炎", "慢性阑尾炎", ["degree"]),
        ("痰培养(+)", "痰培养(-)", ["result"]),
        ("左氧氟沙星过敏", "右肾结石", []),
    ],
)
def test_contradicting_signs(local: str, target: str, found: list[str]) -> None:
    assert clashes(local, target) == found


def drugs() -> Suggester:
    lines = [
        line for line in (TABLES / "drug_catalogue_sample.csv").read_text().splitlines() if line[0] != "#"
    ]
    return Suggester(
        "drug", [Target(row["code"], row["display"], (), row["strength"]) for row in csv.DictReader(lines)]
    )


def test_local_drug_names_meet_their_drug() -> None:
    """The bar: top-1 at least 0.9 of 300 names, no strength clash among what may be accepted in bulk."""
    suggester = drugs()
    rows = list(csv.DictReader(LOCAL_NAMES.read_text().splitlines()))
    assert len(rows) >= 300
    right = 0
    for row in rows:
        best = suggester.suggest(Local("", row["local_name"]), 1)[0]
        right += best.target.code == row["expected"]
        if best.may_be_bulk_accepted and best.confidence >= 0.9:
            assert (
                parse(row["local_name"]).strength_agrees(parse(best.target.display, best.target.strength))
                != "clash"
            )
    assert right / len(rows) >= 0.99


def test_another_strength_is_vetoed() -> None:
    best = drugs().suggest(Local("", "阿司匹林肠溶片50mg"), 1)[0]
    assert best.vetoes == ("strength",)
    assert not best.may_be_bulk_accepted


class TestAliases:
    TARGETS = (Target("I10", "高血压"), Target("I11", "高血压性心脏病"), Target("E11", "2型糖尿病"))

    def test_an_approved_alias_comes_first(self) -> None:
        suggester = Suggester("diagnosis", self.TARGETS, [(Local("A", "HBP"), "I10")])
        best = suggester.suggest(Local("B", "ＨＢＰ"))[0]
        assert (best.target.code, best.reasons, best.relationship) == ("I10", ("alias",), "equivalent")

    def test_without_it_nothing_is_likely(self) -> None:
        assert all(
            row.confidence < 0.5 for row in Suggester("diagnosis", self.TARGETS).suggest(Local("B", "HBP"))
        )

    def test_the_same_code_needs_a_name_that_fits(self) -> None:
        suggester = Suggester("diagnosis", self.TARGETS)
        assert suggester.suggest(Local("I10", "高血压病"))[0].reasons[0] == "same-code"
        assert suggester.suggest(Local("I10", "2型糖尿病"))[0].target.code == "E11"

    def test_the_same_name_is_equivalent(self) -> None:
        assert (
            Suggester("diagnosis", self.TARGETS).suggest(Local("x", "２型 糖尿病"))[0].relationship
            == "equivalent"
        )


def test_a_national_map_of_hospital_codes_is_a_reason() -> None:
    targets = [Target("I10.x00", "特发性（原发性）高血压"), Target("I10.x09", "高血压2级")]
    suggester = Suggester("diagnosis", targets, national={"I10.x04": "I10.x09"}.get)
    best = suggester.suggest(Local("I10.x04", "高血压病2级(高危)"))[0]
    assert (best.target.code, best.reasons[0], best.confidence) == ("I10.x09", "national-map", 0.96)
    other = suggester.suggest(Local("I10.x04", "骨折"))
    assert not other or other[0].reasons[0] != "national-map"
