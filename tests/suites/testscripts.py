"""The public TestScripts of tests/data/testscripts, played by the conformance engine against the server in memory."""

from pathlib import Path

from conformance.testing import Answer, Call, Player, load_script
from conformance.testing.result import Result
from gateway.rest.example import minimal
from gateway.store.memory import MemoryStore
from tests.gateway.server import BASE, Server

FOLDER = Path(__file__).parent.parent / "data" / "testscripts"
# Scripts for the types of other FHIR versions say so; R4 servers have no such types.
OTHER_VERSIONS = {
    "all-resource-types-r4-and-r5",
    "all-resource-types-r4b-plus",
    "all-resource-types-r5-only",
    "all-resource-types-stu3-only",
    "all-resource-types-pre-r5",
}
FIXTURES = {"fixtures", "_reference"}
# What a person is asked for before the script runs (variable.hint).
INPUTS = {"PatientSearchFamilyName": "Chalmers", "PatientSearchGivenName": "Peter"}


class InMemory:
    """The client over a server of this process."""

    base = BASE

    def __init__(self, server: Server) -> None:
        self.server = server

    def send(self, call: Call) -> Answer:
        headers = {name.replace("-", "_"): value for name, value in call.headers.items()}
        answer = self.server.request(call.method, call.url.lstrip("/"), call.body or None, **headers)
        fields = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, fields, answer.content, str(answer.request.url))


def scripts() -> list[Path]:
    return sorted(
        path
        for path in (*FOLDER.rglob("*.json"), *FOLDER.rglob("*.xml"))
        if not FIXTURES & set(path.parts) and path.stem not in OTHER_VERSIONS
    )


def play(path: Path) -> list[Result]:
    server = Server(MemoryStore(), workflow=True)
    # The crucible scripts read a Patient that the test system has from the beginning.
    server.request(
        "PUT",
        "Patient/example",
        {"resourceType": "Patient", "id": "example", "name": [{"family": "Chalmers"}]},
    )
    try:
        return Player(load_script(path, fake=minimal), InMemory(server), inputs=INPUTS).play()
    finally:
        server.close()
