"""The commands that the pages for the information centre show do what the pages say."""

import re
import shlex
from pathlib import Path

import pytest

from gateway.cli import FINDINGS, OK
from gateway.cli.commands import run
from terminology.issues import FhirError

PAGES = Path(__file__).parents[2] / "docs" / "terminology"
BLOCK = re.compile(r"^```(\w+) ?([\w.-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def play(page: str, folder: Path) -> dict[str, str]:
    """Write the files of a page, run its `hutong` lines in order; return line → exit code or error code."""
    found: dict[str, str] = {}
    for kind, name, text in BLOCK.findall((PAGES / page).read_text("utf-8")):
        if name:
            (folder / name).write_text(text, "utf-8")
        if kind != "sh":
            continue
        for line in text.splitlines():
            if line.startswith("hutong "):
                try:
                    found[line] = str(run(shlex.split(line)[1:]))
                except FhirError as error:
                    found[line] = error.issues[0].code
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUTONG_DATA", str(tmp_path / "data"))
    return tmp_path


def test_catalogues(folder: Path) -> None:
    results = play("catalogues.md", folder)
    refused = {line: result for line, result in results.items() if result != str(OK)}
    assert refused == {"hutong terms rollback dx --to 1 --reason 演示 --who 王五": "HT-CAT-48"}
    assert len(results) == 13


def test_mapping(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = play("mapping.md", folder)
    assert set(results.values()) == {str(OK)}
    out = capsys.readouterr().out
    assert '"code": "E11"' in out or '"code":"E11"' in out
    assert "unmatched" in out


def test_drugs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = play("drugs.md", folder)
    assert list(results.values()) == [str(FINDINGS)]
    assert "盐酸二甲双胍片" in capsys.readouterr().out
