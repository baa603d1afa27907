"""GB 11643, GB 32100, GB 11714, WS 365: numbers from the standards and from docs/design.md's companions."""

from datetime import date

import pytest

from conformance.identifiers import (
    is_health_record_number,
    is_organisation_code,
    is_uscc,
    normalise_phone,
    read_resident_id,
    to_eighteen,
)


class TestResidentId:
    def test_valid_number_tells_birth_date_and_sex(self) -> None:
        found = read_resident_id("11010519491231002X")
        assert (found.is_valid, found.birth_date, found.gender) == (True, date(1949, 12, 31), "female")

    def test_lower_case_and_full_width_are_normalised(self) -> None:
        assert read_resident_id(" 1101051949123100２x ").value == "11010519491231002X"

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("110105194912310021", "check-digit"),
            ("11010519490230002X", "date"),
            ("1101051949", "form"),
            ("ABCDEFGHIJKLMNOPQR", "form"),
            ("", "form"),
        ],
    )
    def test_wrong_number_names_its_fault(self, text: str, fault: str) -> None:
        assert read_resident_id(text).fault == fault

    def test_fifteen_digits_are_upgraded(self) -> None:
        assert to_eighteen("110105491231002") == "11010519491231002X"

    def test_centenarians_were_born_in_the_century_before(self) -> None:
        assert read_resident_id("110105991231999").birth_date == date(1899, 12, 31)

    def test_an_invalid_number_is_not_upgraded(self) -> None:
        assert to_eighteen("110105491331002") == "110105491331002"


class TestOrganisation:
    def test_uscc(self) -> None:
        assert is_uscc("91110000600037341L")
        assert not is_uscc("91110000600037341M")
        assert not is_uscc("9111000060003734")

    def test_organisation_code(self) -> None:
        assert is_organisation_code("60003734-1")
        assert not is_organisation_code("600037342")


def test_health_record_number_has_seventeen_digits() -> None:
    assert is_health_record_number("37010200100100001")
    assert not is_health_record_number("3701020010010000")


@pytest.mark.parametrize(
    ("text", "number", "is_known"),
    [
        ("+86 138-0000-0000", "13800000000", True),
        ("０５３１－８６１２３４５６转8", "0531-86123456-8", True),
        ("(010)62345678", "010-62345678", True),
        ("12345", "12345", False),
    ],
)
def test_phone_numbers_are_normalised(text: str, number: str, is_known: bool) -> None:
    assert normalise_phone(text) == (number, is_known)
