"""GB 11643, GB 11714, GB 32100 and the numbers of WS 365: real shapes accepted, slips kept and named."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.identifiers import health_card, health_record, organisation, resident
from mappings.identifiers.kinds import KINDS, kind_of
from mappings.identifiers.phone import normalise
from terminology.issues import sentence


class TestResidentNumber:
    """GB 11643-1999"""

    def test_a_valid_number_tells_birth_date_sex_and_area(self):
        found = resident.read("11010519491231002X")
        assert found == resident.Resident("11010519491231002X", "110105", date(1949, 12, 31), "female")

    @pytest.mark.parametrize(
        "text",
        [
            "11010519491231002x",
            " 11010519491231002X ",
            "１１０１０５１９４９１２３１００２Ｘ",
            "110105 19491231 002X",
        ],
    )
    def test_small_x_blanks_and_full_width_are_folded(self, text):
        assert resident.check(text).value == "11010519491231002X"

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("110105194912310021", "HT-ID-03"),
            ("11010519491331002X", "HT-ID-04"),
            ("11010519490230002X", "HT-ID-04"),
            ("99010519491231002X", "HT-ID-05"),
            ("1101051949123100", "HT-ID-02"),
            ("11010519491231002XX", "HT-ID-02"),
            ("110105X9491231002X", "HT-ID-02"),
            ("111111111111111111", "HT-ID-01"),
            ("000000000000000000", "HT-ID-01"),
            ("无", "HT-ID-02"),
            ("", "HT-ID-02"),
        ],
    )
    def test_an_invalid_number_is_kept_as_sent(self, text, code):
        outcome = resident.check(text)
        assert (outcome.problem, outcome.value) == (code, text)
        assert text in sentence(code).zh.format_map(
            {"expected": "", "found": "", "length": "", **outcome.facts}
        )

    def test_fifteen_digits_become_eighteen_and_the_old_number_stays(self):
        outcome = resident.check("110105491231002")
        assert (outcome.value, outcome.older) == ("11010519491231002X", "110105491231002")

    def test_serials_996_to_999_are_of_the_nineteenth_century(self):
        assert resident.upgrade("110105990101998").startswith("11010518990101998")

    def test_the_sample_of_the_lis_order_has_a_wrong_check_digit_or_is_valid(self):
        number = "420201192804100022"
        assert resident.check(number).is_valid == (resident.check_character(number[:17]) == number[17])

    @given(
        st.dates(date(1900, 1, 1), date(2026, 1, 1)),
        st.integers(0, 999),
        st.integers(0, 9),
        st.integers(0, 16),
    )
    def test_every_single_wrong_digit_is_found(self, born, serial, digit, place):
        seventeen = f"370102{born:%Y%m%d}{serial:03}"
        number = seventeen + resident.check_character(seventeen)
        assert resident.check(number).is_valid
        wrong = number[:place] + str(digit) + number[place + 1 :]
        assert resident.check(wrong).is_valid == (wrong == number)


class TestOrganisationNumbers:
    def test_a_unified_social_credit_code(self):
        assert organisation.check_credit("91110000600037341l").value == "91110000600037341L"

    @pytest.mark.parametrize(
        "text", ["91110000600037341K", "9111000060003734", "91110000600037I41L", "911A0000600037341L"]
    )
    def test_a_slip_is_kept(self, text):
        outcome = organisation.check_credit(text)
        assert not outcome.is_valid
        assert outcome.value == text

    def test_the_organisation_code_within_it(self):
        assert organisation.check_code("60003734-1").value == "600037341"
        assert organisation.check_code("600037342").problem == "HT-ID-03"

    def test_a_licence_number_of_22_characters(self):
        code = "60003734" + organisation.code_check_character("60003734") + "370102" + "11" + "A100" + "1"
        assert organisation.check_licence(code).value == code
        assert organisation.check_licence(code[:-1]).problem == "HT-ID-09"
        assert organisation.check_licence("91110000600037341L").is_valid


class TestRecordsAndCards:
    def test_a_health_record_number_has_17_digits(self):
        assert health_record.check("370102001-001-00012").value == "37010200100100012"
        assert health_record.check("3701020010010001").problem == "HT-ID-06"

    def test_a_qr_code_gives_its_main_index(self):
        code = "AB" * 32 + ":1:20260315083012"
        outcome = health_card.check(code)
        assert (outcome.value, outcome.older) == ("AB" * 32, code)
        assert health_card.check("请扫码").problem == "HT-ID-10"


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
            ("(010)65551234", "010-65551234", "landline"),
            ("88888888", "88888888", "landline"),
            ("400-810-0000", "4008100000", "service"),
            ("120", "120", "service"),
            ("+1 260 759 5016", "+12607595016", "foreign"),
            ("不详", "不详", "unknown"),
            ("1380000", "1380000", "unknown"),
        ],
    )
    def test_spellings(self, text, value, line):
        assert normalise(text)[:2] == (value, line)

    def test_an_extension_is_told_apart(self):
        assert normalise("0531-88888888转8012") == ("0531-88888888", "landline", "8012")


class TestKinds:
    def test_words_of_senders_name_the_kind(self):
        assert kind_of(words=("身份证",)) is KINDS["resident"]
        assert kind_of(words=("sfzh",)) is KINDS["resident"]
        assert kind_of(words=("MR", "H1")) is None

    def test_a_system_names_the_kind(self):
        assert kind_of(system="urn:oid:2.16.156.10011.1.2") is KINDS["health-record"]
