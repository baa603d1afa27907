"""Settings of senders: private OIDs of a hospital mean what its file says (docs/adapters/hl7v3.md)."""

from pathlib import Path

import pytest

from gateway.assembly.messages import active_maps
from gateway.senders import load_senders
from gateway.settings import Settings
from mappings.language.converters import Sender
from terminology.issues import InvalidInput
from tests.gateway.running import run
from tests.gateway.test_hospital_platform import found, registration, serving, soap

FILE = """
"HIS|*":
  facility: H1
  zone: Asia/Urumqi
  systems:
    1.2.156.112606.1.1.3: resident
    1.2.156.112606.1.2.1.3: https://h1.example/patients
"""


def test_private_roots_mean_what_the_site_says(tmp_path: Path) -> None:
    file = tmp_path / "senders.yaml"
    file.write_text(FILE, "utf-8")
    text = registration().replace("2.16.156.10011.1.3", "1.2.156.112606.1.1.3")
    text = text.replace("2.16.156.10011.0.2.2", "1.2.156.112606.1.2.1.3")

    async def body() -> None:
        async with serving(tmp_path / "data", senders=file) as (gateway, client):
            assert gateway.maps.sender_of("HIS", "H9").facility == "H1"  # type: ignore[attr-defined]  # the active maps
            await soap(client, "PatientRegistryAddRequest", text)
            (patient,) = await found(client, "Patient")
            systems = {row["value"]: row["system"] for row in patient["identifier"]}
            assert systems == {
                "P0001": "https://h1.example/patients",
                "11010519491231002X": "urn:oid:2.16.156.10011.1.3",
            }

    run(body())


@pytest.mark.parametrize(
    "text",
    ["- a list\n", '"HIS|*": text\n', '"HIS|*": {unknown: 1}\n', '"HIS|*": {zone: Mars/Base}\n',
     '"HIS|*": {systems: {1.2.3: nothing}}\n', '"HIS|*": {'],
)  # fmt: skip
def test_a_wrong_file_stops_the_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "senders.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidInput) as refused:
        load_senders(file, Sender())
    assert {issue.code for issue in refused.value.issues} == {"HT-MAP-60"}
    with pytest.raises(InvalidInput):
        active_maps(Settings(data=tmp_path, senders=file))
