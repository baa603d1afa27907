"""json.html: bytes → resource, and where what is wrong stands."""

from decimal import Decimal

import pytest

from conformance.formats.json import MAX_DEPTH, parse, positions_of
from terminology.fhirjson import encode
from terminology.issues import InvalidInput, TooLarge


def test_decimals_keep_their_digits() -> None:
    resource = parse(b'{"resourceType":"Observation","valueQuantity":{"value":1.50}}')
    assert resource["valueQuantity"]["value"] == Decimal("1.50")
    assert b"1.50" in encode(resource)


def test_byte_order_mark_is_skipped() -> None:
    assert parse(b'\xef\xbb\xbf{"resourceType":"Patient"}') == {"resourceType": "Patient"}


@pytest.mark.parametrize(
    ("body", "source"),
    [
        (b'{\n "a": 1,\n}', "line 3 column 1"),
        (b'{\n "a": [1}\n', "line 2 column 9"),
        (b'{"a": 1} x', "line 1 column 10"),
        (b"", "line 1 column 1"),
        (b'{"a":\n "\xff"}', "line 2 column 3"),
    ],
)
def test_wrong_syntax_is_located(body: bytes, source: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(body)
    assert caught.value.issues[0].code == "HT-FMT-01"
    assert caught.value.issues[0].source == source


@pytest.mark.parametrize("body", [b"[]", b"3", b"null", b'"Patient"'])
def test_only_objects_are_resources(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(body)
    assert caught.value.issues[0].code == "HT-FMT-02"


def test_both_duplicates_are_named() -> None:
    body = (
        b'{"resourceType":"Patient",\n"active":true,\n"active":false,"name":[{"family":"a",\n"family":"b"}]}'
    )
    with pytest.raises(InvalidInput) as caught:
        parse(body)
    assert [(issue.expression, issue.source) for issue in caught.value.issues] == [
        ("Patient.active", "line 3 column 1"),
        ("Patient.name[0].family", "line 4 column 1"),
    ]
    assert parse(body, duplicates=False)["active"] is False


class TestDepth:
    def test_a_thousand_levels_are_refused(self) -> None:
        body = b'{"item":[' * 1000 + b"]}" * 1000
        with pytest.raises(TooLarge) as caught:
            parse(body)
        assert caught.value.issues[0].code == "HT-FMT-03"
        assert caught.value.issues[0].source is not None

    def test_brackets_in_strings_do_not_count(self) -> None:
        text = '\\\\\\"' + "{[" * MAX_DEPTH
        assert len(parse(f'{{"a":"{text}","b":"\\\\"}}')) == 2

    def test_wide_is_not_deep(self) -> None:
        body = b'{"a":[' + b",".join([b"{}"] * 5000) + b"]}"
        assert len(parse(body)["a"]) == 5000


class TestPositions:
    BODY = b"""{
  "resourceType": "Observation",
  "contained": [{"resourceType": "Patient", "id": "p"}],
  "_status": {"id": "s"},
  "valueQuantity": {
    "value": 3
  },
  "note": [{"text": "a"}, {"text": "b"}]
}"""

    @pytest.mark.parametrize(
        ("expression", "place"),
        [
            ("Observation.value.ofType(Quantity).value", (6, 5)),
            ("Observation.note[1].text", (8, 28)),
            ("Observation.note[1].missing", (8, 27)),
            ("Observation.contained[0]/*Patient/p*/.id", (3, 45)),
            ("Observation.status", (4, 3)),
            ("Observation", (1, 1)),
        ],
    )
    def test_place_of_an_expression(self, expression: str, place: tuple[int, int]) -> None:
        assert positions_of(self.BODY).of(expression) == place
