"""What must hold for all values and texts: logic is three-valued, order is total where decided, nothing breaks the engine."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conformance.fhirpath import Host, Limits, compile, evaluate
from conformance.fhirpath.temporal import Date, DateTime, Temporal, compare
from terminology.issues import FhirError

HOST = Host(limits=Limits(steps=20_000, seconds=1.0, items=2_000, text=20_000, regex_seconds=0.05))
WORDS = [
    "name", "given", "Patient", "birthDate", "$this", "%resource", "1", "2.5", "'a'", "true", "{}", "@2012", "@2012-01T",
    "4 days", "1 'mg'", ".", "(", ")", "[", "]", ",", "+", "-", "*", "/", "|", "&", "=", "~", "!=", "<", ">=", "and", "or",
    "xor", "implies", "is", "as", "in", "contains", "div", "mod", "String", "where(", "select(", "exists()", "first()",
    "count()", "children()", "descendants()", "repeat(", "iif(", "toString()", "lowBoundary()", "sort(", "aggregate(",
]  # fmt: skip
PATIENT: dict[str, Any] = {"resourceType": "Patient", "name": [{"given": ["a", "b"]}], "birthDate": "2012-03"}

numbers = st.one_of(st.integers(-(2**31), 2**31 - 1), st.decimals(-1000, 1000, places=4))
dates = st.one_of(
    st.dates().map(lambda day: Date.parse(day.isoformat())),
    st.dates().map(lambda day: Date.parse(day.isoformat()[:7])),
)
moments = st.datetimes().map(
    lambda moment: DateTime.parse(moment.isoformat(timespec="milliseconds") + "+08:00")
)


@given(st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join))
def test_any_words_give_a_list_or_an_error(text: str) -> None:
    try:
        assert isinstance(evaluate(text, PATIENT, host=HOST), list)
    except FhirError as error:
        assert error.issues[0].code.startswith("HT-FP-")  # noqa: PT017  either outcome is fine
        assert error.issues[0].text("zh")  # noqa: PT017
        assert error.issues[0].fix("en")  # noqa: PT017


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        compile(text)
    except FhirError as error:
        assert error.issues[0].code.startswith("HT-FP-")  # noqa: PT017  either outcome is fine


@given(st.text(max_size=30))
def test_a_string_survives_its_literal(text: str) -> None:
    literal = text.replace("\\", "\\\\").replace("'", "\\'")
    assert evaluate(f"'{literal}'") == [text]
    assert evaluate("%a.escape('json').unescape('json')", a=text) == [text]
    assert evaluate("%a.encode('base64').decode('base64')", a=text) == [text]
    assert evaluate("%a.encode('hex').decode('hex')", a=text) == [text]


@given(numbers, numbers)
def test_arithmetic_is_exact(left: int | Decimal, right: int | Decimal) -> None:
    total = evaluate("%a + %b - %b = %a", a=left, b=right)
    assert total in ([True], [])
    assert evaluate("(%a < %b) xor (%a >= %b)", a=left, b=right) == [True]


@given(st.one_of(dates, moments), st.one_of(dates, moments))
def test_dates_compare_the_same_both_ways(left: Temporal, right: Temporal) -> None:
    there, back = compare(left, right), compare(right, left)
    assert there == (None if back is None else -back)


@given(st.sampled_from(["true", "false", "{}"]), st.sampled_from(["true", "false", "{}"]))
def test_logic_obeys_de_morgan(left: str, right: str) -> None:
    assert evaluate(f"({left} and {right}).not()") == evaluate(f"({left}.not()) or ({right}.not())")
    assert evaluate(f"{left} implies {right}") == evaluate(f"({left}.not()) or {right}")


@given(
    moments, st.integers(-100_000, 100_000), st.sampled_from(["days", "hours", "minutes", "seconds", "weeks"])
)
def test_adding_and_subtracting_a_duration(moment: DateTime, amount: int, unit: str) -> None:
    text = f"@{moment} + {abs(amount)} {unit} - {abs(amount)} {unit}"
    try:
        assert evaluate(text) == [str(moment)]
    except FhirError as error:
        assert error.issues[0].code == "HT-FP-18"  # noqa: PT017  outside the calendar


@given(moments)
def test_a_boundary_contains_its_value(moment: DateTime) -> None:
    for digits in (4, 6, 8):
        text = str(moment)[:10][: {4: 4, 6: 7, 8: 10}[digits]]
        assert evaluate(f"@{text}T.lowBoundary() <= @{moment} and @{text}T.highBoundary() >= @{moment}") == [
            True
        ]
