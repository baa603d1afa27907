"""What a broken map is told: file, line, target (HT-MAP-01…24)."""

import pytest

from mappings.language.compile import Map
from mappings.language.document import read_document
from terminology.issues import InvalidInput

HEAD = """mapping: broken
source: {format: hl7v2, messages: [ORU^R01]}
tables: {sex: {M: male, F: femal}}
groups: {order: {starts: OBR, before: ORC}}
resources:
"""
PATIENT = """  - id: patient
    type: Patient
    key: PID-3.1
    set:
      """
OBSERVATION = """  - id: o
    type: Observation
    key: PID-3.1
    set:
      code.text: PID-5
      """


def problems(text: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as raised:
        Map(read_document(text.encode(), file="broken.yaml"))
    for issue in raised.value.issues:
        assert issue.source is not None
        assert issue.source in issue.text("zh")
        assert issue.source in issue.text("en")
        assert issue.fix("zh")
        assert issue.fix("en")
    return [(issue.code, str(issue.source).partition(":")[2]) for issue in raised.value.issues]


class TestLines:
    @pytest.mark.parametrize(
        ("line", "code"),
        [
            ("brithDate: PID-7", "HT-MAP-11"),
            ("name: [{txt: PID-5}]", "HT-MAP-11"),
            ("value[x]: PID-5", "HT-MAP-11"),
            ("birthDate: PID-7", "HT-MAP-12"),
            ("birthDate: =yesterday", "HT-MAP-12"),
            ("active: PID-7", "HT-MAP-12"),
            ("active: =yes", "HT-MAP-12"),
            ("multipleBirthInteger: =two", "HT-MAP-12"),
            ("name: PID-5", "HT-MAP-12"),
            ("gender: {a: PID-5}", "HT-MAP-12"),
            ("maritalStatus: PID-16 | decimal", "HT-MAP-12"),
            ('gender: "PID-8[]"', "HT-MAP-13"),
            ("birthDate: [1990, 1991]", "HT-MAP-13"),
            ("communication: [{preferred: true}]", "HT-MAP-14"),
            ("gender: =man", "HT-MAP-15"),
            ("gender: PID-8 | table sex", "HT-MAP-15"),
            ("managingOrganization: ref patient", "HT-MAP-16"),
            ("managingOrganization: ref nobody", "HT-MAP-17"),
            ("language: PID-15 | nonsense", "HT-MAP-18"),
            ("language: PID-15 | table nothing", "HT-MAP-19"),
            ("maritalStatus: PID-16 | code nowhere", "HT-MAP-20"),
            ("language: zh", "HT-MAP-10"),
            ("language: PID-15 or", "HT-MAP-10"),
            ("language: (PID-15", "HT-MAP-10"),
            ("language: PID-15 PID-16", "HT-MAP-10"),
            ("language: __import__('os').system('x')", "HT-MAP-10"),
            ('language: "PID-15 when PID-16 = "', "HT-MAP-10"),
            ("language: OBR-4", "HT-MAP-08"),
            ("language: PID", "HT-MAP-08"),
        ],
    )
    def test_set(self, line: str, code: str) -> None:
        assert problems(f"{HEAD}{PATIENT}{line}\n") == [(code, "10")]

    def test_all_problems_are_told_at_once(self) -> None:
        found = problems(f"{HEAD}{PATIENT}gender: =man\n      brithDate: PID-7\n      active: PID-3\n")
        assert found == [("HT-MAP-15", "10"), ("HT-MAP-11", "11"), ("HT-MAP-12", "12")]

    def test_required_elements(self) -> None:
        assert problems(f"{HEAD}{OBSERVATION}\n") == [("HT-MAP-14", "10")]

    def test_the_near_name_is_offered(self) -> None:
        with pytest.raises(InvalidInput) as raised:
            Map(read_document(f"{HEAD}{PATIENT}brithDate: PID-7".encode(), file="x.yaml"))
        assert "birthDate" in raised.value.issues[0].text("en")
        assert "Patient.brithDate" in raised.value.issues[0].text("en")


class TestShape:
    @pytest.mark.parametrize(
        ("text", "code", "line"),
        [
            ("mapping: [", "HT-MAP-01", "2"),
            ("just text", "HT-MAP-01", "1"),
            ("source: {format: hl7v2}", "HT-MAP-02", "1"),
            ("mapping: x", "HT-MAP-02", "1"),
            ("mapping: x\nsource: {format: hl7v2}\nrules: 1", "HT-MAP-03", "3"),
            ("mapping: x\nmapping: y", "HT-MAP-04", "2"),
            (HEAD + PATIENT + "active: true\n" + PATIENT + "active: true", "HT-MAP-05", "11"),
            ("mapping: x\nsource: {format: hl7v2}\nresources: 1", "HT-MAP-06", "3"),
            (HEAD + PATIENT + "active: true\ntests:\n  - message: x", "HT-MAP-07", "12"),
            ("mapping: x\nsource: {format: fax}", "HT-MAP-08", "1"),
            (HEAD + "  - {id: a, type: Patiens, key: PID-3}", "HT-MAP-09", "6"),
            (HEAD + "  - {id: a, type: Patient, key: PID-3, each: visit}", "HT-MAP-08", "6"),
            (HEAD + "  - {id: a, type: Patient, key: PID-3, write: never}", "HT-MAP-21", "6"),
            (HEAD + "  - {id: a, type: Patient, key: =all}", "HT-MAP-22", "6"),
            (HEAD + "  - {id: a, type: Patient}", "HT-MAP-02", "6"),
        ],
    )
    def test_documents(self, text: str, code: str, line: str) -> None:
        assert problems(text) == [(code, line)]

    def test_aliases_that_explode_are_refused(self) -> None:
        rows = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
        assert problems(f"a0: &a0 [x]\n{rows}\n")[0][0] == "HT-MAP-01"

    def test_deep_brackets_are_refused(self) -> None:
        assert problems(f"{HEAD}{PATIENT}language: {'(' * 500}PID-3{')' * 500}\n")[0][0] == "HT-MAP-10"
