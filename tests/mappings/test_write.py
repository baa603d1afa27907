"""Writing messages; what is written reads back (HL7 v2.8 §2.5, §2.7)."""

from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2 import Delimiters, parse
from mappings.hl7v2.write import write, write_segment

# Outer blanks of a line and control characters are not part of a value.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() == text and text != '""' and "\ufeff" not in text and "\ufffd" not in text
)


def test_a_segment() -> None:
    fields = {
        1: "1",
        3: [("P1", None, None, ("H1", "1.2.3", "ISO")), ("110101", None, None, "GA")],
        5: ("a|b", "三"),
    }
    assert write_segment("PID", fields) == "PID|1||P1^^^H1&1.2.3&ISO~110101^^^GA||a\\F\\b^三"


def test_the_header_names_the_charset() -> None:
    message = parse(write([("MSH", {3: "GW", 9: ("ACK", "R01"), 10: "1"})], codec="gb18030"))
    assert (message.get("MSH-18"), message.get("MSH-9.2"), message.get("MSH-10")) == (
        "GB 18030-2000",
        "R01",
        "1",
    )


@given(
    st.lists(st.tuples(st.integers(1, 30), TEXTS), min_size=1, max_size=6),
    st.sampled_from(["utf-8", "gb18030"]),
)
def test_what_is_written_reads_back(pairs: list[tuple[int, str]], codec: str) -> None:
    fields = dict(pairs)
    message = parse(write([("MSH", {3: "GW"}), ("ZZZ", fields)], codec=codec))
    assert {number: message.get(f"ZZZ-{number}") for number in fields} == fields


@given(TEXTS, TEXTS, TEXTS)
def test_components_and_repetitions_read_back(one: str, two: str, three: str) -> None:
    marks = Delimiters("$", "%", "*", "?", "@")
    raw = write([("MSH", {3: "GW"}), ("ZZZ", {2: [("x", (one, two)), three]})], delimiters=marks)
    message = parse(raw)
    assert message.get("ZZZ-2.2.1") == one
    assert message.get("ZZZ-2.2.2") == two
    assert message.get("ZZZ-2[2]") == three
