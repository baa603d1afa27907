"""ASTM frames and records (LIS01-A2 §8, LIS02-A2)."""

from pathlib import Path

import pytest

from mappings.astm import parse
from mappings.astm.frames import BadFrame, checksum, read_frame, to_frames, unframe
from mappings.astm.write import write_message
from terminology.issues import MalformedMessage

SAMPLE = Path(__file__).parent.parent / "golden" / "astm-results" / "blood-count-gbk" / "message.astm"
LONG = b"H|\\^&|||X\rR|1|^^^WBC|" + b"1" * 700 + b"\rL|1|N\r"


class TestFrames:
    """LIS01-A2 §8.3"""

    def test_the_checksum_is_the_sum_up_to_and_with_etx(self) -> None:
        assert checksum(b"2P|1\r\x03") == b"%02X" % (sum(b"2P|1\r\x03") % 256)

    def test_what_is_framed_is_unframed(self) -> None:
        assert unframe(b"\x05" + b"".join(to_frames(LONG)) + b"\x04") == LONG

    def test_numbers_run_from_1_to_7_and_on_with_0(self) -> None:
        text = b"".join(b"C|%d\r" % n for n in range(10))
        assert [read_frame(frame).number for frame in to_frames(text)] == [1, 2, 3, 4, 5, 6, 7, 0, 1, 2]

    def test_a_long_record_goes_on_in_the_next_frame(self) -> None:
        frames = [read_frame(frame) for frame in to_frames(LONG)]
        assert [frame.is_last for frame in frames] == [True, False, False, True, True]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda frame: frame[:-4] + b"00\r\n", "checksum"),
            (lambda frame: frame.replace(b"\x03", b""), "no ETX"),
            (
                lambda frame: b"\x02" + b"9" + frame[2:-4] + checksum(b"9" + frame[2:-4]) + b"\r\n",
                "frame number",
            ),
            (lambda _: b"\x02", "no STX"),
        ],
    )
    def test_a_broken_frame_must_come_again(self, change: object, reason: str) -> None:
        frame = next(to_frames(b"H|\\^&\r"))
        with pytest.raises(BadFrame, match=reason):
            read_frame(change(frame))  # type: ignore[operator]

    def test_a_missing_frame_is_told(self) -> None:
        frames = list(to_frames(LONG))
        with pytest.raises(MalformedMessage) as caught:
            unframe(b"".join([frames[0], *frames[2:]]))
        assert caught.value.issues[0].code == "HT-ASTM-03"

    def test_a_frame_that_came_twice_counts_once(self) -> None:
        frames = list(to_frames(LONG))
        assert unframe(b"".join([*frames[:2], frames[1], *frames[2:]])) == LONG


class TestRecords:
    """LIS02-A2 §5"""

    def test_fields_are_numbered_as_in_the_standard(self) -> None:
        (message,) = parse(SAMPLE.read_bytes())
        person, result = message.segment("P"), message.segment("R", 2)
        assert person is not None
        assert result is not None
        assert (person.get(5), person.get(6), person.get(8), person.get(9)) == (
            "P0001",
            "张三丰",
            "19850101",
            "M",
        )
        assert (result.get(3, 5), result.get(4), result.get(13)) == ("RBC", "4.52", "20260315083000")
        assert (message.code, message.event, message.origin) == ("R", "P", ("XN-550", ""))
        assert message.codec == "gb18030"

    def test_other_delimiters_and_escapes(self) -> None:
        (message,) = parse(b"H!~$%!!!A$B\rR!1!$$$X!5 %F% 3\rL!1!N\r")
        result = message.segment("R")
        assert result is not None
        assert (message.header(5), result.get(3, 4), result.get(4)) == ("A", "X", "5 ! 3")

    def test_several_messages_in_one_transmission(self) -> None:
        both = parse(b"H|\\^&|||A\rP|1\rL|1\rH|\\^&|||B\rP|1\rL|1\r")
        assert [message.header(5) for message in both] == ["A", "B"]

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (b"", "HT-ASTM-01"),
            (b"MSH|^~\\&|", "HT-ASTM-01"),
            (b"H||||\rL|1\r", "HT-ASTM-04"),
            (b"\x021H|\\^&\r\x03FF\r\n", "HT-ASTM-02"),
            (b"H|\\^&\rL|1\r" * 1001, "HT-ASTM-06"),
        ],
    )
    def test_what_is_none_is_refused(self, raw: bytes, code: str) -> None:
        with pytest.raises(MalformedMessage) as caught:
            parse(raw)
        assert caught.value.issues[0].code == code

    def test_what_is_written_is_read(self) -> None:
        raw = write_message(
            [["H", "", "", "", "LIS"], ["P", "1", "张|三"], ["O", "1", ["a^b", "c"]], ["L", "1", "N"]]
        )
        (message,) = parse(raw)
        person, order = message.segment("P"), message.segment("O")
        assert person is not None
        assert order is not None
        assert person.get(3, codec="gb18030") == "张|三"
        assert (order.get(3), order.get(3, 2)) == ("a^b", "c")
