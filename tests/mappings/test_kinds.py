"""Which kind of message bytes are taken for when nobody says it: `hutong receive`, folders."""

from pathlib import Path

import pytest

from mappings.convert import guess_kind

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"
SAMPLES = [
    ("cda", GOLDEN / "cda-laboratory-report/blood-count/document.xml"),
    ("cda", GOLDEN / "cda-laboratory-report/flat-entries-gbk/document.xml"),
    ("hl7v2", GOLDEN / "hl7v2-adt/admit-chinese/message.hl7"),
    ("astm", GOLDEN / "astm-results/blood-count-gbk/message.astm"),
    ("hl7v3", TESTS / "data/hl7v3/v3_POOR_IN200901UV.xml"),
    ("ecg", GOLDEN / "ecg/scp-gbk/recording.scp"),
    ("ecg", TESTS / "data/ecg/aecg_hl7_example.xml"),
    ("dicom", TESTS / "data/dicom/CT_small.dcm"),
    *[("hl7v3", path) for path in sorted(GOLDEN.glob("hl7v3-*/*/message.xml"))],
    *[("rhin", path) for path in sorted(GOLDEN.glob("rhin-*/*/message.xml"))],
]


@pytest.mark.parametrize(("kind", "path"), SAMPLES, ids=lambda value: str(getattr(value, "parent", value)))
def test_samples(kind: str, path: Path) -> None:
    assert guess_kind(path.read_bytes()) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<?xml version='1.0'?>\n<!-- <ClinicalDocument> --><Order><id>1</id></Order>", "xml"),
        ("<s:Envelope xmlns:s='http://www.w3.org/2003/05/soap-envelope'><s:Body/></s:Envelope>", "hl7v3"),
        ("<", "xml"),
        ('{"a": 1}', "json"),
        ("姓名,性别\n张三,1", "table"),
        ("", "table"),
    ],
)
def test_other_bytes(text: str, kind: str) -> None:
    assert guess_kind(text.encode()) == kind
    if text.startswith("<?xml"):
        assert guess_kind(text.encode("utf-16")) == kind
