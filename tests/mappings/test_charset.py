"""HL7 v2 charset ladder: no mojibake is ever stored (mappings/hl7v2/charset.py)."""

from pathlib import Path

import pytest

from mappings.hl7v2 import decode, parse
from terminology.issues import MalformedMessage

SAMPLES = Path(__file__).parent.parent / "data" / "hl7v2" / "cn"
TEXT = "MSH|^~\\&|LIS|H1|GW|X|20260315||ORU^R01|C1|P|2.4|||||{0}|{1}|{2}\rPID|1||P1||{3}\r"
NAME = "张^三丰"
# GBK characters whose second byte is 0x5C 0x5E 0x7C 0x7E: \ ^ | ~
TRAPS = "乗乛亅亊"


def message(name: str = NAME, *, charset: str = "", field_17: str = "", field_19: str = "") -> str:
    return TEXT.format(field_17, charset, field_19, name)


class TestDeclared:
    @pytest.mark.parametrize(
        ("word", "codec"),
        [
            ("GBK", "gbk"),
            ("gbk", "gbk"),
            ("GB2312", "gb2312"),
            ("CP936", "cp936"),
            ("GB18030", "gb18030"),
            ("GB 18030-2000", "gb18030"),
            ("UNICODE", "utf-8"),
            ("UNICODE UTF-8", "utf-8"),
            ("UTF-8", "utf-8"),
            ("utf8", "utf-8"),
            ("BIG-5", "big5"),
        ],
    )
    def test_words_of_msh_18(self, word: str, codec: str) -> None:
        name = "張^三豐" if codec == "big5" else NAME
        found = decode(message(name, charset=word).encode(codec))
        assert name in found.text
        assert (found.declared, found.is_guessed, found.issues) == (word, False, ())

    @pytest.mark.parametrize("place", ["field_17", "field_19"])
    def test_words_in_neighbouring_fields(self, place: str) -> None:
        found = decode(message(**{place: "gbk"}).encode("gbk"))
        assert (found.declared, found.is_guessed) == ("gbk", False)
        assert NAME in found.text

    def test_decode_comes_before_splitting(self) -> None:
        parsed = parse(message(TRAPS, charset="GBK").encode("gbk"))
        assert parsed.get("PID-5") == TRAPS

    def test_a_trap_in_the_header_does_not_move_msh_18(self) -> None:
        raw = message(charset="GBK").replace("|H1|", f"|{TRAPS}医院|").encode("gbk")
        parsed = parse(raw)
        assert (parsed.get("MSH-4"), parsed.get("PID-5.2")) == (f"{TRAPS}医院", "三丰")
        assert not parsed.decoded.is_guessed

    def test_rare_characters_of_four_bytes(self) -> None:
        name = "㐀𠮷"
        assert parse(message(name, charset="GB18030").encode("gb18030")).get("PID-5") == name

    def test_latin_1_stays_latin_1(self) -> None:
        found = decode(message("Müller^José", charset="8859/1").encode("latin-1"))
        assert "Müller^José" in found.text
        assert not found.is_guessed


class TestUndeclaredOrUntrue:
    @pytest.mark.parametrize("codec", ["gbk", "utf-8", "gb18030"])
    def test_undeclared_is_guessed(self, codec: str) -> None:
        found = decode(message().encode(codec))
        assert NAME in found.text
        assert found.is_guessed
        assert [issue.code for issue in found.issues] == ["HT-V2-13"]

    @pytest.mark.parametrize(
        ("word", "codec"),
        [
            ("UTF-8", "gbk"),
            ("GBK", "utf-8"),
            ("8859/1", "gbk"),
            ("8859/1", "utf-8"),
            ("ASCII", "gbk"),
            ("KLINGON", "gbk"),
        ],
    )
    def test_untrue_declaration_is_seen_and_flagged(self, word: str, codec: str) -> None:
        found = decode(message(charset=word).encode(codec))
        assert NAME in found.text
        assert found.is_guessed
        assert found.issues[0].code in ("HT-V2-11", "HT-V2-12")
        assert found.issues[0].severity == "warning"

    def test_gbk_that_happens_to_be_utf_8(self) -> None:
        """D2 BB is 一 in GBK and a Cyrillic letter in UTF-8."""
        assert parse(message("一").encode("gbk")).get("PID-5") == "一"

    def test_greek_letters_of_units_are_utf_8(self) -> None:
        assert "μg" in decode(message("μg").encode()).text

    def test_plain_ascii_needs_no_guess(self) -> None:
        found = decode(message("ZHANG^SAN").encode())
        assert (found.is_guessed, found.issues) == (False, ())

    def test_bytes_of_no_charset_are_refused(self) -> None:
        with pytest.raises(MalformedMessage) as raised:
            decode(message("X").encode().replace(b"X", b"\xff\xff"))
        assert raised.value.issues[0].code == "HT-V2-10"

    def test_configured_fallback(self) -> None:
        raw = message("X").encode().replace(b"|X\r", b"|\xff\xe4\r")
        assert decode(raw, fallback="cp1252").codec == "cp1252"

    def test_damaged_text_is_flagged(self) -> None:
        found = decode(message("张\ufffd", charset="UTF-8").encode())
        assert [issue.code for issue in found.issues] == ["HT-V2-14"]

    def test_control_characters_are_removed_and_told(self) -> None:
        found = decode(message("张\x02三", charset="UTF-8").encode())
        assert "张三" in found.text
        assert [issue.code for issue in found.issues] == ["HT-V2-15"]


class TestMarks:
    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    def test_byte_order_marks_and_utf_16(self, codec: str) -> None:
        assert parse(message().encode(codec)).get("PID-5.2") == "三丰"


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("charset_*.hl7")), ids=lambda path: path.stem)
def test_samples(path: Path) -> None:
    assert parse(path.read_bytes()).get("PID-5.2") == "三丰"
