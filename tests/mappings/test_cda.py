"""Shared documents (WS/T 500, WS/T 483): what every document type must say, in whatever shape it is sent."""

import base64
import hashlib
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mappings.cda.documents import document_types, identify
from mappings.cda.receive import convert_document
from mappings.language.active import ActiveMaps
from mappings.language.converters import Sender
from mappings.language.result import Result
from mappings.language.trial import ask
from mappings.xml.parse import parse
from terminology.fhirjson import encode
from terminology.issues import FhirError

GOLDEN = Path(__file__).parent.parent / "golden"
SAMPLES = sorted(GOLDEN.glob("cda-*/*/document.xml"))
OID = "urn:oid:2.16.156.10011.1."


@cache
def maps() -> ActiveMaps:
    return ActiveMaps()


def document(name: str) -> bytes:
    return (GOLDEN / name / "document.xml").read_bytes()


def convert(raw: bytes) -> Result:
    return convert_document(raw, maps())


def one(result: Result, expression: str) -> Any:
    found = ask(expression, result)
    assert len(found) == 1, (expression, found)
    return found[0]


FACTS: list[tuple[str, dict[str, Any]]] = [
    (
        "cda-laboratory-report/blood-count",
        {
            f"Patient.identifier.where(system='{OID}3').value": ["370102198501011233"],
            "Patient.name.text": ["张三丰"],
            "Patient.gender": ["male"],
            "Patient.birthDate": ["1985-01-01"],
            f"Encounter.identifier.where(system='{OID}11').value": ["MZ202603150017"],
            f"DiagnosticReport.identifier.where(system='{OID}33').value": ["JYBG202603150042"],
            f"ServiceRequest.identifier.where(system='{OID}24').value": ["SQD202603150042"],
            f"Specimen.accessionIdentifier.where(system='{OID}14').value": ["BB202603150042"],
            "Specimen.type.text": ["静脉血"],
            "Specimen.collection.collected": ["2026-03-15T08:05:00+08:00"],
            "Specimen.receivedTime": ["2026-03-15T08:10:00+08:00"],
            "Observation.code.text": ["白细胞计数", "中性粒细胞百分比", "血红蛋白", "血小板计数", "C反应蛋白", "乙肝表面抗原"],
            "Observation.value.ofType(Quantity).value": [12.5, "81.20", 142, 210, 200],
            "Observation.value.ofType(Quantity).unit": ["10*9/L", "%", "g/L", "10*9/L", "mg/L"],
            "Observation.value.ofType(Quantity).comparator": [">"],
            "Observation.value.ofType(string)": ["阴性"],
            "Observation.referenceRange.low.value": [3.5, 40, 130, 125],
            "Observation.referenceRange.high.value": [9.5, 75, 175, 350, 10],
            "Observation.referenceRange.text": ["3.5-9.5", "40-75", "130-175", "125-350", "<10", "阴性"],
            "Observation.interpretation.coding.where(system.endsWith('v3-ObservationInterpretation')).code": ["H", "H", "N", "N", "HH", "N"],
            "Observation.where(code.text='白细胞计数').code.coding.where(system='http://loinc.org').code": ["26464-8"],
            "Observation.where(code.text='白细胞计数').method.text": ["流式细胞法"],
            "DiagnosticReport.conclusion": ["白细胞及C反应蛋白明显升高，提示细菌感染，请结合临床。"],
            "DiagnosticReport.issued": ["2026-03-15T08:30:00+08:00"],
            "DiagnosticReport.resultsInterpreter.display": ["赵明"],
            "DiagnosticReport.performer.display": ["云岭县人民医院", "检验科", "李建国"],
            "DiagnosticReport.result.count()": [6],
            "Condition.code.coding.code": ["J18.900", "J18.900"],
            "Condition.recordedDate": ["2026-03-15"],
            "ServiceRequest.requester.display": ["全科"],
            "Composition.author.display": ["李建国"],
            "Composition.custodian.display": ["云岭县人民医院"],
            "Composition.section.entry.count()": [8],
        },
    ),
    (
        "cda-laboratory-report/flat-entries-gbk",
        {
            "Patient.name.text": ["王秀英"],
            f"Encounter.identifier.where(system='{OID}12').value": ["ZY20260328009"],
            "Encounter.class.code": ["IMP"],
            "Encounter.period.start": ["2026-03-28T09:10:00+08:00"],
            "Encounter.serviceProvider.display": ["内分泌科"],
            "Location.identifier.value": ["0301A", "305", "12"],
            "Observation.code.text": ["钾", "葡萄糖", "肌酐"],
            "Observation.value.value": ["4.10", 11.3, 67],
            "Observation.value.unit": ["mmol/L", "mmol/L", "umol/L"],
            "Observation.interpretation.coding.where(system.endsWith('v3-ObservationInterpretation')).code": ["N", "A", "N"],
            "Observation.effective": ["2026-04-02T09:30:00+08:00"] * 3,
            "DiagnosticReport.conclusion": ["血糖升高。"],
        },
    ),
    (
        "cda-laboratory-report/nested-results",
        {
            "Patient.name.text": ["张三丰"],
            f"Patient.identifier.where(system='{OID}3').value": ["370102198501011234"],
            "Observation.value.value": [12.5],
            "Observation.value.unit": ["10*9/L"],
            "Condition.code.text": ["肺炎"],
            "DiagnosticReport.issued": ["2026-03-15T08:30:00+08:00"],
        },
    ),
    (
        "cda-examination-report/chest-ct",
        {
            "Patient.name.text": ["王秀英"],
            f"DiagnosticReport.identifier.where(system='{OID}32').value": ["JCBG202604060011"],
            "DiagnosticReport.code.text": ["胸部CT平扫"],
            "DiagnosticReport.category.coding.code": ["CT", "imaging"],
            "DiagnosticReport.conclusion": ["右肺上叶磨玻璃结节，建议3个月后复查。"],
            "DiagnosticReport.effective": ["2026-04-06T09:55:00+08:00"],
            "Observation.where(code.coding.where(code='DE04.50.131.00').exists()).value": ["右肺上叶后段见一磨玻璃结节，直径约8mm，边界清；余肺野清晰，纵隔居中。"],
            "Observation.where(code.text='胸部CT平扫').value.value": [8],
            "Observation.where(code.text='主诉').value": ["咳嗽、咳痰2周。"],
        },
    ),
    (
        "cda-prescription/two-drugs",
        {
            "MedicationRequest.medication.text": ["苯磺酸氨氯地平片", "盐酸二甲双胍片"],
            f"MedicationRequest.identifier.where(system='{OID}20').value": ["CF202604060044", "CF202604060044"],
            "MedicationRequest.dosageInstruction.doseAndRate.dose.value": [5, 0.5],
            "MedicationRequest.dosageInstruction.timing.code.text": ["每日1次", "每日2次"],
            "MedicationRequest.dosageInstruction.timing.repeat.frequency": [1, 2],
            "MedicationRequest.dispenseRequest.expectedSupplyDuration.value": [28, 28],
            "MedicationRequest.extension('https://hutong.health/fhir/StructureDefinition/drug-specification').value": ["5mg×28片", "0.5g×60片"],
            "MedicationRequest.note.text": ["餐后服用。", "餐后服用。"],
            "MedicationRequest.requester.display": ["马超", "马超"],
            "Condition.code.text": ["高血压病2级"],
            "Observation.where(code.text='处方药品金额').value.value": ["63.80"],
        },
    ),
    (
        "cda-outpatient-summary/hypertension-visit",
        {
            f"Patient.identifier.where(system='{OID}2').value": ["53292710000100123"],
            "Patient.address.district": ["云岭县"],
            "Condition.code.text": ["高血压病2级", "2型糖尿病"],
            "Encounter.diagnosis.count()": [2],
            "Observation.where(code.coding.where(code='85354-9').exists()).component.value.value": [158, 96],
            "Observation.where(code.text='葡萄糖').value.value": [7.2],
            "MedicationStatement.medication.text": ["苯磺酸氨氯地平片"],
            "MedicationStatement.dosage.doseAndRate.dose.value": [5],
            "AllergyIntolerance.code.text": ["青霉素过敏，表现为皮疹。"],
            "Procedure.code.text": ["心电图检查"],
            "CarePlan.description": ["低盐低脂饮食，规律服药，一月后复诊。"],
        },
    ),
    (
        "cda-inpatient-summary/cerebral-infarction",
        {
            "Encounter.period.end": ["2026-02-24T09:00:00+08:00"],
            "Encounter.status": ["finished"],
            "Condition.code.text": ["脑梗死", "脑梗死", "高血压病3级"],
            "Encounter.diagnosis.use.coding.code": ["AD", "DD", "DD"],
            "Procedure.code.text": ["脑血管造影术"],
            "Procedure.performed": ["2026-02-12T14:30:00+08:00"],
            "Observation.where(code.text='低密度脂蛋白胆固醇').value.value": [4.31],
            "MedicationStatement.medication.text": ["阿司匹林肠溶片", "阿托伐他汀钙片"],
        },
    ),
    (
        "cda-inpatient-summary/discharge-summary",
        {
            "Composition.relatesTo.target.value": ["CYXJ20260210030"],
            "DocumentReference.relatesTo.target.identifier.value": ["CYXJ20260210030"],
            "Condition.code.text": ["脑梗死", "脑梗死"],
        },
    ),
    (
        "cda-referral/to-county-hospital",
        {
            "ServiceRequest.category.coding.code": ["referral"],
            "ServiceRequest.reasonCode.text": ["胸痛加重，需冠脉造影"],
            "ServiceRequest.authoredOn": ["2026-04-10"],
            "ServiceRequest.requester.display": ["全科"],
            "ServiceRequest.performer.display": ["心血管内科"],
            "Organization.where(name='心血管内科').partOf.display": ["云岭县人民医院"],
            "Condition.code.text": ["不稳定型心绞痛"],
        },
    ),
    (
        "cda-consultation/cardiology",
        {
            "ServiceRequest.category.coding.code": ["consult"],
            "ServiceRequest.reasonCode.text": ["不稳定型心绞痛合并脑梗死恢复期，抗栓方案选择。"],
            "DiagnosticReport.conclusion": ["建议双联抗血小板，冠脉造影择期进行。"],
            "DiagnosticReport.resultsInterpreter.display": ["唐宁"],
            "ServiceRequest.requester.display": ["邓辉"],
        },
    ),
    (
        "cda-followup-hypertension/controlled",
        {
            "Observation.where(code.coding.where(code='85354-9').exists()).component.value.value": [142, 88],
            "Observation.where(code.coding.where(code='29463-7').exists()).value.value": [68.5],
            "Observation.where(code.coding.where(code='DE05.10.066.00').exists()).value.coding.code": ["1"],
            "Goal.target.detail.ofType(Quantity).value": ["65.0", "24.0", 0, 0],
            "CarePlan.activity.detail.scheduled.start": ["2026-07-20"],
            "CarePlan.category.coding.code": ["hypertension"],
            "CarePlan.goal.count()": [5],
            "Encounter.class.code": ["AMB"],
            "MedicationStatement.medication.text": ["苯磺酸氨氯地平片"],
        },
    ),
    (
        "cda-followup-diabetes/not-controlled",
        {
            "Observation.where(code.coding.where(code='DE04.50.037.00').exists()).value.value": [8.6],
            "Observation.where(code.coding.where(code='4548-4').exists()).value.value": [7.8],
            "Observation.where(code.coding.where(code='DE06.00.129.00').exists()).component.value": ["轻度腹泻"],
            "ServiceRequest.reasonCode.text": ["血糖控制不满意"],
            "ServiceRequest.performer.display": ["内分泌科"],
            "CarePlan.activity.detail.scheduled.start": ["2026-05-05"],
            "Encounter.class.code": ["HH"],
        },
    ),
    (
        "cda-infectious-disease/hand-foot-mouth",
        {
            "Condition.code.text": ["手足口病"],
            "Condition.code.coding.code": ["0311"],
            "Condition.identifier.value": ["CRB202605120001"],
            "Condition.onset": ["2026-05-10"],
            "Condition.recordedDate": ["2026-05-12"],
            "Condition.verificationStatus.coding.code": ["provisional"],
            "Condition.recorder.display": ["马超"],
            "Patient.contact.name.text": ["陈大勇"],
        },
    ),
    (
        "cda-checkup/elderly",
        {
            "Observation.where(code.coding.where(code='85354-9').exists()).code.text": ["左侧血压", "右侧血压"],
            "Observation.where(code.coding.where(code='85354-9').exists()).component.value.value": [146, 90, 142, 88],
            "Observation.where(code.coding.where(code='DE04.50.015.00').exists()).value.value": [6.1],
            "Observation.where(code.coding.where(code='8310-5').exists()).value.code": ["Cel"],
            "Condition.code.text": ["高血压病2级"],
            "Immunization.lotNumber": ["202509A12"],
            "Immunization.vaccineCode.text": ["流感疫苗"],
            "Immunization.performer.actor.display": ["云岭县青石镇中心卫生院"],
            "DiagnosticReport.conclusion": ["血压偏高；窦性心动过缓"],
            "Encounter.identifier.value": ["TJ202603180033"],
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "facts"), FACTS, ids=[name for name, _ in FACTS])
def test_every_expected_fact_is_there(name: str, facts: dict[str, Any]) -> None:
    result = convert(document(name))
    found = {expression: [str(value) for value in ask(expression, result)] for expression in facts}
    assert found == {expression: [str(value) for value in values] for expression, values in facts.items()}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
class TestEveryDocument:
    def test_is_kept_byte_for_byte_with_its_hash(self, path: Path) -> None:
        result = convert(path.read_bytes())
        binary = next(entry.resource for entry in result.entries if entry.type == "Binary")
        reference = next(entry.resource for entry in result.entries if entry.type == "DocumentReference")
        attachment = reference["content"][0]["attachment"]
        assert base64.b64decode(binary["data"]) == path.read_bytes()
        assert attachment["url"] == f"Binary/{binary['id']}"
        assert (
            base64.b64decode(attachment["hash"])
            == hashlib.sha1(path.read_bytes(), usedforsecurity=False).digest()
        )
        assert attachment["size"] == len(path.read_bytes())

    def test_has_no_field_that_no_line_reads(self, path: Path) -> None:
        assert convert(path.read_bytes()).coverage.unread == ()

    def test_says_the_same_with_another_prefix_and_in_gbk(self, path: Path) -> None:
        text = path.read_bytes().decode("gbk" if b'encoding="GBK"' in path.read_bytes() else "utf-8")
        other = re.sub(r"<(/?)([A-Za-z])", r"<\1hl7:\2", text.partition("?>")[2]).replace(
            "xmlns=", "xmlns:hl7="
        )
        sent = ('<?xml version="1.0" encoding="GB2312"?>' + other).encode("gb18030")
        assert _said(convert(sent)) == _said(convert(path.read_bytes()))


def _said(result: Result) -> list[bytes]:
    """Everything but the original and what names it."""
    return [
        encode(entry.resource)
        for entry in result.entries
        if entry.type not in ("Binary", "DocumentReference")
    ]


class TestIdentify:
    def root(self, template: str = "", code: str = "", title: str = "") -> Any:
        parts = f'<templateId root="{template}"/>' if template else ""
        parts += f'<code code="{code}"/>' if code else ""
        return parse(f"<ClinicalDocument>{parts}<title>{title}</title></ClinicalDocument>".encode()).root

    def test_by_template(self) -> None:
        found = identify(self.root("2.16.156.10011.2.1.1.27"))
        assert found is not None
        assert (found.type.code, found.by) == ("C0007", "template")

    def test_by_code_when_the_template_is_missing(self) -> None:
        found = identify(self.root(code="c0006"))
        assert found is not None
        assert (found.type.title_zh, found.by) == ("检查报告", "code")

    @pytest.mark.parametrize(
        ("title", "code"),
        [
            ("检验报告单", "C0007"),
            ("门（急）诊病历", "C0002"),
            ("转诊(院)记录", "HSDC00.04"),
            ("高血压患者随访记录", "HSDB04.01"),
        ],
    )
    def test_by_title_when_both_are_missing(self, title: str, code: str) -> None:
        found = identify(self.root(title=title))
        assert found is not None
        assert (found.type.code, found.by) == (code, "title")

    def test_a_copied_template_yields_to_code_and_title(self) -> None:
        found = identify(self.root("2.16.156.10011.2.1.1.52", "C0007", "检验报告"))
        assert found is not None
        assert found.type.code == "C0007"
        assert found.disagrees == "2.16.156.10011.2.1.1.52"

    def test_nothing_tells_it(self) -> None:
        assert identify(self.root("1.2.3", "X1", "随便")) is None

    def test_the_table_has_every_part_of_both_standards_once(self) -> None:
        types = document_types()
        assert len(types) == len({one.template for one in types}) == len({one.code for one in types}) == 73
        assert [one.template.rpartition(".")[2] for one in types] == [str(n) for n in range(1, 74)]


class TestVariants:
    def report(self, section: str) -> Result:
        raw = document("cda-laboratory-report/nested-results").decode()
        start, end = raw.index('<component><section><code code="30954-2"'), raw.index("</structuredBody>")
        return convert((raw[:start] + section + raw[end:]).encode())

    def test_a_result_under_the_items_own_code(self) -> None:
        result = self.report(
            '<component><section><code code="30954-2"/><entry><observation><code code="WBC" codeSystem="1.2.3" displayName="白细胞计数"/>'
            '<value xsi:type="PQ" value="12.50" unit="10*9/L"/><interpretationCode code="↑"/><referenceRange><observationRange>'
            '<value xsi:type="IVL_PQ"><low value="3.5"/><high value="9.5"/></value></observationRange></referenceRange></observation></entry></section></component>'
        )
        assert ask("Observation.code.text", result) == ["白细胞计数"]
        assert [str(value) for value in ask("Observation.value.value", result)] == ["12.50"]
        assert ask("Observation.interpretation.coding.code", result) == ["H"]
        assert ask("Observation.referenceRange.high.unit", result) == ["10*9/L"]
        assert ask("DiagnosticReport.result.count()", result) == [1]

    def test_a_result_in_the_elements_of_ws_365(self) -> None:
        parts = "".join(
            f'<entry><observation><code code="{code}"/><value>{value}</value></observation></entry>'
            for code, value in (("DE04.30.015.04", "钾"), ("DE04.30.015.01", "4.1"), ("DE04.30.015.02", "mmol/L"), ("DE04.30.015.06", "1"))
        )  # fmt: skip
        result = self.report(f'<component><section><code code="30954-2"/>{parts}</section></component>')
        assert ask("Observation.code.text", result) == ["钾"]
        assert ask("Observation.value.unit", result) == ["mmol/L"]
        assert ask("Observation.interpretation.coding.code", result) == ["N", "1"]

    def test_a_value_that_isnt_of_its_type_is_kept(self) -> None:
        result = self.report(
            '<component><section><code displayName="其他"/><entry><observation><code code="DE02.10.023.00" displayName="过敏史标志"/>'
            '<value xsi:type="BL">不详</value></observation></entry></section></component>'
        )
        assert ask("Observation.value", result) == ["不详"]

    def test_values_in_full_width_and_ranges_in_words(self) -> None:
        result = self.report(
            '<component><section><code code="30954-2"/><entry><observation><code code="DE04.30.020.00"/><value>白蛋白</value>'
            '<entryRelationship><observation><code code="DE04.30.015.00"/><value xsi:type="ST">４２．５</value></observation></entryRelationship>'
            '<entryRelationship><observation><code code="DE04.30.016.00"/><value>g/L</value></observation></entryRelationship>'
            '<entryRelationship><observation><code displayName="参考范围"/><value>40～55</value></observation></entryRelationship>'
            "</observation></entry></section></component>"
        )
        assert [str(value) for value in ask("Observation.value.value", result)] == ["42.5"]
        assert ask("Observation.referenceRange.low.value", result) == [40]


class TestBodies:
    def body(self, xml: str, name: str = "cda-laboratory-report/nested-results") -> Result:
        kept = document(name).decode()
        return convert(
            re.sub(
                r"<component>\s*<structuredBody>.*</component>",
                f"<component>{xml}</component>",
                kept,
                flags=re.DOTALL,
            ).encode()
        )

    def test_a_body_that_is_a_file(self) -> None:
        result = self.body(
            '<nonXMLBody><text mediaType="application/pdf" representation="B64">JVBE\nRi0xLjQK</text></nonXMLBody>'
        )
        assert ask("Binary.where(contentType='application/pdf').data", result) == ["JVBERi0xLjQK"]
        assert ask("DocumentReference.content.attachment.contentType", result) == [
            "application/hl7-cda+xml",
            "application/pdf",
        ]
        assert ask("DiagnosticReport.presentedForm.url", result) == ask(
            "DocumentReference.content[1].attachment.url", result
        )
        assert one(result, "DiagnosticReport.presentedForm.size") == 9
        assert result.coverage.unread == ()

    def test_a_picture_in_a_section(self) -> None:
        result = self.body(
            '<structuredBody><component><section><entry><observationMedia classCode="OBS" moodCode="EVN"><id root="1.2" extension="P1"/>'
            '<value mediaType="image/png"><reference value="http://10.8.1.9/p1.png"/></value></observationMedia></entry></section></component></structuredBody>'
        )
        assert ask("DiagnosticReport.presentedForm.url", result) == ["http://10.8.1.9/p1.png"]
        assert {place.field.split("/")[-1] for place in result.coverage.unread} == {"@root", "@extension"}

    def test_what_an_act_says_is_told_as_unread(self) -> None:
        result = self.body(
            '<structuredBody><component><section><entry><act classCode="ACT" moodCode="EVN"><code code="X1"/><text>灌肠</text><effectiveTime value="20260315"/>'
            '<entryRelationship typeCode="COMP"><observation classCode="OBS" moodCode="EVN"><code code="DE04.10.186.00" codeSystem="2.16.156.10011.2.2.1"/>'
            '<value xsi:type="PQ" value="36.5" unit="℃"/></observation></entryRelationship></act></entry></section></component></structuredBody>'
        )
        assert one(result, "Observation.value.value") == 36.5
        assert any(place.field.startswith("section/other/text") for place in result.coverage.unread)

    def test_the_time_of_an_organizer_is_that_of_what_it_holds(self) -> None:
        result = self.body(
            '<structuredBody><component><section><entry><organizer classCode="CLUSTER" moodCode="EVN"><effectiveTime value="202603150715"/>'
            '<component><observation classCode="OBS" moodCode="EVN"><code code="DE04.10.186.00" codeSystem="2.16.156.10011.2.2.1"/>'
            '<value xsi:type="PQ" value="36.5" unit="℃"/></observation></component></organizer></entry></section></component></structuredBody>'
        )
        assert one(result, "Observation.effective") == "2026-03-15T07:15:00+08:00"


class TestPrivateRoots:
    """shared/adapters.md §3: hospitals put their own roots in the place of the national ones."""

    def test_the_settings_of_the_source_say_what_a_root_means(self) -> None:
        raw = (
            document("cda-laboratory-report/flat-entries-gbk")
            .decode("gbk")
            .replace('root="2.16.156.10011.1.12"', 'root="1.2.156.112606.1.1.12"')
            .replace('root="2.16.156.10011.1.3"', 'root="1.2.156.112606.1.1.3"')
            .replace('root="2.16.156.10011.1.33"', 'root="1.2.156.112606.1.1.33"')
        )
        systems = {
            "1.2.156.112606.1.1.12": "inpatient",
            "1.2.156.112606.1.1.3": "resident",
            "1.2.156.112606.1.1.33": "urn:oid:2.16.156.10011.1.33",
        }
        told = ActiveMaps(senders={"*|431521019": Sender(systems=systems)})
        result = convert_document(raw.encode("gbk"), told)
        assert _said(result) == _said(convert(document("cda-laboratory-report/flat-entries-gbk")))


class TestPatient:
    def test_a_visit_number_identifies_nobody_beside_a_resident_number(self) -> None:
        result = convert(document("cda-laboratory-report/blood-count"))
        assert ask("Patient.identifier.system", result) == [f"{OID}3"]

    def test_a_patient_with_a_visit_number_only_is_the_hospitals_own(self) -> None:
        raw = re.sub(
            rb'<id root="2\.16\.156\.10011\.1\.3"[^>]*/>', b"", document("cda-laboratory-report/blood-count")
        )
        result = convert(raw)
        assert ask("Patient.identifier.system", result) == ["urn:id:431521019"]
        assert ask("Patient.identifier.value", result) == ["MZ202603150017"]


BAD = {
    "unknown template": (
        b'<ClinicalDocument><templateId root="1.2.3.4"/><code code="X9"/><recordTarget><patientRole><id extension="1"/></patientRole></recordTarget></ClinicalDocument>',
        "HT-CDA-03",
    ),
    "no patient": (
        re.sub(
            rb"(?s)<recordTarget.*?</recordTarget>", b"", document("cda-laboratory-report/nested-results")
        ),
        "HT-CDA-01",
    ),
    "two patients": (
        re.sub(
            rb"(?s)(<recordTarget.*?</recordTarget>)",
            rb"\1\1",
            document("cda-laboratory-report/nested-results"),
        ),
        "HT-CDA-02",
    ),
    "truncated": (document("cda-laboratory-report/nested-results")[:1500], "HT-XML-02"),
    "bomb": (
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]><ClinicalDocument>&c;</ClinicalDocument>',
        "HT-XML-03",
    ),
    "file": (
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><ClinicalDocument>&b;</ClinicalDocument>',
        "HT-XML-03",
    ),
    "too deep": (b"<ClinicalDocument>" * 200, "HT-XML-05"),
    "no charset": (
        b'<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument>\xff\xfe\x81</ClinicalDocument>',
        "HT-XML-01",
    ),
}


@pytest.mark.parametrize(("raw", "code"), BAD.values(), ids=list(BAD))
def test_bad_input_is_refused_with_the_reason(raw: bytes, code: str) -> None:
    with pytest.raises(FhirError) as caught:
        convert(raw)
    assert [issue.code for issue in caught.value.issues] == [code]
    issue = caught.value.issues[0]
    assert all((issue.text("zh"), issue.text("en"), issue.fix("zh"), issue.fix("en")))


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_documents_are_mapped_or_refused(seed: int) -> None:
    chance = random.Random(seed)
    originals = [path.read_bytes() for path in SAMPLES]
    mapped = refused = 0
    for _ in range(150):
        raw = mutate(chance.choice(originals), chance)
        try:
            result = convert(raw)
            for entry in result.entries:
                encode(entry.resource)
            mapped += 1
        except FhirError:
            refused += 1
    assert mapped + refused == 150
    assert mapped > 30


_ELEMENT = re.compile(rb"<[A-Za-z][^<>]*/>|<([A-Za-z]+)[^<>]*>[^<]*</\1>")
_ATTRIBUTE = re.compile(rb'"([^"<>]*)"')


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """Cut, double, move or empty elements and attributes, which stay XML; now and then break the bytes."""
    for _ in range(chance.randint(1, 6)):
        elements = list(_ELEMENT.finditer(raw))
        attributes = list(_ATTRIBUTE.finditer(raw))
        match chance.randrange(6):
            case 0 if elements:
                found = chance.choice(elements)
                raw = raw[: found.start()] + raw[found.end() :]
            case 1 if elements:
                found = chance.choice(elements)
                raw = raw[: found.end()] + found[0] + raw[found.end() :]
            case 2 if elements:
                found, other = chance.choice(elements), chance.choice(elements)
                raw = raw[: other.start()] + found[0] + raw[other.start() :]
            case 3 if attributes:
                found = chance.choice(attributes)
                text = chance.choice(
                    [b"", b"-1e999", b"DE04.30.015.00", b"99999999999999", b"2026-13-45", b"true"]
                )
                raw = raw[: found.start(1)] + text + raw[found.end(1) :]
            case 4 if attributes:
                found, other = chance.choice(attributes), chance.choice(attributes)
                raw = raw[: found.start(1)] + other[1] + raw[found.end(1) :]
            case _ if chance.random() < 0.15:
                place = chance.randrange(len(raw))
                raw = raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
    return raw
