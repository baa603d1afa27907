"""Health card, own record, push of results (china §5, rows 19, 20, 21)."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.care.health_card import mac_of
from terminology.fhirjson import Json
from tests.gateway.test_chronic_care import Client, county, run, today

KEY = b"a key of the card platform"
INDEX = sha256(b"p").hexdigest().upper()
CARD = "urn:oid:2.16.156.10011.1.19"
ZONE = ZoneInfo("Asia/Shanghai")


def code(*, seconds: int = 60, index: str = INDEX, key: bytes = KEY, tail: str = "") -> str:
    expires = (datetime.now(ZONE) + timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%S")
    signed = f"{index}:{expires}"
    return f"{signed}:{mac_of(signed, key)}{tail}"


def asked(content: str) -> Json:
    return {"resourceType": "Parameters", "parameter": [{"name": "code", "valueString": content}]}


async def card_county(client: Client) -> None:
    await client.put({
        "resourceType": "Patient", "id": "p", "name": [{"text": "张三丰"}],
        "identifier": [{"system": CARD, "value": INDEX}],
    })  # fmt: skip


def with_key(folder: Path) -> Path:
    path = folder / "card.key"
    path.write_bytes(KEY + b"\n")
    return path


class TestHealthCard:
    """Row 19"""

    def test_a_code_becomes_the_patient_quickly(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path / "data", health_card_key=with_key(tmp_path)) as client:
                await card_county(client)
                await client.ask("POST", "/Patient/$resolve-health-card", asked(code()))
                started = time.process_time()
                found = await client.ask(
                    "POST", "/Patient/$resolve-health-card", asked(code(index=INDEX.lower()))
                )
                assert found["id"] == "p"
                assert time.process_time() - started < 0.2

        run(body())

    @pytest.mark.parametrize(
        ("written", "status", "wanted"),
        [
            (lambda: code(seconds=-2), 403, "HT-HC-03"),
            (lambda: code(key=b"another"), 403, "HT-HC-02"),
            (lambda: code(seconds=-5, key=b"another"), 403, "HT-HC-02"),
            (lambda: code(seconds=86_400), 403, "HT-HC-04"),
            (lambda: code(index="0" * 64), 404, "HT-HC-05"),
            (lambda: "6222022320001571462", 400, "HT-HC-01"),
            (lambda: code(tail="x"), 400, "HT-HC-01"),
            (lambda: "x" * 100_000, 400, "HT-HC-01"),
        ],
    )
    def test_what_is_not_a_valid_code_is_refused(
        self, tmp_path: Path, written: Callable[[], str], status: int, wanted: str
    ) -> None:
        async def body() -> None:
            async with county(tmp_path / "data", health_card_key=with_key(tmp_path)) as client:
                await card_county(client)
                refused = await client.ask(
                    "POST", "/Patient/$resolve-health-card", asked(written()), status=status
                )
                assert refused["issue"][0]["details"]["coding"][0]["code"] == wanted
                kept = [row for _, row in await client.gateway.store.audit(limit=1000)][-1]
                assert kept["entity"][0]["description"] == f"resolve-health-card {wanted}"

        run(body())

    def test_a_province_may_have_a_form_of_its_own(self, tmp_path: Path) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            (packs / "card.yaml").write_text(
                "pack: health-card\nversion: '2'\neffective: 2026-01-01\nsource: province\n"
                f"rules: {{system: '{CARD}', longest_seconds: 60, forms: [{{"
                "pattern: 'JKK\\|(?P<expires>\\d{12})\\|(?P<mac>[0-9a-f]{64})\\|(?P<index>[0-9A-F]{64})', "
                "time: '%Y%m%d%H%M', signed: 'JKK{index}{expires}'}]}\n"
            )
            key = with_key(tmp_path)
            async with county(tmp_path / "data", health_card_key=key, workflow_packs=packs) as client:
                await card_county(client)
                soon = (datetime.now(ZONE) + timedelta(seconds=59)).strftime("%Y%m%d%H%M")
                content = f"JKK|{soon}|{mac_of(f'JKK{INDEX}{soon}', KEY)}|{INDEX}"
                answer = await client.http.post("/Patient/$resolve-health-card", json=asked(content))
                assert answer.status_code in (200, 403), answer.text
                if answer.status_code == 403:  # the minute ended before the code did
                    assert "HT-HC-03" in answer.text
                await client.ask("POST", "/Patient/$resolve-health-card", asked(code()), status=400)

        run(body())

    def test_a_pack_that_cannot_be_used_says_so(self, tmp_path: Path) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            (packs / "card.yaml").write_text(
                "pack: health-card\nversion: '2'\neffective: 2026-01-01\nsource: x\n"
                "rules: {system: s, longest_seconds: 60, forms: [{pattern: '.*', time: '%Y', signed: '{index}'}]}\n"
            )
            key = with_key(tmp_path)
            async with county(tmp_path / "data", health_card_key=key, workflow_packs=packs) as client:
                refused = await client.ask("POST", "/Patient/$resolve-health-card", asked(code()), status=409)
                assert refused["issue"][0]["details"]["coding"][0]["code"] == "HT-HC-08"

        run(body())

    def test_without_a_key_no_code_is_believed(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.ask("POST", "/Patient/$resolve-health-card", asked(code()), status=409)

        run(body())


async def as_patient(client: Client, who: str, method: str, url: str, *, body: Json | None = None) -> Any:
    headers = {"X-Hutong-Patient": who, "Accept-Language": "en"}
    return await client.http.request(method, url, json=body, headers=headers)


async def records(client: Client) -> None:
    """Two patients; what is p's, what is q's, and what nobody issued yet."""
    await client.put({"resourceType": "Patient", "id": "q", "name": [{"text": "李四"}]})
    for id, patient, status, label in (
        ("o1", "p", "final", ""), ("o2", "p", "preliminary", ""), ("o3", "q", "final", ""), ("o4", "p", "final", "R"),
    ):  # fmt: skip
        row: Json = {
            "resourceType": "Observation", "id": id, "status": status, "code": {"text": "血红蛋白"},
            "subject": {"reference": f"Patient/{patient}"},
            # p took part in q's measurement: it is in p's compartment, and still not his.
            "performer": [{"reference": "Patient/p"}],
        }  # fmt: skip
        if label:
            row["meta"] = {
                "security": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": label}
                ]
            }
        await client.put(row)


def consent(**provision: Any) -> Json:
    return {
        "resourceType": "Consent", "id": "k", "status": "active", "patient": {"reference": "Patient/p"},
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "https://hutong.health/fhir/CodeSystem/consent-category", "code": "record-sharing"}]}],
        "policyRule": {"text": "授权"},
        "provision": {
            "type": "permit",
            "actor": [{"role": {"text": "家属"}, "reference": {"reference": "Patient/q"}}],
            **provision,
        },
    }  # fmt: skip


def ids(bundle: Json) -> list[str]:
    return sorted(row["resource"]["id"] for row in bundle.get("entry", ()))


class TestOwnRecord:
    """Row 20: a patient sees only own data"""

    def test_own_record_holds_what_is_issued_and_his(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await records(client)
                answer = await as_patient(client, "p", "GET", "/Patient/p/$my-record")
                assert answer.status_code == 200, answer.text
                assert ids(answer.json()) == ["c", "o1", "o4", "p"]
                kept = [row for _, row in await client.gateway.store.audit(limit=1000)][-1]
                assert kept["agent"][0]["who"] == {"reference": "Patient/p"}

        run(body())

    @pytest.mark.parametrize(
        ("method", "url"),
        [
            ("GET", "/Patient/q/$my-record"),
            ("GET", "/Patient/q"),
            ("GET", "/Patient"),
            ("GET", "/Observation/o3"),
            ("GET", "/Patient/q/Observation"),
            ("GET", "/Patient/p/$everything"),
            ("GET", "/Patient/p/_history"),
            ("POST", "/Patient/p/$grade"),
            ("POST", "/Observation"),
            ("GET", "http://gateway/messages"),
            ("GET", "http://gateway/cds-services"),
            ("GET", "http://gateway/dicomweb/studies"),
        ],
    )
    def test_everything_else_is_forbidden(self, tmp_path: Path, method: str, url: str) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await records(client)
                answer = await as_patient(client, "p", method, url, body={} if method == "POST" else None)
                assert answer.status_code == 403, answer.text
                assert "HT-MY-0" in answer.text

        run(body())

    def test_pages_together_hold_the_whole_record(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await records(client)
                url, found = "/Patient/p/$my-record?_count=2", []
                for _ in range(9):
                    page = (await as_patient(client, "p", "GET", url)).json()
                    found += ids(page)
                    following = [row["url"] for row in page["link"] if row["relation"] == "next"]
                    if not following:
                        break
                    [url] = following
                assert sorted(found) == ["c", "o1", "o4", "p"]

        run(body())

    def test_an_empty_header_is_nobody(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                answer = await as_patient(client, "", "GET", "/Patient/p/$my-record")
                assert answer.status_code == 403

        run(body())

    @pytest.mark.parametrize(
        ("provision", "seen"),
        [
            ({}, ["c", "o1", "p"]),
            ({"securityLabel": [{"code": "R"}]}, ["c", "o1", "o4", "p"]),
            ({"class": [{"code": "Observation"}]}, ["o1"]),
            ({"provision": [{"type": "deny", "class": [{"code": "Condition"}]}]}, ["o1", "p"]),
            ({"period": {"start": today(-1), "end": today()}}, ["c", "o1", "p"]),
            ({"period": {"end": today(-1)}}, None),
            ({"type": "deny"}, None),
            ({"actor": [{"role": {"text": "他人"}, "reference": {"reference": "Patient/x"}}]}, None),
        ],
    )
    def test_a_consent_lets_another_person_read(
        self, tmp_path: Path, provision: Json, seen: list[str] | None
    ) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await records(client)
                await client.put(consent(**provision))
                answer = await as_patient(client, "q", "GET", "/Patient/p/$my-record")
                if seen is None:
                    assert answer.status_code == 403
                else:
                    assert answer.status_code == 200, answer.text
                    assert ids(answer.json()) == seen

        run(body())


def report(id: str, status: str = "final", *labels: str) -> Json:
    row: Json = {
        "resourceType": "DiagnosticReport", "id": id, "status": status, "code": {"text": "血常规"},
        "subject": {"reference": "Patient/p"}, "conclusion": "白细胞升高",
    }  # fmt: skip
    if labels:
        row["meta"] = {"security": [{"code": label} for label in labels]}
    return row


class TestPush:
    """Row 21: pushed once, masked"""

    async def _notices(self, client: Client) -> list[Json]:
        found = await client.get("/Communication?category=result")
        return [row["resource"] for row in found.get("entry", ())]

    def test_once_and_masked(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(push_consent())
                await client.put(report("r", "preliminary"))
                assert await self._notices(client) == []
                await client.put(report("r"))
                await client.put(report("r"))
                await client.put(report("r", "corrected"))
                [notice] = await self._notices(client)
                text = notice["payload"][0]["contentString"]
                assert text.startswith("张**：您的血常规报告已出")
                assert "三丰" not in text
                assert "白细胞" not in str(notice)

        run(body())

    def test_a_restricted_report_is_not_named(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(push_consent())
                await client.put(report("r", "final", "R"))
                [notice] = await self._notices(client)
                assert "血常规" not in notice["payload"][0]["contentString"]

        run(body())

    def test_without_consent_nobody_is_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(report("r"))
                await client.put(push_consent(period={"end": today(-1)}))
                await client.put(report("r2"))
                assert await self._notices(client) == []

        run(body())


def push_consent(**provision: Any) -> Json:
    row = consent(**provision)
    row["id"] = "push"
    row["category"][0]["coding"][0]["code"] = "result-push"
    return row
