"""Acknowledgements (HL7 v2.8 §2.9.2, §2.9.3, §2.15.5, §2.15.8)."""

from datetime import datetime, timedelta, timezone

import pytest

from mappings.hl7v2 import parse
from mappings.hl7v2.ack import acknowledge, guess_header, read_header
from terminology.issues import Issue

NOW = datetime(2026, 3, 15, 8, 30, 12, tzinfo=timezone(timedelta(hours=8)))
PROBLEM = Issue("HT-MSG-04", {"event": "ORU^R01"}, source="PID-3")


def message(header: str, codec: str = "utf-8") -> bytes:
    return f"{header}\rPID|1||P1||张^三\r".encode(codec)


class TestOriginalMode:
    def test_accepted(self) -> None:
        header = read_header(parse(message("MSH|^~\\&|LIS|H1|GW|COUNTY|20260315||ORU^R01|A1|P|2.5.1")))
        answer = acknowledge(header, "accept", level="original", id="X1", now=NOW).decode()
        assert answer.split("\r") == [
            "MSH|^~\\&|GW|COUNTY|LIS|H1|20260315083012+0800||ACK^R01^ACK|X1|P|2.5.1",
            "MSA|AA|A1",
            "",
        ]

    def test_refused_with_place_code_and_both_languages(self) -> None:
        raw = message("MSH|^~\\&|LIS|H1|GW|COUNTY|20260315||ORU^R01|A1|P|2.5.1||||||UNICODE UTF-8")
        answer = acknowledge(
            read_header(parse(raw)), "error", level="original", id="X1", now=NOW, issues=[PROBLEM]
        )
        segment = next(line for line in answer.decode().split("\r") if line.startswith("ERR")).split("|")
        assert segment[2] == "PID^1^3"
        assert segment[3] == "101^Required field missing^HL70357"
        assert segment[4] == "E"
        assert segment[5].startswith("HT-MSG-04^")
        assert "没有 PID 段" in segment[8]
        assert "no PID segment" in segment[8]

    @pytest.mark.parametrize(
        ("version", "first"), [("2.3.1", "PID^1^3^101&Required field missing&HL70357"), ("2.5", "")]
    )
    def test_err_1_only_where_the_version_has_it(self, version: str, first: str) -> None:
        header = read_header(parse(message(f"MSH|^~\\&|LIS|H1|||2026||ORU^R01|A1|P|{version}")))
        answer = acknowledge(header, "error", level="original", id="X", now=NOW, issues=[PROBLEM]).decode(
            header.codec
        )
        assert next(line for line in answer.split("\r") if line.startswith("ERR")).split("|")[1] == first

    def test_message_type_of_old_versions_has_two_components(self) -> None:
        header = read_header(parse(message("MSH|^~\\&|LIS|H1|||2026||ORU^R01|A1|P|2.3.1")))
        assert b"|ACK^R01|" in acknowledge(header, "accept", level="original", id="X", now=NOW)


class TestCharsetAndDelimiters:
    def test_answer_is_in_the_senders_charset(self) -> None:
        raw = message("MSH|^~\\&|检验科|H1|||2026||ORU^R01|A1|P|2.4||||||GBK", "gbk")
        answer = acknowledge(
            read_header(parse(raw)), "error", level="original", id="X", now=NOW, issues=[PROBLEM]
        )
        text = answer.decode("gbk")
        assert "检验科" in text
        assert "没有 PID 段" in text
        assert text.split("\r")[0].split("|")[17] == "GBK"

    def test_undeclared_ascii_gets_english_only(self) -> None:
        raw = b"MSH|^~\\&|LIS|H1|||2026||ORU^R01|A1|P|2.4\rPID|1\r"
        answer = acknowledge(
            read_header(parse(raw)), "error", level="original", id="X", now=NOW, issues=[PROBLEM]
        )
        assert answer.isascii()
        assert b"no PID segment" in answer

    def test_own_delimiters_are_used_and_escaped(self) -> None:
        header = read_header(parse(b"MSH#*~!&#LIS#H1###2026##ORU*R01#A1#P#2.5\rPID#1\r"))
        text = acknowledge(header, "accept", level="original", id="X", now=NOW, text="a#b*c").decode()
        assert text.split("\r")[0].startswith("MSH#*~!&###LIS#H1#")
        assert text.split("\r")[1] == "MSA#AA#A1#a!F!b!S!c"


class TestEnhancedMode:
    """§2.9.3: MSH-15 decides on the accept acknowledgement, MSH-16 on the application one."""

    @pytest.mark.parametrize(
        ("accept", "verdict", "wanted"),
        [("AL", "accept", True), ("AL", "reject", True), ("NE", "error", False), ("ER", "accept", False),
         ("ER", "error", True), ("SU", "accept", True), ("SU", "reject", False), ("", "accept", False)],
    )  # fmt: skip
    def test_conditions_of_table_0155(self, accept: str, verdict: str, wanted: bool) -> None:
        header = read_header(parse(message(f"MSH|^~\\&|LIS|H1|||2026||ORU^R01|A1|P|2.5|||{accept}|AL")))
        assert header.is_enhanced
        assert header.wants("accept", verdict) is wanted  # type: ignore[arg-type]
        assert not header.wants("original", verdict)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("verdict", "code"), [("accept", "CA"), ("error", "CE"), ("reject", "CR")])
    def test_codes(self, verdict: str, code: str) -> None:
        header = read_header(parse(message("MSH|^~\\&|LIS|H1|||2026||ORU^R01|A1|P|2.5|||AL|NE")))
        answer = acknowledge(header, verdict, level="accept", id="X", now=NOW)  # type: ignore[arg-type]
        assert f"MSA|{code}|A1".encode() in answer

    @pytest.mark.parametrize("word", ["0", "1", "2"])
    def test_an_analysers_result_type_in_msh_16_is_no_enhanced_mode(self, word: str) -> None:
        header = read_header(
            parse(message(f"MSH|^~\\&|Mindray|BS-430|||2026||ORU^R01|1|P|2.3.1||||{word}||ASCII"))
        )
        assert not header.is_enhanced
        assert header.wants("original", "accept")


class TestUnreadable:
    @pytest.mark.parametrize(
        "raw", [b"", b"GET / HTTP/1.1", b"PID|1||P1", b"MSH", b"MSH|||||", b"\xff\xfe\x00"]
    )
    def test_no_header_still_gives_an_answer(self, raw: bytes) -> None:
        answer = acknowledge(guess_header(raw), "reject", level="original", id="X", now=NOW, issues=[PROBLEM])
        assert answer.startswith(b"MSH|^~\\&|")
        assert b"MSA|AR|" in answer

    def test_a_cut_message_is_answered_by_its_header(self) -> None:
        header = guess_header(b"MSH|^~\\&|LIS|H1|GW|C|2026||ORU^R01|CUT1|P|2.4\rPID|1||P0\xd5")
        assert (header.control_id, header.sending, header.code) == ("CUT1", ("LIS", "H1"), "ORU")
