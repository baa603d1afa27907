"""`hutong map new`, `map test` and `map coverage` for every format (docs/mapping.md, A new map)."""

import json
from pathlib import Path

import pytest

from gateway.cli import FINDINGS, OK
from gateway.cli.commands import run
from mappings.skeleton import FORMATS
from terminology.issues import BusinessRule, InvalidInput
from tests.mappings.ecg_files import sample, to_aecg

SHIPPED_DICOM = Path(__file__).parent.parent / "data" / "ecg" / "waveform_ecg.dcm"


@pytest.mark.parametrize("format", sorted(set(FORMATS.values())))
class TestEveryFormat:
    def test_a_new_map_passes_its_tests_and_reads_its_sample(
        self, tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        maps = tmp_path / "maps"
        assert run(["map", "new", f"my-{format}", "--format", format, "--maps", str(maps), "--json"]) == OK
        told = json.loads(capsys.readouterr().out)
        assert told["problems"] == []
        assert (maps / "docs" / f"my-{format}.md").is_file()
        assert (maps / "tests" / f"my-{format}").is_dir()
        assert run(["map", "test", str(maps), "--json"]) == OK
        (row,) = json.loads(capsys.readouterr().out)["maps"]
        assert row["tests"] >= 1
        samples = [
            path for path in (maps / "tests" / f"my-{format}").iterdir() if "expected" not in path.name
        ]
        for path in samples:
            assert (
                run(["map", "run", str(path), "--adapter", f"my-{format}", "--maps", str(maps), "--explain"])
                == OK
            )
            capsys.readouterr()
            assert (
                run(
                    ["map", "coverage", str(path), "--adapter", f"my-{format}", "--maps", str(maps), "--json"]
                )
                == OK
            )
            (found,) = json.loads(capsys.readouterr().out)["maps"]
            assert found["messages"] == 1
            assert found["fields_read"] > 0


class TestNew:
    def test_nothing_is_overwritten(self, tmp_path: Path) -> None:
        told = ["map", "new", "lis", "--maps", str(tmp_path)]
        assert run(told) == OK
        (tmp_path / "lis.yaml").write_text("mine", "utf-8")
        with pytest.raises(BusinessRule):
            run(told)
        assert (tmp_path / "lis.yaml").read_text("utf-8") == "mine"

    @pytest.mark.parametrize("name", ["../x", "1a", "a b", ""])
    def test_a_name_that_is_none(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(InvalidInput):
            run(["map", "new", name, "--maps", str(tmp_path)])
        assert list(tmp_path.iterdir()) == []

    def test_the_name_may_tell_the_format(self, tmp_path: Path) -> None:
        assert run(["map", "new", "json-lis", "--maps", str(tmp_path)]) == OK
        assert "format: json" in (tmp_path / "json-lis.yaml").read_text("utf-8")
        assert run(["map", "new", "ecg", "--maps", str(tmp_path)]) == OK
        assert (tmp_path / "my-ecg.yaml").is_file()


class TestGolden:
    def test_a_changed_result_shows_its_lines(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["map", "new", "t", "--format", "table", "--maps", str(tmp_path)]) == OK
        path = tmp_path / "t.yaml"
        path.write_text(path.read_text("utf-8").replace("text: =空腹血糖", "text: =血糖"), "utf-8")
        capsys.readouterr()
        assert run(["map", "test", str(tmp_path)]) == FINDINGS
        out = capsys.readouterr().out
        assert "空腹血糖" in out
        assert '"text": "血糖"' in out
        assert run(["map", "test", str(tmp_path), "--update"]) == OK
        assert run(["map", "test", str(tmp_path)]) == OK

    def test_files_of_devices(self, tmp_path: Path) -> None:
        assert run(["map", "new", "cart", "--format", "ecg", "--maps", str(tmp_path)]) == OK
        (tmp_path / "tests" / "cart" / "a.xml").write_bytes(to_aecg(sample(1)))
        (tmp_path / "tests" / "cart" / "broken.xml").write_bytes(b"<AnnotatedECG ")
        assert run(["map", "test", str(tmp_path), "--update"]) == FINDINGS
        (tmp_path / "tests" / "cart" / "broken.xml").unlink()
        assert run(["map", "test", str(tmp_path)]) == OK


class TestCoverage:
    def test_what_is_not_read_is_listed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "a.csv"
        file.write_text(
            "jkdabh,xm,sfrq,ssy,szy,colour\n1,张三,20260315,130,80,red\n1,张三,20260316,130,80,blue\n",
            "utf-8",
        )
        assert run(["map", "coverage", str(file), "--json"]) == OK
        (row,) = json.loads(capsys.readouterr().out)["maps"]
        assert row["unread"] == [{"field": "colour", "times": 2, "example": "red"}]
        assert run(["map", "coverage", str(file)]) == OK
        assert "colour ×2" in capsys.readouterr().out

    def test_of_the_tests_inside_the_maps(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["map", "coverage", "--adapter", "ecg"]) == OK
        assert "ecg" in capsys.readouterr().out

    def test_what_cannot_be_read_is_a_finding(self, tmp_path: Path) -> None:
        (tmp_path / "a.hl7").write_bytes(b"MSH")
        assert run(["map", "coverage", str(tmp_path)]) == FINDINGS

    @pytest.mark.parametrize("name", ["waveform_ecg.dcm", "aecg_hl7_example.xml"])
    def test_every_value_of_a_device_file_tells_its_origin(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["map", "run", str(SHIPPED_DICOM.parent / name), "--explain", "--json"]) == OK
        (result,) = json.loads(capsys.readouterr().out)["results"]
        entries = [row["resource"] for row in result["bundle"]["entry"]]
        for leaf in result["trace"]:
            assert leaf["path"].partition(".")[0] == entries[leaf["entry"]]["resourceType"], leaf
            assert leaf["line"].partition(":")[0].endswith(".yaml"), leaf
        told = {leaf["entry"] for leaf in result["trace"]}
        assert told == set(range(len(entries)))
        assert run(["map", "run", str(SHIPPED_DICOM.parent / name), "--explain"]) == OK

    def test_a_dicom_file_and_its_waveform(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["map", "run", str(SHIPPED_DICOM), "--waveform", "--json"]) == OK
        assert "valueSampledData" in capsys.readouterr().out
