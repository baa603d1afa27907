"""The gate at the doors of a running gateway, and /conformance."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.testing.certificate import Certificate, new_key, public_key, sign
from gateway.app import Gateway
from tests.gateway.running import hl7, run, running

TODAY = datetime.now().astimezone().date()


def certify(folder: Path, *roles: str, member: str = "H1", until: date = TODAY + timedelta(days=9)) -> None:
    held = folder / "certificates"
    held.mkdir(parents=True, exist_ok=True)
    key = new_key()
    made = Certificate(member, "V", "P", "1", roles, "1.0", "h", "r", TODAY.isoformat(), until.isoformat())
    (held / "centre.pem").write_bytes(public_key(key))
    (held / "member.jws").write_text(sign(made, key))


def client(gateway: Gateway) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=gateway.asgi), base_url="http://test")


async def send(gateway: Gateway, raw: bytes) -> httpx.Response:
    async with client(gateway) as http:
        return await http.post("/messages/hl7v2", content=raw)


class TestMessages:
    @pytest.mark.parametrize(
        ("roles", "status", "ack"),
        [(("lis",), 200, b"MSA|AA"), (("his-sender",), 403, b"MSA|AR"), ((), 403, b"MSA|AR")],
    )
    def test_a_message_needs_a_certified_role(
        self, tmp_path: Path, roles: tuple[str, ...], status: int, ack: bytes
    ) -> None:
        async def work() -> None:
            certify(tmp_path, *roles)
            async with running(tmp_path, gate=True) as gateway:
                answer = await send(gateway, hl7())
                assert answer.status_code == status
                assert ack in answer.content
                if status == 403:
                    assert b"HT-CT-44" in answer.content
                    assert gateway.journal.last_id() == 0

        run(work())

    def test_another_member_and_an_expired_certificate_are_refused(self, tmp_path: Path) -> None:
        async def work() -> None:
            certify(tmp_path, "lis")
            async with running(tmp_path, gate=True) as gateway:
                assert (await send(gateway, hl7(source="LIS|H2"))).status_code == 403

        run(work())

    def test_switched_off_the_gate_is_open(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with running(tmp_path) as gateway:
                assert (await send(gateway, hl7())).status_code == 200

        run(work())

    def test_two_approvers_open_it_for_hours(self, tmp_path: Path) -> None:
        async def work() -> None:
            certify(tmp_path, "his-sender")
            now = datetime.now().astimezone()
            row: dict[str, Any] = {"member": "H1", "reason": "flood", "approvers": ["a", "b"],
                                   "begins": (now - timedelta(hours=1)).isoformat(),
                                   "ends": (now + timedelta(hours=1)).isoformat()}  # fmt: skip
            (tmp_path / "certificates" / "overrides.json").write_text(json.dumps([row]))
            async with running(tmp_path, gate=True) as gateway:
                assert (await send(gateway, hl7())).status_code == 200

        run(work())

    def test_one_approver_twice_opens_nothing(self, tmp_path: Path) -> None:
        async def work() -> None:
            certify(tmp_path, "his-sender")
            now = datetime.now().astimezone()
            row = {"member": "H1", "reason": "x", "approvers": ["a", "a"], "begins": now.isoformat(),
                   "ends": (now + timedelta(hours=1)).isoformat()}  # fmt: skip
            (tmp_path / "certificates" / "overrides.json").write_text(json.dumps([row]))
            async with running(tmp_path, gate=True) as gateway:
                assert (await send(gateway, hl7())).status_code == 403

        run(work())


def test_rows_of_a_table_need_a_member_too(tmp_path: Path) -> None:
    async def work() -> None:
        certify(tmp_path, "lis")
        async with running(tmp_path, gate=True) as gateway, client(gateway) as http:
            for headers in ({}, {"x-hutong-member": "H1"}):
                answer = await http.post("/messages/table", content=b"a,b\n1,2\n", headers=headers)
                assert answer.status_code == 403

    run(work())


def test_requests_need_a_certificate_and_metadata_does_not(tmp_path: Path) -> None:
    async def work() -> None:
        certify(tmp_path, "fhir-server")
        async with running(tmp_path, gate=True) as gateway, client(gateway) as http:
            own, other = {"x-hutong-member": "H1"}, {"x-hutong-member": "H2"}
            assert (await http.get("/fhir/metadata")).status_code == 200
            assert (await http.get("/fhir/Patient")).status_code == 403
            refused = await http.get("/fhir/Patient", headers=other)
            assert refused.status_code == 403
            assert refused.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-CT-44"
            assert (await http.get("/fhir/Patient", headers=own)).status_code == 200
            post = await http.post("/fhir/Patient", json={"resourceType": "Patient"}, headers=other)
            assert post.status_code == 403

    run(work())


class TestApi:
    def test_lists_runs_and_reports(self, tmp_path: Path) -> None:
        async def work() -> None:
            (tmp_path / "targets").mkdir()
            (tmp_path / "targets" / "town1.yaml").write_text("member: town1\nroles: [lis]\nsamples: .\n")
            async with running(tmp_path) as gateway, client(gateway) as http:
                assert len((await http.get("/conformance/tests?role=lis")).json()["tests"]) >= 30
                assert (await http.get("/conformance/coverage")).json()["complete"] is True
                assert len((await http.get("/conformance/requirements")).json()["requirements"]) >= 200
                made = await http.post("/conformance/runs", json={"target": "town1"})
                assert made.status_code == 201
                assert set(made.json()["counts"]) == {"not-evaluated"}
                id = made.json()["id"]
                assert [row["id"] for row in (await http.get("/conformance/runs")).json()["runs"]] == [id]
                for form in ("html", "junit", "sarif", "testreport"):
                    assert (await http.get(f"/conformance/runs/{id}/{form}")).status_code == 200

        run(work())

    @pytest.mark.parametrize(
        ("body", "status"),
        [({"target": "../etc"}, 400), ({"target": "nobody"}, 404), ({}, 400), ([], 400), ({"target": "t", "tests": ["NO"]}, 400),
         ({"target": "t", "roles": "lis"}, 400)],
        ids=str,
    )  # fmt: skip
    def test_bad_runs_are_refused(self, tmp_path: Path, body: Any, status: int) -> None:
        async def work() -> None:
            (tmp_path / "targets").mkdir()
            (tmp_path / "targets" / "t.yaml").write_text("member: t\nroles: [lis]\n")
            async with running(tmp_path) as gateway, client(gateway) as http:
                answer = await http.post("/conformance/runs", json=body)
                assert answer.status_code == status
                assert answer.json()["resourceType"] == "OperationOutcome"

        run(work())

    def test_a_certificate_is_verified(self, tmp_path: Path) -> None:
        async def work() -> None:
            certify(tmp_path, "lis")
            jws = (tmp_path / "certificates" / "member.jws").read_text()
            async with running(tmp_path) as gateway, client(gateway) as http:
                good = await http.post("/conformance/verify", json={"certificate": jws, "role": "lis"})
                assert good.json()["valid"] is True
                for wrong in ({"certificate": jws, "role": "ecg-centre"}, {"certificate": jws[:-4]}, {}):
                    assert (await http.post("/conformance/verify", json=wrong)).status_code == 400

        run(work())
