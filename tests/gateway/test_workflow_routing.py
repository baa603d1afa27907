"""Where orders go: item, organisation, load and calendar; packs by date (workflows W1–W5)."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.store.memory import MemoryStore
from gateway.workflow.packs import PackShelf, load_packs
from gateway.workflow.routing import is_open, service_is_open
from terminology.fhirjson import Json
from terminology.issues import InvalidInput
from tests.gateway.server import CHINA, Server
from tests.gateway.test_workflow_enforcement import CATEGORY, TOWN, made, order

MONDAY_10 = datetime(2026, 5, 11, 10, tzinfo=CHINA)
MONDAY_13 = datetime(2026, 5, 11, 13, tzinfo=CHINA)
SUNDAY_10 = datetime(2026, 5, 10, 10, tzinfo=CHINA)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "packs"
    found.mkdir()
    return found


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A county that writes its own routing pack into `folder` before it asks."""
    found = Server(MemoryStore(), workflow=True, workflow_packs=folder)
    found.clock = lambda: MONDAY_10
    yield found
    found.close()


def write(
    folder: Path, rules: str, *, version: str = "1", effective: str = "2026-02-01", name: str = "routing"
) -> None:
    (folder / f"{name}-{version}.yaml").write_text(
        f"pack: {name}\nversion: {version}\neffective: {effective}\nsource: 县信息中心\nrules:\n{rules}",
        "utf-8",
    )


def pack(server: Server, folder: Path, rules: str, **more: str) -> None:
    write(folder, rules, **more)
    # The shelf looks every two seconds; a test does not wait for it.
    server.store.shelf._looked = -10.0  # type: ignore[attr-defined]  # the guarded store


def lost(**elements: Any) -> Json:
    resource = order(**elements)
    del resource["performer"]
    return resource


def owner(server: Server, resource: Json, **headers: str) -> str | None:
    found = made(server, resource, **(headers or TOWN))
    answer = server.request("GET", f"Task/order-{found['id']}")
    return answer.json()["owner"]["reference"] if answer.status_code == 200 else None


class TestRows:
    def test_by_category_item_placer_and_priority(self, server: Server, folder: Path) -> None:
        pack(
            server, folder,
            "  - {category: imaging, items: [MR001], to: Organization/city}\n"
            "  - {category: imaging, placers: [Organization/far], to: Organization/west}\n"
            "  - {category: imaging, priorities: [stat], to: Organization/hospital}\n"
            "  - {category: imaging, to: Organization/imaging}\n",
        )  # fmt: skip
        magnet = {"coding": [{"system": "urn:items", "code": "MR001"}]}
        assert owner(server, lost(code=magnet)) == "Organization/city"
        far = {"x_hutong_organization": "far", "x_hutong_roles": "ord"}
        assert owner(server, lost(), **far) == "Organization/west"
        assert owner(server, lost(priority="stat")) == "Organization/hospital"
        assert owner(server, lost()) == "Organization/imaging"
        assert owner(server, lost(category=[{"coding": [{"system": CATEGORY, "code": "ecg"}]}])) is None

    def test_the_least_loaded(self, server: Server, folder: Path) -> None:
        pack(
            server, folder, "  - {category: imaging, to: [Organization/a, Organization/b, Organization/c]}\n"
        )
        got = [owner(server, lost()) for _ in range(9)]
        assert sorted(got) == sorted([f"Organization/{name}" for name in "abc"] * 3)  # type: ignore[type-var]

    def test_open_hours(self, server: Server, folder: Path) -> None:
        pack(
            server, folder,
            "  - {category: imaging, to: Organization/day, hours: {mon-fri: '08:00-12:00 14:00-17:30'}, closed: next}\n"
            "  - {category: imaging, to: Organization/always}\n",
        )  # fmt: skip
        assert owner(server, lost()) == "Organization/day"
        server.clock = lambda: MONDAY_13
        assert owner(server, lost()) == "Organization/always"
        server.clock = lambda: SUNDAY_10
        assert owner(server, lost()) == "Organization/always"

    def test_a_closed_centre_keeps_the_order_waiting(self, server: Server, folder: Path) -> None:
        pack(
            server, folder, "  - {category: imaging, to: Organization/day, hours: {mon-fri: '08:00-12:00'}}\n"
        )
        server.clock = lambda: SUNDAY_10
        found = made(server, lost(), **TOWN)
        task = server.request("GET", f"Task/order-{found['id']}").json()
        assert task["owner"] == {"reference": "Organization/day"}
        assert "the centre is closed now" in task["note"][0]["text"]

    def test_what_the_order_names_comes_first(self, server: Server, folder: Path) -> None:
        pack(server, folder, "  - {category: imaging, to: Organization/a}\n")
        assert owner(server, order()) == "Organization/imaging"


class TestServices:
    def service(self, server: Server, id: str, **elements: Any) -> None:
        resource = {
            "resourceType": "HealthcareService", "id": id, "active": True,
            "providedBy": {"reference": f"Organization/{id}"},
            "category": [{"coding": [{"system": CATEGORY, "code": "imaging"}]}], **elements,
        }  # fmt: skip
        server.request("PUT", f"HealthcareService/{id}", resource)

    def test_the_service_that_names_the_item_comes_first(self, server: Server) -> None:
        self.service(server, "general")
        self.service(server, "magnet", type=[{"coding": [{"code": "MR001"}]}])
        assert (
            owner(server, lost(code={"coding": [{"system": "urn:i", "code": "MR001"}]}))
            == "Organization/magnet"
        )
        assert owner(server, lost()) == "Organization/general"

    def test_calendar(self, server: Server) -> None:
        self.service(
            server,
            "holiday",
            notAvailable=[{"description": "x", "during": {"start": "2026-05-11", "end": "2026-05-12"}}],
        )
        self.service(server, "here")
        assert owner(server, lost()) == "Organization/here"

    def test_one_that_is_switched_off(self, server: Server) -> None:
        self.service(server, "off", active=False)
        assert owner(server, lost()) is None

    @pytest.mark.parametrize(
        ("service", "now", "expected"),
        [
            ({}, SUNDAY_10, True),
            ({"availableTime": [{"daysOfWeek": ["mon"], "allDay": True}]}, MONDAY_13, True),
            ({"availableTime": [{"daysOfWeek": ["mon"], "allDay": True}]}, SUNDAY_10, False),
            (
                {"availableTime": [{"availableStartTime": "08:00:00", "availableEndTime": "12:00:00"}]},
                MONDAY_10,
                True,
            ),
            (
                {"availableTime": [{"availableStartTime": "08:00:00", "availableEndTime": "12:00:00"}]},
                MONDAY_13,
                False,
            ),
            ({"notAvailable": [{"during": {"start": "2026-05-10"}}]}, MONDAY_10, False),
            ({"notAvailable": [{"during": {"start": "2026-05-01", "end": "2026-05-05"}}]}, MONDAY_10, True),
        ],
    )
    def test_when_a_service_is_open(self, service: Json, now: datetime, expected: bool) -> None:
        assert service_is_open(service, now) is expected


@pytest.mark.parametrize(
    ("hours", "now", "expected"),
    [
        (None, SUNDAY_10, True),
        ({"mon-fri": "08:00-12:00 14:00-17:30"}, MONDAY_10, True),
        ({"mon-fri": "08:00-12:00 14:00-17:30"}, MONDAY_13, False),
        ({"mon": "08:00-24:00"}, MONDAY_13, True),
        ({"sun": "00:00-24:00"}, SUNDAY_10, True),
        ({"sat-sun": "00:00-24:00"}, MONDAY_10, False),
    ],
)
def test_hours(hours: dict[str, str] | None, now: datetime, expected: bool) -> None:
    assert is_open(hours, now) is expected


class TestPacks:
    def test_the_newest_in_force_counts(self, folder: Path) -> None:
        write(folder, "  []\n", version="1", effective="2026-02-01")
        write(folder, "  [x]\n", version="2", effective="2026-06-01")
        shelf = PackShelf(folder)
        assert shelf.at(date(2026, 1, 15))["routing"].is_shipped
        assert shelf.at(date(2026, 5, 31))["routing"].version == "1"
        assert shelf.at(date(2026, 6, 1))["routing"].version == "2"
        assert (
            shelf.at(date(2026, 6, 1)).uri("routing") == "https://hutong.health/fhir/workflow-pack/routing/2"
        )

    def test_every_shipped_pack_is_in_force_and_names_its_source(self) -> None:
        packs = PackShelf().at(date(2026, 3, 1))
        assert {"routing", "limits", "phases", "signing", "senders", "order-control"} <= set(packs.by_id)
        assert all(pack.source for pack in packs.by_id.values())

    def test_a_broken_file_is_told_with_its_name(self, folder: Path) -> None:
        (folder / "x.yaml").write_text("pack: x\nversion: 1\n")
        with pytest.raises(InvalidInput) as caught:
            load_packs(folder)
        assert caught.value.issues[0].code == "HT-WF-30"
        assert caught.value.issues[0].values["file"] == "x.yaml"

    def test_one_that_breaks_while_running_stops_nobody(self, folder: Path) -> None:
        now = 0.0
        write(folder, "  [a]\n")
        shelf = PackShelf(folder, clock=lambda: now)
        (folder / "routing-2.yaml").write_text("pack: [")
        now = 10.0
        assert shelf.at(date(2026, 3, 1)).rules("routing") == ["a"]
        write(folder, "  [b]\n", version="2", effective="2026-02-02")
        now = 20.0
        assert shelf.at(date(2026, 3, 1)).rules("routing") == ["b"]
