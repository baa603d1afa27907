"""`hutong task` and `hutong stats`, and the figures behind them."""

import csv
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gateway.cli.fhir import ask
from gateway.settings import load_settings
from gateway.workflow.statistics import COLUMNS, Figures, Group, add, in_order
from terminology.fhirjson import Json
from tests.gateway.server import CHINA
from tests.gateway.test_cli import hutong

NOW = datetime(2026, 5, 31, 12, tzinfo=CHINA)


def figures(tasks: list[Json], *, now: datetime) -> list[Figures]:
    groups: dict[Group, Figures] = {}
    for row in tasks:
        add(groups, row, now=now)
    return in_order(groups)


def task(
    minutes: int | None, *, limit: int = 60, status: str = "completed", day: int = 1, **more: object
) -> Json:
    start = datetime(2026, 5, day, 8, tzinfo=CHINA)
    period = {"end": (start + timedelta(minutes=minutes)).isoformat()} if minutes is not None else {}
    return {
        "resourceType": "Task",
        "status": status,
        "authoredOn": start.isoformat(),
        "owner": {"reference": "Organization/imaging"},
        "code": {
            "coding": [{"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": "imaging"}]
        },
        "executionPeriod": period,
        "restriction": {"period": {"end": (start + timedelta(minutes=limit)).isoformat()}},
        **more,
    }


class TestFigures:
    def test_turnaround_and_time_limits(self) -> None:
        [found] = figures([task(minutes) for minutes in (10, 20, 30, 40, 50, 55, 58, 59, 60, 90)], now=NOW)
        row = found.row({"Organization/imaging": "县影像中心"})
        assert (row["ordered"], row["completed"], row["late"]) == (10, 10, 1)
        assert (row["median_minutes"], row["p90_minutes"], row["on_time_rate"]) == (52.5, 60.0, 0.9)
        assert (row["month"], row["name"], row["category"]) == ("2026-05", "县影像中心", "imaging")

    def test_pauses_are_left_out(self) -> None:
        url = "https://hutong.health/fhir/StructureDefinition/paused-seconds"
        [found] = figures([task(90, limit=120, extension=[{"url": url, "valueInteger": 3600}])], now=NOW)
        assert found.row({})["median_minutes"] == 30.0

    def test_what_is_open_and_overdue(self) -> None:
        rows = [
            task(None, status="requested"),
            task(None, status="on-hold", day=31, limit=600),
            task(5, status="rejected"),
        ]
        [found] = figures(rows, now=NOW)
        row = found.row({})
        assert (row["open"], row["overdue"], row["rejected"], row["median_minutes"]) == (2, 1, 1, None)

    def test_nothing(self) -> None:
        assert figures([], now=NOW) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two orders from a message file, at a centre."""
    data = tmp_path_factory.mktemp("data")
    service = data / "orders.hl7"
    lines = [
        "MSH|^~\\&|HIS|T1|GW|XYLYGT|20260315083001||ORM^O01|C1|P|2.4||||||UNICODE UTF-8",
        "PID|1||P0001^^^T1^MR||张^三丰||19850101|M",
        "ORC|NW|R1|||||^^^^^S||20260315083000|||D01^李建国",
        "OBR|1|R1||CT001^胸部CT平扫||||||||||||||||||||RAD",
    ]
    service.write_bytes("\r".join(lines).encode())
    result = hutong("receive", str(service), "--data", str(data))
    assert result.returncode == 0, result.stderr
    settings = load_settings({}, data=data)
    name = {"resourceType": "Organization", "id": "imaging", "name": "=县影像中心"}
    assert ask(settings, "PUT", "Organization/imaging", name)[0] == 201
    order = {
        "resourceType": "ServiceRequest", "status": "active", "intent": "order", "code": {"text": "胸片"},
        "category": [{"coding": [{"system": "https://hutong.health/fhir/CodeSystem/order-category", "code": "imaging"}]}],
        "subject": {"reference": "Patient/p"}, "performer": [{"reference": "Organization/imaging"}],
    }  # fmt: skip
    assert ask(settings, "POST", "ServiceRequest", order)[0] == 201
    return data


class TestTask:
    def test_list_claim_and_transition(self, folder: Path) -> None:
        """Without a centre the order is an entry for the information centre; it is claimed and seen to."""
        result = hutong("task", "list", "--data", str(folder), "--json")
        assert result.returncode == 0, result.stderr
        row, other = json.loads(result.stdout)["tasks"]
        assert other["owner"] == {"reference": "Organization/imaging"}
        assert (row["status"], row["priority"]) == ("requested", "stat")
        assert row["code"]["coding"][0]["code"] == "route-order"
        text = hutong("task", "list", "--data", str(folder), lang="zh").stdout
        assert "时限" in text
        assert row["id"] in text
        refused = hutong("task", "transition", row["id"], "completed", "--data", str(folder))
        assert refused.returncode == 1
        assert refused.stdout.startswith("HT-WF-01")
        claimed = hutong(
            "task", "claim", f"Task/{row['id']}", "--roles", "ops", "--data", str(folder), "--json"
        )
        assert claimed.returncode == 0, claimed.stdout + claimed.stderr
        assert json.loads(claimed.stdout)["status"] == "accepted"
        again = hutong("task", "claim", row["id"], "--roles", "ops", "--data", str(folder))
        assert (again.returncode, again.stdout[:8]) == (1, "HT-WF-05")
        gone = hutong(
            "task", "transition", row["id"], "cancelled", "--reason", "重复", "--data", str(folder), "--json"
        )
        assert json.loads(gone.stdout)["statusReason"] == {"text": "重复"}

    def test_unknown(self, folder: Path) -> None:
        assert hutong("task", "claim", "none", "--data", str(folder)).returncode == 1
        assert hutong("task", "claim", "a b/../c", "--data", str(folder)).returncode == 2


class TestStats:
    def test_files(self, folder: Path, tmp_path: Path) -> None:
        from openpyxl import load_workbook

        sheet, text = tmp_path / "a.xlsx", tmp_path / "a.csv"
        result = hutong(
            "stats", "export", "--csv", str(text), "--xlsx", str(sheet), "--data", str(folder), lang="zh"
        )
        assert result.returncode == 0, result.stderr
        with text.open(encoding="utf-8-sig") as file:
            head, row = csv.reader(file)
        assert head[:2] == ["月份", "中心"]
        assert row[1:10] == ["Organization/imaging", "'=县影像中心", "imaging", "1", "0", "0", "0", "0", "1"]
        first, second = load_workbook(sheet).active.rows
        assert (first[4].value, second[4].value) == ("申请", 1)
        assert len(COLUMNS) == 15

    def test_show_and_wrong_calls(self, folder: Path) -> None:
        assert hutong("stats", "--data", str(folder), "--json").stdout.startswith("{")
        assert hutong("stats", "--month", "May", "--data", str(folder)).returncode == 1
        assert hutong("stats", "export", "--data", str(folder)).returncode == 2
