"""Every resource type in and out, in both formats, with nothing lost (https://hl7.org/fhir/R4/xml.html, json.html)."""

from collections.abc import Iterator

import pytest

from conformance.definitions import resource_types
from conformance.formats.xml import to_json, to_xml
from gateway.rest.example import minimal
from gateway.store.memory import MemoryStore
from terminology.fhirjson import Json, decode, encode
from tests.gateway.server import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(MemoryStore())
    yield server
    server.close()


@pytest.mark.parametrize("name", sorted(resource_types()))
def test_json_and_xml_agree(name: str, server: Server) -> None:
    sent = {**minimal(name), "id": "x"}
    put = server.request("PUT", f"{name}/x", encode(sent), content_type="application/fhir+json")
    assert put.status_code in (200, 201), put.text
    json_body = without_meta(
        decode(server.request("GET", f"{name}/x", accept="application/fhir+json").content)
    )
    xml_body = server.request("GET", f"{name}/x?_format=xml").content
    assert encode(json_body) == encode(order(sent, json_body))
    assert without_meta(to_json(xml_body)) == json_body
    again = server.request("PUT", f"{name}/x", to_xml(json_body), content_type="application/fhir+xml")
    assert again.status_code == 200, again.text
    assert without_meta(decode(server.request("GET", f"{name}/x?_format=json").content)) == json_body


def without_meta(resource: Json) -> Json:
    return {key: value for key, value in resource.items() if key != "meta"}


def order(sent: Json, received: Json) -> Json:
    """The same elements in the order of the answer; the value of each must be the one that was sent."""
    assert set(sent) == set(received)
    return {key: sent[key] for key in received}
