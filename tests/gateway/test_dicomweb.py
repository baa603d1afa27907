"""DICOMweb: STOW-RS, QIDO-RS, WADO-RS as PS3.18 §10 has them."""

import asyncio
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from tests.gateway.dicom_network import client, imaging, resources, wait_for
from tests.gateway.running import run
from tests.mappings.dicom_files import IMPLICIT, SAMPLES, ct

STUDY, SERIES, UID = "1.2.3.1", "1.2.3.1.1", "1.2.3.1.1.1"
INSTANCE = f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/{UID}"
JSON = {"Accept": "application/dicom+json"}


def multipart(
    *objects: bytes, kind: str = "application/dicom", boundary: str = "grenze"
) -> tuple[bytes, dict[str, str]]:
    body = b"".join(
        f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode() + raw + b"\r\n" for raw in objects
    )
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary={boundary}', **JSON}
    return body + f"--{boundary}--\r\n".encode(), headers


async def stow(http: httpx.AsyncClient, *objects: bytes, path: str = "/dicomweb/studies") -> httpx.Response:
    body, headers = multipart(*objects)
    return await http.post(path, content=body, headers=headers)


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content-Type and body of each part."""
    mark = b"--" + answer.headers["content-type"].partition("boundary=")[2].encode()
    first, *pieces, last = answer.content.split(mark)
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for piece in pieces:
        head, _, body = piece.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        found.append((head.decode().split("\r\n")[0].removeprefix("Content-Type: "), body))
    return found


def case(folder: Path, scenario: Any, **chosen: Any) -> None:
    async def whole() -> None:
        async with imaging(folder, dicom=False, **chosen) as gateway, client(gateway) as http:
            await scenario(gateway, http)

    run(whole())


class TestStore:
    """PS3.18 §10.5"""

    def test_an_ecg_waveform_is_an_ecg_too(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            raw = (Path(__file__).parent.parent / "data" / "ecg" / "waveform_ecg.dcm").read_bytes()
            assert (await stow(http, raw)).status_code == 200

            async def look() -> bool:
                return bool(await resources(gateway, "Observation"))

            await wait_for(look)
            (observation,) = await resources(gateway, "Observation")
            (study,) = await resources(gateway, "ImagingStudy")
            assert observation["subject"] == study["subject"]
            answer = await http.get(f"/fhir/Observation/{observation['id']}/$ecg-svg")
            assert answer.headers["content-type"].startswith("image/svg+xml")

        case(tmp_path, scenario)

    def test_objects_are_stored_and_answered_for_each(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            answer = await stow(http, ct(), ct(uid="1.2.3.1.1.2"))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "application/dicom+json"
            body = answer.json()
            assert [row["00081155"]["Value"] for row in body["00081199"]["Value"]] == [[UID], ["1.2.3.1.1.2"]]
            assert body["00081190"]["Value"][0].endswith(f"/dicomweb/studies/{STUDY}")
            assert "00081198" not in body

            async def look() -> bool:
                return bool(await resources(gateway, "ImagingStudy", status="available"))

            await wait_for(look)

        case(tmp_path, scenario)

    def test_some_fail(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            answer = await stow(http, ct(), ct(uid="1.2.3.1.1.2", series=None), ct(uid="1.2.3.1.1.3")[:700])
            assert answer.status_code == 202
            failed = answer.json()["00081198"]["Value"]
            assert [row["00081197"]["Value"] for row in failed] == [[0xA900], [0xC000]]
            text = failed[0]["0040A160"]["Value"][0]
            assert text.startswith("HT-DCM-02")
            assert "SeriesInstanceUID 缺失" in text
            assert "is missing" in text
            parked = (await http.get("/messages", params={"state": "parked"})).json()["messages"]
            assert sorted(row["issues"][0]["code"] for row in parked) == ["HT-DCM-02", "HT-DCM-03"]

        case(tmp_path, scenario)

    def test_all_fail(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            assert (await stow(http, b"no dicom at all")).status_code == 409
            gateway.imaging.archive.min_free = 1 << 60
            full = await stow(http, ct())
            assert full.status_code == 503
            assert full.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]

        case(tmp_path, scenario)

    def test_an_object_of_another_study(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            answer = await stow(http, ct(), path="/dicomweb/studies/9.9")
            assert answer.status_code == 409
            assert "HT-DCM-43" in answer.text
            assert (await stow(http, ct(), path=f"/dicomweb/studies/{STUDY}")).status_code == 200

        case(tmp_path, scenario)

    def test_what_is_not_taken(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            post = http.post
            body, headers = multipart(ct())
            assert (
                await post("/dicomweb/studies", content=body, headers={"Content-Type": "text/plain"})
            ).status_code == 415
            other, kinds = multipart(b"[]", kind="application/dicom+json")
            assert (await post("/dicomweb/studies", content=other, headers=kinds)).status_code == 415
            bare = {"Content-Type": "multipart/related; type=application/dicom"}
            assert (await post("/dicomweb/studies", content=body, headers=bare)).status_code == 400
            assert (await post("/dicomweb/studies", content=body[:-20], headers=headers)).status_code == 400
            xml = {**headers, "Accept": "application/dicom+xml"}
            assert (await post("/dicomweb/studies", content=body, headers=xml)).status_code == 406
            assert (await http.delete("/dicomweb/studies/1.2")).status_code == 405
            outcome = (await http.get("/dicomweb/nowhere", headers={"Accept-Language": "en"})).json()
            assert outcome["issue"][0]["details"]["coding"][0]["code"] == "HT-DCM-30"

        case(tmp_path, scenario)

    def test_an_object_over_the_limit(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            assert (await stow(http, ct(pixels=b"1" * 100_000))).status_code == 413
            assert list((tmp_path / "imaging" / "inbox").iterdir()) == []

        case(tmp_path, scenario, dicom_max_bytes=50_000)

    def test_one_object_as_the_body(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            answer = await http.post(
                "/dicomweb/studies", content=ct(), headers={"Content-Type": "application/dicom"}
            )
            assert answer.status_code == 200

        case(tmp_path, scenario)

    def test_a_boundary_cut_anywhere(self, tmp_path: Path) -> None:
        """The body arrives in pieces of every size."""

        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            body, headers = multipart(ct(), ct(uid="1.2.3.1.1.2", pixels=b"\r\n--grenz" * 8))
            for size in (1, 7, 33, 1000):

                async def pieces(size: int = size) -> Any:
                    for at in range(0, len(body), size):
                        yield body[at : at + size]

                answer = await http.post("/dicomweb/studies", content=pieces(), headers=headers)
                assert answer.status_code == 200, size

        case(tmp_path, scenario)


class TestSearch:
    """PS3.18 §10.6"""

    def test_studies(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            other = ct(uid="1.2.4.1.1", series="1.2.4.1", study="1.2.4", patient="P0002", name="李^四", modality="MR",
                       study_date="20260401", accession="A9")  # fmt: skip
            await stow(http, ct(), ct(uid="1.2.3.1.1.2"), other)

            async def found(query: str) -> list[str]:
                answer = await http.get(f"/dicomweb/studies?{query}", headers=JSON)
                if answer.status_code == 204:
                    return []
                assert answer.status_code == 200, answer.text
                return sorted(row["0020000D"]["Value"][0] for row in answer.json())

            assert await found("") == [STUDY, "1.2.4"]
            assert await found("PatientID=P0001") == [STUDY]
            assert await found("00100020=P0002") == ["1.2.4"]
            assert await found("PatientName=Zhang*") == [STUDY]
            assert await found("PatientName=李^四") == ["1.2.4"]
            assert await found("PatientName=张*") == [STUDY]
            assert await found("StudyDate=20260301-20260331") == [STUDY]
            assert await found("StudyDate=20260401-") == ["1.2.4"]
            assert await found("ModalitiesInStudy=MR") == ["1.2.4"]
            assert await found("AccessionNumber=A9") == ["1.2.4"]
            assert await found("StudyInstanceUID=1.2.4,1.2.3.1") == [STUDY, "1.2.4"]
            assert await found("PatientID=nobody") == []
            assert await found("limit=1") == ["1.2.4"]
            assert await found("limit=1&offset=1") == [STUDY]
            row = (await http.get("/dicomweb/studies?PatientID=P0001", headers=JSON)).json()[0]
            assert row["00100010"]["Value"] == [{"Alphabetic": "Zhang^Sanfeng", "Ideographic": "张^三丰"}]
            assert row["00080061"]["Value"] == ["CT"]
            assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([1], [2])
            assert row["00081190"]["Value"][0].endswith(f"/studies/{STUDY}")

        case(tmp_path, scenario)

    def test_series_and_instances(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(
                http,
                ct(),
                ct(uid="1.2.3.1.1.2", number=2),
                ct(uid="1.2.3.1.2.1", series="1.2.3.1.2", series_number=2),
            )
            get = http.get
            assert len((await get(f"/dicomweb/studies/{STUDY}/series", headers=JSON)).json()) == 2
            assert len((await get("/dicomweb/series?Modality=CT", headers=JSON)).json()) == 2
            assert len((await get(f"/dicomweb/studies/{STUDY}/instances", headers=JSON)).json()) == 3
            assert (
                len((await get("/dicomweb/instances?SOPInstanceUID=1.2.3.1.1.2", headers=JSON)).json()) == 1
            )
            rows = (await get(f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances", headers=JSON)).json()
            assert [row["00080018"]["Value"][0] for row in rows] == [UID, "1.2.3.1.1.2"]
            assert rows[0]["00280010"]["Value"] == [8]

        case(tmp_path, scenario)

    def test_includefield(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(http, ct())
            row = (await http.get("/dicomweb/instances?includefield=StationName", headers=JSON)).json()[0]
            assert row["00081010"]["Value"] == ["CT01"]
            whole = (await http.get("/dicomweb/instances?includefield=all", headers=JSON)).json()[0]
            assert whole["00280004"]["Value"] == ["MONOCHROME2"]

        case(tmp_path, scenario)

    def test_what_cannot_be_asked(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(http, ct())
            for query in (
                "NoSuchKeyword=1",
                "limit=x",
                "offset=-1",
                "includefield=Nothing",
                "fuzzymatching=maybe",
                "KVP=1",
            ):
                answer = await http.get(f"/dicomweb/studies?{query}")
                assert answer.status_code == 400, query
                assert "HT-DCM-44" in answer.text
            assert (
                await http.get("/dicomweb/studies", headers={"Accept": "application/dicom+xml"})
            ).status_code == 406
            fuzzy = await http.get("/dicomweb/studies?fuzzymatching=true&PatientName=Zhang*")
            assert "fuzzymatching" in fuzzy.headers["warning"]
            assert (await http.get("/dicomweb/studies/not-a-uid/series")).status_code == 400

        case(tmp_path, scenario)


class TestRetrieve:
    """PS3.18 §10.4"""

    def test_objects_as_they_were_stored(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            first, second = ct(), ct(uid="1.2.3.1.1.2", number=2)
            await stow(http, first, second)
            kind = 'multipart/related; type="application/dicom"; transfer-syntax=*'
            answer = await http.get(f"/dicomweb/studies/{STUDY}", headers={"Accept": kind})
            assert answer.status_code == 200
            assert [body for _, body in parts(answer)] == [first, second]
            assert parts(answer)[0][0] == "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"
            assert len(parts(await http.get(f"/dicomweb/studies/{STUDY}/series/{SERIES}"))) == 2
            assert parts(await http.get(INSTANCE)) == [parts(answer)[0]]
            single = await http.get(INSTANCE, headers={"Accept": "application/dicom"})
            assert single.content == first

        case(tmp_path, scenario)

    def test_another_transfer_syntax(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            from pydicom import dcmread

            await stow(http, ct(explicit=False))
            kind = 'multipart/related; type="application/dicom"; transfer-syntax='
            answer = await http.get(INSTANCE, headers={"Accept": kind + "1.2.840.10008.1.2.1"})
            assert dcmread(BytesIO(parts(answer)[0][1])).PatientName == "Zhang^Sanfeng=张^三丰"
            assert parts(answer)[0][0].endswith("1.2.840.10008.1.2.1")
            assert (await http.get(INSTANCE, headers={"Accept": kind + IMPLICIT})).status_code == 200
            assert (
                await http.get(INSTANCE, headers={"Accept": kind + "1.2.840.10008.1.2.4.90"})
            ).status_code == 406
            assert (await http.get(INSTANCE, headers={"Accept": "text/html"})).status_code == 406

        case(tmp_path, scenario)

    def test_metadata_and_bulkdata(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(http, ct(pixels=bytes(range(64))))
            for place in (
                f"/dicomweb/studies/{STUDY}",
                f"/dicomweb/studies/{STUDY}/series/{SERIES}",
                INSTANCE,
            ):
                answer = await http.get(f"{place}/metadata", headers=JSON)
                assert answer.headers["content-type"] == "application/dicom+json"
                row = json.loads(answer.content)[0]
                assert row["00100010"]["Value"][0]["Ideographic"] == "张^三丰"
                assert row["7FE00010"]["vr"] == "OW"
            uri = row["7FE00010"]["BulkDataURI"]
            path = uri[uri.index("/dicomweb") :]
            whole = await http.get(path, headers={"Accept": "application/octet-stream"})
            assert whole.content == bytes(range(64))
            assert parts(
                await http.get(path, headers={"Accept": 'multipart/related; type="application/octet-stream"'})
            )[0][1] == bytes(range(64))
            assert (await http.get(f"{INSTANCE}/bulkdata/00081111")).status_code == 404

        case(tmp_path, scenario)

    def test_frames(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(http, ct(pixels=bytes(range(64))))
            answer = await http.get(f"{INSTANCE}/frames/1")
            assert parts(answer) == [
                ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", bytes(range(64)))
            ]
            assert (await http.get(f"{INSTANCE}/frames/2")).status_code == 404
            assert (await http.get(f"{INSTANCE}/frames/x")).status_code == 400

        case(tmp_path, scenario)

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            await stow(http, ct())
            for path in (
                "/dicomweb/studies/9.9",
                f"/dicomweb/studies/{STUDY}/series/9.9",
                f"/dicomweb/studies/{STUDY}/series/{SERIES}/instances/9.9/metadata",
            ):
                assert (await http.get(path)).status_code == 404, path

        case(tmp_path, scenario)


class TestRendered:
    """PS3.18 §10.4.1.1.3"""

    @pytest.mark.parametrize("kind", ["image/jpeg", "image/png"])
    def test_pictures(self, tmp_path: Path, kind: str) -> None:
        image = pytest.importorskip("PIL.Image")

        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            raw = (SAMPLES / "CT_small.dcm").read_bytes()
            row = (await stow(http, raw)).json()["00081199"]["Value"][0]
            url = row["00081190"]["Value"][0]
            place = url[url.index("/dicomweb") :]
            answer = await http.get(f"{place}/rendered", headers={"Accept": kind})
            assert answer.headers["content-type"] == kind
            assert image.open(BytesIO(answer.content)).size == (128, 128)
            small = await http.get(f"{place}/rendered?viewport=32,32&quality=50", headers={"Accept": kind})
            assert image.open(BytesIO(small.content)).size == (32, 32)
            windowed = await http.get(
                f"{place}/frames/1/rendered?window=40,400,linear", headers={"Accept": kind}
            )
            assert windowed.status_code == 200
            assert windowed.content != answer.content
            series = place.rpartition("/instances")[0]
            whole = await http.get(
                f"{series}/rendered", headers={"Accept": f'multipart/related; type="{kind}"'}
            )
            assert [body for _, body in parts(whole)] == [answer.content]
            assert (await http.get(f"{place}/thumbnail", headers={"Accept": kind})).status_code == 200
            assert (await http.get(f"{place}/rendered?quality=0")).status_code == 400
            assert (await http.get(f"{place}/rendered", headers={"Accept": "video/mp4"})).status_code == 406

        case(tmp_path, scenario)

    def test_what_has_no_pixels(self, tmp_path: Path) -> None:
        async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
            row = (await stow(http, (SAMPLES / "test-SR.dcm").read_bytes())).json()["00081199"]["Value"][0]
            url = row["00081190"]["Value"][0]
            answer = await http.get(url[url.index("/dicomweb") :] + "/rendered")
            assert answer.status_code == 422
            assert "HT-DCM-50" in answer.text

        case(tmp_path, scenario)


def test_many_at_once(tmp_path: Path) -> None:
    async def scenario(gateway: Gateway, http: httpx.AsyncClient) -> None:
        answers = await asyncio.gather(
            *(stow(http, ct(uid=f"1.2.3.1.1.{number}")) for number in range(1, 21))
        )
        assert {answer.status_code for answer in answers} == {200}
        rows = (await http.get(f"/dicomweb/studies/{STUDY}/instances?limit=50", headers=JSON)).json()
        assert len(rows) == 20

    case(tmp_path, scenario)
