"""The error contract of docs/design.md §4: every error has a status, a wording in two languages and a cure."""

import pytest

from gateway.rest.outcomes import STATUS, outcome
from gateway.rest.request import Request
from terminology.issues import FhirError, Issue, sentences


def subclasses(kind: type[FhirError]) -> set[type[FhirError]]:
    below = {one for direct in kind.__subclasses__() for one in subclasses(direct)}
    return {kind, *below}


@pytest.mark.parametrize("kind", sorted(subclasses(FhirError), key=lambda kind: kind.__name__))
def test_every_error_has_a_status(kind: type[FhirError]) -> None:
    assert 400 <= STATUS[kind] < 600


def test_an_outcome_speaks_the_readers_language_and_carries_the_other() -> None:
    issue = Issue("HT-REST-01", {"type": "Patient", "id": "1"}, expression="Patient.id", source="PID-3")
    chinese = outcome([issue], Request("GET", "", request_id="r1"))
    english = outcome([issue], Request("GET", "", headers={"accept-language": "en-GB, zh;q=0.5"}))
    row = chinese["issue"][0]
    assert row["code"] == "not-found"
    assert row["details"]["text"] == "没有 Patient/1。"
    assert row["details"]["coding"][0]["code"] == "HT-REST-01"
    assert row["details"]["_text"]["extension"][0]["extension"][1]["valueString"] == "There is no Patient/1."
    assert row["expression"] == ["Patient.id"]
    assert row["diagnostics"] == "r1"
    assert [extension["url"].rpartition("/")[2] for extension in row["extension"]] == [
        "issue-fix",
        "issue-documentation",
        "issue-source",
    ]
    assert english["language"] == "en"
    assert english["issue"][0]["details"]["text"] == "There is no Patient/1."


def test_every_sentence_of_rest_is_whole() -> None:
    for code, row in sentences("rest").items():
        assert code.startswith("HT-REST-")
        for text in (row.zh, row.en, row.fix_zh, row.fix_en):
            assert text, code
            assert text[-1] in "。.", (code, text)
