"""One recording written in several device formats, so that readers can be compared: small writers for tests only."""

import binascii
import math
import random
import struct
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
NUMBERS = dict(zip(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), range(1, 9), strict=True)) | {
    "III": 61, "aVR": 62, "aVL": 63, "aVF": 64,
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A recording: whole counts a lead, nanovolts a count, samples/s."""

    leads: dict[str, list[int]]
    rate: int = 500
    nanovolts: int = 2500
    start: str = "20260315083012"
    patient: str = "P0001"
    family: str = "张"
    given: str = "三丰"
    order: str = "A2026001"
    statements: tuple[str, ...] = ("窦性心律", "正常心电图")
    measurements: dict[str, int] = field(
        default_factory=lambda: {
            "rr": 833,
            "pr": 160,
            "qrs": 90,
            "qt": 380,
            "p_axis": 44,
            "qrs_axis": -61,
            "t_axis": 86,
        }
    )


def sample(
    seed: int = 1, *, leads: tuple[str, ...] = LEADS, seconds: float = 10, rate: int = 500, **more: object
) -> Sample:
    """A beating signal with noise; III and the augmented leads follow from I and II."""
    chance = random.Random(seed)
    count = int(seconds * rate)

    def beat(size: float, shift: float) -> list[int]:
        made = []
        for at in range(count):
            phase = (at / rate + shift) % 0.833 / 0.833
            value = (
                math.exp(-(((phase - 0.3) / 0.012) ** 2)) * size
                + math.exp(-(((phase - 0.6) / 0.05) ** 2)) * size * 0.25
            )
            made.append(round(value * 400 + chance.gauss(0, 3)))
        return made

    one, two = beat(0.8, 0), beat(1.2, 0)
    known = {
        "I": one,
        "II": two,
        "III": [b - a for a, b in zip(one, two, strict=True)],
        "aVR": [-(a + b) // 2 for a, b in zip(one, two, strict=True)],
        "aVL": [(2 * a - b) // 2 for a, b in zip(one, two, strict=True)],
        "aVF": [(2 * b - a) // 2 for a, b in zip(one, two, strict=True)],
    } | {f"V{n}": beat((-1) ** n * (0.4 + n / 5), n / 100) for n in range(1, 7)}
    return Sample({lead: known[lead] for lead in leads}, rate=rate, **more)  # type: ignore[arg-type]


def to_aecg(made: Sample, *, charset: str = "UTF-8", doctype: str = "") -> bytes:
    def annotation(code: str, value: int, unit: str) -> str:
        return f'<component><annotation><code code="{code}"/><value xsi:type="PQ" value="{value}" unit="{unit}"/></annotation></component>'

    given = made.measurements
    annotations = "".join(
        annotation(code, given[name], unit)
        for code, name, unit in (
            ("MDC_ECG_TIME_PD_RR", "rr", "ms"), ("MDC_ECG_TIME_PD_PR", "pr", "ms"), ("MDC_ECG_TIME_PD_QRS", "qrs", "ms"),
            ("MDC_ECG_TIME_PD_QT", "qt", "ms"), ("MDC_ECG_ANGLE_P_FRONT", "p_axis", "deg"),
            ("MDC_ECG_ANGLE_QRS_FRONT", "qrs_axis", "deg"), ("MDC_ECG_ANGLE_T_FRONT", "t_axis", "deg"),
        )
    ) + "".join(
        f'<component><annotation><code code="MDC_ECG_INTERPRETATION_STATEMENT"/><value xsi:type="ST">{text}</value></annotation></component>'
        for text in made.statements
    )  # fmt: skip
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}"/><value xsi:type="SLIST_PQ"><origin value="0" unit="uV"/>'
        f'<scale value="{made.nanovolts / 1000:g}" unit="uV"/><digits>{" ".join(map(str, counts))}</digits></value></sequence></component>'
        for lead, counts in made.leads.items()
    )
    return f"""<?xml version="1.0" encoding="{charset}"?>{doctype}
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<id root="1.2.3.{made.start}"/><effectiveTime><low value="{made.start}"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id root="1.2" extension="{made.patient}"/>
<subjectDemographicPerson><name><family>{made.family}</family><given>{made.given}</given></name><administrativeGenderCode code="M"/>
<birthTime value="19500101"/></subjectDemographicPerson></trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM"/><effectiveTime><low value="{made.start}"/></effectiveTime>
<author><seriesAuthor><manufacturedSeriesDevice><manufacturerModelName>E12</manufacturerModelName><SerialNumber>S1</SerialNumber>
</manufacturedSeriesDevice><manufacturerOrganization><name>某心电公司</name></manufacturerOrganization></seriesAuthor></author>
<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="{made.start}"/>
<increment value="{1 / made.rate!r}" unit="s"/></value></sequence></component>{sequences}</sequenceSet></component>
<subjectOf><annotationSet>{annotations}</annotationSet></subjectOf></series></component></AnnotatedECG>""".encode(
        charset
    )


def to_scp(
    made: Sample, *, charset: str = "gb18030", language: int = 0, difference: int = 0, huffman: bool = False
) -> bytes:
    """EN 1064: sections 0, 1, 3, 6, 7, 8 and, for the default Huffman table, 2."""
    bodies: dict[int, bytes] = {1: _scp_header(made, charset, language)}
    count = len(next(iter(made.leads.values())))
    bodies[3] = bytes([len(made.leads), 0x04 | (len(made.leads) & 0x1F) << 3]) + b"".join(
        struct.pack("<IIB", 1, count, NUMBERS[lead]) for lead in made.leads
    )
    packed = []
    for counts in made.leads.values():
        values = _differences(counts, difference)
        packed.append(_huffman(values) if huffman else struct.pack(f"<{len(values)}h", *values))
    if huffman:
        bodies[2] = struct.pack("<H", 19999)
    bodies[6] = (
        struct.pack("<HHBB", made.nanovolts, 1_000_000 // made.rate, difference, 0)
        + struct.pack(f"<{len(packed)}H", *map(len, packed))
        + b"".join(packed)
    )
    given = made.measurements
    block = struct.pack("<5H3h", 100, 200, 100 + given["pr"], 100 + given["pr"] + given["qrs"], 100 + given["pr"] + given["qt"],
                        given["p_axis"], given["qrs_axis"], given["t_axis"])  # fmt: skip
    bodies[7] = struct.pack("<BBHH", 1, 0, given["rr"], 0) + block
    lines = [text.encode(charset) + b"\0" for text in made.statements]
    bodies[8] = (
        b"\0"
        + struct.pack("<HBBBBBB", 2026, 3, 15, 8, 30, 12, len(lines))
        + b"".join(struct.pack("<BH", number, len(line)) + line for number, line in enumerate(lines, 1))
    )
    return _scp_file(bodies)


def _scp_header(made: Sample, charset: str, language: int) -> bytes:
    machine = bytearray(36)
    machine[8:11], machine[14], machine[16] = b"E12", 20, language
    machine += b"an\0S1\0sw\0scp\0" + "某心电公司".encode(charset) + b"\0"
    start = made.start
    tags = [
        (2, made.patient.encode() + b"\0"),
        (0, made.family.encode(charset) + b"\0"),
        (1, made.given.encode(charset) + b"\0"),
        (5, struct.pack("<HBB", 1950, 1, 1)),
        (8, b"\1"),
        (14, bytes(machine)),
        (25, struct.pack("<HBB", int(start[:4]), int(start[4:6]), int(start[6:8]))),
        (26, bytes([int(start[8:10]), int(start[10:12]), int(start[12:14])])),
        (255, b""),
    ]
    return b"".join(bytes([tag]) + struct.pack("<H", len(value)) + value for tag, value in tags)


def _scp_file(bodies: dict[int, bytes]) -> bytes:
    sections = {}
    for id, body in sorted(bodies.items()):
        body += b"\0" * (len(body) % 2)
        rest = struct.pack("<HIBB", id, 16 + len(body), 20, 20) + b"\0" * 6 + body
        sections[id] = struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest
    pointers = 12
    length = 16 + 10 * pointers
    at = 7 + length
    rows = [struct.pack("<HII", 0, length, 7)]
    for id in range(1, pointers):
        size = len(sections.get(id, b""))
        rows.append(struct.pack("<HII", id, size, at if size else 0))
        at += size
    first = struct.pack("<HIBB", 0, length, 20, 20) + b"SCPECG" + b"".join(rows)
    first = struct.pack("<H", binascii.crc_hqx(first, 0xFFFF)) + first
    whole = first + b"".join(sections.values())
    rest = struct.pack("<I", 6 + len(whole)) + whole
    return struct.pack("<H", binascii.crc_hqx(rest, 0xFFFF)) + rest


def _differences(counts: list[int], order: int) -> list[int]:
    if order == 0:
        return counts
    if order == 1:
        return [counts[0], *(b - a for a, b in pairwise(counts))]
    rows = zip(counts, counts[1:], counts[2:], strict=False)
    return [*counts[:2], *(c - 2 * b + a for a, b, c in rows)]


def _huffman(values: list[int]) -> bytes:
    """The default table of EN 1064 §5.5: 0, small values by leading ones, 8 and 16 bits as escapes."""
    bits = []
    for value in values:
        if value == 0:
            bits.append("0")
        elif abs(value) <= 8:
            bits.append("1" * abs(value) + "0" + ("0" if value > 0 else "1"))
        elif -128 <= value < 128:
            bits.append("1111111110" + f"{value & 0xFF:08b}")
        else:
            bits.append("1111111111" + f"{value & 0xFFFF:016b}")
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def to_dicom(made: Sample, *, charset: str = "GB18030") -> bytes:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.9.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SpecificCharacterSet = charset
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3.4", "1.2.3.4.1"
    data.Modality, data.AccessionNumber = "ECG", made.order
    data.PatientID, data.PatientSex, data.PatientBirthDate = made.patient, "M", "19500101"
    data.PatientName = f"Zhang^Sanfeng={made.family}^{made.given}"
    data.AcquisitionDateTime = made.start
    data.Manufacturer, data.ManufacturerModelName, data.DeviceSerialNumber = "某心电公司", "E12", "S1"

    def coded(scheme: str, value: str, meaning: str) -> Dataset:
        row = Dataset()
        row.CodingSchemeDesignator, row.CodeValue, row.CodeMeaning = scheme, value, meaning
        return row

    group = Dataset()
    group.MultiplexGroupLabel, group.WaveformOriginality = "RHYTHM", "ORIGINAL"
    group.NumberOfWaveformChannels = len(made.leads)
    group.NumberOfWaveformSamples = len(next(iter(made.leads.values())))
    group.SamplingFrequency, group.WaveformBitsAllocated, group.WaveformSampleInterpretation = (
        made.rate,
        16,
        "SS",
    )
    channels = []
    for lead in made.leads:
        channel = Dataset()
        channel.ChannelSourceSequence = [coded("MDC", f"2:{NUMBERS[lead]}", f"Lead {lead}")]
        channel.ChannelSensitivity, channel.ChannelSensitivityCorrectionFactor = made.nanovolts / 1000, 1
        channel.ChannelBaseline, channel.WaveformBitsStored = 0, 16
        channel.ChannelSensitivityUnitsSequence = [coded("UCUM", "uV", "microvolt")]
        channels.append(channel)
    group.ChannelDefinitionSequence = channels
    rows = list(zip(*made.leads.values(), strict=True))
    group.WaveformData = struct.pack(
        f"<{len(rows) * len(made.leads)}h", *(value for row in rows for value in row)
    )
    data.WaveformSequence = [group]
    given = made.measurements
    notes = []
    for code, name, unit in (
        ("2:16168", "rr", "ms"), ("2:15872", "pr", "ms"), ("2:16156", "qrs", "ms"), ("2:16160", "qt", "ms"),
        ("2:16128", "p_axis", "deg"), ("2:16132", "qrs_axis", "deg"), ("2:16136", "t_axis", "deg"),
    ):  # fmt: skip
        note = Dataset()
        note.ConceptNameCodeSequence = [coded("MDC", code, name)]
        note.MeasurementUnitsCodeSequence = [coded("UCUM", unit, unit)]
        note.NumericValue, note.ReferencedWaveformChannels = given[name], [1, 0]
        notes.append(note)
    for text in made.statements:
        note = Dataset()
        note.UnformattedTextValue, note.ReferencedWaveformChannels = text, [1, 0]
        notes.append(note)
    data.WaveformAnnotationSequence = notes
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def to_muse(made: Sample) -> bytes:
    """MUSE holds I, II and V1–V6 as Base64; the others follow from them."""
    import base64

    kept = [lead for lead in made.leads if lead in ("I", "II") or lead.startswith("V")]
    leads = "".join(
        f"<LeadData><LeadByteCountTotal>{2 * len(made.leads[lead])}</LeadByteCountTotal><LeadSampleCountTotal>{len(made.leads[lead])}"
        f"</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>{made.nanovolts / 1000:g}</LeadAmplitudeUnitsPerBit>"
        f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID><WaveFormData>"
        f"{base64.b64encode(struct.pack(f'<{len(made.leads[lead])}h', *made.leads[lead])).decode()}</WaveFormData></LeadData>"
        for lead in kept
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?><RestingECG><MuseInfo><MuseVersion>8</MuseVersion></MuseInfo>
<PatientDemographics><PatientID>{made.patient}</PatientID><Gender>MALE</Gender><PatientLastName>{made.family}</PatientLastName>
<PatientFirstName>{made.given}</PatientFirstName></PatientDemographics>
<TestDemographics><AcquisitionDate>03-15-2026</AcquisitionDate><AcquisitionTime>08:30:12</AcquisitionTime></TestDemographics>
<Order><RequisitionNumber>{made.order}</RequisitionNumber></Order>
<RestingECGMeasurements><VentricularRate>72</VentricularRate><PRInterval>160</PRInterval><QRSDuration>90</QRSDuration>
<QTInterval>380</QTInterval><QTCorrected>416</QTCorrected></RestingECGMeasurements>
<Diagnosis><DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>{made.statements[0]}</StmtText></DiagnosisStatement></Diagnosis>
<Waveform><WaveformType>Rhythm</WaveformType><SampleBase>{made.rate}</SampleBase><SampleExponent>0</SampleExponent>{leads}</Waveform>
</RestingECG>""".encode()


def to_edf(made: Sample) -> bytes:
    """EDF+C, a record a second, twelve signals in µV."""
    labels = list(made.leads)
    count, rate = len(labels), made.rate
    records = len(made.leads[labels[0]]) // rate
    step = made.nanovolts / 1000

    def field(value: object, width: int) -> bytes:
        return str(value).encode("ascii")[:width].ljust(width)

    def each(width: int, *values: object) -> bytes:
        return b"".join(field(value, width) for value in (values if len(values) == count else values * count))

    start = made.start
    head = (
        field("0", 8)
        + field(f"{made.patient} M 01-JAN-1950 San_Zhang", 80)
        + field("Startdate 15-MAR-2026 X X X", 80)
    )
    head += field(f"{start[6:8]}.{start[4:6]}.{start[2:4]}", 8) + field(
        f"{start[8:10]}.{start[10:12]}.{start[12:14]}", 8
    )
    head += (
        field(256 * (count + 1), 8) + field("EDF+C", 44) + field(records, 8) + field(1, 8) + field(count, 4)
    )
    head += each(16, *(f"ECG {label}" for label in labels)) + each(80, "") + each(8, "uV")
    head += each(8, f"{-32768 * step:g}") + each(8, f"{32767 * step:g}") + each(8, -32768) + each(8, 32767)
    head += each(80, "") + each(8, rate) + each(32, "")
    return head + b"".join(
        struct.pack(f"<{rate}h", *made.leads[label][at * rate : (at + 1) * rate])
        for at in range(records)
        for label in labels
    )


def to_sierra(made: Sample) -> bytes:
    """Philips Sierra 1.03, uncompressed."""
    import base64

    data = b"".join(struct.pack(f"<{len(counts)}h", *counts) for counts in made.leads.values())
    milliseconds = 1000 * len(made.leads["I"]) // made.rate
    return f"""<?xml version="1.0" encoding="UTF-8"?><restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>SierraECG</documenttype><documentversion>1.03</documentversion></documentinfo>
<orderinfo><ordernumber>{made.order}</ordernumber></orderinfo><dataacquisition date="2026-03-15" time="08:30:12"><signalcharacteristics>
<samplingrate>{made.rate}</samplingrate><resolution>{made.nanovolts // 1000}</resolution><numberchannelsallocated>12</numberchannelsallocated>
<numberchannelsvalid>12</numberchannelsvalid><leadset>STD-12</leadset></signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>{made.patient}</patientid><name><lastname>{made.family}</lastname><firstname>{made.given}</firstname></name>
<sex>Male</sex></generalpatientdata></patient><waveforms><parsedwaveforms dataencoding="Base64" compressflag="False" numberofleads="12"
 durationperchannel="{milliseconds}" samplespersecond="{made.rate}" resolution="{made.nanovolts // 1000}" labels="{" ".join(made.leads)}">{base64.b64encode(data).decode()}</parsedwaveforms></waveforms></restingecgdata>""".encode()


def to_kardia(made: Sample) -> bytes:
    import json

    raw = {
        "frequency": made.rate,
        "amplitudeResolution": made.nanovolts,
        "numLeads": 1,
        "samples": {"leadI": made.leads["I"]},
    }
    return json.dumps({"id": "k1", "recordedAt": "2026-03-15T08:30:12+08:00", "data": {"raw": raw}}).encode()
