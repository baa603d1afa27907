"""`hutong validate`: exit codes and the four forms of its answer."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from gateway.cli.commands import run
from terminology.issues import InvalidInput

GOOD = '{"resourceType": "Patient", "gender": "male"}'
BAD = '{"resourceType": "Patient",\n "gender": "男"}'
PROFILE = {
    "resourceType": "StructureDefinition",
    "url": "https://hutong.health/fhir/StructureDefinition/named",
    "name": "Named",
    "status": "active",
    "kind": "resource",
    "abstract": False,
    "type": "Patient",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "derivation": "constraint",
    "differential": {"element": [{"path": "Patient.name", "min": 1}]},
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HUTONG_LANG", "en")
    (tmp_path / "good.json").write_text(GOOD)
    (tmp_path / "bad.json").write_text(BAD)
    (tmp_path / "named.json").write_text(json.dumps(PROFILE))
    (tmp_path / "patient.xml").write_text(
        '<Patient xmlns="http://hl7.org/fhir"><gender value="male"/></Patient>'
    )
    return tmp_path


def test_good_files_give_0(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(files / "good.json"), str(files / "patient.xml")]) == 0
    assert "good.json: valid, 0 errors" in capsys.readouterr().out


def test_errors_give_1_with_place_and_cure(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", str(files / "bad.json")]) == 1
    out = capsys.readouterr().out
    assert "HT-VAL-16 Patient.gender (line 2 column 2)" in out
    assert "→ Use one of the value set" in out


def test_profile_from_a_file_and_from_a_loaded_folder(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = str(files / "good.json")
    assert run(["validate", good, "--profile", str(files / "named.json")]) == 1
    assert run(["validate", good, "--profile", str(PROFILE["url"]), "--package", str(files)]) == 1
    assert capsys.readouterr().out.count("HT-VAL-82") == 2


def test_structure_level_leaves_rules_out(files: Path) -> None:
    file = files / "rule.json"
    file.write_text('{"resourceType":"Patient","contact":[{"gender":"male"}]}')
    assert run(["validate", str(file)]) == 1
    assert run(["validate", str(file), "--level", "structure"]) == 0


def test_json_names_every_problem(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", str(files / "bad.json"), "--format", "json"])
    [file] = json.loads(capsys.readouterr().out)["files"]
    assert file["valid"] is False
    assert [row["expression"] for row in file["issues"] if row["severity"] == "error"] == ["Patient.gender"]


def test_junit_is_readable_by_machines(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", str(files / "bad.json"), str(files / "good.json"), "--format", "junit"])
    suite = ElementTree.fromstring(capsys.readouterr().out.split("\n", 1)[1])
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_sarif_points_into_the_file(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["validate", str(files / "bad.json"), "--format", "sarif"])
    [document] = json.loads(capsys.readouterr().out)["runs"]
    result = next(row for row in document["results"] if row["level"] == "error")
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 2, "startColumn": 2}


@pytest.mark.parametrize(
    "arguments", [["nothing.json"], ["good.json", "--level", "deep"], ["good.json", "--format", "pdf"]]
)
def test_wrong_calls_are_told(files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(InvalidInput):
        run(["validate", *arguments])
