"""YAML tests as pytest items: selection, verdicts and JUnit come from pytest itself."""

import subprocess
import sys
from pathlib import Path

from tests.suites.member import Sender

ROOT = Path(__file__).parents[2]


def pytest_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "conformance.testing.pytest_plugin", "-p", "no:cacheprovider", "-q",
               "conformance/suites/lis-oru-r01.yaml", "--target", str(folder / "member.yaml"), *arguments]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def samples(folder: Path, change: tuple[str, str] = ("", "")) -> None:
    (folder / "member.yaml").write_text("member: town1\nroles: [lis]\nsamples: .\n")
    text = Sender("lis", None).take("ORU^R01", answer="AA", prompt="").decode()
    (folder / "report.hl7").write_text(text.replace(*change), "utf-8", newline="")


def test_one_test_is_one_item_and_a_negative_answer_cannot_be_given_to_files(tmp_path: Path) -> None:
    samples(tmp_path)
    told = pytest_run(tmp_path)
    assert told.returncode == 0
    # Both tests of sending again need the member itself.
    assert "39 passed, 2 skipped" in told.stdout


def test_a_fault_fails_its_item_and_says_why(tmp_path: Path) -> None:
    samples(tmp_path, ("mmol/L", ""))
    told = pytest_run(tmp_path, "-k", "LI-OBX-6", f"--junitxml={tmp_path / 'junit.xml'}")
    assert told.returncode == 1
    assert "HT-CT-27" in told.stdout
    assert 'failures="1"' in (tmp_path / "junit.xml").read_text()
