"""Drug use (合理用药): what is questionable about one drug for one patient (china §5, row 23)."""

from datetime import date
from typing import Any

import pytest

from conformance.drug_use import Case, Other, check, restrictions_of

ON = date(2026, 3, 15)


def case(name: str, *, codes: tuple[str, ...] = (), **more: Any) -> Case:
    return Case(Other("MedicationRequest/1", (name,), codes), ON, **more)


@pytest.mark.parametrize(
    ("drug", "more", "code"),
    [
        ("枸橼酸西地那非片", {"sex": "female"}, "HT-DU-03"),
        ("小儿大黄碳酸氢钠片", {"born": date(2008, 3, 15)}, "HT-DU-04"),
        ("雷珠单抗注射液", {"level": 2}, "HT-DU-05"),
        ("复方氨基酸注射液(18AA)", {"visit": "AMB"}, "HT-DU-06"),
        ("注射用天麻素", {"days": 15.0}, "HT-DU-07"),
        ("丁苯酞", {"diagnoses": ("高血压",)}, "HT-DU-08"),
    ],
)
def test_a_restriction_that_is_broken_is_found(drug: str, more: dict[str, Any], code: str) -> None:
    assert code in [row.issue.code for row in check(case(drug, **more))]


@pytest.mark.parametrize(
    ("drug", "more"),
    [
        ("枸橼酸西地那非片", {"sex": "male"}),
        ("小儿大黄碳酸氢钠片", {"born": date(2008, 3, 16)}),
        ("雷珠单抗注射液", {"level": 3}),
        ("复方氨基酸注射液(18AA)", {"visit": "IMP"}),
        ("注射用天麻素", {"days": 14.0}),
        ("苯磺酸氨氯地平片", {"sex": "female", "born": date(1950, 1, 1), "level": 1, "visit": "AMB"}),
    ],
)
def test_what_keeps_the_restriction_has_no_warning(drug: str, more: dict[str, Any]) -> None:
    assert [row.issue.code for row in check(case(drug, **more)) if row.severity != "information"] == []


def test_what_is_not_known_is_not_held_against_anybody() -> None:
    assert [row.issue.code for row in check(case("雷珠单抗注射液")) if row.severity == "warning"] == []


def test_a_diagnosis_of_the_listed_disease_satisfies() -> None:
    found = check(case("丁苯酞", diagnoses=("急性脑梗死",)))
    assert "HT-DU-08" not in [row.issue.code for row in found]


def test_the_national_code_finds_its_class() -> None:
    [row] = restrictions_of([], ["XG04BEX006A001010100154"])
    assert row.sex == "male"


class TestOthers:
    def test_an_allergen_in_the_name_of_the_drug_is_critical(self) -> None:
        allergy = Other("AllergyIntolerance/1", ("青霉素",))
        [found] = check(case("注射用青霉素钠", allergies=[allergy]))
        assert (found.kind, found.severity, found.about) == ("ALGY", "critical", "AllergyIntolerance/1")

    def test_one_character_is_no_allergen(self) -> None:
        assert check(case("注射用青霉素钠", allergies=[Other("AllergyIntolerance/1", ("素",))])) == []

    def test_the_same_code_is_a_duplicate(self) -> None:
        other = Other("MedicationRequest/0", ("氨氯地平片",), ("http://www.whocc.no/atc|C08CA01",))
        [found] = check(case("苯磺酸氨氯地平片", codes=("http://www.whocc.no/atc|C08CA01",), others=[other]))
        assert (found.issue.code, found.about) == ("HT-DU-02", "MedicationRequest/0")

    def test_the_gravest_comes_first(self) -> None:
        rows = [Other("AllergyIntolerance/1", ("天麻素",))]
        found = check(case("注射用天麻素", days=20.0, allergies=rows))
        assert found[0].severity == "critical"
