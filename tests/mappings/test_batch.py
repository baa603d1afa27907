"""HL7 v2.8 §2.10.3: batch files (mappings/hl7v2/batch.py)."""

import pytest

from mappings.hl7v2 import parse
from mappings.hl7v2.batch import is_batch, split
from terminology.issues import MalformedMessage

ONE = "MSH|^~\\&|LIS|H1|||20260315||ORU^R01|C{0}|P|2.4\rPID|1||P{0}||张^三\r"
BATCH = "FHS|^~\\&|LIS\rBHS|^~\\&|LIS\r{}BTS|2\rFTS|1\r".format("".join(ONE.format(n) for n in (1, 2)))


class TestSplit:
    @pytest.mark.parametrize("codec", ["utf-8", "gb18030"])
    @pytest.mark.parametrize("ending", ["\r", "\n", "\r\n"])
    def test_messages_of_a_batch(self, codec: str, ending: str) -> None:
        raw = BATCH.replace("\r", ending).encode(codec)
        assert is_batch(raw)
        batch = split(raw)
        assert [parse(message).get("PID-3") for message in batch.messages] == ["P1", "P2"]
        assert [parse(message).get("PID-5.1") for message in batch.messages] == ["张", "张"]
        assert (len(batch.headers), len(batch.trailers), batch.issues) == (2, 2, ())

    def test_one_message_is_a_batch_of_one(self) -> None:
        raw = ONE.format(1).encode()
        assert not is_batch(raw)
        assert len(split(raw).messages) == 1

    def test_messages_without_envelope(self) -> None:
        assert len(split((ONE.format(1) + ONE.format(2)).encode()).messages) == 2

    def test_a_cut_file_is_seen(self) -> None:
        issues = split(BATCH.replace("BTS|2", "BTS|3").encode()).issues
        assert [(issue.code, issue.source) for issue in issues] == [("HT-V2-18", "BTS-1")]

    @pytest.mark.parametrize(
        ("raw", "code"),
        [(b"", "HT-V2-01"), (b"FHS|^~\\&|\rFTS|0\r", "HT-V2-07")],
    )
    def test_nothing_inside(self, raw: bytes, code: str) -> None:
        with pytest.raises(MalformedMessage) as raised:
            split(raw)
        assert raised.value.issues[0].code == code

    def test_limit(self) -> None:
        with pytest.raises(MalformedMessage) as raised:
            split(BATCH.encode(), limit=1)
        assert raised.value.issues[0].code == "HT-V2-06"
