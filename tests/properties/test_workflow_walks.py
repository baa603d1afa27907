"""Random walks of many people over one county never reach an illegal state, and lose no Task (hypothesis, stateful)."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.store.memory import MemoryStore
from gateway.workflow.actor import ROLES
from terminology.fhirjson import Json
from tests.gateway.server import Server

SPEC = yaml.safe_load((Path(__file__).parent.parent / "spec" / "workflow.yaml").read_text("utf-8"))
CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
ORGANISATIONS = ("town", "imaging", "hospital")
KINDS = ("ServiceRequest", "Task", "DiagnosticReport", "ImagingStudy")
STATUSES = {kind: sorted(SPEC[kind][""]) for kind in KINDS}

named = st.fixed_dictionaries(
    {
        "x_hutong_organization": st.sampled_from(ORGANISATIONS),
        "x_hutong_roles": st.sampled_from([role for role in ROLES if role != "gw"]),
    }
)
# The local operator may do everything: he brings the walk further than people with one role each.
callers = st.one_of(st.just({}), st.just({}), named)
places = st.integers(0, 60)


class Walk(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server(MemoryStore(), workflow=True)
        self.tasks: set[str] = set()

    def teardown(self) -> None:
        self.server.close()

    def call(self, method: str, path: str, body: Json | None = None, **headers: str) -> Any:
        answer = self.server.request(method, path, body, **headers)
        assert answer.status_code < 500, answer.text
        return answer

    def all(self, kind: str) -> list[Json]:
        answer = self.call("GET", f"{kind}?_count=200&_sort=_lastUpdated").json()
        return [entry["resource"] for entry in answer.get("entry", ())]

    def one(self, kind: str, place: int) -> Json | None:
        rows = self.all(kind)
        return rows[place % len(rows)] if rows else None

    @rule(
        caller=callers,
        category=st.sampled_from(["imaging", "ecg", "lab", "none"]),
        status=st.sampled_from(["draft", "active"]),
        routed=st.booleans(),
    )
    def order(self, caller: dict[str, str], category: str, status: str, routed: bool) -> None:
        resource: Json = {
            "resourceType": "ServiceRequest", "status": status, "intent": "order", "code": {"text": "x"},
            "category": [{"coding": [{"system": CATEGORY, "code": category}]}],
            "subject": {"reference": "Patient/p"},
        }  # fmt: skip
        if routed:
            resource["performer"] = [{"reference": "Organization/imaging"}]
        self.call("POST", "ServiceRequest", resource, **caller)

    @rule(
        kind=st.sampled_from(KINDS),
        place=places,
        caller=callers,
        data=st.data(),
        reason=st.booleans(),
        output=st.booleans(),
    )
    def write(
        self, kind: str, place: int, caller: dict[str, str], data: st.DataObject, reason: bool, output: bool
    ) -> None:
        found = self.one(kind, place)
        if found is None:
            return
        wanted = found | {"status": data.draw(st.sampled_from(STATUSES[kind]))}
        if reason:
            wanted["statusReason" if kind == "Task" else "note"] = {"text": "x"} if kind == "Task" else []
            if not wanted.get("note", True):
                del wanted["note"]
        if output and kind == "Task":
            wanted["output"] = [{"type": {"text": "x"}, "valueString": "x"}]
        tag = f'W/"{found["meta"]["versionId"]}"'
        self.call("PUT", f"{kind}/{found['id']}", wanted, if_match=tag, **caller)

    @rule(
        place=places,
        caller=callers,
        status=st.sampled_from(["registered", "available"]),
        linked=st.booleans(),
    )
    def study(self, place: int, caller: dict[str, str], status: str, linked: bool) -> None:
        resource: Json = {
            "resourceType": "ImagingStudy",
            "status": status,
            "subject": {"reference": "Patient/p"},
        }
        order = self.one("ServiceRequest", place)
        if linked and order is not None:
            resource["basedOn"] = [{"reference": f"ServiceRequest/{order['id']}"}]
        self.call("POST", "ImagingStudy", resource, **caller)

    @rule(place=places, caller=callers, status=st.sampled_from(["registered", "preliminary", "final"]))
    def report(self, place: int, caller: dict[str, str], status: str) -> None:
        order = self.one("ServiceRequest", place)
        if order is not None:
            resource = {
                "resourceType": "DiagnosticReport", "status": status, "code": {"text": "x"},
                "basedOn": [{"reference": f"ServiceRequest/{order['id']}"}],
            }  # fmt: skip
            self.call("POST", "DiagnosticReport", resource, **caller)

    @rule(place=places, caller=callers, name=st.sampled_from(["claim", "release"]))
    def work(self, place: int, caller: dict[str, str], name: str) -> None:
        found = self.one("Task", place)
        if found is not None:
            self.call("POST", f"Task/{found['id']}/${name}", **caller)

    @rule(place=places, caller=callers, name=st.sampled_from(["sign", "amend", "withdraw", "recall"]))
    def issue(self, place: int, caller: dict[str, str], name: str) -> None:
        found = self.one("DiagnosticReport", place)
        if found is not None:
            body = {"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "x"}]}
            self.call(
                "POST", f"DiagnosticReport/{found['id']}/${name}", body if name != "sign" else None, **caller
            )

    @rule(place=places, kind=st.sampled_from(KINDS), caller=callers)
    def delete(self, place: int, kind: str, caller: dict[str, str]) -> None:
        found = self.one(kind, place)
        if found is not None and kind in ("Task", "ServiceRequest"):
            self.call("DELETE", f"{kind}/{found['id']}", **caller)

    @rule(place=places, caller=callers)
    def route(self, place: int, caller: dict[str, str]) -> None:
        found = self.one("ServiceRequest", place)
        if found is not None:
            body = {
                "resourceType": "Parameters",
                "parameter": [
                    {"name": "performer", "valueReference": {"reference": "Organization/hospital"}}
                ],
            }
            self.call("POST", f"ServiceRequest/{found['id']}/$route", body, **caller)

    @invariant()
    def no_task_is_lost(self) -> None:
        now = {row["id"] for row in self.all("Task")}
        assert self.tasks <= now
        self.tasks = now

    @invariant()
    def every_step_of_every_history_is_legal(self) -> None:
        for kind in KINDS:
            for row in self.all(kind):
                kinds = [coding["code"] for coding in row.get("code", {}).get("coding", ())]
                table = next(
                    (SPEC[kind][one] for one in kinds if kind == "Task" and one in SPEC[kind]), SPEC[kind][""]
                )
                entries = self.call("GET", f"{kind}/{row['id']}/_history?_count=100").json()["entry"]
                states = [entry["resource"]["status"] for entry in reversed(entries) if "resource" in entry]
                for before, after in pairwise(states):
                    assert before == after or after in table[before], f"{kind} {before} → {after}"

    @invariant()
    def an_order_and_its_task_agree(self) -> None:
        """An order that is revoked has no work waiting; one whose Task is in progress is not revoked."""
        orders = {f"ServiceRequest/{row['id']}": row["status"] for row in self.all("ServiceRequest")}
        for task in self.all("Task"):
            codes = [coding["code"] for coding in task["code"]["coding"]]
            status = orders.get(task.get("focus", {}).get("reference", ""))
            if "fulfill" in codes and status == "revoked":
                assert task["status"] not in ("requested", "received", "accepted", "in-progress"), task


Walk.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestWalk = Walk.TestCase
