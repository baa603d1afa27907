"""A document inside a result message is never lost (v2.8 §2.A.24 ED)."""

import pytest

from mappings.hl7v2 import parse
from mappings.language.active import ActiveMaps

PDF = "JVBERi0xLjQK"
MESSAGE = (
    "MSH|^~\\&|LIS|H1|GW|HT|20260315083012||ORU^R01|D1|P|2.4\rPID|1||P1^^^H1^MR||ZHANG^SAN\r"
    "OBR|1|R1|L1|CT^CT|||20260315|||||||||||||||20260315083000|||F\r{first}OBX|2|ED|PDF^Report^L||^application^pdf^Base64^"
    + PDF
    + "||||||F\r"
)


@pytest.mark.parametrize("first", ["", "OBX|1|ST|TXT^Text^L||normal||||||F\rNTE|1||a note\r"])
def test_it_becomes_a_presented_form_of_the_report(first: str) -> None:
    result = ActiveMaps().run(parse(MESSAGE.format(first=first).encode()))
    (report,) = [entry.resource for entry in result.entries if entry.type == "DiagnosticReport"]
    assert report["presentedForm"] == [{"contentType": "application/pdf", "data": PDF, "title": "Report"}]
