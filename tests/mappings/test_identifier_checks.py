"""GB 11643, GB 11714, GB 32100 and the numbers of WS 365: real shapes accepted, slips kept and named."""

import pytest

from mappings.identifiers.check import (
    check_health_card,
    check_health_record,
    check_licence,
    check_organisation_code,
    check_resident,
    check_uscc,
)
from mappings.identifiers.kinds import KINDS, kind_of
from terminology.issues import sentence


class TestResidentNumber:
    """GB 11643-1999"""

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
        assert check_resident(text).value == "11010519491231002X"

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("110105194912310021", "HT-ID-03"),
            ("11010519491331002X", "HT-ID-04"),
            ("11010519490230002X", "HT-ID-04"),
            ("1101051949123100", "HT-ID-02"),
            ("11010519491231002XX", "HT-ID-02"),
            ("110105X9491231002X", "HT-ID-02"),
            ("111111111111111111", "HT-ID-01"),
            ("000000000000000000", "HT-ID-01"),
            ("无", "HT-ID-02"),
            ("", "HT-ID-02"),
        ],
    )
    def test_an_invalid_number_is_kept_as_sent_and_the_sentence_quotes_it(self, text, code):
        outcome = check_resident(text)
        assert (outcome.problem, outcome.value) == (code, text)
        assert f"“{text}”" in sentence(code).zh.format_map(outcome.facts)

    def test_fifteen_digits_become_eighteen_and_the_old_number_stays(self):
        outcome = check_resident("110105491231002")
        assert (outcome.value, outcome.older) == ("11010519491231002X", "110105491231002")


class TestOtherNumbers:
    @pytest.mark.parametrize(
        ("check", "text", "value"),
        [
            (check_uscc, "91110000600037341l", "91110000600037341L"),
            (check_organisation_code, "60003734-1", "600037341"),
            (check_licence, "600037341" + "370102" + "11" + "A100" + "1", "60003734137010211A1001"),
            (check_licence, "91110000600037341L", "91110000600037341L"),
            (check_health_record, "370102001-001-00012", "37010200100100012"),
            (check_health_card, "AB" * 32 + ":1:20260315083012", "AB" * 32),
        ],
    )
    def test_a_right_number_is_folded(self, check, text, value):
        assert (check(text).value, check(text).problem) == (value, None)

    @pytest.mark.parametrize(
        ("check", "text", "code"),
        [
            (check_uscc, "91110000600037341K", "HT-ID-08"),
            (check_uscc, "9111000060003734", "HT-ID-08"),
            (check_organisation_code, "600037342", "HT-ID-07"),
            (check_licence, "600037342" + "370102" + "11" + "A100" + "1", "HT-ID-09"),
            (check_health_record, "3701020010010001", "HT-ID-06"),
            (check_health_card, "请扫码", "HT-ID-10"),
            (check_health_card, "00000000", "HT-ID-01"),
        ],
    )
    def test_a_wrong_one_is_kept_as_sent(self, check, text, code):
        assert (check(text).value, check(text).problem) == (text, code)


class TestKinds:
    def test_words_of_senders_name_the_kind(self):
        assert kind_of(words=("身份证",)) is KINDS["resident"]
        assert kind_of(words=("sfzh",)) is KINDS["resident"]
        assert kind_of(words=("MR", "H1")) is None

    def test_a_system_names_the_kind(self):
        assert kind_of(system="urn:oid:2.16.156.10011.1.2") is KINDS["health-record"]
