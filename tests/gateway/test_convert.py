"""POST /fhir/$convert and `hutong map`: previews that store nothing (docs/mapping.md)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import FINDINGS, OK
from gateway.cli.commands import run
from gateway.store.memory import MemoryStore
from mappings.language.active import ActiveMaps
from terminology.issues import NotFound, UnmappableMessage
from tests.gateway.server import Server

MAPS = Path(__file__).parent.parent / "mappings" / "maps"
MESSAGE = "MSH|^~\\&|LIS|H1|GW|X|20260315||ORU^R01|C1|P|2.4\rPID|1||P1||张^三|||9\rOBR|1||R1|XCG^血常规|||||||||||||||||||||F\rZMR|1|互认\r"


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    object.__setattr__(made.context, "maps", ActiveMaps(MAPS, shipped=None))
    yield made
    made.close()


def parts(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    message = next(row for row in answer["parameter"] if row["name"] == "message")
    return [row for row in message["part"] if row["name"] == name]


class TestConvert:
    def test_bundle_trace_and_coverage(self, server: Server) -> None:
        response = server.request("POST", "$convert", MESSAGE.encode("gbk"), content_type="text/plain")
        assert response.status_code == 200
        answer = response.json()
        bundle = answer["parameter"][0]["resource"]
        assert [row["resource"]["resourceType"] for row in bundle["entry"]] == ["Patient", "DiagnosticReport"]
        assert bundle["entry"][0]["resource"]["name"] == [{"text": "张三"}]
        assert parts(answer, "charset")[0]["valueString"] == "gb18030"
        assert parts(answer, "charsetGuessed")[0]["valueBoolean"] is True
        assert parts(answer, "kept") == [{"name": "kept", "valueString": "ZMR|1|互认"}]
        name = next(
            row for row in parts(answer, "trace") if row["part"][0]["valueString"].endswith("name[0].text")
        )
        assert [row["valueString"] for row in name["part"]] == [
            "entry[0].resource.name[0].text",
            "lab.yaml:18",
            "PID-5",
        ]
        domains = [row["part"][0]["valueString"] for row in parts(answer, "unmapped")]
        assert domains == ["lab-item", "table gender"]
        assert (
            parts(answer, "issues")[0]["resource"]["issue"][0]["details"]["coding"][0]["code"] == "HT-V2-13"
        )

    def test_nothing_is_stored(self, server: Server) -> None:
        server.request("POST", "$convert", MESSAGE.encode(), content_type="text/plain")
        assert server.request("GET", "Patient").json().get("total", 0) == 0

    def test_a_table(self, server: Server) -> None:
        sheet = "xm,sfzh,xb\n张三,110,1\n李四,111,2\n".encode("gbk")
        answer = server.request("POST", "$convert?adapter=visit", sheet, content_type="text/csv").json()
        assert [row["name"] for row in answer["parameter"]] == ["return", "message"] * 2

    @pytest.mark.parametrize(
        ("body", "adapter", "status", "code"),
        [
            (b"", "", 400, "HT-MAP-36"),
            (b"PID|1", "hl7v2", 400, "HT-V2-01"),
            (b"MSH|^~\\&|A|B|||1||XXX^Y99|1", "lab-result2", 422, "HT-MAP-35"),
            (b"{", "json", 400, "HT-MAP-36"),
        ],
    )
    def test_refused(self, server: Server, body: bytes, adapter: str, status: int, code: str) -> None:
        response = server.request("POST", f"$convert?adapter={adapter}", body, content_type="text/plain")
        assert response.status_code == status
        assert response.json()["issue"][0]["details"]["coding"][0]["code"] == code


class TestCommand:
    def test_run_explains(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "m.hl7"
        file.write_bytes(MESSAGE.encode("gbk"))
        assert (
            run(["map", "run", str(file), "--maps", str(MAPS), "--explain", "--adapter", "lab-result"]) == OK
        )
        printed = capsys.readouterr().out
        assert "张三" in printed
        assert "PID-5" in printed
        assert "lab.yaml:18" in printed
        assert "ZMR|1|互认" in printed

    def test_run_as_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "m.hl7"
        file.write_bytes(MESSAGE.encode())
        run(["map", "run", str(file), "--maps", str(MAPS), "--json", "--adapter", "lab-result"])
        found = json.loads(capsys.readouterr().out)["results"][0]
        assert found["mapping"] == "lab-result"
        assert found["kept"] == ["ZMR|1|互认"]

    def test_run_without_map_or_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound):
            run(["map", "run", str(tmp_path / "absent")])
        file = tmp_path / "m.hl7"
        file.write_bytes(MESSAGE.replace("ORU^R01", "XXX^Y99").encode())
        with pytest.raises(UnmappableMessage):
            run(["map", "run", str(file), "--adapter", "hl7v2"])

    def test_test(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["map", "test", str(MAPS), "--json"]) == OK
        rows = json.loads(capsys.readouterr().out)["maps"]
        assert {row["map"]: row["problems"] for row in rows} == {
            "any-message": [],
            "lab-result": [],
            "visit": [],
        }

    def test_test_tells_what_is_wrong(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = (MAPS / "visit.yaml").read_text(encoding="utf-8")
        (tmp_path / "visit.yaml").write_text(
            text.replace("Patient.gender: male", "Patient.gender: female"), encoding="utf-8"
        )
        assert run(["map", "test", str(tmp_path)]) == FINDINGS
        assert "HT-MAP-30" in capsys.readouterr().out

    def test_golden_files(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "visit.yaml").write_text(
            (MAPS / "visit.yaml").read_text(encoding="utf-8"), encoding="utf-8"
        )
        folder = tmp_path / "tests" / "visit"
        folder.mkdir(parents=True)
        (folder / "one.csv").write_bytes("xm,sfzh,xb\n张三,110,1\n".encode("gbk"))
        assert run(["map", "test", str(tmp_path)]) == FINDINGS
        assert run(["map", "test", str(tmp_path), "--update"]) == OK
        assert run(["map", "test", str(tmp_path)]) == OK
        assert "张三" in (folder / "one.expected.json").read_text(encoding="utf-8")
        capsys.readouterr()


class TestWayBack:
    """A map that runs back shows the message that it would send."""

    BUNDLE = json.dumps(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [
                {"resource": {"resourceType": "Patient", "id": "p", "name": [{"text": "张三"}]}},
                {
                    "resource": {
                        "resourceType": "DiagnosticReport",
                        "id": "r",
                        "status": "final",
                        "code": {"text": "血常规"},
                        "subject": {"reference": "Patient/p"},
                    }
                },
            ],
        }
    )

    def test_convert_answers_with_the_message_and_its_trace(self) -> None:
        server = Server(MemoryStore())
        object.__setattr__(server.context, "maps", ActiveMaps())
        answer = server.request("POST", "$convert?adapter=out-hl7v2-results", self.BUNDLE.encode()).json()
        server.close()
        binary = answer["parameter"][0]["resource"]
        assert binary["resourceType"] == "Binary"
        assert binary["contentType"] == "x-application/hl7-v2+er7"
        text = parts(answer, "text")[0]["valueString"]
        assert text.split("\n")[1] == "PID|1||||张三"
        status = next(row for row in parts(answer, "trace") if row["part"][0]["valueString"] == "OBR[1]-25")
        assert status["part"][2]["valueString"] == "DiagnosticReport.status"

    def test_the_body_must_be_json(self) -> None:
        server = Server(MemoryStore())
        object.__setattr__(server.context, "maps", ActiveMaps())
        answer = server.request("POST", "$convert?adapter=out-hl7v2-results", b"<xml/>")
        server.close()
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-MAP-36"

    def test_map_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "bundle.json"
        file.write_text(self.BUNDLE)
        assert run(["map", "run", str(file), "--adapter", "out-hl7v2-results", "--explain"]) == OK
        shown = capsys.readouterr().out
        assert "PID|1||||张三" in shown
        assert "out-hl7v2-results.yaml" in shown
