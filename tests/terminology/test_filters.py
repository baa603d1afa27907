"""terminology/filters.py over terminology/memory.py: each operator of ValueSet.compose.include.filter."""

import pytest

from terminology.code_system import Filter, InvalidRegex, UnsupportedFilter
from terminology.memory import ConceptIndex, MemoryCodeSystem

SYSTEM = MemoryCodeSystem(
    ConceptIndex(
        {
            "resourceType": "CodeSystem",
            "url": "urn:s",
            "content": "complete",
            "caseSensitive": True,
            "property": [
                {"code": "unit", "type": "string"},
                {"code": "gone", "uri": "http://hl7.org/fhir/concept-properties#inactive", "type": "boolean"},
            ],
            "concept": [
                {
                    "code": "A",
                    "display": "血液",
                    "property": [{"code": "notSelectable", "valueBoolean": True}],
                    "concept": [
                        {
                            "code": "A1",
                            "display": "血糖",
                            "property": [{"code": "unit", "valueString": "mmol/L"}],
                        },
                        {"code": "A2", "concept": [{"code": "A21"}]},
                    ],
                },
                {"code": "B", "property": [{"code": "gone", "valueBoolean": True}]},
                {"code": "C", "property": [{"code": "status", "valueCode": "deprecated"}]},
            ],
        }
    )
)

CASES = [
    ("concept", "is-a", "A", "A A1 A2 A21"),
    ("concept", "descendent-of", "A", "A1 A2 A21"),
    ("concept", "is-not-a", "A", "B C"),
    ("concept", "child-of", "A", "A1 A2"),
    ("concept", "descendent-leaf", "A", "A1 A21"),
    ("concept", "generalizes", "A21", "A A2 A21"),
    ("concept", "is-a", "X", ""),
    ("concept", "is-not-a", "X", "A A1 A2 A21 B C"),
    ("code", "=", "B", "B"),
    ("code", "in", "B, C", "B C"),
    ("code", "not-in", "B,C", "A A1 A2 A21"),
    ("code", "regex", "A[0-9]", "A1 A2"),
    ("display", "=", "血糖", "A1"),
    ("unit", "=", "mmol/L", "A1"),
    ("unit", "exists", "true", "A1"),
    ("unit", "exists", "false", "A A2 A21 B C"),
    ("unit", "not-in", "mmol/L", "A A2 A21 B C"),
    ("unit", "regex", "m.*", "A1"),
    ("parent", "=", "A", "A1 A2"),
    ("parent", "exists", "false", "A B C"),
    ("child", "exists", "true", "A A2"),
    ("child", "=", "A21", "A2"),
    ("inactive", "=", "true", "B"),
    ("status", "=", "deprecated", "C"),
    ("deprecated", "=", "true", "C"),
    ("notSelectable", "=", "true", "A"),
]


@pytest.mark.parametrize(("name", "op", "value", "expected"), CASES)
def test_filter(name, op, value, expected):
    found = SYSTEM.select(Filter(name, op, value))
    assert " ".join(SYSTEM.code(ordinal) for ordinal in found) == expected


@pytest.mark.parametrize(
    ("name", "op"), [("colour", "="), ("concept", "exists"), ("unit", "is-a"), ("code", "maybe")]
)
def test_an_unknown_filter_is_refused(name, op):
    with pytest.raises(UnsupportedFilter):
        SYSTEM.select(Filter(name, op, "x"))


def test_a_bad_regular_expression_is_refused():
    with pytest.raises(InvalidRegex):
        SYSTEM.select(Filter("code", "regex", "["))


def test_selections_are_sets_in_order():
    low, high = SYSTEM.select(Filter("concept", "is-a", "A")), SYSTEM.select(Filter("code", "in", "A21,B"))
    assert [SYSTEM.code(ordinal) for ordinal in low & high] == ["A21"]
    assert [SYSTEM.code(ordinal) for ordinal in low | high] == ["A", "A1", "A2", "A21", "B"]
    assert [SYSTEM.code(ordinal) for ordinal in low - high] == ["A", "A1", "A2"]
    assert [SYSTEM.code(ordinal) for ordinal in low.page(1, 2)] == ["A1", "A2"]


def test_search_ranks():
    def found(text: str) -> str:
        return " ".join(SYSTEM.code(ordinal) for ordinal in SYSTEM.search(text))

    assert found("血") == "A A1"
    assert found("xt") == "A1"  # initials
    assert found("xuet") == "A1"  # pinyin
    assert found("a2") == "A2 A21"
    assert found("血 糖") == "A1"
    assert found("肝") == ""
