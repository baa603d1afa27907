"""ADT events about two records or a changed number, through the shipped maps into a store (HL7 v2.8 §3.3)."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from gateway.app import Gateway
from gateway.assembly.messages import active_maps
from gateway.settings import Settings
from terminology.fhirjson import Json, decode_resource
from tests.gateway.running import running

H1 = "urn:id:H1"


def adt(event: str, number: int, *segments: str) -> bytes:
    head = f"MSH|^~\\&|HIS|H1|GW|X|202603150830{number:02d}||ADT^{event}|C{number}|P|2.4||||||UNICODE UTF-8"
    return "\r".join((head, f"EVN|{event}|20260315083000", *segments)).encode() + b"\r"


def pid(number: str, name: str = "张三", alternate: str = "") -> str:
    return f"PID|1|{alternate}|{number}^^^H1^MR||{name}||19850101|M"


def pv1(visit: str, kind: str = "I") -> str:
    return f"PV1|1|{kind}|3F^301^05^H1{'|' * 16}{visit}"


async def take(gateway: Gateway, *messages: bytes) -> None:
    for message in messages:
        (taken,) = await gateway.intake.take(message, kind="hl7v2", channel="test", peer="test")
        assert taken.error is None, taken.error
        await gateway.intake.drained()
        entry = gateway.journal.entry(gateway.journal.last_id())
        assert entry is not None
        assert entry.state == "stored", entry.detail


async def all_of(gateway: Gateway, type: str) -> list[Json]:
    seen: dict[str, Json] = {}
    async for version in gateway.store.history(type):
        if version.id not in seen and version.body is not None:
            seen[version.id] = decode_resource(version.body)
    return list(seen.values())


def numbers(resource: Json, use: str | None = None) -> list[str]:
    return [row["value"] for row in resource["identifier"] if row.get("use") == use]


def story(folder: Path, body: Any) -> None:
    async def told() -> None:
        settings = Settings(data=folder, store="memory")
        async with running(folder, maps=active_maps(settings)) as gateway:
            await body(gateway)

    coroutine: Coroutine[Any, Any, None] = told()
    asyncio.run(asyncio.wait_for(coroutine, 60))


class TestLinks:
    """§3.3.24 A24, §3.3.37 A37"""

    def test_a24_links_both_and_a37_parts_them(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            await take(gateway, adt("A04", 1, pid("P1")), adt("A04", 2, pid("P2")))
            await take(gateway, adt("A24", 3, pid("P1"), pid("P2")))
            first, second = sorted(await all_of(gateway, "Patient"), key=numbers)
            assert first["link"] == [{"other": {"reference": f"Patient/{second['id']}"}, "type": "seealso"}]
            assert second["link"] == [{"other": {"reference": f"Patient/{first['id']}"}, "type": "seealso"}]
            assert (first["active"], second["active"]) == (True, True)
            await take(gateway, adt("A37", 4, pid("P1"), pid("P2")))
            people = await all_of(gateway, "Patient")
            assert len(people) == 2
            assert not any("link" in row for row in people)

        story(tmp_path, body)


class TestPatientNumbers:
    """§3.3.43 A43, §3.3.46–48 A46 A47 A48"""

    def test_a_changed_number_leads_to_the_same_record_also_twice(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            await take(
                gateway,
                adt("A04", 1, pid("P1")),
                adt("A47", 2, pid("P2"), "MRG|P1^^^H1^MR"),
                adt("A47", 3, pid("P3"), "MRG|P2^^^H1^MR"),
                adt("A08", 4, pid("P3", name="张三丰")),
            )
            (person,) = await all_of(gateway, "Patient")
            assert numbers(person) == ["P3"]
            assert person["name"] == [{"text": "张三丰"}]
            assert person["active"] is True

        story(tmp_path, body)

    def test_a_moved_number_leaves_its_former_owner_and_matches_the_new_one(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            wrong, right = "PID|1||E9^^^H1^PI~M7^^^H1^MR||李四", "PID|1||E1^^^H1^PI||张三"
            await take(gateway, adt("A04", 1, wrong), adt("A04", 2, right))
            await take(
                gateway, adt("A43", 3, "PID|1|E1^^^H1^PI|M7^^^H1^MR||张三", "MRG|M7^^^H1^MR|||E9^^^H1^PI")
            )
            owners = {row["name"][0]["text"]: row for row in await all_of(gateway, "Patient")}
            assert numbers(owners["张三"]) == ["E1", "M7"]
            assert (numbers(owners["李四"]), numbers(owners["李四"], "old")) == (["E9"], ["M7"])

        story(tmp_path, body)


class TestVisitNumbers:
    """§3.3.42 A42, §3.3.45 A45, §3.3.50 A50"""

    def test_a_renumbered_visit_keeps_its_record_and_status(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            await take(
                gateway,
                adt("A01", 1, pid("P1"), pv1("V1")),
                adt("A03", 2, pid("P1"), pv1("V1")),
                adt("A50", 3, pid("P1"), "MRG|P1^^^H1^MR||||V1", pv1("V2")),
            )
            (visit,) = await all_of(gateway, "Encounter")
            assert (numbers(visit), numbers(visit, "old")) == (["V2"], ["V1"])
            assert visit["status"] == "finished"
            (person,) = await all_of(gateway, "Patient")
            assert person["active"] is True
            assert "link" not in person
            await take(gateway, adt("A13", 4, pid("P1"), pv1("V2")))
            (visit,) = await all_of(gateway, "Encounter")
            assert visit["status"] == "in-progress"

        story(tmp_path, body)

    def test_a_visit_moves_to_the_right_person(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            await take(
                gateway,
                adt("A01", 1, pid("P9", name="李四"), pv1("V1")),
                adt("A04", 2, pid("P1")),
                adt("A45", 3, pid("P1"), "MRG|P9^^^H1^MR||||V1", pv1("V1")),
            )
            (visit,) = await all_of(gateway, "Encounter")
            owners = {row["id"]: row for row in await all_of(gateway, "Patient")}
            assert len(owners) == 2
            assert numbers(owners[visit["subject"]["reference"].partition("/")[2]]) == ["P1"]
            assert all(row["active"] for row in owners.values())

        story(tmp_path, body)

    def test_of_two_visits_that_are_one_the_other_leads_to_it(self, tmp_path: Path) -> None:
        async def body(gateway: Gateway) -> None:
            await take(
                gateway,
                adt("A01", 1, pid("P1"), pv1("V1")),
                adt("A01", 2, pid("P1"), pv1("V2")),
                adt("A42", 3, pid("P1"), "MRG|P1^^^H1^MR||||V1", pv1("V2")),
            )
            visits = {numbers(row)[0]: row for row in await all_of(gateway, "Encounter")}
            assert visits["V1"]["status"] == "entered-in-error"
            assert visits["V1"]["partOf"] == {"reference": f"Encounter/{visits['V2']['id']}"}
            assert visits["V2"]["status"] == "in-progress"

        story(tmp_path, body)
