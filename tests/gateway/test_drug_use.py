"""Drug use at three stages (china §5, row 23): CDS Hooks, at writing, post audit; each is kept in the audit."""

from pathlib import Path
from typing import Any

import pytest

from terminology.fhirjson import Json
from tests.gateway.test_chronic_care import Client, county, run, today

ATC = "http://www.whocc.no/atc"


def prescription(id: str, drug: str, *, status: str = "active", **more: Any) -> Json:
    return {
        "resourceType": "MedicationRequest", "id": id, "status": status, "intent": "order",
        "subject": {"reference": "Patient/p"}, "authoredOn": today(),
        "medicationCodeableConcept": {"text": drug}, **more,
    }  # fmt: skip


def hook(*drafts: Json, name: str = "order-sign", **context: Any) -> Json:
    return {
        "hook": name, "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {
            "userId": "Practitioner/d", "patientId": "p",
            "draftOrders": {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": row} for row in drafts]},
            **context,
        },
    }  # fmt: skip


async def call(client: Client, path: str, body: Any = None, *, status: int = 200) -> Any:
    url = f"http://gateway/cds-services{path}"
    headers = {"Accept-Language": "en"}
    answer = await (
        client.http.get(url) if body is None else client.http.post(url, json=body, headers=headers)
    )
    assert answer.status_code == status, answer.text
    return answer.json()


async def stages(client: Client) -> list[tuple[str, str]]:
    """Stage and findings of each check in the audit."""
    return [
        (row["subtype"][0]["code"], row["entity"][-1]["detail"][0]["valueString"])
        for _, row in await client.gateway.store.audit(limit=1000)
        if row.get("subtype", [{}])[0].get("system", "").endswith("drug-use-stage")
    ]


async def allergy(client: Client) -> None:
    await client.put({
        "resourceType": "AllergyIntolerance", "id": "a", "patient": {"reference": "Patient/p"},
        "code": {"text": "青霉素"},
    })  # fmt: skip


class TestBefore:
    """https://cds-hooks.hl7.org/2.0/"""

    def test_discovery_lists_both_hooks(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                found = (await call(client, ""))["services"]
                assert [row["hook"] for row in found] == ["order-select", "order-sign"]
                assert all(row["description"] and row["prefetch"]["patient"] for row in found)

        run(body())

    def test_an_allergy_is_a_critical_card_and_the_call_is_kept(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await allergy(client)
                draft = prescription("m", "注射用青霉素钠", status="draft")
                [card] = (await call(client, "/hutong-drug-use-order-sign", hook(draft)))["cards"]
                assert card["indicator"] == "critical"
                assert len(card["summary"]) < 140
                assert card["source"]["topic"]["code"] == "HT-DU-01"
                feedback = {"feedback": [{"card": card["uuid"], "outcome": "overridden"}]}
                assert await call(client, "/hutong-drug-use-order-sign/feedback", feedback) == {}
                assert await stages(client) == [("before", "HT-DU-01"), ("before", "none")]

        run(body())

    def test_order_select_looks_at_what_is_selected(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await allergy(client)
                drafts = [prescription("m1", "注射用青霉素钠"), prescription("m2", "苯磺酸氨氯地平片")]
                asked = hook(*drafts, name="order-select", selections=["MedicationRequest/m2"])
                assert (await call(client, "/hutong-drug-use-order-select", asked))["cards"] == []
                twice = hook(drafts[1], prescription("m3", "苯磺酸氨氯地平片"))
                cards = (await call(client, "/hutong-drug-use-order-sign", twice))["cards"]
                assert {row["source"]["topic"]["code"] for row in cards} == {"HT-DU-02"}

        run(body())

    def test_a_patient_of_the_prefetch_is_enough(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                asked = hook(prescription("m", "枸橼酸西地那非片"), patientId="x")
                url = "/hutong-drug-use-order-sign"
                refused = await call(client, url, asked, status=412)
                assert refused["issue"][0]["details"]["coding"][0]["code"] == "HT-DU-22"
                asked["prefetch"] = {"patient": {"resourceType": "Patient", "id": "x", "gender": "female"}}
                cards = (await call(client, url, asked))["cards"]
                assert "HT-DU-03" in [row["source"]["topic"]["code"] for row in cards]

        run(body())

    @pytest.mark.parametrize(
        "wrong",
        [
            [],
            {"hook": "patient-view", "hookInstance": "1", "context": {"patientId": "p"}},
            {"hook": "order-sign", "context": {"patientId": "p", "draftOrders": {}}},
            {"hook": "order-sign", "hookInstance": "1", "context": {"draftOrders": {}}},
            {"hook": "order-sign", "hookInstance": "1", "context": {"patientId": "p", "draftOrders": 3}},
            hook({"resourceType": "MedicationRequest", "medicationCodeableConcept": "x"}),
        ],
    )
    def test_a_call_that_is_not_right_is_told(self, tmp_path: Path, wrong: Any) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                refused = await call(client, "/hutong-drug-use-order-sign", wrong, status=400)
                assert refused["issue"][0]["details"]["coding"][0]["code"] == "HT-DU-21"

        run(body())

    @pytest.mark.parametrize(
        "odd",
        [
            {"medicationCodeableConcept": {"coding": 5, "text": ["x"]}},
            {"medicationCodeableConcept": {"coding": ["x", {"code": []}]}},
            {"dispenseRequest": {"expectedSupplyDuration": {"value": "NaN", "unit": "d"}}},
            {"dispenseRequest": {"expectedSupplyDuration": {"value": "1e400", "code": "wk"}}},
            {"dispenseRequest": {"expectedSupplyDuration": 7}, "encounter": {"reference": 3}},
            {"reasonCode": ["x", {"text": 1}], "requester": {"reference": {}}, "id": {"a": 1}},
            {"medicationReference": {"reference": "Medication/none"}, "subject": []},
        ],
    )
    def test_odd_drafts_break_nothing(self, tmp_path: Path, odd: Json) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                draft = {**prescription("m", "注射用天麻素"), **odd}
                assert "cards" in await call(client, "/hutong-drug-use-order-sign", hook(draft))

        run(body())

    def test_an_unknown_service_is_404(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await call(client, "/nothing", {}, status=404)

        run(body())


class TestAtWriting:
    def test_findings_become_detected_issues(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await allergy(client)
                await client.put(prescription("m", "注射用青霉素钠"))
                found = await client.get("/DetectedIssue?implicated=MedicationRequest/m")
                [issue] = [row["resource"] for row in found["entry"]]
                assert issue["severity"] == "high"
                assert {"reference": "AllergyIntolerance/a"} in issue["implicated"]
                assert await stages(client) == [("create", "HT-DU-01")]

        run(body())

    def test_a_county_may_refuse_what_is_critical(self, tmp_path: Path) -> None:
        async def body() -> None:
            packs = tmp_path / "packs"
            packs.mkdir()
            (packs / "drug-use.yaml").write_text(
                "pack: drug-use\nversion: '2'\neffective: 2026-01-01\nsource: county\nrules: {level: error, refuse: [critical]}\n"
            )
            async with county(tmp_path / "data", workflow_packs=packs) as client:
                await allergy(client)
                refused = await client.put(prescription("m", "注射用青霉素钠"), status=409)
                assert refused["issue"][0]["details"]["coding"][0]["code"] == "HT-DU-01"
                await client.put(prescription("m", "苯磺酸氨氯地平片"))

        run(body())


class TestAfterwards:
    def test_the_days_are_checked_again(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.put(prescription("m1", "注射用青霉素钠"))
                await client.put(prescription("m2", "苯磺酸氨氯地平片", authoredOn=today(-30)))
                # The allergy became known after the prescription: only the audit finds it.
                await allergy(client)
                found = await client.get(
                    f"/MedicationRequest/$audit-drug-use?start={today(-1)}&end={today()}"
                )
                rows = {row["name"]: row for row in found["parameter"]}
                assert rows["checked"]["valueInteger"] == 1
                assert rows["findings"]["valueInteger"] == 1
                assert rows["finding"]["part"][0]["valueReference"] == {"reference": "MedicationRequest/m1"}
                sheet = await client.get(f"/MedicationRequest/$audit-drug-use?start={today(-1)}&as=csv")
                assert "HT-DU-01" in sheet
                assert [stage for stage, _ in await stages(client)] == ["create", "create", "after", "after"]

        run(body())

    def test_a_day_that_is_none_is_told(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with county(tmp_path) as client:
                await client.ask("GET", "/MedicationRequest/$audit-drug-use?start=yesterday", status=400)

        run(body())
