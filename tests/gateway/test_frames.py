"""MLLP frames out of a stream (MLLP release 1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.frames import Cut, Frame, Framer, Stray, TooLong


def frames(events: list[object]) -> list[bytes]:
    return [event.raw for event in events if isinstance(event, Frame)]


def test_merged_frames_come_out_one_by_one() -> None:
    assert frames(Framer(1000).feed(b"\x0bA\x1c\r\x0bB\x1c\r\x0bC\x1c\r")) == [b"A", b"B", b"C"]


@given(
    st.lists(
        st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\x1c", b"x").replace(b"\x0b", b"y")),
        max_size=5,
    ),
    st.data(),
)
def test_any_split_gives_the_same_frames(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(b"\x0b" + message + b"\x1c\r" for message in messages)
    framer, found, rest = Framer(1000), [], stream
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        found += frames(framer.feed(rest[:size]))
        rest = rest[size:]
    assert found == messages


@pytest.mark.parametrize(
    "stream", [b"\x0bA\x1c\x0bB\x1c\r", b"\x0bA\x1c\r\n\x0bB\x1c\r\n", b"\r\n \x0bA\x1c\r\x00\x0bB\x1c"]
)
def test_missing_returns_and_blank_lines_between_frames(stream: bytes) -> None:
    framer = Framer(100)
    assert frames(framer.feed(stream)) == [b"A", b"B"]
    assert not framer.is_inside


def test_a_frame_over_the_limit_is_told_once_and_skipped() -> None:
    framer = Framer(10)
    events = framer.feed(b"\x0bMSH" + b"x" * 50)
    events += framer.feed(b"y" * 50)
    events += framer.feed(b"z\x1c\r\x0bOK\x1c\r")
    assert [type(event) for event in events] == [TooLong, Frame]
    assert events[0].head.startswith(b"MSHx")
    assert events[1].raw == b"OK"


def test_a_whole_frame_over_the_limit_in_one_read() -> None:
    events = Framer(10).feed(b"\x0b" + b"x" * 50 + b"\x1c\r\x0bOK\x1c\r")
    assert [type(event) for event in events] == [TooLong, Frame]


def test_a_frame_that_was_cut_by_the_next_one() -> None:
    events = Framer(1000).feed(b"\x0bMSH|one\rPID|1|\x0bMSH|two\r\x1c\r")
    assert isinstance(events[0], Cut)
    assert frames(events) == [b"MSH|two\r"]


def test_stray_bytes_are_told_once() -> None:
    framer = Framer(1000)
    events = framer.feed(b"MSH|^~\\&|no frame") + framer.feed(b"more") + framer.feed(b"\x0bA\x1c\r")
    assert [type(event) for event in events] == [Stray, Frame]
