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


class TestPhone:
    @pytest.mark.parametrize(
        ("text", "value", "line"),
        [
            ("13800000000", "13800000000", "mobile"),
            ("+86 138-0000-0000", "13800000000", "mobile"),
            ("008613800000000", "13800000000", "mobile"),
            ("8613800000000", "13800000000", "mobile"),
            ("013800000000", "13800000000", "mobile"),
            ("１３８００００００００", "13800000000", "mobile"),
            ("0531 88888888", "0531-88888888", "landline"),
            ("(010)62345678", "010-62345678", "landline"),
            ("88888888", "88888888", "landline"),
            ("400-810-0000", "4008100000", "service"),
            ("120", "120", "service"),
            ("+1 260 759 5016", "+12607595016", "foreign"),
            ("不详", "不详", "unknown"),
            ("1380000", "1380000", "unknown"),
            ("12345 6", "12345 6", "unknown"),
        ],
    )
    def test_spellings(self, text: str, value: str, line: str) -> None:
        assert normalise_phone(text)[:2] == (value, line)

    def test_an_extension_is_told_apart(self) -> None:
        assert normalise_phone("０５３１－８６１２３４５６转8") == ("0531-86123456", "landline", "8")
