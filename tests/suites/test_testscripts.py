"""The public TestScripts in tests/data/testscripts against the REST server; the baseline may only rise.

docs/testscripts.md tells each script's result and why one fails; `scripts/testscripts` writes it.
"""

import json
from pathlib import Path

import pytest

from tests.suites.testscripts import FOLDER, play, scripts

BASELINE = Path(__file__).parent / "testscripts_baseline.json"
# script → test → why it does not pass, in both languages
EXPECTED: dict[str, dict[str, dict[str, str]]] = json.loads(BASELINE.read_text("utf-8"))


@pytest.mark.parametrize("path", scripts(), ids=lambda path: str(path.relative_to(FOLDER)))
def test_script(path: Path) -> None:
    name = str(path.relative_to(FOLDER))
    expected = EXPECTED.get(name, {})
    results = play(path)
    assert results, "a script without tests proves nothing"
    wrong = {
        row.en: [issue.text("en") for issue in row.issues]
        for row in results
        if row.state != "pass" and row.en not in expected
    }
    assert not wrong, wrong
    risen = [row.en for row in results if row.state == "pass" and row.en in expected]
    assert not risen, f"these pass now; take them out of {BASELINE.name}: {risen}"


def test_every_failure_is_explained_and_the_page_is_up_to_date() -> None:
    page = (Path(__file__).parents[2] / "docs" / "testscripts.md").read_text("utf-8")
    for script, tests in EXPECTED.items():
        for test, reason in tests.items():
            assert test in page
            assert reason["zh"] in page, f"{script}: run scripts/testscripts"
            assert reason["en"] in page, f"{script}: run scripts/testscripts"
    assert all(str(path.relative_to(FOLDER)) in page for path in scripts())
