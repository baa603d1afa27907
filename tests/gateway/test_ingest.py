"""From message to resources: nothing doubled, nothing stale, nothing lost (docs/design.md, decisions 8 and 11)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.ingest.provenance import provenance_id
from gateway.settings import Settings
from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource
from terminology.issues import Unavailable
from tests.gateway.running import hl7, run, running
from tests.gateway.trial_maps import TrialMaps, hashed, patient_id


async def take(gateway: Gateway, *messages: bytes) -> list[int]:
    """Send messages one after the other and wait until they are processed; returns their numbers."""
    ids = []
    for raw in messages:
        for row in await gateway.intake.take(raw, kind="hl7v2", channel="test", peer="t", request_id="req-1"):
            assert row.receipt is not None
            ids.append(row.receipt.id)
        await gateway.intake.drained()
    return ids


async def resource(gateway: Gateway, type: str, id: str) -> Json:
    version = await gateway.store.read(type, id)
    assert version is not None
    assert version.body is not None
    return decode_resource(version.body)


async def everything(gateway: Gateway) -> list[Version]:
    return [version async for version in gateway.store.history()]


OBSERVATION = hashed("H1", "LAB1", "WBC")


class TestOnce:
    def test_the_same_message_twice_writes_nothing_new(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                first, second = await take(gateway, hl7(), hl7())
                assert first == second
                assert len(await everything(gateway)) == 3

        run(body())

    def test_a_resend_with_a_new_sending_time_is_the_same_message(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                first, second = await take(gateway, hl7(), hl7(sent="20260315090000"))
                assert first == second

        run(body())

    def test_also_after_a_restart(self, tmp_path: Path) -> None:
        async def body() -> None:
            for _ in range(2):
                async with running(tmp_path, store="sqlite") as gateway:
                    assert await take(gateway, hl7()) == [1]
                    assert len(await everything(gateway)) == 3

        run(body())

    def test_replay_writes_nothing_new(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(), hl7(control_id="M2", obx=(("WBC", "13", "C"),)))
                before = len(await everything(gateway))
                await gateway.intake.replay([1, 2])
                await gateway.intake.drained()
                assert len(await everything(gateway)) == before
                assert (await resource(gateway, "Observation", OBSERVATION))["valueString"] == "13"

        run(body())

    def test_the_same_id_with_other_content_is_kept_and_not_processed(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7())
                (taken,) = await gateway.intake.take(
                    hl7(name="李^四"), kind="hl7v2", channel="test", peer="t"
                )
                assert taken.verdict == "error"
                assert taken.issues[0].code == "HT-MSG-06"
                entry = gateway.journal.entry(2, with_raw=True)
                assert entry is not None
                assert (entry.state, entry.raw) == ("parked", hl7(name="李^四"))
                assert (await resource(gateway, "Patient", patient_id("H1", "P0001")))["name"] == [
                    {"text": "张三丰"}
                ]
                await gateway.intake.replay([2])
                await gateway.intake.drained()
                assert (await resource(gateway, "Patient", patient_id("H1", "P0001")))["name"] == [
                    {"text": "李四"}
                ]

        run(body())

    def test_an_id_may_be_used_again_after_the_time_of_the_setting(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path, control_id_reuse_hours=0) as gateway:
                assert await take(gateway, hl7(), hl7(name="李^四")) == [1, 2]
                assert gateway.journal.entry(2).state == "stored"  # type: ignore[union-attr]

        run(body())


class TestStale:
    """Late messages never win (adapters: stale protection)."""

    def test_a_late_preliminary_never_replaces_a_final(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(
                    gateway,
                    hl7(control_id="F", obx=(("WBC", "12.5", "F"),)),
                    hl7(control_id="P", sent="20260315093012", obx=(("WBC", "11", "P"),)),
                )
                found = await resource(gateway, "Observation", OBSERVATION)
                assert (found["status"], found["valueString"]) == ("final", "12.5")
                entry = gateway.journal.entry(2)
                assert entry is not None
                assert [row["code"] for row in entry.detail["issues"]] == ["HT-MSG-22"]

        run(body())

    def test_an_older_message_of_equal_rank_does_not_win(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(
                    gateway,
                    hl7(control_id="new", sent="20260315100000", obx=(("WBC", "2", "F"),)),
                    hl7(control_id="old", sent="20260315090000", obx=(("WBC", "1", "F"),), name="旧^名"),
                )
                assert (await resource(gateway, "Observation", OBSERVATION))["valueString"] == "2"
                assert (await resource(gateway, "Patient", patient_id("H1", "P0001")))["name"] == [
                    {"text": "张三丰"}
                ]

        run(body())

    def test_a_correction_replaces_a_final(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(), hl7(control_id="C", obx=(("WBC", "9", "C"),)))
                assert (await resource(gateway, "Observation", OBSERVATION))["valueString"] == "9"

        run(body())

    def test_a_cancel_changes_the_status_only(self, tmp_path: Path) -> None:
        async def body() -> None:
            order = hl7(control_id="O1", event="ORM^O01", extra=("ORC|NW|R1", "OBR|1|R1||XCG^血常规"))
            cancel = hl7(control_id="O2", event="ORM^O01", extra=("ORC|CA|R1",))
            async with running(tmp_path) as gateway:
                await take(gateway, order, cancel)
                found = await resource(gateway, "ServiceRequest", hashed("H1", "order", "R1"))
                assert (found["status"], found["code"]) == ("revoked", {"text": "血常规"})

        run(body())


class TestPatients:
    def test_the_same_identity_card_in_two_hospitals_is_one_patient(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                card = "11010519491231002X"
                await take(
                    gateway,
                    hl7(card=card),
                    hl7(control_id="X", source="LIS|H2", patient="77", card=card),
                    hl7(control_id="Y", card=card, sent="20260316083012"),
                )
                found = await resource(gateway, "Patient", patient_id("H1", "P0001"))
                assert sorted(row["value"] for row in found["identifier"]) == [card, "77", "P0001"]
                assert await gateway.store.read("Patient", patient_id("H2", "77")) is None
                second = await resource(gateway, "Observation", hashed("H2", "LAB1", "WBC"))
                assert second["subject"]["reference"] == f"Patient/{patient_id('H1', 'P0001')}"

        run(body())

    def test_a40_links_and_retires_and_later_messages_follow(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                merge = hl7(control_id="A40", event="ADT^A40", patient="NEW", extra=("MRG|OLD^^^H1^MR",))
                late = hl7(control_id="late", patient="OLD", sent="20260316083012")
                await take(gateway, hl7(patient="OLD"), hl7(control_id="N", patient="NEW"), merge, late)
                old = await resource(gateway, "Patient", patient_id("H1", "OLD"))
                new = patient_id("H1", "NEW")
                assert old["active"] is False
                assert old["link"] == [{"other": {"reference": f"Patient/{new}"}, "type": "replaced-by"}]
                assert old["identifier"] == [{"system": "urn:test:mr:H1", "value": "OLD"}]
                found = await resource(gateway, "Observation", OBSERVATION)
                assert found["subject"]["reference"] == f"Patient/{new}"

        run(body())


class TestTrace:
    def test_provenance_tells_message_map_charset_and_request(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(charset="", extra=("ZMR|互认|Y",)))
                entry = gateway.journal.entry(1)
                assert entry is not None
                found = await resource(gateway, "Provenance", provenance_id(entry))
                extensions = {
                    row["url"].rpartition("/")[2]: next(v for k, v in row.items() if k != "url")
                    for row in found["extension"]
                }
                assert extensions == {
                    "request-id": "req-1", "map": "trial|1", "charset": "utf-8", "charset-guessed": True,
                    "unmapped-segment": "ZMR|互认|Y",
                }  # fmt: skip
                assert found["entity"][0]["what"]["identifier"] == {
                    "system": "urn:hutong:message",
                    "value": "1",
                }
                assert {row["reference"] for row in found["target"]} == {
                    f"Patient/{patient_id('H1', 'P0001')}", f"Observation/{OBSERVATION}"
                }  # fmt: skip
                patient = await resource(gateway, "Patient", patient_id("H1", "P0001"))
                assert patient["meta"]["source"] == "urn:hutong:message:1#req-1"

        run(body())

    def test_unmapped_codes_are_counted_once_for_each_message(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(), hl7(control_id="M2", patient="P2"))
                await gateway.intake.replay([1])
                await gateway.intake.drained()
                (row,) = await gateway.journal.unmapped()
                assert (row["domain"], row["code"], row["display"], row["count"]) == (
                    "lab",
                    "WBC",
                    "白细胞计数",
                    2,
                )

        run(body())


class TestFailures:
    def test_a_message_that_lacks_what_its_map_needs_is_parked(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(patient=""))
                entry = gateway.journal.entry(1)
                assert entry is not None
                assert (entry.state, entry.detail["issues"][0]["code"]) == ("parked", "HT-MSG-04")

        run(body())

    def test_a_resource_that_fhir_forbids_is_never_stored(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(tmp_path) as gateway:
                await take(gateway, hl7(obx=(("WBC", "1", "F"), ("INVALID", "1", "F"))))
                entry = gateway.journal.entry(1)
                assert entry is not None
                (issue,) = entry.detail["issues"]
                assert (entry.state, issue["expression"]) == ("parked", "Observation.status")
                assert await everything(gateway) == []

        run(body())

    def test_the_unexpected_is_tried_again_and_then_parked(self, tmp_path: Path) -> None:
        async def body() -> None:
            maps = TrialMaps()
            async with running(tmp_path, maps=maps, retry_attempts=2, retry_seconds=0.01) as gateway:
                await take(gateway, hl7(obx=(("BOOM", "1", "F"),)))
                for _ in range(500):
                    entry = gateway.journal.entry(1)
                    assert entry is not None
                    if entry.state == "parked":
                        break
                    await asyncio.sleep(0.02)
                assert (entry.state, entry.attempts, maps.runs) == ("parked", 3, 3)
                assert entry.detail["issues"][0]["code"] == "HT-MSG-20"
                assert await everything(gateway) == []

        run(body())

    def test_a_store_out_of_reach_is_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def body() -> None:
            async with running(tmp_path, retry_seconds=1.5) as gateway:
                commit, failures = gateway.store.commit, [Unavailable("HT-MSG-41", detail="x"), None]

                async def flaky(changes: Any) -> Any:
                    if error := failures.pop(0) if failures else None:
                        raise error
                    return await commit(changes)

                monkeypatch.setattr(gateway.store, "commit", flaky)
                await take(gateway, hl7())
                assert gateway.journal.entry(1).state == "mapped"  # type: ignore[union-attr]
                for _ in range(200):
                    await asyncio.sleep(0.02)
                    if gateway.journal.entry(1).state == "stored":  # type: ignore[union-attr]
                        break
                assert len(await everything(gateway)) == 3

        run(body())

    def test_order_is_kept_for_a_patient_under_load(self, tmp_path: Path) -> None:
        """Without a sending time only the order of arrival decides."""

        async def body() -> None:
            async with running(tmp_path) as gateway:
                for number in range(90):
                    patient = f"P{number % 3}"
                    raw = hl7(
                        control_id=f"M{number}",
                        patient=patient,
                        sent="",
                        source=f"LIS|{patient}",
                        obx=(("WBC", str(number), "F"),),
                    )
                    await gateway.intake.take(raw, kind="hl7v2", channel="test", peer="t")
                await gateway.intake.drained()
                for patient in range(3):
                    id = hashed(f"P{patient}", "LAB1", "WBC")
                    history = [version async for version in gateway.store.history("Observation", id)]
                    values = [
                        decode_resource(version.body or b"{}")["valueString"] for version in reversed(history)
                    ]
                    assert values == [str(number) for number in range(90) if number % 3 == patient]

        run(body())


class TestAnalysersOwnMessages:
    def test_quality_control_needs_no_patient(self, tmp_path: Path) -> None:
        async def body() -> None:
            async with running(
                tmp_path, maps=active_maps(Settings(data=tmp_path, store="memory"))
            ) as gateway:
                control = (
                    b"MSH|^~\\&|Mindray|BS-430|||20260315070000||ORU^R01|2|P|2.3.1||||2||UNICODE\r"
                    b"OBR|1|2|TBil|Mindray^BS-430\rOBX|1|NM|2|TBil|15.6|umol/L\r"
                )
                answer = await gateway.intake.receive(control, peer="test")
                assert answer.now is not None
                assert b"MSA|AA|2" in answer.now
                await gateway.intake.drained()
                entry = gateway.journal.entry(1)
                assert entry is not None
                assert entry.state == "stored"
                assert [version async for version in gateway.store.history("Observation")] == []

        run(body())
