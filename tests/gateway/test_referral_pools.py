"""Numbers and beds (china.md seed 22): one winner a slot, stop notice, green channel, bed pool, figures."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gateway.referral.watch import ReferralWatch
from gateway.workflow.coordination import task_id
from terminology.fhirjson import Json
from tests.gateway.running import run
from tests.gateway.test_referral import County, E, codes_of, county, override, phase_of, referral, result

ZONE = ZoneInfo("Asia/Shanghai")


def schedule(**more: object) -> Json:
    return {
        "resourceType": "Schedule",
        "id": "s",
        "active": True,
        "actor": [{"display": "心血管内科"}],
        **more,
    }


def slot(id: str, hours: float = 24, **more: object) -> Json:
    start = datetime.now(ZONE) + timedelta(hours=hours)
    return {
        "resourceType": "Slot", "id": id, "schedule": {"reference": "Schedule/s"}, "status": "free",
        "start": start.isoformat(timespec="seconds"), "end": (start + timedelta(minutes=15)).isoformat(timespec="seconds"), **more,
    }  # fmt: skip


GREEN = [{"url": f"{E}green-channel", "valueBoolean": True}]
PATIENT = {"reference": "Patient/p"}
ORDER = {"reference": "ServiceRequest/r"}


async def pool(client: County, *slots: Json) -> None:
    for row in (schedule(), *slots):
        await client.put(row)


async def appointments(client: County) -> list[Json]:
    found = await client.get("Appointment?_count=500")
    return [row["resource"] for row in found.get("entry", ())]


class TestNumbers:
    @pytest.mark.parametrize("store", ["memory", "sqlite"])
    def test_of_a_hundred_bookings_of_one_number_one_wins(self, tmp_path: Path, store: str) -> None:
        async def many() -> None:
            async with county(tmp_path, store=store) as client:
                await pool(client, slot("n"))
                body = {
                    "resourceType": "Parameters",
                    "parameter": [{"name": "patient", "valueReference": PATIENT}],
                }
                plain = {"resourceType": "Appointment", "status": "booked", "slot": [{"reference": "Slot/n"}],
                         "participant": [{"actor": PATIENT, "status": "accepted"}]}  # fmt: skip
                # Half of them call the operation, half create the resource: the same rule holds.
                answers = await asyncio.gather(
                    *(client.http.post("/Slot/n/$book", json=body) for _ in range(50)),
                    *(client.http.post("/Appointment", json=plain) for _ in range(50)),
                )
                states = sorted(answer.status_code for answer in answers)
                assert states == [201, *([409] * 99)]
                lost = {
                    code
                    for answer in answers
                    if answer.status_code == 409
                    for code in codes_of(answer.json())
                }
                assert lost == {"HT-REF-21"}
                assert len(await appointments(client)) == 1
                assert (await client.get("Slot/n"))["status"] == "busy"

        run(many())

    def test_a_hundred_bookings_of_a_session_share_its_numbers(self, tmp_path: Path) -> None:
        async def many() -> None:
            async with county(tmp_path) as client:
                await pool(client, *(slot(f"n{n}", 24 + n) for n in range(30)))
                body = {
                    "resourceType": "Parameters",
                    "parameter": [{"name": "patient", "valueReference": PATIENT}],
                }
                answers = await asyncio.gather(
                    *(client.http.post("/Schedule/s/$book", json=body) for _ in range(100))
                )
                won = [answer.json() for answer in answers if answer.status_code == 201]
                assert len(won) == len({row["slot"][0]["reference"] for row in won}) == 30
                assert {codes_of(row.json())[0] for row in answers if row.status_code != 201} == {"HT-REF-24"}

        run(many())

    def test_a_number_that_is_given_back_is_free_again(self, tmp_path: Path) -> None:
        async def back() -> None:
            async with county(tmp_path) as client:
                await pool(client, slot("n"), slot("m", 25))
                made = await client.operate("/Schedule/s/$book", 201, patient=PATIENT)
                assert made["start"] == (await client.get("Slot/n"))["start"]
                moved = await client.put({**made, "slot": [{"reference": "Slot/m"}]})
                assert [(await client.get(f"Slot/{id}"))["status"] for id in ("n", "m")] == ["free", "busy"]
                await client.put({**moved, "status": "cancelled"})
                assert (await client.get("Slot/m"))["status"] == "free"
                again = await client.operate("/Slot/m/$book", 201, patient=PATIENT)
                assert (await client.http.delete(f"/Appointment/{again['id']}")).status_code in (200, 204)
                assert (await client.get("Slot/m"))["status"] == "free"

        run(back())

    def test_who_did_not_come_had_his_number(self, tmp_path: Path) -> None:
        async def noshow() -> None:
            async with county(tmp_path) as client:
                await pool(client, slot("n"))
                made = await client.operate("/Slot/n/$book", 201, patient=PATIENT)
                await client.put({**made, "status": "noshow"})
                assert (await client.get("Slot/n"))["status"] == "busy"

        run(noshow())

    def test_numbers_kept_for_the_green_channel(self, tmp_path: Path) -> None:
        """W8: priority booking"""

        async def green() -> None:
            async with county(tmp_path) as client:
                await pool(client, slot("n", extension=GREEN))
                await client.put(referral())
                await client.put(referral("g", priority="stat"))
                for path, code in (("/Slot/n/$book", "HT-REF-23"), ("/Schedule/s/$book", "HT-REF-24")):
                    assert codes_of(await client.operate(path, 409, basedOn=ORDER)) == [code]
                made = await client.operate(
                    "/Schedule/s/$book", 201, basedOn={"reference": "ServiceRequest/g"}
                )
                assert made["priority"] == 1
                assert phase_of(await client.task("g")) == ("accepted", "scheduled")

        run(green())

    def test_bad_input(self, tmp_path: Path) -> None:
        async def bad() -> None:
            async with county(tmp_path) as client:
                await pool(client, slot("n"))
                assert codes_of(await client.operate("/Slot/n/$book", 400)) == ["HT-WF-40"]
                gone = {"reference": "ServiceRequest/none"}
                assert codes_of(await client.operate("/Slot/n/$book", 409, basedOn=gone)) == ["HT-REF-26"]
                unknown = {"resourceType": "Appointment", "id": "x", "status": "booked", "slot": [{"reference": "Slot/none"}],
                           "participant": [{"actor": PATIENT, "status": "accepted"}]}  # fmt: skip
                assert codes_of(await client.put(unknown, 409)) == ["HT-REF-20"]
                await client.operate("/Slot/none/$book", 404, patient=PATIENT)
                assert (await client.get("Slot/n"))["status"] == "free"

        run(bad())


class TestStopNotice:
    """停诊: IST-YY6, YY7"""

    def test_what_was_booked_is_cancelled_and_nothing_more_is_booked(self, tmp_path: Path) -> None:
        async def stop() -> None:
            async with county(tmp_path) as client:
                await pool(client, slot("n"), slot("m", 25), slot("past", -2))
                await client.put(referral())
                await client.operate("/Slot/n/$book", 201, basedOn=ORDER)
                await client.operate("/Slot/past/$book", 201, patient=PATIENT)
                assert phase_of(await client.task()) == ("accepted", "scheduled")
                await client.put(schedule(active=False, comment="医生外出会诊"))
                watch = ReferralWatch(
                    client.gateway.store, tmp_path / "watch.json", clock=lambda: datetime.now(ZONE)
                )
                await watch.look()
                await watch.look()
                stopped = {row["slot"][0]["reference"]: row for row in await appointments(client)}
                assert stopped["Slot/n"]["status"] == "cancelled"
                assert stopped["Slot/n"]["cancelationReason"]["text"] == "医生外出会诊"
                assert stopped["Slot/past"]["status"] == "booked"
                assert phase_of(await client.task()) == ("accepted", "accepted")
                assert [reason for reason, _ in await client.told()][-1] == "accepted"
                for path in ("/Slot/m/$book", "/Schedule/s/$book"):
                    assert codes_of(await client.operate(path, 409, patient=PATIENT)) == ["HT-REF-22"]
                await client.put(schedule())
                await client.operate("/Schedule/s/$book", 201, basedOn=ORDER)
                assert phase_of(await client.task()) == ("accepted", "scheduled")

        run(stop())


class TestBeds:
    def test_a_bed_is_kept_for_one_referral_until_it_ends(self, tmp_path: Path) -> None:
        async def beds() -> None:
            async with county(tmp_path) as client:
                await client.put({"resourceType": "Location", "id": "ward", "name": "心内一区"})
                for number in range(2):
                    await client.put(bed(f"b{number}"))
                for id in ("a", "b", "c"):
                    await client.put(referral(id))
                answers = await asyncio.gather(
                    *(client.http.post("/Location/ward/$book", json=for_order(id)) for id in ("a", "b", "c"))
                )
                assert sorted(row.status_code for row in answers) == [200, 200, 409]
                [lost] = [row.json() for row in answers if row.status_code == 409]
                assert codes_of(lost) == ["HT-REF-25"]
                found = await client.get("Location/$bed-pool?organization=Organization/county")
                assert [row.get("valueInteger") for row in found["parameter"][:2]] == [2, 0]
                assert found["parameter"][2]["part"] == [
                    {"name": "ward", "valueReference": {"reference": "Location/ward"}}, {"name": "O", "valueInteger": 2}
                ]  # fmt: skip
                kept = next(row.json() for row in answers if row.status_code == 200)
                order = kept["extension"][0]["valueReference"]["reference"]
                task = await client.get(f"Task/{task_id('order', order.partition('/')[2])}")
                await client.move(task, status="rejected", statusReason={"text": "无法收治"})
                assert (await client.get(f"Location/{kept['id']}"))["operationalStatus"]["code"] == "U"
                assert "extension" not in await client.get(f"Location/{kept['id']}")

        run(beds())

    def test_a_bed_where_the_patient_lay_is_cleaned(self, tmp_path: Path) -> None:
        async def beds() -> None:
            async with county(tmp_path) as client:
                await client.put(bed("b"))
                await client.put(referral())
                await client.operate("/Location/b/$book", basedOn=ORDER)
                assert codes_of(await client.operate("/Location/b/$book", 409, basedOn=ORDER)) == [
                    "HT-REF-25"
                ]
                task = await client.move(await client.task(), status="accepted")
                task = await client.move(task, status="in-progress")
                await client.move(task, status="completed", output=[result("DocumentReference/discharge")])
                assert (await client.get("Location/b"))["operationalStatus"]["code"] == "H"
                assert codes_of(await client.operate("/Location/b/$book", 409, basedOn=ORDER)) == [
                    "HT-REF-26"
                ]
                assert codes_of(await client.operate("/Location/b/$book", 400)) == ["HT-WF-40"]

        run(beds())


def bed(id: str) -> Json:
    return {
        "resourceType": "Location", "id": id, "physicalType": {"coding": [{"code": "bd"}]}, "partOf": {"reference": "Location/ward"},
        "managingOrganization": {"reference": "Organization/county"},
        "operationalStatus": {"system": "http://terminology.hl7.org/CodeSystem/v2-0116", "code": "U"},
    }  # fmt: skip


def for_order(id: str) -> Json:
    row = {"name": "basedOn", "valueReference": {"reference": f"ServiceRequest/{id}"}}
    return {"resourceType": "Parameters", "parameter": [row]}


def test_a_visit_at_home_ends_the_follow_up(tmp_path: Path) -> None:
    """W7"""

    async def visit() -> None:
        async with county(tmp_path) as client:
            papers = [{"reference": "DocumentReference/discharge"}, {"reference": "List/drugs"}]
            order = referral(
                way="down", sender="Organization/county", to="Organization/town", supportingInfo=papers
            )
            await client.put(order)
            await client.move(await client.task(), status="accepted")
            seen = {
                "resourceType": "Encounter",
                "id": "v",
                "status": "in-progress",
                "class": {"code": "HH"},
                "subject": PATIENT,
                "basedOn": [ORDER],
            }
            await client.put(seen)
            assert phase_of(await client.task()) == ("in-progress", "arrived")
            await client.put({**seen, "status": "finished"})
            watch = ReferralWatch(
                client.gateway.store, tmp_path / "watch.json", clock=lambda: datetime.now(ZONE)
            )
            await watch.look()
            plan = await client.get("CarePlan/referral-r")
            assert plan["status"] == "completed"
            [activity] = plan["activity"]
            assert activity["detail"]["status"] == "completed"
            assert activity["outcomeReference"] == [{"reference": "Encounter/v"}]
            assert (await client.get("CarePlan/$due?within=30"))["parameter"] == [
                {"name": "total", "valueInteger": 0}
            ]

    run(visit())


def test_the_figures(tmp_path: Path) -> None:
    """W8: reported as a statistic"""

    async def count() -> None:
        async with county(tmp_path) as client:
            await client.put(referral("a", priority="stat"))
            await client.put(referral("b", icd="J00.x00", **override("complication")))
            await client.move(await client.task("b"), status="accepted")
            papers = [{"reference": "DocumentReference/discharge"}, {"reference": "List/drugs"}]
            await client.put(
                referral(
                    "c", "down", sender="Organization/county", to="Organization/town", supportingInfo=papers
                )
            )
            found = await client.get("ServiceRequest/$referral-statistics?organization=Organization/town")
            told = {
                row["name"]: {part["name"]: part["valueInteger"] for part in row["part"]}
                for row in found["parameter"][1:]
            }
            assert found["parameter"][0] == {"name": "total", "valueInteger": 3}
            assert told["direction"] == {"up": 2, "down": 1}
            assert told["status"] == {"requested": 2, "accepted": 1}
            assert told["green-channel"] == {"stat": 1}
            assert told["override"] == {"complication": 1}
            none = await client.get("ServiceRequest/$referral-statistics?organization=Organization/city")
            assert none["parameter"] == [{"name": "total", "valueInteger": 0}]
            assert (await client.get("ServiceRequest/$referral-statistics?end=2020-01-01"))["parameter"][0][
                "valueInteger"
            ] == 0

    run(count())
