"""Patient/[id]/$recognize and $recognition-decision over the wire (docs/recognition.md)."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from server import Server

from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json

sys.path.append(str(Path(__file__).parent.parent / "conformance" / "recognition"))

from county import POTASSIUM, County


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    county = County()
    for resource in (
        county.patient, county.community, county.hospital, county.township, county.neighbour, county.other_community,
        county.specimen, county.observation, county.report,
    ):  # fmt: skip
        resource.pop("meta", None)
        answer = made.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code == 201, answer.text
    yield made
    made.close()


def ask(server: Server, *parameters: Json, patient: str = "zhang") -> Any:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "item", "valueCoding": POTASSIUM},
            {"name": "requester", "valueReference": {"reference": "Organization/township"}},
            {"name": "at", "valueDateTime": "2026-03-20T10:00:00+08:00"},
            *parameters,
        ],
    }
    return server.request("POST", f"Patient/{patient}/$recognize", body)


def values(answer: Any, name: str) -> list[Any]:
    rows = [row for row in answer.json()["parameter"] if row["name"] == name]
    return [row.get("part") or next(row[key] for key in row if key.startswith("value")) for row in rows]


def part(parts: list[Json], name: str) -> Any:
    row = next(row for row in parts if row["name"] == name)
    return next(row[key] for key in row if key.startswith("value"))


def decide(server: Server, action: str, **more: Any) -> Any:
    parameters: list[Json] = [
        {"name": "result", "valueReference": {"reference": "Observation/potassium"}},
        {"name": "action", "valueCode": action},
        {"name": "organization", "valueReference": {"reference": "Organization/township"}},
    ]
    parameters += [
        {"name": name, ("valueCoding" if isinstance(value, dict) else "valueString"): value}
        for name, value in more.items()
    ]
    return server.request(
        "POST", "Patient/zhang/$recognition-decision", {"resourceType": "Parameters", "parameter": parameters}
    )


def test_a_good_result_is_recognised(server: Server) -> None:
    answer = ask(server)
    assert answer.status_code == 200, answer.text
    assert values(answer, "decision") == ["recognise"]
    [candidate] = values(answer, "candidate")
    assert part(candidate, "result") == {"reference": "Observation/potassium"}
    assert part(candidate, "validUntil") == "2026-03-25T23:59:59+08:00"
    assert values(answer, "pack") == ["hutong-base|2026.1"]


def test_it_only_reads(server: Server) -> None:
    before = server.run(server.store.size())
    assert ask(server).json() == ask(server).json()
    assert server.run(server.store.size()) == before


def test_nothing_to_recognise_names_what_to_order(server: Server) -> None:
    other = {"system": "http://loinc.org", "code": "2885-2"}
    answer = ask(server, {"name": "item", "valueCoding": other})
    assert values(answer, "missing") == [other]


def test_the_record_under_another_number_of_the_same_person_counts(server: Server) -> None:
    again = {
        "resourceType": "Patient",
        "id": "again",
        "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": "110105491231002"}],
        "name": [{"text": "张三丰"}],
    }
    server.request("PUT", "Patient/again", again)
    assert values(ask(server, patient="again"), "decision") == ["recognise"]


def test_an_order_in_the_store_says_what_is_asked(server: Server) -> None:
    order = {
        "resourceType": "ServiceRequest",
        "id": "order",
        "status": "active",
        "intent": "order",
        "priority": "stat",
        "code": {"coding": [POTASSIUM]},
        "subject": {"reference": "Patient/zhang"},
        "requester": {"reference": "Organization/township"},
    }
    server.request("PUT", "ServiceRequest/order", order)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "order", "valueReference": {"reference": "ServiceRequest/order"}},
            {"name": "at", "valueDateTime": "2026-03-20T10:00:00+08:00"},
        ],
    }
    answer = server.request("POST", "Patient/zhang/$recognize", body)
    assert values(answer, "decision") == ["ask"]
    assert values(answer, "bypass") == [True]


@pytest.mark.parametrize(
    ("patient", "parameter", "status"),
    [
        ("nobody", {"name": "x", "valueString": "y"}, 404),
        ("zhang", {"name": "at", "valueDateTime": "2026"}, 400),
        ("zhang", {"name": "requester", "valueReference": {"reference": "Organization/none"}}, 200),
        ("zhang", {"name": "purpose", "valueCode": "fun"}, 400),
    ],
)
def test_bad_requests_are_refused(server: Server, patient: str, parameter: Json, status: int) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [parameter, {"name": "item", "valueCoding": POTASSIUM}],
    }
    answer = server.request("POST", f"Patient/{patient}/$recognize", body)
    assert answer.status_code == (404 if parameter["name"] == "requester" else status)


class TestDecision:
    def test_accept_is_kept_as_task_issue_and_provenance(self, server: Server) -> None:
        answer = decide(server, "accept")
        assert answer.status_code == 201, answer.text
        task = answer.json()
        assert (task["status"], task["focus"]["reference"]) == (
            "completed",
            "Observation/potassium/_history/1",
        )
        provenance = server.request("GET", f"Provenance?target=Task/{task['id']}").json()["entry"][0][
            "resource"
        ]
        assert provenance["entity"][0]["what"]["reference"] == "Observation/potassium/_history/1"
        assert (
            server.request("GET", "DetectedIssue?patient=Patient/zhang&_summary=count").json()["total"] == 1
        )

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            ({}, 422),
            ({"reason": {"code": "77"}}, 422),
            ({"reason": {"code": "01"}}, 201),
            ({"reason": {"code": "01"}, "note": "因为"}, 422),
            ({"reason": {"code": "07"}, "note": "临床需要"}, 201),
        ],
    )
    def test_reject_needs_a_listed_reason(self, server: Server, more: dict[str, Any], status: int) -> None:
        assert decide(server, "reject", **more).status_code == status

    def test_unknown_action_is_refused(self, server: Server) -> None:
        assert decide(server, "maybe").status_code == 400

    def test_a_decision_on_the_corrected_version_settles_mr_004_and_a_revocation_reopens_it(
        self, server: Server
    ) -> None:
        observation = server.request("GET", "Observation/potassium").json() | {"status": "corrected"}
        server.request("PUT", "Observation/potassium", observation)
        assert values(ask(server), "decision") == ["ask"]
        decide(server, "accept")
        assert values(ask(server), "decision") == ["recognise"]
        decide(server, "revoke")
        assert values(ask(server), "decision") == ["ask"]

    def test_a_result_of_somebody_else_is_refused(self, server: Server) -> None:
        server.request(
            "PUT", "Patient/li", {"resourceType": "Patient", "id": "li", "name": [{"text": "李四"}]}
        )
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "result", "valueReference": {"reference": "Observation/potassium"}},
                {"name": "action", "valueCode": "accept"},
            ],
        }
        assert server.request("POST", "Patient/li/$recognition-decision", body).status_code == 409


class TestStatistics:
    """MR-034: equal to what a count over the decisions gives."""

    PERIOD = "periodStart=2026-11-01&periodEnd=2099-12-31"

    def counts(self, server: Server, more: str = "") -> dict[str, int]:
        answer = server.request("GET", f"Measure/mutual-recognition/$evaluate-measure?{self.PERIOD}{more}")
        assert answer.status_code == 200, answer.text
        group = answer.json()["group"][0]
        found = {row["code"]["coding"][0]["code"]: row["count"] for row in group["population"]}
        return found | ({"rate": group["measureScore"]["value"]} if "measureScore" in group else {})

    def test_reasons_98_and_99_do_not_lower_the_rate(self, server: Server) -> None:
        decide(server, "accept", order="ServiceRequest/1")
        decide(server, "reject", order="ServiceRequest/2", reason={"code": "01"})
        decide(server, "reject", order="ServiceRequest/3", reason={"code": "98"})
        found = self.counts(server)
        assert (found["accepted"], found["rejected"], found["rejected-not-counted"], found["rate"]) == (
            1,
            2,
            1,
            0.5,
        )
        assert (found["reason-01"], found["reason-98"]) == (1, 1)

    def test_a_revoked_decision_counts_as_revoked_only(self, server: Server) -> None:
        decide(server, "accept")
        decide(server, "revoke")
        found = self.counts(server)
        assert (found["accepted"], found["revoked"], "rate" in found) == (0, 1, False)

    def test_filtered_by_organisation_and_item(self, server: Server) -> None:
        decide(server, "accept")
        assert self.counts(server, "&organization=Organization/township&item=2823-3")["accepted"] == 1
        assert self.counts(server, "&organization=Organization/hospital")["accepted"] == 0

    def test_the_period_is_required(self, server: Server) -> None:
        answer = server.request("GET", "Measure/mutual-recognition/$evaluate-measure")
        assert [issue["details"]["coding"][0]["code"] for issue in answer.json()["issue"]] == [
            "HT-MR-11",
            "HT-MR-11",
        ]


def test_the_command_judges_a_data_folder_without_a_running_gateway(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from gateway.cli.commands import run
    from gateway.store.protocol import Commit, Put
    from gateway.store.sqlite import SqliteStore

    monkeypatch.setenv("HUTONG_LANG", "zh")
    county = County()
    resources = [
        county.patient,
        county.community,
        county.hospital,
        county.township,
        county.specimen,
        county.observation,
        county.report,
    ]

    async def fill() -> None:
        store = SqliteStore(tmp_path / "store.sqlite")
        await store.commit(Commit([Put(resource) for resource in resources]))
        await store.close()

    asyncio.run(fill())
    asked = [
        "recognize",
        "zhang",
        "--item",
        "http://loinc.org|2823-3",
        "--requester",
        "Organization/township",
        "--data",
        str(tmp_path),
    ]
    assert run([*asked, "--at", "2026-03-20T10:00:00+08:00"]) == 0
    assert "可互认" in capsys.readouterr().out
    assert run([*asked, "--at", "2026-03-27T10:00:00+08:00"]) == 1
    assert "已超出互认时限" in capsys.readouterr().out


class TestReasonForms:
    """A reason is a Coding; a concept with words and a bare code are taken too."""

    def reject(self, server: Server, value: Json) -> Any:
        body = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "result", "valueReference": {"reference": "Observation/potassium"}},
                {"name": "action", "valueCode": "reject"},
                {"name": "reason", **value},
            ],
        }
        return server.request("POST", "Patient/zhang/$recognition-decision", body)

    @pytest.mark.parametrize(
        ("value", "status", "text"),
        [
            ({"valueCoding": {"code": "01"}}, 201, None),
            ({"valueCode": "01"}, 201, None),
            ({"valueCodeableConcept": {"coding": [{"code": "07"}], "text": "术前复核"}}, 201, "术前复核"),
            ({"valueCodeableConcept": {"coding": [{"code": "01"}], "text": "其他"}}, 422, None),
            ({"valueCodeableConcept": {"text": "其他"}}, 422, None),
        ],
    )
    def test_reason(self, server: Server, value: Json, status: int, text: str | None) -> None:
        answer = self.reject(server, value)
        assert answer.status_code == status, answer.text
        if status == 201:
            assert answer.json()["statusReason"].get("text") == text
