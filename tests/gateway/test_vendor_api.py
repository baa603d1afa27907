"""The vendors' interface of mutual recognition (docs/recognition-vendor-api.md; china.md §1.2 of the design)."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from server import Server

from gateway.gate import Gate
from gateway.recognition.vendor import VendorApi, load_clients, read_moment, sign
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

sys.path.append(str(Path(__file__).parent.parent / "conformance" / "recognition"))

from county import County

LICENCE = "12345678937010211A1001"
SECRET = "a-secret-of-the-vendor"
WHO = {"patientName": "张三丰", "idCardNo": "11010519491231002X", "doctorName": "李明", "doctorCode": "D1"}
AT = {"orderTime": "2026-03-20 10:00:00"}


class Vendor:
    """A vendor's client of the interface."""

    def __init__(self, server: Server, clients: dict[str, str] | None = None) -> None:
        self.server = server
        self.api = VendorApi(server.context, clients)
        transport = httpx.ASGITransport(app=self.api)  # type: ignore[arg-type]  # an ASGI application
        self.client = httpx.AsyncClient(transport=transport, base_url="http://test")

    def post(self, name: str, body: Any, method: str = "POST", **headers: str) -> httpx.Response:
        sent = {
            "clientId": "v1",
            "orgCode": LICENCE,
            "timestamp": "2026-03-20 10:00:00",
            "sign": "x",
        } | headers
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        raw = [(key.encode(), value.encode("latin-1")) for key, value in sent.items() if value]
        return self.server.run(
            self.client.request(method, f"/api/report/{name}", content=content, headers=raw)
        )


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    county = County()
    # One licence number names one institution.
    licence = "https://hutong.health/fhir/NamingSystem/medical-licence"
    county.township["identifier"] = [{"system": licence, "value": LICENCE}]
    for other in (county.community, county.hospital, county.neighbour, county.other_community):
        other["identifier"] = [{"system": licence, "value": f"{other['id']}-1"}]
    for resource in (
        county.patient, county.community, county.hospital, county.township, county.neighbour, county.other_community,
        county.specimen, county.observation, county.report | {"conclusion": "血钾正常"},
    ):  # fmt: skip
        resource.pop("meta", None)
        assert (
            made.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource).status_code == 201
        )
    yield made
    made.close()


@pytest.fixture
def vendor(server: Server) -> Vendor:
    return Vendor(server)


def tasks(server: Server) -> list[Json]:
    rows = server.request("GET", "Task?code=mutual-recognition").json().get("entry", [])
    return [row["resource"] for row in rows]


class TestRelativeReports:
    def test_an_order_finds_the_earlier_report(self, vendor: Vendor) -> None:
        answer = vendor.post(
            "getRelativeReports", WHO | AT | {"searchType": "2", "dataCode": "2823-3", "orderId": "A1"}
        )
        assert answer.status_code == 200
        assert answer.json()["code"] == 200
        [row] = answer.json()["data"]
        assert row["examUid"] == "chemistry"
        assert row["dataCode"] == "2823-3"
        assert row["reportTime"] == "2026-03-18 10:00:00"
        assert row["validUntil"] == "2026-03-25 23:59:59"
        assert row["decision"] == "recognise"
        assert row["viewed"] is False

    @pytest.mark.parametrize("codes", ["2823-3,9999-9", ["9999-9", "2823-3"]])
    def test_the_earlier_code_is_one_of_the_ordered_codes(self, vendor: Vendor, codes: Any) -> None:
        answer = vendor.post("getRelativeReports", WHO | AT | {"dataCode": codes})
        assert [row["examUid"] for row in answer.json()["data"]] == ["chemistry"]

    def test_a_visit_finds_the_history(self, vendor: Vendor) -> None:
        answer = vendor.post(
            "getRelativeReports", WHO | {"searchType": 1, "visitTime": "2026-03-20T02:00:00Z"}
        )
        assert [row["examUid"] for row in answer.json()["data"]] == ["chemistry"]

    def test_after_its_validity_nothing_is_found(self, vendor: Vendor) -> None:
        late = {"orderTime": "2026-03-26 00:00:00", "dataCode": "2823-3"}
        assert vendor.post("getRelativeReports", WHO | late).json()["data"] == []

    def test_local_time_is_not_read_as_utc(self, vendor: Vendor) -> None:
        last = {"orderTime": "2026-03-25 23:59:59", "dataCode": "2823-3"}
        assert len(vendor.post("getRelativeReports", WHO | last).json()["data"]) == 1

    def test_it_is_a_reminder_once(self, server: Server, vendor: Vendor) -> None:
        for _ in range(2):
            vendor.post("getRelativeReports", WHO | AT | {"dataCode": "2823-3", "orderId": "A1"})
        found = server.request("GET", "Communication?category=recognition-reminder").json()
        assert found["total"] == 1

    def test_what_was_viewed_is_marked_and_not_reminded_again(self, server: Server, vendor: Vendor) -> None:
        vendor.post("uploadRecognizedResult", WHO | {"examUid": "chemistry", "recognizedResult": "4"})
        [row] = vendor.post("getRelativeReports", WHO | AT | {"dataCode": "2823-3"}).json()["data"]
        assert row["viewed"] is True
        assert server.request("GET", "Communication?category=recognition-reminder").json()["total"] == 0


class TestDetail:
    def test_everything_of_a_report_is_shown(self, vendor: Vendor) -> None:
        found = vendor.post("getDetail", WHO | {"examUid": "chemistry"}).json()["data"]
        assert found["items"] == [
            {
                "itemCode": "2823-3", "itemName": "钾", "result": "4.1", "unit": "mmol/L", "referenceRange": "3.5-5.3",
                "abnormalFlag": "",
            }
        ]  # fmt: skip
        assert found["imagingDiagnosis"] == "血钾正常"
        assert "不在互认范围" in found["diagnosisRemark"]

    def test_somebody_elses_report_is_unknown(self, server: Server, vendor: Vendor) -> None:
        other = {
            "resourceType": "Patient",
            "id": "li",
            "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "110101198002290026"}],
        }
        server.request("PUT", "Patient/li", other)
        answer = vendor.post("getDetail", {"idCardNo": "110101198002290026", "examUid": "chemistry"})
        assert answer.status_code == 404
        assert answer.json()["issues"][0]["code"] == "HT-MR-16"


class TestUpload:
    def test_recognised(self, server: Server, vendor: Vendor) -> None:
        answer = vendor.post(
            "uploadRecognizedResult", WHO | {"examUid": "chemistry", "recognizedResult": "1"}
        )
        assert answer.json()["code"] == 200
        [task] = tasks(server)
        assert task["businessStatus"]["coding"][0]["code"] == "accept"
        assert task["owner"] == {"reference": "Organization/township"}
        assert task["requester"] == {"identifier": {"value": "D1"}, "display": "李明"}

    def test_rejected_with_reason_and_mark(self, server: Server, vendor: Vendor) -> None:
        body = WHO | {
            "examUid": "chemistry",
            "recognizedResult": "2",
            "reasonCode": "01",
            "reasonMark": "病情变化",
        }
        assert vendor.post("uploadRecognizedResult", body).status_code == 200
        [task] = tasks(server)
        assert task["statusReason"]["coding"][0]["code"] == "01"
        assert task["note"] == [{"text": "病情变化"}]

    @pytest.mark.parametrize("given", [{"reasonCode": "01"}, {"reasonMark": "病情变化"}, {}], ids=str)
    def test_a_rejection_needs_both(self, server: Server, vendor: Vendor, given: Json) -> None:
        answer = vendor.post(
            "uploadRecognizedResult", WHO | {"examUid": "chemistry", "recognizedResult": "2"} | given
        )
        assert answer.status_code == 400
        assert answer.json()["code"] == 400
        assert answer.json()["issues"][0]["code"] == "HT-MR-14"
        assert tasks(server) == []

    def test_an_unlisted_reason_is_refused(self, server: Server, vendor: Vendor) -> None:
        body = WHO | {
            "examUid": "chemistry",
            "recognizedResult": "2",
            "reasonCode": "77",
            "reasonMark": "其他",
        }
        assert vendor.post("uploadRecognizedResult", body).status_code == 422
        assert tasks(server) == []

    def test_free_text_goes_with_07(self, server: Server, vendor: Vendor) -> None:
        body = WHO | {
            "examUid": "chemistry",
            "recognizedResult": "2",
            "reasonCode": "07",
            "reasonMark": "术前复核",
        }
        vendor.post("uploadRecognizedResult", body)
        assert tasks(server)[0]["statusReason"]["text"] == "术前复核"


def test_the_reasons_are_the_packs(vendor: Vendor) -> None:
    rows = {row["reasonCode"]: row for row in vendor.post("getDenyReasons", {}).json()["data"]}
    assert set(rows) == {"01", "02", "03", "04", "05", "06", "07", "08", "98", "99"}
    assert rows["98"]["counted"] is False
    assert rows["07"]["freeText"] is True


class TestBadInput:
    @pytest.mark.parametrize("name", ["clientId", "orgCode", "timestamp", "sign"])
    def test_every_header_is_needed(self, vendor: Vendor, name: str) -> None:
        answer = vendor.post("getDenyReasons", {}, **{name: ""})
        assert answer.status_code == 400
        assert name.lower() in answer.json()["message"].lower()

    @pytest.mark.parametrize(
        ("call", "body", "status"),
        [
            ("getRelativeReports", b"{", 400),
            ("getRelativeReports", b"[1]", 400),
            ("getRelativeReports", b"[" * 5000, 400),
            ("getRelativeReports", {}, 400),
            ("getRelativeReports", {"idCardNo": "x"}, 400),
            ("getRelativeReports", {"idCardNo": "110101198002290026"}, 404),
            ("getRelativeReports", WHO | {"orderTime": "昨天", "dataCode": "2823-3"}, 400),
            ("getRelativeReports", WHO | {"dataCode": {"a": 1}}, 200),
            ("getDetail", WHO, 400),
            ("getDetail", WHO | {"examUid": "../../x"}, 404),
            ("uploadRecognizedResult", WHO | {"examUid": "chemistry", "recognizedResult": "9"}, 400),
            ("getAnything", {}, 404),
        ],
    )
    def test_it_is_answered_in_the_envelope(self, vendor: Vendor, call: str, body: Any, status: int) -> None:
        answer = vendor.post(call, body)
        assert answer.status_code == status, answer.text
        found = answer.json()
        assert found["code"] == status
        assert set(found) >= {"code", "message", "data"}

    def test_another_method(self, vendor: Vendor) -> None:
        assert vendor.post("getDetail", {}, method="GET").status_code == 405


class TestOddDays:
    """The first and last days of the calendar leave no room to count from."""

    @pytest.mark.parametrize(
        ("at", "status"),
        [
            ("0001-01-01 00:00:00", 400),
            ("00010101000000", 400),
            ("0001-01-01T00:00:00+14:00", 400),
            ("9999-12-31 23:59:59", 200),
            ("9999-12-31T23:59:59-12:00", 200),
            ("2028-02-29 23:59:59", 200),
        ],
    )
    def test_they_are_answered(self, vendor: Vendor, at: str, status: int) -> None:
        answer = vendor.post("getRelativeReports", WHO | {"orderTime": at, "dataCode": "2823-3"})
        assert answer.status_code == status
        assert answer.json()["code"] == status


class TestSigned:
    @pytest.fixture
    def signed(self, server: Server) -> Vendor:
        return Vendor(server, {"v1": SECRET})

    def headers(
        self, body: bytes, *, at: datetime | None = None, organization: str = LICENCE
    ) -> dict[str, str]:
        text = (at or datetime.now(timezone(timedelta(hours=8)))).strftime("%Y-%m-%d %H:%M:%S")
        return {
            "timestamp": text,
            "orgCode": organization,
            "sign": sign(SECRET, "v1", organization, text, body),
        }

    def test_a_right_signature_is_let_in(self, signed: Vendor) -> None:
        assert signed.post("getDenyReasons", b"{}", **self.headers(b"{}")).status_code == 200

    def test_what_is_not_right_is_refused(self, signed: Vendor) -> None:
        old = datetime.now(timezone(timedelta(hours=8))) - timedelta(hours=1)
        for headers in (
            self.headers(b"{ }"),
            self.headers(b"{}") | {"clientId": "v2"},
            self.headers(b"{}", at=old),
            self.headers(b"{}", organization="unknown"),
            self.headers(b"{}") | {"sign": "é"},
        ):
            assert signed.post("getDenyReasons", b"{}", **headers).status_code == 401


def test_the_gate_stands_before_it(server: Server, tmp_path: Path) -> None:
    gate = Gate(tmp_path, clock=lambda: datetime.now(timezone(timedelta(hours=8))), header="x-hutong-member")
    vendor = Vendor(server)
    vendor.api.gate = gate
    answer = vendor.post("getDenyReasons", {})
    assert answer.status_code == 403
    assert answer.json()["issues"][0]["code"] == "HT-CT-44"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-06-22T09:06:26Z", "2025-06-22T09:06:26+00:00"),
        ("2024-10-23 15:49:54", "2024-10-23T15:49:54+08:00"),
        ("2024/10/23 15:49:54", "2024-10-23T15:49:54+08:00"),
        ("20241023154954", "2024-10-23T15:49:54+08:00"),
        ("1729669794", "2024-10-23T07:49:54+00:00"),
        ("1729669794000", "2024-10-23T07:49:54+00:00"),
    ],
)
def test_dates_in_the_wild(text: str, expected: str) -> None:
    assert read_moment(text, "t").isoformat() == expected


@pytest.mark.parametrize("text", ["", "2024-13-01 00:00:00", "2024-02-30 10:00:00", "now", "9" * 30])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_moment(text, "t")


def test_clients_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "clients.toml"
    path.write_text('v1 = "s"\n', "utf-8")
    assert load_clients(path) == {"v1": "s"}
    path.write_text("v1 = ", "utf-8")
    with pytest.raises(InvalidInput):
        load_clients(path)
