"""ECG files: one recording in every format gives the same samples; bounded, hardened, never a crash."""

import random
import tracemalloc
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy
import pytest

from conformance.validation import validate
from mappings.convert import convert
from mappings.ecg.convert import convert_ecg, examine
from mappings.ecg.formats import format_of
from mappings.ecg.quality import check_quality, pack_of
from mappings.ecg.read import read_recording
from mappings.ecg.recording import Recording, with_derived_leads
from mappings.ecg.sampled_data import read_components, to_component
from mappings.ecg.texts import repaired
from mappings.language.active import ActiveMaps
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, MalformedMessage, TooLarge
from tests.mappings.ecg_files import (
    LEADS,
    Sample,
    sample,
    to_aecg,
    to_dicom,
    to_edf,
    to_kardia,
    to_muse,
    to_scp,
    to_sierra,
)

DATA = Path(__file__).parent.parent / "data" / "ecg"
MAPS = ActiveMaps()
WRITERS: dict[str, Callable[[Sample], bytes]] = {
    "aecg": to_aecg,
    "scp": to_scp,
    "scp, first differences": lambda made: to_scp(made, difference=1),
    "scp, second differences, Huffman": lambda made: to_scp(made, difference=2, huffman=True),
    "dicom": to_dicom,
}


OTHERS = (to_muse, to_edf, to_sierra, to_kardia)


def sampled(raw: bytes) -> dict[str, tuple[Json, list[Decimal]]]:
    """SampledData of every lead as microvolts, from the resources that the map makes."""
    result = convert_ecg(examine(raw), MAPS, waveform=True)
    (observation,) = [entry.resource for entry in result.entries if entry.type == "Observation"]
    found = {}
    for row in observation["component"]:
        data = row.get("valueSampledData")
        if data is not None:
            values = [
                Decimal(word) * data["factor"] + data["origin"]["value"] for word in data["data"].split(" ")
            ]
            found[row["code"]["text"]] = (data, values)
    return found


class TestOneRecordingInEveryFormat:
    """adapters.md §7.9: aECG, SCP and DICOM of one recording give the same SampledData within one LSB."""

    @pytest.mark.parametrize("seed", range(3))
    def test_the_samples_are_the_same(self, seed: int) -> None:
        made = sample(seed)
        for name, write in WRITERS.items():
            found = sampled(write(made))
            assert sorted(found) == sorted(LEADS), name
            for lead, counts in made.leads.items():
                data, values = found[lead]
                assert data["period"] == 2
                assert values == [Decimal("2.5") * count for count in counts], (name, lead)

    def test_the_rest_is_the_same_too(self) -> None:
        made = sample(7)
        found = {name: read_recording(write(made)) for name, write in WRITERS.items()}
        for name, recording in found.items():
            assert recording.start == made.start, name
            assert recording.patient.name == "张^三丰", name
            assert (recording.patient.id, recording.patient.sex) == ("P0001", "M"), name
            assert recording.reading.statements == made.statements, name
            assert (recording.machine.manufacturer, recording.machine.serial) == ("某心电公司", "S1"), name
            values = {row.name: int(row.value) for row in recording.measurements}
            assert values == {
                "heart_rate": 72, "rr_interval": 833, "pr_interval": 160, "qrs_duration": 90, "qt_interval": 380,
                "p_axis": 44, "qrs_axis": -61, "t_axis": 86,
            }, name  # fmt: skip

    def test_a_rate_that_is_no_whole_number_is_kept(self) -> None:
        made = sample(1, rate=360, seconds=6)
        assert sampled(to_aecg(made))["I"][0]["period"] == Decimal("2.777777778")

    def test_leads_that_follow_from_I_and_II_are_computed_without_rounding(self) -> None:
        made = sample(3)
        recording = with_derived_leads(read_recording(to_muse(made)))
        assert {lead.label for lead in recording.leads} == set(LEADS)
        one, two = numpy.array(made.leads["I"]) * 2.5, numpy.array(made.leads["II"]) * 2.5
        for label, expected in (
            ("III", two - one),
            ("aVR", -(one + two) / 2),
            ("aVL", one - two / 2),
            ("aVF", two - one / 2),
        ):
            lead = recording.lead(label)
            assert lead is not None
            assert numpy.array_equal(lead.microvolts(), expected), label


class TestOtherFormats:
    @pytest.mark.parametrize("write", [to_edf, to_sierra, to_kardia])
    def test_voltages_and_time(self, write: Callable[[Sample], bytes]) -> None:
        made = sample(9, nanovolts=5000)
        recording = read_recording(write(made))
        lead = recording.lead("I")
        assert lead is not None
        assert lead.microvolts().tolist() == [5 * count for count in made.leads["I"]]
        assert (recording.rate, recording.start[:14]) == (500, made.start)

    def test_the_order_that_philips_and_muse_keep(self) -> None:
        made = sample(9, nanovolts=5000, order="RQ77")
        assert read_recording(to_sierra(made)).order == "RQ77"
        assert read_recording(to_muse(made)).order == "RQ77"


class TestSamples:
    def test_the_shipped_aecg(self) -> None:
        recording = read_recording((DATA / "aecg_hl7_example.xml").read_bytes())
        assert (recording.title, recording.rate, recording.seconds, len(recording.leads)) == (
            "HL7 aECG",
            500,
            10,
            12,
        )
        values = {row.name: int(row.value) for row in recording.measurements}
        assert values == {"pr_interval": 148, "qrs_duration": 120, "qt_interval": 420, "qtc": 443, "p_axis": 44, "qrs_axis": -61, "t_axis": 86}  # fmt: skip

    def test_the_shipped_dicom_has_the_voltages_that_pydicom_reads(self) -> None:
        import pydicom

        path = DATA / "waveform_ecg.dcm"
        array = pydicom.dcmread(path).waveform_array(0)
        recording = read_recording(path.read_bytes())
        for number, lead in enumerate(recording.leads):
            assert numpy.allclose(lead.microvolts(), array[:, number]), lead.label
        assert recording.order == "03028041970546"
        assert recording.reading.statements == ("RITMO SINUSALE", "ECG NORMALE")

    @pytest.mark.parametrize("name", ["aecg_hl7_example.xml", "waveform_ecg.dcm"])
    @pytest.mark.parametrize("waveform", [False, True])
    def test_what_the_map_makes_is_valid_fhir(self, name: str, waveform: bool) -> None:
        (result,) = convert((DATA / name).read_bytes(), MAPS, waveform=waveform)
        problems = [
            f"{entry.reference} {issue.expression} {issue.text('en')}"
            for entry in result.entries
            for issue in validate(entry.resource)
            if issue.severity in ("error", "fatal")
        ]
        assert problems == []
        made = {entry.reference for entry in result.entries}
        assert {entry.type for entry in result.entries} >= {
            "Patient",
            "Device",
            "DocumentReference",
            "Binary",
            "Observation",
        }
        text = encode(result.bundle()).decode()
        assert ('"valueSampledData"' in text) is waveform
        document = next(entry.resource for entry in result.entries if entry.type == "DocumentReference")
        assert document["content"][0]["attachment"]["url"] in made

    def test_with_waveform_the_county_profile_of_an_ecg_holds(self) -> None:
        """Everything but the order, which the file of this sample doesn't name."""
        raw = to_dicom(sample(2))
        (result,) = convert(raw, MAPS, waveform=True)
        observation = next(entry.resource for entry in result.entries if entry.type == "Observation")
        observation = {
            **observation,
            "performer": [{"reference": "Organization/1"}],
            "basedOn": [{"reference": "ServiceRequest/1"}],
        }
        url = "https://hutong.health/fhir/StructureDefinition/hutong-ecg"
        problems = [
            issue.text("en") for issue in validate(observation, profiles=[url]) if issue.severity == "error"
        ]
        assert problems == []


class TestQuality:
    def codes(self, made: Sample) -> list[str]:
        return [issue.code for issue in check_quality(read_recording(to_dicom(made)), day=date(2026, 3, 15))]

    def test_a_whole_recording_passes(self) -> None:
        assert self.codes(sample(1)) == []

    def test_seven_leads(self) -> None:
        recording = read_recording(to_dicom(sample(1, leads=LEADS[:7])))
        (issue,) = check_quality(recording, day=date(2026, 3, 15))
        assert (issue.code, issue.severity) == ("HT-ECG-01", "error")
        assert issue.values == {"count": 7, "wanted": 12, "missing": "V2, V3, V4, V5, V6"}

    def test_eight_independent_leads_are_whole(self) -> None:
        assert self.codes(sample(1, leads=("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"))) == []

    def test_rate_and_length(self) -> None:
        assert self.codes(sample(1, rate=125)) == ["HT-ECG-02"]
        assert self.codes(sample(1, rate=250)) == ["HT-ECG-07"]
        assert self.codes(sample(1, seconds=4)) == ["HT-ECG-03"]
        assert self.codes(sample(1, seconds=61)) == ["HT-ECG-08"]

    def test_a_flat_lead_and_a_clipped_one_are_told(self) -> None:
        made = sample(1)
        flat = Sample({**made.leads, "V3": [3] * 5000})
        assert self.codes(flat) == ["HT-ECG-05"]
        clipped = Sample({**made.leads, "V5": [max(value, -60) for value in made.leads["V5"]]})
        assert self.codes(clipped) == ["HT-ECG-06"]

    def test_unequal_counts(self) -> None:
        made = sample(1)
        raw = to_aecg(Sample({**made.leads, "V6": made.leads["V6"][:-10]}))
        codes = [issue.code for issue in check_quality(read_recording(raw), day=date(2026, 3, 15))]
        assert codes == ["HT-ECG-04"]

    def test_without_patient_and_time(self) -> None:
        assert self.codes(sample(1, patient="", order="", start="")) == ["HT-ECG-10", "HT-ECG-11"]

    def test_the_pack_of_the_day_counts(self) -> None:
        assert pack_of(date(2030, 1, 1)).effective <= date(2030, 1, 1)
        assert pack_of(date(1990, 1, 1)) == pack_of(date(2026, 1, 1))


class TestTexts:
    def test_gbk_without_a_declared_charset(self) -> None:
        made = sample(1, family="朱", given="镕基", statements=("窦性心动过缓",))
        recording = read_recording(to_scp(made, language=0))
        assert (recording.patient.name, recording.reading.statements) == ("朱^镕基", ("窦性心动过缓",))
        assert recording.repaired

    def test_gbk_declared_as_gb2312(self) -> None:
        assert (
            read_recording(to_scp(sample(1, family="朱", given="镕基"), language=0x27)).patient.name
            == "朱^镕基"
        )

    def test_latin_names_stay(self) -> None:
        assert repaired("Müller") == "Müller"
        assert repaired("José Ñandú") == "José Ñandú"

    def test_aecg_in_gbk(self) -> None:
        assert read_recording(to_aecg(sample(1), charset="GBK")).patient.name == "张^三丰"

    def test_aecg_that_declares_utf8_and_is_gbk(self) -> None:
        raw = to_aecg(sample(1), charset="GBK").replace(b'encoding="GBK"', b'encoding="UTF-8"')
        assert read_recording(raw).patient.name == "张^三丰"


class TestSampledData:
    def test_it_reads_back_what_it_wrote(self) -> None:
        recording = read_recording(to_dicom(sample(5)))
        rows = [to_component(lead) for lead in recording.leads]
        again = read_components({"resourceType": "Observation", "component": rows})
        assert isinstance(again, Recording)
        for one, other in zip(recording.leads, again.leads, strict=True):
            assert one.label == other.label
            assert numpy.array_equal(one.microvolts(), other.microvolts())
            assert one.rate == other.rate

    def test_a_missing_sample_is_E(self) -> None:
        recording = read_recording(to_dicom(sample(5)))
        lead = recording.leads[0]
        lead.counts[3] = numpy.nan
        assert to_component(lead)["valueSampledData"]["data"].split(" ")[3] == "E"


class TestHardened:
    BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    FILE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'

    @pytest.mark.parametrize("doctype", [BOMB, FILE, '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">'])
    def test_no_dtd_is_read(self, doctype: str) -> None:
        with pytest.raises(MalformedMessage) as caught:
            read_recording(to_aecg(sample(1, family="&f;" if "file" in doctype else "张"), doctype=doctype))
        assert caught.value.issues[0].code == "HT-ECG-24"

    def test_a_wrong_adapter_is_told(self) -> None:
        with pytest.raises(MalformedMessage) as caught:
            read_recording(to_scp(sample(1)), adapter="aecg")
        assert caught.value.issues[0].values == {"wanted": "aecg", "found": "SCP-ECG"}

    def test_no_ecg_at_all(self) -> None:
        for raw in (b"", b"x", b"MSH|^~\\&|", b"<html/>", b"{}", b"\x00" * 200):
            with pytest.raises(MalformedMessage) as caught:
                read_recording(raw)
            assert caught.value.issues[0].code == "HT-ECG-21"

    def test_an_scp_that_promises_gigabytes(self) -> None:
        raw = bytearray(to_scp(sample(1), huffman=True))
        at = raw.find((5000).to_bytes(4, "little"))
        raw[at : at + 4] = (4_000_000_000).to_bytes(4, "little")
        tracemalloc.start()
        with pytest.raises(TooLarge) as caught:
            read_recording(bytes(raw))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert caught.value.issues[0].code == "HT-ECG-22"
        assert peak < 50_000_000

    def test_a_philips_file_that_unpacks_to_gigabytes(self) -> None:
        import base64

        # LZW: code 256 upwards, each one longer than the last.
        codes = [65, *range(256, 1023)] + [1022] * 20_000
        bits = "".join(f"{code:010b}" for code in codes)
        packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
        chunk = len(packed).to_bytes(4, "little") + b"\0\0\0\0" + packed
        body = base64.b64encode(chunk * 8).decode()
        raw = f'<?xml version="1.0"?><restingecgdata xmlns="http://www3.medical.philips.com"><waveforms><parsedwaveforms compression="XLI" dataencoding="Base64">{body}</parsedwaveforms></waveforms></restingecgdata>'
        with pytest.raises(TooLarge):
            read_recording(raw.encode())

    def test_a_deflated_dicom_is_refused_unread(self) -> None:
        raw = to_dicom(sample(1)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
        with pytest.raises(MalformedMessage):
            read_recording(raw)

    @pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
    def test_truncated_anywhere(self, write: Callable[[Sample], bytes]) -> None:
        raw = write(sample(1, seconds=5, rate=250))
        for part in range(1, 20):
            cut = raw[: len(raw) * part // 20]
            if format_of(cut) is None:
                continue
            try:
                read_recording(cut)
            except FhirError:
                continue
            raise AssertionError(f"{len(cut)} of {len(raw)} bytes were taken for whole")

    @pytest.mark.parametrize(
        "write", [*WRITERS.values(), *OTHERS], ids=[*WRITERS, *(write.__name__ for write in OTHERS)]
    )
    def test_mutations_end_in_resources_or_in_a_reason(self, write: Callable[[Sample], bytes]) -> None:
        raw = write(sample(1, seconds=1, rate=100))
        chance = random.Random(20260315)
        refused: list[FhirError] = []
        for _ in range(150):
            mutated = bytearray(raw)
            for _ in range(chance.randint(1, 12)):
                kind, at = chance.randrange(4), chance.randrange(len(mutated))
                if kind == 0:
                    mutated[at] = chance.randrange(256)
                elif kind == 1:
                    mutated[at : at + chance.randint(1, 8)] = bytes(
                        chance.choices((0, 255, 127, 128, 60, 62), k=chance.randint(0, 8))
                    )
                elif kind == 2:
                    del mutated[at : at + chance.randint(1, 400)]
                else:
                    mutated[at:at] = mutated[chance.randrange(len(mutated)) :][: chance.randint(1, 64)]
            try:
                list(convert(bytes(mutated), MAPS, adapter="ecg", waveform=True))
            except FhirError as error:
                refused.append(error)
        assert len(refused) > 10
        assert all(issue.text("zh") and issue.text("en") for error in refused for issue in error.issues)
