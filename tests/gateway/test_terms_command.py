"""`hutong terms` and `hutong codes`: what ships is loaded by name, and what is missing is told."""

import json
from pathlib import Path

import pytest

from gateway.cli.commands import run
from gateway.cli.doctor import doctor
from terminology.issues import InvalidInput, NotFound, Unavailable


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HUTONG_LANG", "en")
    return str(tmp_path / "data")


def catalogue_check(data: str, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    capsys.readouterr()
    doctor(Path(data), None, as_json=True)
    checks = json.loads(capsys.readouterr().out)["checks"]
    found: dict[str, str] = next(row for row in checks if row["name"] == "catalogues")
    return found


def test_some_of_what_ships_is_loaded_by_name(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["terms", "load", "--shipped", "sex", "marital", "--data", data]) == 0
    capsys.readouterr()
    run(["terms", "list", "--json", "--data", data])
    assert [row["id"] for row in json.loads(capsys.readouterr().out)["catalogues"]] == ["marital", "sex"]


def test_a_name_that_does_not_ship_is_told(data: str) -> None:
    with pytest.raises(NotFound, match="HT-CAT-43"):
        run(["terms", "load", "--shipped", "nonsense", "--data", data])


def test_a_file_needs_its_catalogue(data: str) -> None:
    with pytest.raises(InvalidInput, match="HT-CLI-19"):
        run(["terms", "load", "a.csv", "--data", data])


def test_doctor_tells_how_to_load_them(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hutong terms load --shipped" in catalogue_check(data, capsys)["fix"]
    run(["terms", "load", "--shipped", "sex", "--data", data])
    assert catalogue_check(data, capsys)["verdict"] == "ok"


def test_publishing_a_map_needs_the_gateway(data: str) -> None:
    with pytest.raises(Unavailable, match="HT-CLI-20"):
        run(["codes", "publish", "h1", "diagnosis", "--data", data])
