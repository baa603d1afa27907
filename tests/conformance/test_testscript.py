"""The TestScript engine over a target that the test writes itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.testing import Answer, Call, Player, Unreachable, load_script
from conformance.testing.result import Result
from conformance.testing.test_report import to_test_report
from conformance.validation import validate
from terminology.issues import InvalidInput

PATIENT = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "name": [{"family": "Wang"}, {"family": "Li"}],
}
Reply = Callable[[Call], Answer]


class Target:
    """A target that answers with what a function says, and keeps what it was asked."""

    base = "http://target/fhir"

    def __init__(self, reply: Reply) -> None:
        self.reply, self.calls = reply, []

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        return self.reply(call)


def patient(_call: Call) -> Answer:
    headers = {"content-type": "application/fhir+json; charset=utf-8", "etag": 'W/"7"'}
    return Answer(200, headers, json.dumps(PATIENT).encode(), "http://target/fhir/Patient/p1")


def play(tmp_path: Path, reply: Reply, *actions: Any, **more: Any) -> tuple[list[Result], Target, Player]:
    script = {"resourceType": "TestScript", "test": [{"name": "t", "action": list(actions)}], **more}
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script), "utf-8")
    target = Target(reply)
    player = Player(load_script(path), target)
    return player.play(), target, player


READ = {"operation": {"type": {"code": "read"}, "resource": "Patient", "params": "/p1", "responseId": "r"}}


@pytest.mark.parametrize(
    ("assertion", "state"),
    [
        ({"response": "okay"}, "pass"),
        ({"response": "created"}, "fail"),
        ({"responseCode": "200,201"}, "pass"),
        ({"responseCode": "404", "operator": "notEquals"}, "pass"),
        ({"responseCode": "404"}, "fail"),
        ({"contentType": "json"}, "pass"),
        ({"contentType": "xml"}, "fail"),
        ({"headerField": "ETag", "value": 'W/"7"'}, "pass"),
        ({"headerField": "ETag", "operator": "empty"}, "fail"),
        ({"headerField": "Accept", "direction": "request", "value": "application/fhir+json"}, "pass"),
        ({"requestMethod": "get"}, "pass"),
        ({"requestMethod": "post"}, "fail"),
        ({"requestURL": "/Patient/p1", "operator": "contains"}, "pass"),
        ({"resource": "Patient"}, "pass"),
        ({"resource": "Observation"}, "fail"),
        ({"expression": "Patient.active"}, "pass"),
        ({"expression": "Patient.active.not()"}, "fail"),
        ({"expression": "Patient.name.family", "value": "Li", "operator": "equals"}, "pass"),
        ({"expression": "Patient.name.family", "value": "Li", "operator": "notEquals"}, "fail"),
        ({"expression": "Patient.name.count()", "value": "1", "operator": "greaterThan"}, "pass"),
        ({"expression": "Patient.name.count()", "value": "10", "operator": "lessThan"}, "pass"),
        ({"expression": "Patient.id", "value": "p0, p1", "operator": "in"}, "pass"),
        ({"expression": "Patient.id", "value": "p0,p1", "operator": "notIn"}, "fail"),
        ({"expression": "Patient.id", "value": "x", "operator": "nonsense"}, "fail"),
        ({"path": "fhir:Patient/fhir:name/fhir:family/@value", "value": "Wang"}, "pass"),
        ({"path": "fhir:Patient/fhir:id/@value", "value": "p2"}, "fail"),
        ({"path": "$.name[1].family", "value": "Li"}, "pass"),
        ({"path": "Patient/id", "value": "p1"}, "pass"),
        ({"path": "]["}, "error"),
        ({"path": ".id", "value": "p1"}, "pass"),
        ({"path": ".name[?(@.family=='Li')].family", "value": "Li"}, "pass"),
        ({"path": "$..family", "value": "Li", "operator": "contains"}, "pass"),
        ({"path": "contains(fhir:Patient/fhir:id/@value, 'p')"}, "pass"),
        ({"path": "fhir:Patient/fhir:birthDate/@value"}, "fail"),
        ({"expression": "Patient.active", "operator": "eval"}, "pass"),
        ({"expression": "Patient.active.not()", "operator": "eval"}, "fail"),
        ({"minimumId": "least"}, "pass"),
        ({"minimumId": "more"}, "fail"),
        ({"compareToSourceId": "least", "expression": "Patient.name.family.first()",
          "compareToSourceExpression": "Patient.name.family", "operator": "notEquals"}, "pass"),
        ({"compareToSourceId": "nobody", "expression": "Patient.id", "compareToSourceExpression": "Patient.id"}, "error"),
        ({"validateProfileId": "base"}, "pass"),
        ({"validateProfileId": "unknown"}, "error"),
        ({"navigationLinks": True}, "fail"),
        ({"description": "says nothing"}, "error"),
    ],
    ids=str,
)  # fmt: skip
def test_every_form_of_assertion(tmp_path: Path, assertion: dict[str, Any], state: str) -> None:
    fixtures = [
        {"id": "least", "resource": {"resourceType": "Patient", "name": [{"family": "Li"}]}},
        {"id": "more", "resource": {"resourceType": "Patient", "name": [{"family": "Zhao"}]}},
    ]
    profiles = [{"id": "base", "reference": "http://hl7.org/fhir/StructureDefinition/Patient"}]
    results, _, _ = play(tmp_path, patient, READ, {"assert": assertion}, fixture=fixtures, profile=profiles)
    assert results[0].state == state, [issue.text("en") for issue in results[0].issues]


def test_a_warning_is_told_and_does_not_fail(tmp_path: Path) -> None:
    told = {"assert": {"response": "created", "warningOnly": True}}
    results, _, player = play(tmp_path, patient, READ, told)
    assert results[0].state == "pass"
    report = to_test_report(results, script="s", target="http://target", issued="2026-11-24T08:00:00+08:00",
                            setup=player.setup, teardown=player.teardown)  # fmt: skip
    assert report["test"][0]["action"][1]["assert"]["result"] == "warning"


def test_a_test_that_judges_nothing_is_not_evaluated(tmp_path: Path) -> None:
    results, _, _ = play(tmp_path, patient, READ)
    assert results[0].state == "not-evaluated"


def test_an_unreachable_target_is_not_evaluated(tmp_path: Path) -> None:
    def nobody(_call: Call) -> Answer:
        raise Unreachable("refused")

    results, _, _ = play(tmp_path, nobody, READ, {"assert": {"response": "okay"}},
                         setup={"action": [READ]}, teardown={"action": [READ]})  # fmt: skip
    assert results[0].state == "not-evaluated"


def test_garbage_is_judged_and_breaks_nothing(tmp_path: Path) -> None:
    garbage = Answer(200, {}, b"\xff\xfe<<<{{{" * 100)
    results, _, _ = play(tmp_path, lambda _: garbage, READ, {"assert": {"resource": "Patient"}})
    assert results[0].state == "fail"


class TestVariables:
    """testscript.html#variable"""

    def test_header_expression_path_and_default(self, tmp_path: Path) -> None:
        variables = [
            {"name": "tag", "headerField": "ETag", "sourceId": "r"},
            {"name": "id", "expression": "Patient.id", "sourceId": "r"},
            {"name": "name", "path": "fhir:Patient/fhir:name[1]/fhir:family/@value", "sourceId": "r"},
            {"name": "count", "defaultValue": "5"},
        ]
        search = {
            "type": {"code": "search"},
            "resource": "Patient",
            "params": "?_id=${id}&name=${name}&_count=${count}",
        }
        search["requestHeader"] = [{"field": "If-None-Match", "value": "${tag}"}]
        _, target, _ = play(tmp_path, patient, READ, {"operation": search}, variable=variables)
        assert target.calls[1].url == "Patient?_id=p1&name=Wang&_count=5"
        assert target.calls[1].headers["if-none-match"] == 'W/"7"'

    def test_what_test_systems_make_up_is_one_value_a_run(self, tmp_path: Path) -> None:
        """${C6}, ${D4}, ${UUID}: in variables' defaults and in fixtures, the same wherever it stands."""
        variables = [{"name": "family", "defaultValue": "Wang${C6}"}]
        create = {"operation": {"type": {"code": "create"}, "resource": "Patient", "sourceId": "f"}}
        search = {
            "operation": {
                "type": {"code": "search"},
                "resource": "Patient",
                "params": "?family=${family}&n=${D4}",
            }
        }
        fixture = {
            "id": "f",
            "resource": {"resourceType": "Patient", "id": "x${D4}", "name": [{"family": "${family}"}]},
        }
        _, target, _ = play(tmp_path, patient, create, search, variable=variables, fixture=[fixture])
        sent = json.loads(target.calls[0].body)
        family = sent["name"][0]["family"]
        assert len(family) == 10
        assert target.calls[1].url == f"Patient?family={family}&n={sent['id'][1:]}"

    def test_a_variable_that_names_itself_is_an_error(self, tmp_path: Path) -> None:
        read = {"operation": {"type": {"code": "read"}, "resource": "Patient", "params": "/${a}"}}
        results, _, _ = play(
            tmp_path,
            patient,
            read,
            variable=[{"name": "a", "defaultValue": "${b}"}, {"name": "b", "defaultValue": "${a}"}],
        )
        assert results[0].issues[0].code == "HT-CT-09"

    def test_one_without_a_value_is_an_error_and_nothing_is_sent(self, tmp_path: Path) -> None:
        delete = {"operation": {"type": {"code": "delete"}, "resource": "Patient", "params": "/${nobody}"}}
        results, target, _ = play(tmp_path, patient, delete)
        assert results[0].state == "error"
        assert results[0].issues[0].code == "HT-CT-09"
        assert target.calls == []


@pytest.mark.parametrize(
    ("operation", "method", "url"),
    [
        ({"type": {"code": "capabilities"}}, "GET", "metadata"),
        ({"type": {"code": "vread"}, "resource": "Patient", "params": "/p1/_history/2"}, "GET", "Patient/p1/_history/2"),
        ({"type": {"code": "vread"}, "targetId": "versioned"}, "GET", "Patient/v/_history/3"),
        ({"type": {"code": "history"}, "resource": "Patient", "params": "/p1"}, "GET", "Patient/p1/_history"),
        ({"type": {"code": "history"}, "targetId": "versioned"}, "GET", "Patient/v/_history"),
        ({"type": {"code": "create"}, "sourceId": "versioned"}, "POST", "Patient"),
        ({"type": {"code": "update"}, "sourceId": "versioned"}, "PUT", "Patient/v"),
        ({"type": {"code": "updateCreate"}, "resource": "Patient", "params": "/n", "sourceId": "versioned"}, "PUT", "Patient/n"),
        ({"type": {"code": "delete"}, "targetId": "versioned"}, "DELETE", "Patient/v"),
        ({"type": {"code": "patch"}, "resource": "Patient", "params": "/v", "sourceId": "versioned"}, "PATCH", "Patient/v"),
        ({"type": {"code": "batch"}, "sourceId": "versioned"}, "POST", ""),
        ({"type": {"code": "transaction"}, "sourceId": "versioned"}, "POST", ""),
        ({"type": {"code": "expand"}, "resource": "ValueSet", "params": "?url=http://x"}, "GET", "ValueSet/$expand?url=http://x"),
        ({"type": {"code": "validate-code"}, "resource": "CodeSystem", "params": "/$validate-code?code=1"}, "GET",
         "CodeSystem/$validate-code?code=1"),
        ({"type": {"code": "lookup"}, "resource": "CodeSystem", "sourceId": "versioned"}, "POST", "CodeSystem/$lookup"),
        ({"type": {"code": "read"}, "url": "http://other/x y"}, "GET", "http://other/x%20y"),
        ({"type": {"code": "search"}, "method": "post", "resource": "Patient", "params": "/_search"}, "POST", "Patient/_search"),
    ],
    ids=str,
)  # fmt: skip
def test_every_kind_of_operation(tmp_path: Path, operation: Any, method: str, url: str) -> None:
    fixture = {
        "id": "versioned",
        "resource": {"resourceType": "Patient", "id": "v", "meta": {"versionId": "3"}},
    }
    _, target, _ = play(tmp_path, patient, {"operation": operation}, fixture=[fixture])
    assert [(call.method, call.url) for call in target.calls] == [(method, url)]


def test_autocreate_and_autodelete_frame_the_tests(tmp_path: Path) -> None:
    def reply(call: Call) -> Answer:
        return (
            Answer(201, {"location": "http://target/fhir/Patient/new/_history/1"}, b"")
            if call.body
            else patient(call)
        )

    fixture = {"id": "f", "autocreate": True, "autodelete": True, "resource": {"resourceType": "Patient"}}
    read = {"operation": {"type": {"code": "read"}, "targetId": "f"}}
    _, target, _ = play(tmp_path, reply, read, fixture=[fixture])
    assert [(row.method, row.url) for row in target.calls] == [
        ("POST", "Patient"),
        ("GET", "Patient/new"),
        ("DELETE", "Patient/new"),
    ]


class TestLoading:
    def test_xml_with_relative_xml_fixture(self, tmp_path: Path) -> None:
        (tmp_path / "ref").mkdir()
        (tmp_path / "ref" / "p.xml").write_text(
            '<Patient xmlns="http://hl7.org/fhir"><id value="x1"/></Patient>'
        )
        (tmp_path / "s.xml").write_text(
            '<TestScript xmlns="http://hl7.org/fhir"><fixture id="f"><resource><reference value="./ref/p.xml"/></resource>'
            '</fixture><test id="T1"><name value="one"/><action><operation><type><code value="read"/></type>'
            '<targetId value="f"/></operation></action><action><assert><response value="okay"/></assert></action></test></TestScript>'
        )
        target = Target(patient)
        results = Player(load_script(tmp_path / "s.xml"), target).play()
        assert [row.state for row in results] == ["pass"]
        assert target.calls[0].url == "Patient/x1"

    @pytest.mark.parametrize(
        "place", ["fixtures/p.json", "_reference/p.json", "../fixtures/p.json", "../../p.json"]
    )
    def test_fixtures_are_found_in_the_collection(self, tmp_path: Path, place: str) -> None:
        folder = tmp_path / "a" / "b"
        folder.mkdir(parents=True)
        file = (folder / place).resolve()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"resourceType": "Patient", "id": "x1"}')
        script = {
            "resourceType": "TestScript",
            "fixture": [{"id": "f", "resource": {"reference": "/p.json"}}],
        }
        (folder / "s.json").write_text(json.dumps(script))
        assert load_script(folder / "s.json").fixtures["f"].resource["id"] == "x1"

    def test_utf16_is_read(self, tmp_path: Path) -> None:
        text = '<?xml version="1.0" encoding="UTF-16"?><TestScript xmlns="http://hl7.org/fhir"><id value="a"/></TestScript>'
        (tmp_path / "s.xml").write_bytes(text.encode("utf-16"))
        assert load_script(tmp_path / "s.xml").resource["id"] == "a"

    def test_rules_are_left_aside_with_a_notice(self, tmp_path: Path) -> None:
        script = {"resourceType": "TestScript", "ruleset": [{"resource": {}}], "test": []}
        path = tmp_path / "s.json"
        path.write_text(json.dumps(script))
        assert [issue.code for issue in load_script(path).notices] == ["HT-CT-05"]

    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"{", "HT-CT-04"),
            (b'{"resourceType":"Patient"}', "HT-CT-01"),
            (b'{"resourceType":"TestScript","fixture":[{"id":"a","resource":{"reference":"no.json"}}]}', "HT-CT-02"),
            (b'{"resourceType":"TestScript","fixture":[{"id":"a","resource":{"reference":"#no"}}]}', "HT-CT-02"),
            (b'{"resourceType":"TestScript","fixture":[{"id":"a","resource":{"reference":"http://x/y"}}]}', "HT-CT-02"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_refused(self, tmp_path: Path, content: bytes, code: str) -> None:
        path = tmp_path / "s.json"
        path.write_bytes(content)
        with pytest.raises(InvalidInput) as caught:
            load_script(path)
        assert caught.value.issues[0].code == code


def test_a_report_is_a_valid_resource(tmp_path: Path) -> None:
    results, _, player = play(
        tmp_path, patient, READ, {"assert": {"response": "okay"}}, setup={"action": [READ]}
    )
    report = to_test_report(results, script="s.json", target="http://target", issued="2026-11-24T08:00:00+08:00",
                            setup=player.setup, teardown=player.teardown)  # fmt: skip
    assert report["result"] == "pass"
    assert [row for row in validate(report) if row.severity in ("error", "fatal")] == []
