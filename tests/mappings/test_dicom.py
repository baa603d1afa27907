"""The DICOM reader and its maps: charsets, encodings, what is refused and why."""

import struct
import zlib
from pathlib import Path

import pytest

from mappings.convert import convert, guess_format
from mappings.dicom import read_instance
from mappings.dicom.charset import charset_of
from mappings.dicom.read import require_uids
from mappings.dicom.tree import to_json
from mappings.language.active import SHIPPED, ActiveMaps, load_map
from mappings.language.compile import Map
from mappings.language.document import read_document
from mappings.language.trial import run_trials
from terminology.issues import FhirError, InvalidInput, MalformedMessage, TooLarge
from terminology.translate import Translator
from tests.mappings import fuzz_dicom
from tests.mappings.dicom_files import BIG, EXPLICIT, IMPLICIT, SAMPLES, ct, element, part10, sequence

MAPS = ActiveMaps()


def resources(raw: bytes, type: str) -> list[dict]:
    return [entry.resource for result in convert(raw, MAPS) for entry in result.entries if entry.type == type]


def code_of(raw: bytes) -> str:
    with pytest.raises(FhirError) as found:
        require_uids(read_instance(raw))
    return found.value.issues[0].code


class TestCharsets:
    """PS3.3 §C.12.1.1.2, and what devices do instead: a name is never mojibake."""

    @pytest.mark.parametrize(
        ("charset", "codec"),
        [
            ("GB18030", "gb18030"),
            ("GBK", "gb18030"),
            ("ISO_IR 192", "utf-8"),
            # absent or untrue declarations
            (None, "gb18030"),
            (None, "utf-8"),
            ("ISO_IR 100", "gb18030"),
            ("ISO_IR 100", "utf-8"),
            ("ISO_IR 6", "gb18030"),
            ("GB18030", "utf-8"),
            ("ISO_IR 192", "gb18030"),
            ("GB2312", "gb18030"),
        ],
    )
    def test_a_chinese_name_is_read_whatever_is_declared(self, charset: str | None, codec: str) -> None:
        raw = ct(charset=charset, codec=codec, name="张^三丰", institution="县人民医院影像科")
        assert resources(raw, "Patient")[0]["name"] == [{"text": "张三丰", "family": "张", "given": ["三丰"]}]

    def test_iso_2022_escapes(self) -> None:
        name = (
            b"Wang^XiaoDong="
            + b"\x1b$)A"
            + "王".encode("gb2312")
            + b"^"
            + b"\x1b$)A"
            + "小东".encode("gb2312")
        )
        raw = ct(charset="\\ISO 2022 IR 58", name=name, institution="x", description="y")
        names = resources(raw, "Patient")[0]["name"]
        assert [row["text"] for row in names] == ["王小东", "XiaoDong Wang"]

    def test_a_character_whose_second_byte_is_a_delimiter(self) -> None:
        assert "乗".encode("gb18030")[1] == ord("\\")
        raw = ct(name="乗^亅", description="乗亊")
        assert resources(raw, "Patient")[0]["name"][0]["text"] == "乗亅"
        assert resources(raw, "ImagingStudy")[0]["description"] == "乗亊"

    def test_latin_names_stay_latin(self) -> None:
        raw = ct(
            charset="ISO_IR 100",
            codec="latin-1",
            name="Müller^Jörg",
            institution="Klinik",
            description="Schädel",
        )
        assert resources(raw, "Patient")[0]["name"][0]["text"] == "Jörg Müller"

    def test_an_untrue_declaration_is_told(self) -> None:
        result = next(iter(convert(ct(charset="ISO_IR 192", codec="gb18030"), MAPS)))
        assert [issue.code for issue in result.issues] == ["HT-DCM-09"]
        assert (result.codec, result.declared, result.is_guessed) == ("gb18030", "ISO_IR 192", True)

    def test_japanese_and_korean(self) -> None:
        assert (
            charset_of("ISO 2022 IR 6\\ISO 2022 IR 87", []).text(b"Yamada=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B")
            == "Yamada=山田^太郎"
        )
        assert (
            charset_of("\\ISO 2022 IR 149", []).text(b"Hong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7")
            == "Hong=洪^吉洞"
        )


class TestEncodings:
    def test_implicit_and_explicit_give_the_same(self) -> None:
        assert read_instance(ct(explicit=False)).record == read_instance(ct()).record

    def test_big_endian(self) -> None:
        rows = element(0x00080016, "UI", b"1.2", little=False) + element(
            0x00280010, "US", struct.pack(">H", 512), little=False
        )
        assert read_instance(part10(rows, syntax=BIG)).record["Rows"] == 512

    def test_deflated(self) -> None:
        inner = ct()[-400:]
        body = zlib.compressobj(wbits=-15)
        plain = read_instance(ct())
        at = ct().index(b"\x08\x00\x05\x00CS")
        data = body.compress(ct()[at:]) + body.flush()
        assert read_instance(part10(data, syntax="1.2.840.10008.1.2.1.99")).record == plain.record
        assert len(inner) == 400

    def test_a_bomb_is_not_inflated(self) -> None:
        body = zlib.compressobj(9, wbits=-15)
        data = b"".join(body.compress(b"\0" * 1_000_000) for _ in range(200)) + body.flush()
        with pytest.raises(TooLarge):
            read_instance(part10(data, syntax="1.2.840.10008.1.2.1.99"))

    def test_pixels_are_not_read(self) -> None:
        found = read_instance(ct(pixels=b"\1" * 4_000_000))
        assert found.pixels is not None
        assert found.pixels.length == 4_000_000

    def test_a_data_set_without_preamble(self) -> None:
        raw = ct()
        assert read_instance(raw[132:]).uid == "1.2.3.1.1.1"

    @pytest.mark.parametrize("name", ["CT_small.dcm", "chrX1.dcm", "test-SR.dcm"])
    def test_agrees_with_pydicom(self, name: str) -> None:
        """A second opinion over every text and number of the public samples."""
        pydicom = pytest.importorskip("pydicom")
        raw = (SAMPLES / name).read_bytes()
        theirs = pydicom.dcmread(SAMPLES / name)
        ours = read_instance(raw)
        mine = to_json(ours.elements, ours.charset, is_little=ours.encoding.is_little)
        for item in theirs:
            if item.VR in ("UI", "LO", "SH", "CS", "DA", "TM", "US", "UL", "SS", "SL", "LT") and item.VM == 1:
                row = mine[f"{int(item.tag):08X}"]
                if int(item.tag) != 0x00080005:
                    assert [str(value) for value in row.get("Value", [""])] == [str(item.value)], item


class TestRefused:
    """What cannot be filed or read, with its reason."""

    def test_no_dicom(self) -> None:
        assert code_of(b"%PDF-1.7 ............") == "HT-DCM-01"
        assert code_of(b"") == "HT-DCM-01"

    @pytest.mark.parametrize("name", ["uid", "study", "series", "sop_class"])
    def test_without_a_uid(self, name: str) -> None:
        assert code_of(ct(**{name: None})) == "HT-DCM-02"
        assert code_of(ct(**{name: "not-a-uid"})) == "HT-DCM-02"

    def test_truncated(self) -> None:
        raw = ct(pixels=b"\1" * 1000)
        for size in range(300, len(raw) - 1, 37):
            assert code_of(raw[:size]) in ("HT-DCM-03", "HT-DCM-04"), size

    def test_wrong_transfer_syntax(self) -> None:
        assert code_of(ct(syntax=IMPLICIT)) == "HT-DCM-08"
        assert code_of(ct(explicit=False, syntax=EXPLICIT)) == "HT-DCM-08"

    def test_an_element_longer_than_the_file(self) -> None:
        rows = element(0x00080016, "UI", b"1.2") + struct.pack(
            "<HH2sHL", 0x0008, 0x2112, b"UT", 0, 0xFFFFFFF0
        )
        assert code_of(part10(rows)) == "HT-DCM-03"

    def test_nested_too_deep(self) -> None:
        body = b""
        for _ in range(60):
            body = sequence(0x00081140, body)
        with pytest.raises(TooLarge):
            read_instance(part10(element(0x00080016, "UI", b"1.2") + body))

    def test_every_missing_uid_is_told(self) -> None:
        with pytest.raises(MalformedMessage) as found:
            require_uids(read_instance(ct(uid=None, study=None)))
        assert [issue.source for issue in found.value.issues] == ["(0008,0018)", "(0020,000D)"]
        assert all(issue.text("zh") and issue.text("en") for issue in found.value.issues)


class TestMaps:
    @pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("dicom-*.yaml")))
    def test_their_own_tests_pass(self, name: str) -> None:
        map = load_map(SHIPPED / f"{name}.yaml")
        assert map.document.trials
        assert run_trials(map, Translator()) == []

    def test_the_bytes_tell_the_format(self) -> None:
        assert guess_format(ct()) == "dicom"

    def test_an_unknown_keyword_is_refused_when_the_map_is_loaded(self) -> None:
        text = "mapping: x\nsource: {format: dicom}\nresources:\n  - id: p\n    type: Patient\n    key: PatientIdentifier\n    set: {active: true}\n"
        with pytest.raises(InvalidInput) as found:
            Map(read_document(text.encode(), file="x.yaml"))
        assert "PatientIdentifier" in found.value.issues[0].text("en")

    def test_a_resident_number_is_known_as_one(self) -> None:
        number = "11010519491231002X"
        identifiers = resources(ct(patient=number, issuer=None, institution=None), "Patient")[0]["identifier"]
        assert identifiers[0]["system"] == "urn:oid:2.16.156.10011.1.3"

    def test_request_attributes_by_path(self) -> None:
        text = (
            "mapping: x\nsource: {format: dicom, messages: ['*']}\nresources:\n  - id: r\n    type: ServiceRequest\n"
            "    each: RequestAttributesSequence[]\n    key: AccessionNumber\n"
            "    set: {status: =active, intent: =order, identifier: [{value: AccessionNumber}], subject: {display: $.PatientName | pn_text}}\n"
        )
        item = element(0x00080050, "SH", b"A1") + element(0x00401001, "SH", b"RP1")
        raw = part10(element(0x00080016, "UI", b"1.2") + sequence(0x00400275, item))
        map = Map(read_document(text.encode(), file="x.yaml"))
        result = map.convert(read_instance(raw).record, MAPS.sender, MAPS.translator, explain=True)
        assert result.entries[0].resource["identifier"] == [{"value": "A1"}]
        assert any(
            "RequestAttributesSequence[0].AccessionNumber" in leaf.sources for leaf in result.trace or ()
        )
        assert any(
            row.field == "RequestAttributesSequence[].RequestedProcedureID" for row in result.coverage.unread
        )

    def test_the_sample_report(self) -> None:
        raw = (SAMPLES / "test-SR.dcm").read_bytes()
        report = resources(raw, "DiagnosticReport")[0]
        measured = resources(raw, "Observation")
        assert report["status"] == "final"
        assert [row["display"] for row in report["resultsInterpreter"]] == [
            "Jörg Riesmeier",
            "Verifying Observer",
        ]
        assert [row["valueQuantity"]["code"] for row in measured] == ["cm", "cm"]
        assert len(report["result"]) == 2


def code(value: str, scheme: str, meaning: str) -> bytes:
    return (
        element(0x00080100, "SH", value.encode())
        + element(0x00080102, "SH", scheme.encode())
        + element(0x00080104, "LO", meaning.encode("gb18030"))
    )


def item(kind: str, concept: bytes, *more: bytes) -> bytes:
    return (
        element(0x0040A010, "CS", b"CONTAINS")
        + element(0x0040A040, "CS", kind.encode())
        + sequence(0x0040A043, concept)
        + b"".join(more)
    )


def test_a_measurement_report_with_its_groups() -> None:
    """PS3.16 TID 1500: what a group says of itself holds for its measurements and not for those of the next group."""

    def group(tracking: str, site: bytes, number: str) -> bytes:
        size = sequence(
            0x0040A300,
            element(0x0040A30A, "DS", number.encode()) + sequence(0x004008EA, code("mm", "UCUM", "毫米")),
        )
        inside = (
            item(
                "TEXT",
                code("112039", "DCM", "Tracking Identifier"),
                element(0x0040A160, "UT", tracking.encode()),
            ),
            item("CODE", code("363698007", "SCT", "Finding Site"), sequence(0x0040A168, site)),
            item("NUM", code("103339001", "SCT", "Long Axis"), size),
        )
        return item("CONTAINER", code("125007", "DCM", "Measurement Group"), sequence(0x0040A730, *inside))

    conclusion = item(
        "CONTAINER", code("121076", "DCM", "Conclusions"),
        sequence(0x0040A730, item("TEXT", code("121077", "DCM", "Conclusion"), element(0x0040A160, "UT", "右肺结节".encode("gb18030")))),
    )  # fmt: skip
    lung, liver = code("39607008", "SCT", "肺"), code("10200004", "SCT", "肝")
    body = (
        element(0x00080005, "CS", b"GB18030") + element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.88.22")
        + element(0x00080018, "UI", b"1.2.3.9") + element(0x00080023, "DA", b"20260315") + element(0x00080033, "TM", b"090000")
        + element(0x00080060, "CS", b"SR") + element(0x00100020, "LO", b"P1") + element(0x0020000D, "UI", b"1.2.3")
        + element(0x0020000E, "UI", b"1.2.3.8") + element(0x0040A040, "CS", b"CONTAINER")
        + sequence(0x0040A043, code("126000", "DCM", "Imaging Measurement Report")) + element(0x0040A491, "CS", b"COMPLETE")
        + element(0x0040A493, "CS", b"UNVERIFIED")
        + sequence(0x0040A730, group("N1", lung, "12.50"), group("N2", liver, "7"), conclusion)
    )  # fmt: skip
    raw = part10(body, sop_class="1.2.840.10008.5.1.4.1.1.88.22", uid="1.2.3.9")
    measured = resources(raw, "Observation")
    assert [(row["bodySite"]["text"], row["identifier"][0]["value"]) for row in measured] == [
        ("肺", "N1"),
        ("肝", "N2"),
    ]
    assert [str(row["valueQuantity"]["value"]) for row in measured] == ["12.50", "7"]
    assert {row["valueQuantity"]["code"] for row in measured} == {"mm"}
    report = resources(raw, "DiagnosticReport")[0]
    assert (report["status"], report["conclusion"]) == ("preliminary", "右肺结节")
    assert report["effectiveDateTime"] == "2026-03-15T09:00:00+08:00"


def test_mutations_never_raise_anything_else() -> None:
    """Flipped, cut, doubled and overwritten bytes of all samples: resources or a refusal, in bounded memory."""
    assert len(fuzz_dicom.run(1_000, 20260315)) >= 5


def test_samples_are_there() -> None:
    assert (Path(SAMPLES) / "SOURCES.md").is_file()
