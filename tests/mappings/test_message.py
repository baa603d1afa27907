"""HL7 v2.8 chapter 2: reading messages (mappings/hl7v2/message.py)."""

import pytest

from mappings.hl7v2 import NULL, Delimiters, parse
from terminology.issues import MalformedMessage

HEAD = "MSH|^~\\&|LIS|H1|GW|X|20260315||ORU^R01|C1|P|2.4"
PID = 'PID|1||P1^^^H1&1.2.3&ISO^MR~110101^^^GA^NI||张^三||19850101|""|||a\\T\\b^c'


class TestPaths:
    """§2.5: segment-field[repetition].component.subcomponent"""

    @pytest.mark.parametrize(
        ("path", "text"),
        [
            ("MSH-1", "|"),
            ("MSH-2", "^~\\&"),
            ("MSH-3", "LIS"),
            ("MSH-9.2", "R01"),
            ("PID-3", "P1"),
            ("PID-3[1].4.1", "H1"),
            ("PID-3[1].4.2", "1.2.3"),
            ("PID-3[2].1", "110101"),
            ("PID-3[2].5", "NI"),
            ("PID-3[3]", None),
            ("PID-5.2", "三"),
            ("PID-5.9", None),
            ("PID-8", NULL),
            ("PID-9", None),
            ("PID-11.1", "a&b"),
            ("PID-99", None),
            ("NTE-3", None),
        ],
    )
    def test_get(self, path: str, text: str | None) -> None:
        assert parse(f"{HEAD}\r{PID}\r").get(path) == text

    def test_all_repetitions(self) -> None:
        assert parse(f"{HEAD}\r{PID}").get_all("PID-3.1") == ["P1", "110101"]

    def test_nth_segment(self) -> None:
        message = parse(f"{HEAD}\rOBX|1|NM|A||1\rOBX|2|NM|B||2")
        assert message.get("OBX[2]-5") == "2"


class TestForms:
    """What senders do: all of these are the same message."""

    @pytest.mark.parametrize(
        "text",
        [
            f"{HEAD}\r{PID}\r",
            f"{HEAD}\n{PID}\n",
            f"{HEAD}\r\n{PID}",
            f"\ufeff{HEAD}\r{PID}",
            f"\r\n\r\n{HEAD}\r\r\n\r{PID}\r\r",
            f"\x0b{HEAD}\r{PID}\r\x1c\r",
            f"{HEAD}\r  {PID}  \r",
        ],
    )
    def test_same(self, text: str) -> None:
        message = parse(text.encode())
        assert [segment.name for segment in message.segments] == ["MSH", "PID"]
        assert message.get("PID-5.1") == "张"

    def test_custom_delimiters(self) -> None:
        message = parse("MSH$%*?@$LIS$H1\rPID$1$$P1%%%H1@1.2*P2$$a?S?b")
        assert message.delimiters == Delimiters("$", "%", "*", "?", "@")
        assert message.get("PID-3[1].4.2") == "1.2"
        assert message.get("PID-3[2]") == "P2"
        assert message.get("PID-5") == "a%b"

    def test_a_raw_line_break_in_a_text_goes_on(self) -> None:
        message = parse(f"{HEAD}\rOBX|1|TX|A||first\nsecond line|x\r")
        assert message.get("OBX-5") == "first\nsecond line"
        assert [issue.code for issue in message.issues] == ["HT-V2-16"]

    def test_z_segments_and_bare_names(self) -> None:
        message = parse(f"{HEAD}\rZMR|1|x\rPV1\r")
        assert [segment.name for segment in message.segments] == ["MSH", "ZMR", "PV1"]
        assert message.get("ZMR-2") == "x"

    def test_short_msh_2_takes_the_recommended_marks(self) -> None:
        message = parse("MSH|^~|LIS\rPID|1||P1&2")
        assert message.get("PID-3.1.2") == "2"
        assert [issue.code for issue in message.issues] == ["HT-V2-17"]

    def test_fifth_character_of_msh_2_is_the_truncation_mark(self) -> None:
        assert parse("MSH|^~\\&#|LIS").delimiters == Delimiters()


class TestMalformed:
    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"", "HT-V2-01"),
            (b"GET / HTTP/1.1", "HT-V2-01"),
            (b"PID|1||P1", "HT-V2-01"),
            (b"MSH", "HT-V2-02"),
            (b"MSHA", "HT-V2-02"),
            (b"MSH|^^^^|", "HT-V2-05"),
            (b"FHS|^~\\&|\rMSH|^~\\&|", "HT-V2-03"),
            (b"MSH|^~\\&|a\rMSH|^~\\&|b", "HT-V2-04"),
        ],
    )
    def test_refused(self, raw: bytes, code: str) -> None:
        with pytest.raises(MalformedMessage) as raised:
            parse(raw)
        assert [issue.code for issue in raised.value.issues] == [code]
        assert raised.value.issues[0].text("zh")
        assert raised.value.issues[0].fix("en")
