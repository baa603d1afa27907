"""Whatever a stranger sends: an answer of the error contract, bounded, and never a 5xx (docs/design.md §4)."""

import json
import random
from collections.abc import Iterator

import pytest

from gateway.rest.context import Limits
from gateway.store.memory import MemoryStore
from tests.gateway.server import Server

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"text": "张三"}], "gender": "male"}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(MemoryStore(), limits=Limits(body_bytes=100_000, url_bytes=2_000, entries=50, page=100))
    server.request("PUT", "Patient/p", PATIENT)
    yield server
    server.close()


class TestLimits:
    def test_a_large_body_is_413(self, server: Server) -> None:
        answer = server.request("POST", "Patient", b"x" * 100_001, content_type="application/fhir+json")
        assert answer.status_code == 413
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-REST-50"

    def test_a_long_url_is_413(self, server: Server) -> None:
        assert server.request("GET", "Patient?name=" + "a" * 3_000).status_code == 413

    @pytest.mark.parametrize("depth", [70, 500, 5_000])
    def test_a_deep_body_is_413(self, server: Server, depth: int) -> None:
        body = '{"resourceType":"Patient","extension":' + '[{"extension":' * depth + "[]" + "}]" * depth + "}"
        answer = server.request("POST", "Patient", body, content_type="application/fhir+json")
        assert answer.status_code == 413
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-REST-45"

    def test_deep_xml_is_refused(self, server: Server) -> None:
        body = (
            '<Patient xmlns="http://hl7.org/fhir">'
            + "<extension>" * 3_000
            + "</extension>" * 3_000
            + "</Patient>"
        )
        assert server.request("POST", "Patient", body, content_type="application/fhir+xml").status_code in (
            400,
            413,
            422,
        )

    def test_an_entity_bomb_is_refused(self, server: Server) -> None:
        bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Patient xmlns="http://hl7.org/fhir"><id value="&b;"/></Patient>'
        assert server.request("POST", "Patient", bomb, content_type="application/fhir+xml").status_code == 400

    def test_many_entries_are_413(self, server: Server) -> None:
        bundle = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [{"request": {"method": "GET", "url": "Patient/p"}}] * 51,
        }
        answer = server.request("POST", "", bundle)
        assert answer.status_code == 413
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-REST-54"

    def test_a_huge_count_is_brought_down(self, server: Server) -> None:
        answer = server.request("GET", "Patient?_count=99999999")
        assert answer.status_code == 200
        assert "_count=100" in answer.json()["link"][0]["url"]

    def test_many_parameters_are_refused(self, server: Server) -> None:
        answer = server.request(
            "POST",
            "Patient/_search",
            "&".join(["a=b"] * 1_200),
            content_type="application/x-www-form-urlencoded",
        )
        assert answer.status_code == 400

    def test_a_long_patch_is_refused(self, server: Server) -> None:
        patch = [{"op": "test", "path": "/gender", "value": "male"}] * 1_001
        assert (
            server.request(
                "PATCH", "Patient/p", patch, content_type="application/json-patch+json"
            ).status_code
            == 400
        )


WORDS = [
    "Patient", "Observation", "p", "_history", "_search", "$everything", "$match", "$meta", "metadata", "..", "%2e%2e", "1",
    "*", "", "a_b", "Patient?", "%00", "%FF", "张三", "$graphql", "_count=-1", "async", "x" * 70, "%F0%9F%98%80", ";", "@", ":",
]  # fmt: skip
QUERIES = [
    "", "_count=0", "_count=-5", "_count=1e9", "name=张", "name:exact=%FF", "birthdate=ge2020-13-45", "_id=p,p,p", "_sort=-name,foo",
    "_include=*", "_include=Patient:general-practitioner:Foo", "_has:Observation:patient:code=1", "_has:x:y", "gender:not=male",
    "_filter=name eq", "_filter=((((((", "_summary=x", "_elements=,,,", "_format=xml", "_format=%00", "_cursor=AAAA", "_total=x",
    "name=" + "\\," * 50, "link.link.link.link.link.name=a", "identifier=|||", "_lastUpdated=gt", "name:contains=", "_text=((", "near=1|2",
    "_revinclude=*", "_include:iterate=*", "_list=x", "_type=Foo", "(a+)+$=1", "=", "&&&", "_pretty=maybe", "_profile:below=x",
]  # fmt: skip
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]
HEADERS: list[dict[str, str]] = [
    {}, {"if_match": "x"}, {"if_match": 'W/"' + "9" * 40 + '"'}, {"if_none_match": "*"}, {"if_none_exist": "a=b&c"}, {"accept": "x"},
    {"prefer": "return=;;handling"}, {"accept": "application/fhir+json;q=x"}, {"range": "bytes=9-1"}, {"content_type": "application/fhir+xml"},
    {"content_type": "application/json-patch+json"}, {"content_type": "a/b;charset=\"x"}, {"if_modified_since": "Mon, 99"},
    {"if_none_exist": "identifier=1"}, {"host": "a b"}, {"x_request_id": "\\n"}, {"accept_language": "en;q=,zh;q=z"}, {"content_length": "5"},
]  # fmt: skip


def mutated(rng: random.Random, tree: object, depth: int = 0) -> object:
    """A neighbour of a JSON tree: something removed, doubled, or of another type."""
    odd: list[object] = [
        None,
        True,
        -1,
        1e308,
        "",
        "\u0000",
        "x" * 300,
        [],
        {},
        [[]],
        {"a": {}},
        "2020-02-30",
        "urn:uuid:1",
        "Patient?x=1",
    ]
    if depth > 4 or rng.random() < 0.15:
        return rng.choice(odd)
    if isinstance(tree, dict):
        fresh = {
            key: mutated(rng, value, depth + 1) if rng.random() < 0.3 else value
            for key, value in tree.items()
            if rng.random() > 0.05
        }
        if rng.random() < 0.2:
            fresh[
                rng.choice(
                    ["_name", "id", "meta", "contained", "extension", "entry", "type", "valueX", "text"]
                )
            ] = rng.choice(odd)
        return fresh
    if isinstance(tree, list):
        return [mutated(rng, value, depth + 1) if rng.random() < 0.3 else value for value in tree]
    return tree


BODIES: list[object] = [
    PATIENT,
    {"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "s", "code": "c"}]}, "subject": {"reference": "Patient/p"}, "valueQuantity": {"value": 1.5, "code": "mg", "system": "http://unitsofmeasure.org"}},
    {"resourceType": "Bundle", "type": "transaction", "entry": [{"fullUrl": "urn:uuid:1", "resource": PATIENT, "request": {"method": "PUT", "url": "Patient/p", "ifMatch": "x"}}, {"request": {"method": "GET", "url": "Patient?name=a"}}, {"resource": {"resourceType": "Parameters", "parameter": []}, "request": {"method": "PATCH", "url": "Patient/p"}}]},
    {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "DELETE", "url": "Patient?_id=zz"}}, {"resource": PATIENT, "request": {"method": "POST", "url": "Patient", "ifNoneExist": "_id=p"}}]},
    {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [{"name": "type", "valueCode": "replace"}, {"name": "path", "valueString": "Patient.name[0].text"}, {"name": "value", "valueString": "x"}]}]},
    {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": PATIENT}, {"name": "count", "valueInteger": 3}]},
    {"resourceType": "SearchParameter", "status": "active", "url": "http://x/y", "name": "n", "description": "d", "code": "foo", "base": ["Patient"], "type": "string", "expression": "Patient.name.text"},
    [{"op": "replace", "path": "/name/0/text", "value": "y"}, {"op": "move", "from": "/name", "path": "/name/0"}],
    {"query": "{ PatientList(name: \"a\") { id name { text } ConditionList(_reference: patient) { id } } }"},
    {"resourceType": "Binary", "contentType": "text/plain\r\nX: y", "data": "!!!"},
]  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_random_requests_never_fail_inside(server: Server, seed: int) -> None:
    """A seeded run; scripts/fuzz_rest goes on for as long as one likes."""
    rng = random.Random(seed)
    for _ in range(250):
        method, path, body, headers = random_request(rng)
        answer = server.request(method, path, body, **headers)
        assert answer.status_code < 500, (method, path, headers, body, answer.text)
        if answer.status_code >= 400 and answer.text[:1] == "{" and "errors" not in answer.json():
            outcome = answer.json()
            assert outcome["resourceType"] == "OperationOutcome"
            for issue in outcome["issue"]:
                assert issue["details"]["coding"][0]["code"].startswith("HT-"), issue
                assert issue["diagnostics"]


def random_request(rng: random.Random) -> tuple[str, str, bytes | None, dict[str, str]]:
    """Method, path with query, body, headers."""
    path = "/".join(rng.choice(WORDS) for _ in range(rng.randint(0, 4)))
    if rng.random() < 0.6:
        path = rng.choice(
            [
                "Patient",
                "Patient/p",
                "",
                "Observation",
                "Patient/p/_history",
                "_history",
                "Patient/$match",
                "$graphql",
                "Binary",
                "Binary/b",
                "SearchParameter",
                "Patient/p/Observation",
                "Observation/$lastn",
                "Patient/p/$everything",
                "Patient/p/$meta-add",
            ]
        )
    query = "&".join(rng.choice(QUERIES) for _ in range(rng.randint(0, 3)))
    method = rng.choice(METHODS)
    headers = dict(rng.choice(HEADERS))
    body: bytes | None = None
    if method in ("POST", "PUT", "PATCH"):
        tree = mutated(rng, rng.choice(BODIES))
        body = json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode()
        headers.setdefault(
            "content_type",
            rng.choice(
                [
                    "application/fhir+json",
                    "application/json",
                    "application/json-patch+json",
                    "application/x-www-form-urlencoded",
                ]
            ),
        )
        if rng.random() < 0.1:
            at = rng.randrange(len(body) + 1)
            body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
    headers.pop("content_length", None)
    return method, f"{path}?{query}" if query else path, body, headers
