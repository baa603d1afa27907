"""The `hutong` command: help in two languages, JSON, exit codes, one page for each command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.commands import ROWS, SECTIONS, find, overview
from gateway.cli.names import foreign_owner
from gateway.cli.speech import cut, language, table
from gateway.demo import __file__ as demo_file

ROOT = Path(__file__).parent.parent.parent
SAMPLES = Path(demo_file).parent
OURS = [row for row in ROWS if row.group in ("", "messages") and row.name != "validate"]


def hutong(*arguments: str, lang: str = "en", **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("HUTONG_", "LC_", "LANG"))
    }
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**clean, "HUTONG_LANG": lang, "HUTONG_LOG_LEVEL": "error", **environment}, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three messages: two stored, one parked."""
    data = tmp_path_factory.mktemp("data")
    files = [str(SAMPLES / name) for name in ("1-admission-gbk.hl7", "3-results-gbk.hl7", "6-no-patient.hl7")]
    result = hutong("receive", *files, "--data", str(data))
    assert result.returncode == 1, result.stderr
    assert "HT-MSG-04" in result.stdout
    return data


class TestHelp:
    @pytest.mark.parametrize(("lang", "words"), [("zh", "县域医共体"), ("en", "county medical community")])
    def test_overview(self, lang: str, words: str) -> None:
        result = hutong("--help", lang=lang)
        assert result.returncode == 0
        assert words in result.stdout
        assert all(" ".join(row.words) in result.stdout for row in ROWS)

    def test_every_command_stands_in_one_section(self) -> None:
        lines = overview().splitlines()
        words = [" ".join(row.words) for row in ROWS]
        assert sorted(
            line.split("  ")[0].removeprefix("hutong ") for line in lines if line.startswith("hutong ")
        ) == sorted(words)
        headings = {heading for zh, en, _ in SECTIONS for heading in (zh, en)}
        assert len([line for line in lines if line in headings]) == len(SECTIONS)
        assert not {"其他", "Others"} & set(lines)

    @pytest.mark.parametrize("row", OURS, ids=lambda row: " ".join(row.words))
    def test_every_command_in_both_languages(self, row: object) -> None:
        for lang, usage in (("zh", "用法"), ("en", "Usage")):
            result = hutong(*row.words, "--help", lang=lang)  # type: ignore[attr-defined]
            assert result.returncode == 0, result.stderr
            assert result.stdout.startswith(usage)
            assert getattr(row, lang) in result.stdout
            assert "--json" in result.stdout

    def test_no_colour_when_piped(self) -> None:
        assert "\x1b" not in hutong("doctor").stdout

    def test_the_locale_decides(self) -> None:
        assert language({"LANG": "zh_CN.UTF-8"}) == "zh"
        assert language({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}) == "en"
        assert language({"LC_ALL": "en_US.UTF-8", "HUTONG_LANG": "zh"}) == "zh"
        assert language({"LANG": "C"}) == "en"


class TestExitCodes:
    @pytest.mark.parametrize(
        ("arguments", "code", "error"),
        [
            (("serv",), 2, "HT-CLI-18"),
            (("messages", "lst"), 2, "HT-CLI-18"),
            (("serve", "--nonsense"), 2, "HT-CLI-19"),
            (("serve", "--host", "0.0.0.0"), 2, "HT-CLI-08"),
            (("receive", "/nowhere.hl7"), 2, "HT-CLI-14"),
            (("messages", "list", "--data", "/nowhere"), 3, "HT-CLI-17"),
            (("messages", "list", "--state", "lost", "--data", "/nowhere"), 2, "HT-MSG-12"),
        ],
    )
    def test_refused(self, arguments: tuple[str, ...], code: int, error: str) -> None:
        result = hutong(*arguments)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr.startswith(error)
        assert "→" in result.stderr

    def test_errors_as_json(self) -> None:
        result = hutong("messages", "list", "--data", "/nowhere", "--json", lang="zh")
        (row,) = json.loads(result.stderr)["errors"]
        assert row["code"] == "HT-CLI-17"
        assert "消息日志" in row["text"]

    def test_version(self) -> None:
        assert hutong("--version").stdout.startswith("hutong ")

    def test_a_second_process_on_the_same_data_is_refused(self, folder: Path) -> None:
        from gateway.lock import DataLock

        with DataLock(folder):
            result = hutong("serve", "--data", str(folder), "--port", "0", "--mllp-port", "0")
        assert result.returncode == 3
        assert result.stderr.startswith("HT-CLI-12")


class TestMessages:
    def test_list(self, folder: Path) -> None:
        result = hutong("messages", "list", "--data", str(folder))
        lines = result.stdout.split("\n")
        assert lines[0].split()[:4] == ["id", "received", "state", "event"]
        assert [line.split()[0] for line in lines[1:4]] == ["3", "2", "1"]
        assert "Patient, RelatedPerson, ServiceRequest, Specimen" in lines[2]

    def test_list_as_json_with_filter(self, folder: Path) -> None:
        result = hutong("messages", "list", "--state", "trouble", "--data", str(folder), "--json")
        (row,) = json.loads(result.stdout)["messages"]
        assert (row["id"], row["state"], row["issues"][0]["code"]) == (3, "parked", "HT-MSG-04")

    def test_show(self, folder: Path) -> None:
        result = hutong("messages", "show", "2", "--data", str(folder), lang="zh")
        assert "字符集 gb18030" in result.stdout
        assert "→ DiagnosticReport/" in result.stdout

    def test_show_raw_is_what_came(self, folder: Path) -> None:
        clean = {**os.environ, "HUTONG_LANG": "en"}
        command = [sys.executable, "-m", "gateway", "messages", "show", "2", "--raw", "--data", str(folder)]
        raw = subprocess.run(command, cwd=ROOT, capture_output=True, env=clean, check=True).stdout
        assert raw == (SAMPLES / "3-results-gbk.hl7").read_bytes()

    def test_show_what_is_not_there(self, folder: Path) -> None:
        result = hutong("messages", "show", "99", "--data", str(folder))
        assert (result.returncode, result.stderr.split()[0]) == (2, "HT-MSG-10")

    def test_replay(self, folder: Path) -> None:
        result = hutong("messages", "replay", "1", "2", "--data", str(folder), "--json")
        assert result.returncode == 0
        rows = json.loads(result.stdout)["messages"]
        assert [(row["id"], row["state"], row["attempts"]) for row in rows] == [
            (1, "stored", 1),
            (2, "stored", 1),
        ]
        assert all("_history" not in reference for row in rows for reference in row["resources"])
        still_wrong = hutong("messages", "replay", "--state", "trouble", "--data", str(folder))
        assert still_wrong.returncode == 1

    def test_replay_needs_to_know_what(self, folder: Path) -> None:
        assert hutong("messages", "replay", "--data", str(folder)).stderr.startswith("HT-MSG-15")

    def test_unmapped(self, folder: Path) -> None:
        rows = json.loads(hutong("messages", "unmapped", "--data", str(folder), "--json").stdout)["unmapped"]
        assert ("XCG", "血常规") in {(row["code"], row["display"]) for row in rows}


class TestDoctor:
    def test_all_well(self, tmp_path: Path) -> None:
        result = hutong("doctor", "--data", str(tmp_path), "--json", HUTONG_PORT="0", HUTONG_MLLP_PORT="0")
        told = json.loads(result.stdout)
        assert told["ok"] is True
        assert result.returncode == 0

    def test_what_is_wrong_has_a_fix(self) -> None:
        result = hutong("doctor", HUTONG_PORT="70000")
        assert result.returncode == 1
        assert "HT-CLI" not in result.stdout
        assert "→ settings:" in result.stdout


def test_demo_once(tmp_path: Path) -> None:
    result = hutong("demo", "--once", "--data", str(tmp_path), "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    states = [row.get("state") for row in told["messages"]]
    assert states == ["stored"] * 5 + ["parked", "stored"]
    patients, results, reports = (answer["rows"] for answer in told["answers"])
    assert len(patients) == 1
    assert ["2026-03-15", "C反应蛋白", ">200 mg/L"] in [row[:3] for row in results]
    assert ["2026-03-15", "白细胞计数", "12.50 10*9/L"] in [row[:3] for row in results]
    assert {row[0] for row in reports} == {"血常规", "生化全套"}


class TestNames:
    def test_nobody_else_owns_our_names(self) -> None:
        assert foreign_owner() is None

    def test_another_distribution_is_found(self, tmp_path: Path) -> None:
        record = tmp_path / "some_gateway-1.0.dist-info" / "RECORD"
        record.parent.mkdir()
        record.write_text("gateway/__init__.py,,\n")
        error = foreign_owner([str(tmp_path)])
        assert error is not None
        assert "some_gateway" in error.issues[0].text("en")


class TestPages:
    @pytest.mark.parametrize("row", OURS, ids=lambda row: " ".join(row.words))
    def test_every_command_is_documented(self, row: object) -> None:
        words = " ".join(row.words)  # type: ignore[attr-defined]
        pages = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs" / "operations").glob("*.md"))
        assert f"hutong {words}" in pages

    def test_find(self) -> None:
        row, rest = find(["messages", "show", "3"])
        assert row is not None
        assert (row.words, list(rest)) == (("messages", "show"), ["3"])


def test_tables_line_up_with_chinese() -> None:
    assert table([("张三", "1"), ("ab", "2")]) == "张三  1\nab    2"
    assert cut("白细胞计数", 7) == "白细胞…"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data = tmp_path_factory.mktemp("served")
    command = [
        sys.executable,
        "-m",
        "gateway",
        "serve",
        "--data",
        str(data),
        "--port",
        "0",
        "--mllp-port",
        "0",
        "--json",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield data
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


class TestThroughARunningGateway:
    """What people type while `hutong serve` runs on the data folder."""

    def test_a_refusal_is_said_in_words(self, served: Path) -> None:
        result = hutong(
            "receive",
            str(SAMPLES / "1-admission-gbk.hl7"),
            "--kind",
            "nonsense",
            "--data",
            str(served),
            lang="zh",
        )
        assert result.returncode == 1
        assert "HT-MSG-11 不接收“nonsense”类消息" in result.stdout
        assert "OperationOutcome" not in result.stdout

    def test_kinds_are_known_by_their_bytes(self, served: Path) -> None:
        document = ROOT / "tests/golden/cda-laboratory-report/blood-count/document.xml"
        files = [str(SAMPLES / "3-results-gbk.hl7"), str(SAMPLES / "7-followup-gb18030.csv"), str(document)]
        result = hutong("receive", *files, "--data", str(served), "--json")
        assert result.returncode == 0, result.stdout
        assert {row["kind"] for row in json.loads(result.stdout)["messages"]} == {"hl7v2", "table", "cda"}

    def test_recognition(self, served: Path) -> None:
        rows = json.loads(
            hutong("receive", str(SAMPLES / "3-results-gbk.hl7"), "--data", str(served), "--json").stdout
        )
        patient = next(ref for ref in rows["messages"][0]["resources"] if ref.startswith("Patient/"))
        named = "/".join(patient.split("/")[:2])
        for told in (named, named.removeprefix("Patient/")):
            result = hutong(
                "recognize", told, "--item", "http://loinc.org|6690-2", "--data", str(served), "--json"
            )
            assert json.loads(result.stdout)["resourceType"] == "Parameters", result.stdout
        unknown = hutong("recognize", "nobody", "--item", "http://loinc.org|6690-2", "--data", str(served))
        assert unknown.returncode == 1
        assert unknown.stdout.startswith("HT-REST-01")

    def test_what_it_was_not_told_of(self, served: Path) -> None:
        assert "没有数据源" in hutong("sources", "list", "--data", str(served), lang="zh").stdout
        assert "没有发送目标" in hutong("destinations", "list", "--data", str(served), lang="zh").stdout
        assert hutong("care", "due", "--data", str(served)).stdout == "None.\n"
