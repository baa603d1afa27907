"""Certificates and their states, overrides, proposals, quality, presets (docs/conformance.md)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml

from conformance.reports import to_document
from conformance.reports.certificate_pdf import to_certificate_pdf
from conformance.testing.preset import presets, save_preset, with_preset
from conformance.testing.quality import Sample, measure, meets
from conformance.testing.requirements import load_register
from conformance.testing.result import Result, Step
from conformance.testing.verdict import verdicts
from gateway.cli.members import override, proposals, quality, status
from gateway.gate import Gate
from gateway.members.nightly import Nightly, drift, smoke_tests
from gateway.members.registry import Registry
from gateway.members.routes import MemberRoutes
from gateway.rest.request import Request
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Commit, Put, Store
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, FhirError, Forbidden, InvalidInput, NotFound
from tests.suites.member import examine

CHINA = timezone(timedelta(hours=8))
TARGET: Json = {"member": "H1", "vendor": "厂商", "product": "LIS", "version": "3.2", "roles": ["lis"]}
T = TypeVar("T")


class Clock:
    now = datetime(2026, 3, 15, 8, 0, tzinfo=CHINA)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Registry:
    return Registry(tmp_path / "certificates", clock=clock)


def good(role: str = "lis") -> list[Result]:
    """Results in which every requirement of a role holds."""
    return [
        Result(f"T-{row.id}", "测", "t", [Step("expect", "x", "pass")], (row.id,), (role,))
        for row in load_register().values()
        if role in row.roles
    ]


def certified(registry: Registry, role: str = "lis") -> None:
    rows = {role: verdicts(load_register(), good(role), role=role, today=registry.clock().date())}
    registry.issue(TARGET | {"roles": [role]}, rows, run="r1", suite_hash="abc", by="信息中心")


class TestStates:
    """draft → testing → certified → suspended → certified → revoked"""

    def test_the_whole_way(self, registry: Registry) -> None:
        assert registry.enter(TARGET, by="甲").state == "draft"
        assert registry.move("H1", "testing", by="甲", reason="开始测试").state == "testing"
        certified(registry)
        assert registry.certificate("H1").state == "certified"
        assert registry.move("H1", "suspended", by="甲", reason="数据质量").state == "suspended"
        assert registry.move("H1", "certified", by="甲", reason="已修复").state == "certified"
        assert registry.move("H1", "revoked", by="甲", reason="停用").state == "revoked"
        words = [row["now"] for row in registry.ledger.rows()]
        assert words == ["draft", "testing", "certified", "suspended", "certified", "revoked"]
        assert registry.ledger.is_whole()

    @pytest.mark.parametrize("wanted", ["certified", "conditional"])
    def test_a_working_state_comes_from_a_run_only(self, registry: Registry, wanted: str) -> None:
        registry.enter(TARGET, by="甲")
        registry.move("H1", "testing", by="甲", reason="x")
        with pytest.raises(BusinessRule, match="HT-CT-43"):
            registry.move("H1", wanted, by="甲", reason="快一点")

    @pytest.mark.parametrize(("by", "reason"), [("", "x"), ("甲", " ")])
    def test_nothing_changes_without_name_and_reason(self, registry: Registry, by: str, reason: str) -> None:
        certified(registry)
        with pytest.raises(InvalidInput, match="HT-CT-50"):
            registry.move("H1", "suspended", by=by, reason=reason)
        assert registry.certificate("H1").state == "certified"

    def test_a_revoked_member_gets_no_other(self, registry: Registry) -> None:
        certified(registry)
        registry.move("H1", "revoked", by="甲", reason="x")
        with pytest.raises(BusinessRule):
            certified(registry)

    def test_it_expires_by_itself(self, registry: Registry, clock: Clock) -> None:
        certified(registry)
        later = clock.now.date() + timedelta(days=366)
        assert registry.certificate("H1").state_on(later) == "expired"

    def test_a_changed_ledger_is_told(self, registry: Registry) -> None:
        certified(registry)
        registry.move("H1", "suspended", by="甲", reason="x")
        path = registry.ledger.path
        path.write_text(path.read_text("utf-8").replace("信息中心", "别人"), "utf-8")
        assert not registry.ledger.is_whole()

    def test_any_letter_may_stand_in_a_reason(self, registry: Registry) -> None:
        certified(registry)
        registry.move("H1", "suspended", by="甲", reason="第一行\u2028第二行\x85\n第三行")
        registry.move("H1", "certified", by="甲", reason="x" * 9_000)
        registry.move("H1", "suspended", by="甲", reason="y")
        assert [row["now"] for row in registry.ledger.rows()] == [
            "certified", "suspended", "certified", "suspended",
        ]  # fmt: skip
        assert registry.ledger.is_whole()

    def test_half_a_line_of_a_power_cut_was_never_given_back(self, registry: Registry) -> None:
        certified(registry)
        with registry.ledger.path.open("ab") as file:
            file.write(b'{"at": "2026-03')
        assert registry.ledger.is_whole()
        registry.move("H1", "suspended", by="甲", reason="x")
        assert [row["now"] for row in registry.ledger.rows()] == ["certified", "suspended"]
        assert registry.ledger.is_whole()

    def test_two_who_decide_at_once_lose_nothing(self, registry: Registry, clock: Clock) -> None:
        other = Registry(registry.folder, clock=clock)
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda n: (registry, other)[n % 2].ask_override(
                        f"H{n}", reason="急救系统停机", by="甲", hours=4
                    ),
                    range(24),
                )
            )
        assert {row["member"] for row in registry.overrides()} == {f"H{n}" for n in range(24)}
        assert len({row["id"] for row in registry.overrides()}) == 24
        assert registry.ledger.is_whole()

    @pytest.mark.parametrize("member", ["../x", "", "a b"])
    def test_a_name_stays_in_the_folder(self, registry: Registry, member: str) -> None:
        with pytest.raises(InvalidInput):
            registry.certificate(member)


class TestGate:
    def gate(self, registry: Registry) -> Gate:
        return Gate(registry.folder, clock=registry.clock, header="x-hutong-member")

    def test_certified_in_suspended_out(self, registry: Registry, clock: Clock) -> None:
        certified(registry)
        gate = self.gate(registry)
        gate.check("H1", "ORU^R01")
        registry.move("H1", "suspended", by="甲", reason="x")
        clock.now += timedelta(seconds=3)
        with pytest.raises(Forbidden) as caught:
            gate.check("H1", "ORU^R01")
        assert caught.value.issues[0].values["reason"] == "suspended"

    def test_the_failing_requirement_and_where_to_read_it(self, registry: Registry) -> None:
        rows = [row for row in good() if row.requirements != ("LI-OBX-6",)]
        wrong = Result("T", "测", "t", [Step("expect", "x", "fail")], ("LI-OBX-6",), ("lis",))
        found = {"lis": verdicts(load_register(), [*rows, wrong], role="lis", today=registry.clock().date())}
        with pytest.raises(BusinessRule, match="HT-CT-41"):
            registry.issue(TARGET, found, run="r7", suite_hash="abc", by="甲")
        with pytest.raises(Forbidden) as caught:
            self.gate(registry).check("H1", "ORU^R01")
        [issue] = caught.value.issues
        assert issue.code == "HT-CT-53"
        assert "LI-OBX-6" in issue.text("zh")
        assert "/conformance/runs/r7/html" in issue.text("en")

    def test_an_override_needs_two_people_and_ends(self, registry: Registry, clock: Clock) -> None:
        asked = registry.ask_override("H1", reason="疫情", by="甲", hours=2)
        gate = self.gate(registry)
        with pytest.raises(Forbidden):
            gate.check("H1", "ORU^R01")
        with pytest.raises(BusinessRule, match="HT-CT-45"):
            registry.approve_override(asked["id"], by="甲")
        registry.approve_override(asked["id"], by="乙")
        clock.now += timedelta(seconds=3)
        gate.check("H1", "ORU^R01")
        assert [row["event"] for row in registry.ledger.rows()] == [
            "override-asked",
            "override-approved",
            "override-used",
        ]
        clock.now += timedelta(hours=2)
        with pytest.raises(Forbidden):
            gate.check("H1", "ORU^R01")

    @pytest.mark.parametrize(("reason", "hours"), [("", 2), ("x", 25), ("x", 0), ("x", -1)])
    def test_an_override_is_bounded(self, registry: Registry, reason: str, hours: float) -> None:
        with pytest.raises(BusinessRule):
            registry.ask_override("H1", reason=reason, by="甲", hours=hours)

    def test_it_is_approved_once(self, registry: Registry) -> None:
        asked = registry.ask_override("H1", reason="x", by="甲", hours=1)
        registry.approve_override(asked["id"], by="乙")
        with pytest.raises(BusinessRule, match="HT-CT-51"):
            registry.approve_override(asked["id"], by="丙")
        with pytest.raises(NotFound):
            registry.approve_override("o9", by="丙")


class TestProposals:
    def test_a_person_decides(self, registry: Registry) -> None:
        certified(registry)
        proposal = registry.propose("H1", kind="quality", facts={"grade": "D"})
        assert proposal is not None
        assert registry.propose("H1", kind="quality", facts={"grade": "E"}) is None
        assert registry.certificate("H1").state == "certified"
        registry.decide(proposal["id"], accept=True, by="甲", reason="核实")
        assert registry.certificate("H1").state == "suspended"
        with pytest.raises(BusinessRule, match="HT-CT-51"):
            registry.decide(proposal["id"], accept=False, by="甲", reason="x")

    def test_dismissed_changes_nothing(self, registry: Registry) -> None:
        certified(registry)
        proposal = registry.propose("H1", kind="smoke", facts={})
        assert proposal is not None
        registry.decide(proposal["id"], accept=False, by="甲", reason="停电")
        assert registry.certificate("H1").state == "certified"

    def test_who_has_no_certificate_needs_no_suspension(self, registry: Registry) -> None:
        assert registry.propose("H2", kind="smoke", facts={}) is None


def patient(id: str, **more: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": id,
        "identifier": [{"system": "s", "value": id}],
        "name": [{"text": "甲"}],
        "gender": "male",
        "birthDate": "1980-01-01",
    } | more


def result(id: str, **more: Any) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2823-3"}]},
        "subject": {"reference": "Patient/p"},
        "effectiveDateTime": f"2026-03-1{id[-1]}T08:00:00+08:00",
        "issued": f"2026-03-1{id[-1]}T09:00:00+08:00",
        "valueQuantity": {"value": 4},
        "referenceRange": [{"text": "3-5"}],
    } | more


class TestQuality:
    NOW = datetime(2026, 3, 11, 10, 0, tzinfo=CHINA)

    def of(self, *rows: Json, received: datetime | None = None) -> Any:
        samples = [Sample(row, received or datetime(2026, 3, 19, 10, 0, tzinfo=CHINA)) for row in rows]
        return measure(
            samples, exists={"Patient/p"}.__contains__, is_mapped=lambda system: system.startswith("http")
        )

    def shares(self, found: Any) -> dict[str, float | None]:
        return {row.name: row.share for row in found.measures}

    def test_clean_data_is_an_a(self) -> None:
        found = self.of(patient("p"), result("o1"), received=self.NOW)
        assert set(self.shares(found).values()) == {1.0}
        assert found.grade == "A"

    def test_each_measure_sees_its_fault(self) -> None:
        clean = self.shares(self.of(patient("p"), result("o1"), received=self.NOW))
        for name, row in (
            ("completeness", result("o1", referenceRange=None)),
            ("mapping", result("o1", code={"coding": [{"system": "urn:local", "code": "K"}]})),
            ("references", result("o1", subject={"reference": "Patient/gone"})),
            ("timeliness", result("o1", issued="2026-03-09T09:00:00+08:00")),
        ):
            found = self.shares(self.of(patient("p"), row, received=self.NOW))
            assert {key for key in clean if found[key] != clean[key]} == {name}

    def test_duplicates(self) -> None:
        found = self.of(
            patient("p"), patient("q", identifier=[{"system": "s", "value": "p"}]), result("o1"), result("x1")
        )
        assert self.shares(found)["duplicates"] == 0.5

    def test_not_observed_is_no_grade(self) -> None:
        found = self.of()
        assert found.grade is None
        assert not meets(found.grade, "E")

    def test_grades_have_an_order(self) -> None:
        assert meets("A", "B")
        assert meets("C", "C")
        assert not meets("D", "C")

    @pytest.mark.parametrize(
        ("earlier", "score", "fall"),
        [
            ([0.95, 0.94, 0.96], 0.80, True),
            ([0.95, 0.94, 0.96], 0.90, False),
            ([0.95, None], 0.1, False),
            ([0.9] * 5, None, False),
        ],
    )
    def test_drift(self, earlier: list[float | None], score: float | None, fall: bool) -> None:
        assert (drift(earlier, score) is not None) is fall


class TestPresets:
    def test_the_second_site_starts_pre_filled(self, tmp_path: Path) -> None:
        first = TARGET | {
            "listen": {"host": "10.0.0.1", "port": 2577, "seconds": 90},
            "fhir": {
                "base": "https://h1.example",
                "headers": {"Authorization": "Bearer secret"},
                "seconds": 5,
            },
            "not_applicable": {"FS-XML": "JSON only"},
            "evidence": {"X": "y"},
            "waivers": [{}],
        }
        path = save_preset(first, tmp_path)
        assert "secret" not in path.read_text("utf-8")
        assert "h1.example" not in path.read_text("utf-8")
        second = with_preset(
            {"member": "H2", "preset": path.stem, "listen": {"port": 2600}}, presets(tmp_path)
        )
        assert second["roles"] == ["lis"]
        assert second["listen"] == {"port": 2600, "seconds": 90}
        assert second["not_applicable"] == {"FS-XML": "JSON only"}
        assert "evidence" not in second
        assert "waivers" not in second

    def test_shipped_ones_name_known_roles(self) -> None:
        known = {role for row in load_register().values() for role in row.roles}
        assert len(presets()) >= 3
        assert all(set(row["roles"]) <= known for row in presets().values())

    def test_an_unknown_one_is_an_error(self) -> None:
        with pytest.raises(NotFound, match="HT-CT-52"):
            with_preset({"member": "H2", "preset": "nobody"}, presets())


def run(work: Callable[[Store], Awaitable[T]]) -> T:
    async def whole() -> T:
        store = MemoryStore()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(whole())


class TestNightly:
    def folder(self, tmp_path: Path, **more: Any) -> Path:
        (tmp_path / "targets").mkdir()
        (tmp_path / "targets" / "h1.yaml").write_text(
            yaml.safe_dump(TARGET | {"roles": ["fhir-server"]} | more), "utf-8"
        )
        return tmp_path

    def test_an_unreachable_member_is_proposed_after_three_nights_and_told(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        data = self.folder(tmp_path, fhir={"base": "http://127.0.0.1:9/fhir", "seconds": 0.2})
        certified(Registry(data / "certificates", clock=clock), "fhir-server")

        async def nights(store: Store) -> tuple[list[int], list[str]]:
            nightly = Nightly(data, store, None, clock=clock)
            counts = []
            for _ in range(4):
                counts.append(len(await nightly.run_once()))
                clock.now += timedelta(days=1)
            return counts, [row.topic for _, row in await store.outbox()]

        counts, topics = run(nights)
        assert counts == [0, 0, 1, 0]
        assert topics == ["member-status"]
        registry = Registry(data / "certificates", clock=clock)
        assert registry.certificate("H1").state == "certified"
        assert [(row["kind"], row["state"]) for row in registry.proposals()] == [("unreachable", "open")]

    def test_low_quality_is_proposed_after_three_nights(self, tmp_path: Path, clock: Clock) -> None:
        data = self.folder(tmp_path)
        certified(Registry(data / "certificates", clock=clock), "fhir-server")

        async def nights(store: Store) -> list[list[str]]:
            rows = [
                Put({"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": "?"}})
                for n in range(5)
            ]
            await store.commit(Commit(rows))
            nightly = Nightly(data, store, None, clock=clock)
            return [[row["kind"] for row in await nightly.run_once()] for _ in range(4)]

        assert run(nights) == [[], [], ["quality"], []]

    def test_a_file_that_is_none_keeps_no_other_from_its_check(self, tmp_path: Path, clock: Clock) -> None:
        data = self.folder(tmp_path)
        for name, text in (("a", ""), ("b", "[1]"), ("c", "member: ../x\nroles: 7\n"), ("d", "{")):
            (data / "targets" / f"{name}.yaml").write_text(text)
        certified(Registry(data / "certificates", clock=clock), "fhir-server")

        async def night(store: Store) -> list[str]:
            nightly = Nightly(data, store, None, clock=clock)
            await nightly.run_once()
            return [row["member"] for row in nightly.nights.rows()]

        assert "H1" in run(night)

    def test_smoke_tests_need_nobody(self) -> None:
        assert len(smoke_tests(["fhir-server"])) >= 3
        assert smoke_tests(["lis"]) == ()


class TestRest:
    def call(
        self, tmp_path: Path, clock: Clock, method: str, path: str, body: Json | None = None, query: str = ""
    ) -> Any:
        async def work(store: Store) -> Any:
            await store.commit(Commit([Put(patient("p")), Put(result("o1"))]))
            routes = MemberRoutes(Nightly(tmp_path, store, None, clock=clock))
            return await routes.answer(Request(method, path, query), path.split("/"), body or {})

        return run(work)

    def test_from_draft_to_revoked(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "targets").mkdir()
        (tmp_path / "targets" / "h1.yaml").write_text(yaml.safe_dump(TARGET), "utf-8")
        (tmp_path / "conformance-runs").mkdir()
        run_of = examine("lis")
        (tmp_path / "conformance-runs" / "r1.json").write_text(json.dumps(to_document(run_of)), "utf-8")
        assert (
            self.call(tmp_path, clock, "POST", "certificates", {"target": "h1", "by": "甲"})[1]["state"]
            == "draft"
        )
        made = self.call(tmp_path, clock, "POST", "certificates", {"target": "h1", "by": "甲", "run": "r1"})
        assert made[1]["state"] == "certified"
        moved = self.call(
            tmp_path, clock, "POST", "certificates/H1/state", {"to": "revoked", "by": "甲", "reason": "停用"}
        )
        assert moved[1]["state_today"] == "revoked"
        shown = self.call(tmp_path, clock, "GET", "certificates/H1")[1]
        assert [row["now"] for row in shown["history"]] == ["draft", "certified", "revoked"]

    def test_a_certificate_as_page_pdf_and_statement(self, tmp_path: Path, clock: Clock) -> None:
        certified(Registry(tmp_path / "certificates", clock=clock))
        for form, start in (("html", b"<!doctype html>"), ("pdf", b"%PDF-"), ("jws", b"ey")):
            status, (raw, media) = self.call(tmp_path, clock, "GET", f"certificates/H1/{form}")
            assert status == 200
            assert raw.startswith(start)
            assert media

    def test_an_override_over_rest(self, tmp_path: Path, clock: Clock) -> None:
        status, row = self.call(
            tmp_path, clock, "POST", "overrides", {"member": "H1", "reason": "x", "by": "甲", "hours": 1}
        )
        assert status == 201
        assert (
            self.call(tmp_path, clock, "POST", f"overrides/{row['id']}/approve", {"by": "乙"})[1]["state"]
            == "approved"
        )

    def test_quality_over_rest(self, tmp_path: Path, clock: Clock) -> None:
        found = self.call(tmp_path, clock, "GET", "quality", query="days=30&least=E")[1]
        assert found["grade"] in ("A", "B", "C", "D")
        assert found["meets"] is True

    @pytest.mark.parametrize(
        ("method", "path", "body", "query"),
        [
            ("GET", "certificates/H9", {}, ""),
            ("POST", "certificates", {"target": "../x", "by": "甲"}, ""),
            ("POST", "certificates/H9/state", {}, ""),
            ("POST", "overrides", {"member": "H1", "hours": "x"}, ""),
            ("POST", "proposals/p1", {"decision": "perhaps"}, ""),
            ("GET", "quality", {}, "days=x"),
            ("GET", "quality", {}, "days=0"),
            ("DELETE", "certificates", {}, ""),
        ],
    )
    def test_bad_requests_are_told(
        self, tmp_path: Path, clock: Clock, method: str, path: str, body: Json, query: str
    ) -> None:
        with pytest.raises(FhirError):
            self.call(tmp_path, clock, method, path, body, query)


class TestCommands:
    def test_status_override_proposals(
        self, tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
    ) -> None:
        certified(Registry(tmp_path / "certificates", clock=clock))
        status(data=tmp_path, as_json=True)
        assert json.loads(capsys.readouterr().out)["certificates"][0]["member"] == "H1"
        status("H1", to="suspended", by="甲", reason="x", data=tmp_path)
        assert "H1" in capsys.readouterr().out
        override("H1", reason="x", by="甲", hours=1, data=tmp_path, as_json=True)
        id = json.loads(capsys.readouterr().out)["overrides"][0]["id"]
        with pytest.raises(BusinessRule):
            override(approve=id, by="甲", data=tmp_path)
        override(approve=id, by="乙", data=tmp_path)
        proposals(data=tmp_path)

    def test_quality_without_data(self, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="HT-CT-54"):
            quality(member="H1", data=tmp_path)


def test_the_pdf_is_one_page_with_the_code(registry: Registry) -> None:
    certified(registry)
    found = registry.certificate("H1")
    raw = to_certificate_pdf(found, (registry.folder / "H1.jws").read_text("utf-8"))
    assert raw.startswith(b"%PDF-")
    assert raw.count(b"/Type /Page\n") == 1
