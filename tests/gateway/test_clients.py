"""Public FHIR clients against a live server: create, search, page, conditional writes, patch."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.store.memory import MemoryStore
from tests.gateway.live import serving


@pytest.fixture
def base() -> Iterator[str]:
    with serving(MemoryStore()) as url:
        yield url


def test_fhirpy(base: str) -> None:
    """fhirpy: https://github.com/beda-software/fhir-py"""
    fhirpy = pytest.importorskip("fhirpy")

    async def talk() -> None:
        client = fhirpy.AsyncFHIRClient(base)
        patient = client.resource("Patient", name=[{"text": "张三"}], gender="male")
        await patient.save()
        assert patient.id
        patient["birthDate"] = "1980-01-01"
        await patient.save()
        assert patient["meta"]["versionId"] == "2"
        await patient.patch(gender="other")
        assert (await client.reference("Patient", patient.id).to_resource())["gender"] == "other"
        for number in range(25):
            await client.resource(
                "Patient",
                name=[{"text": f"李{number}"}],
                identifier=[{"system": "urn:n", "value": str(number)}],
            ).save()
        assert await client.resources("Patient").search(name="张三").count() == 1
        paged = [row async for row in client.resources("Patient").limit(7)]
        assert len({row.id for row in paged}) == 26
        assert len(await client.resources("Patient").search(name="李").fetch_all()) == 25
        twin = client.resource("Patient", identifier=[{"system": "urn:n", "value": "3"}])
        found, created = await client.resources("Patient").search(identifier="urn:n|3").get_or_create(twin)
        assert not created
        assert found["name"][0]["text"] == "李3"
        changed, created = (
            await client.resources("Patient")
            .search(identifier="urn:n|3")
            .update(client.resource("Patient", identifier=[{"system": "urn:n", "value": "3"}], active=True))
        )
        assert not created
        assert changed["active"] is True
        await patient.delete()
        with pytest.raises(fhirpy.base.exceptions.ResourceNotFound):
            await client.reference("Patient", patient.id).to_resource()

    asyncio.run(talk())


def test_fhirclient(base: str) -> None:
    """fhirclient: https://github.com/smart-on-fhir/client-py"""
    pytest.importorskip("fhirclient")
    from fhirclient import client
    from fhirclient.models.humanname import HumanName
    from fhirclient.models.patient import Patient

    smart = client.FHIRClient(settings={"app_id": "test", "api_base": base})
    assert smart.server.capabilityStatement.fhirVersion == "4.0.1"
    patient = Patient({"gender": "male"})
    patient.name = [HumanName({"text": "王五"})]
    made = patient.create(smart.server)
    assert made["id"]
    read = Patient.read(made["id"], smart.server)
    assert read.name[0].text == "王五"
    read.active = True
    read.update(smart.server)
    found = list(Patient.where({"name": "王五"}).perform_resources_iter(smart.server))
    assert [one.active for one in found] == [True]
    for _ in range(60):
        Patient({"gender": "female"}).create(smart.server)
    pages = list(Patient.where({"gender": "female", "_count": "25"}).perform_resources_iter(smart.server))
    assert len({one.id for one in pages}) == 60
    read.delete()
