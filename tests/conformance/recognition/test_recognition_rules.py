"""MR-001 … MR-032: for each rule what passes, what does not, and the boundary (docs/recognition.md)."""

from datetime import datetime
from typing import Any

import pytest
from county import CHEST_CT, ECG, EXAM, GLUCOSE, LOINC, POTASSIUM, B, County, quality

from terminology.issues import InvalidInput, NotFound


@pytest.fixture
def county() -> County:
    return County()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_result_without_fault_is_recognised(county: County) -> None:
    candidate = county.candidate()
    assert [(rule.id, rule.outcome, rule.zh) for rule in candidate.rules if rule.outcome != "pass"] == []
    assert candidate.decision == "recognise"
    assert candidate.valid_until is not None
    assert candidate.valid_until.isoformat() == "2026-03-25T23:59:59+08:00"


class TestPerson:
    """MR-001, MR-002"""

    def other(self, county: County, **change: Any) -> None:
        county.more.append(county.patient | {"id": "other"} | change)
        county.observation["subject"] = county.report["subject"] = {"reference": "Patient/other"}

    def test_same_valid_id_passes(self, county: County) -> None:
        self.other(county)
        assert county.outcome("MR-001") == ("pass", "")

    def test_fifteen_digits_are_the_same_person(self, county: County) -> None:
        self.other(county, identifier=[{"system": "urn:oid:2.16.156.10011.1.3", "value": "110105491231002"}])
        assert county.outcome("MR-001") == ("pass", "")

    def test_another_valid_id_is_another_person_and_no_candidate(self, county: County) -> None:
        self.other(
            county, identifier=[{"system": "urn:oid:2.16.156.10011.1.3", "value": "11010519491231011X"}]
        )
        from conformance.identifiers import read_resident_id
        from conformance.identifiers.resident import check_digit

        number = "11010519491231014" + check_digit("11010519491231014")
        county.more[-1]["identifier"][0]["value"] = number
        assert read_resident_id(number).is_valid
        assert county.ask().candidates == ()

    def test_no_id_and_equal_demographics_warn(self, county: County) -> None:
        self.other(county, identifier=[])
        assert county.outcome("MR-001") == ("warn", "MR-ID")

    def test_no_id_and_another_birth_date_is_no_candidate(self, county: County) -> None:
        self.other(county, identifier=[], birthDate="1950-01-01")
        assert county.ask().candidates == ()

    def test_linked_record_passes(self, county: County) -> None:
        self.other(county, identifier=[], name=[{"text": "旧名"}])
        county.patient["link"] = [{"other": {"reference": "Patient/other"}, "type": "seealso"}]
        assert county.outcome("MR-001") == ("pass", "")

    @pytest.mark.parametrize(
        ("number", "outcome"),
        [
            ("11010519491231002X", "pass"),
            ("110105491231002", "pass"),
            ("110105194912310021", "warn"),
            ("123", "warn"),
        ],
    )
    def test_identity_number(self, county: County, number: str, outcome: str) -> None:
        county.patient["identifier"][0]["value"] = number
        assert county.outcome("MR-002")[0] == outcome

    def test_sex_of_the_number_must_agree(self, county: County) -> None:
        county.patient["gender"] = "male"
        assert county.outcome("MR-002") == ("warn", "MR-ID-CHK")

    def test_number_is_masked_in_the_answer(self, county: County) -> None:
        county.patient["gender"] = "male"
        rule = next(row for row in county.candidate().rules if row.id == "MR-002")
        assert "19491231" not in rule.zh + rule.input


class TestReport:
    """MR-003, MR-004"""

    @pytest.mark.parametrize("status", ["preliminary", "partial", "registered", "unknown"])
    def test_unfinished_fails(self, county: County, status: str) -> None:
        county.report["status"] = status
        assert county.outcome("MR-003") == ("fail", "MR-STATUS")

    def test_the_worse_of_report_and_observation_counts(self, county: County) -> None:
        county.observation["status"] = "preliminary"
        assert county.outcome("MR-003")[0] == "fail"

    @pytest.mark.parametrize("status", ["entered-in-error", "cancelled"])
    def test_withdrawn_is_no_candidate(self, county: County, status: str) -> None:
        county.report["status"] = status
        assert county.ask().candidates == ()

    def test_unsigned_fails(self, county: County) -> None:
        del county.report["performer"]
        assert county.outcome("MR-003")[0] == "fail"

    def test_not_issued_fails(self, county: County) -> None:
        del county.report["issued"], county.observation["issued"]
        assert county.outcome("MR-003")[0] == "fail"

    @pytest.mark.parametrize("source", ["ai", "wearable", "self-measured"])
    @pytest.mark.parametrize("where", ["result", "report", "device"])
    def test_a_machines_result_needs_a_physician(self, county: County, source: str, where: str) -> None:
        """A tagged result is not recognisable behind an organisation's name alone (china row 41)."""
        tag = {
            "security": [],
            "tag": [{"system": "https://hutong.health/fhir/CodeSystem/result-source", "code": source}],
        }
        if where == "device":
            county.more.append({"resourceType": "Device", "id": "ai", "type": {"coding": [{"code": source}]}})
            county.observation["device"] = {"reference": "Device/ai"}
        else:
            row = county.observation if where == "result" else county.report
            row["meta"] = {**row.get("meta", {}), **tag}
        county.report["performer"] = [{"reference": "Organization/hospital"}]
        county.report.pop("resultsInterpreter", None)
        assert county.outcome("MR-003") == ("fail", "MR-STATUS")
        county.report["resultsInterpreter"] = [{"reference": "PractitionerRole/reader"}]
        assert county.outcome("MR-003")[0] == "pass"

    def test_an_analysers_result_is_no_ai(self, county: County) -> None:
        county.more.append({"resourceType": "Device", "id": "a", "type": {"coding": [{"code": "analyser"}]}})
        county.observation["device"] = {"reference": "Device/a"}
        assert county.outcome("MR-003")[0] == "pass"

    @pytest.mark.parametrize("status", ["amended", "corrected", "appended"])
    def test_changed_report_warns_until_decided(self, county: County, status: str) -> None:
        county.report["status"] = status
        assert county.outcome("MR-003")[0] == "pass"
        assert county.outcome("MR-004") == ("warn", "MR-AMEND")

    @pytest.mark.parametrize(
        ("version", "owner", "outcome"),
        [("1", "township", "pass"), ("0", "township", "warn"), ("1", "neighbour", "warn")],
    )
    def test_decision_on_this_version_by_this_organisation_settles_it(
        self, county: County, version: str, owner: str, outcome: str
    ) -> None:
        county.report["status"] = "amended"
        county.more.append(
            {
                "resourceType": "Task",
                "id": "decision",
                "status": "completed",
                "code": {"coding": [{"code": "mutual-recognition"}]},
                "focus": {"reference": f"Observation/potassium/_history/{version}"},
                "owner": {"reference": f"Organization/{owner}"},
            }
        )
        assert county.outcome("MR-004")[0] == outcome

    def test_conclusion_is_marked_as_outside(self, county: County) -> None:
        county.report["conclusion"] = "低钾血症"
        assert county.outcome("MR-031") == ("pass", "")


class TestInstitution:
    """MR-005, MR-006, MR-007, MR-024, MR-026"""

    def test_inactive_fails(self, county: County) -> None:
        county.hospital["active"] = False
        assert county.outcome("MR-005") == ("fail", "MR-ORG")

    def test_without_licence_warns(self, county: County) -> None:
        county.hospital["identifier"] = []
        assert county.outcome("MR-005") == ("warn", "MR-ORG")

    def test_licence_by_type_counts(self, county: County) -> None:
        county.hospital["identifier"] = [
            {
                "type": {
                    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "LN"}]
                },
                "value": "x",
            }
        ]
        assert county.outcome("MR-005")[0] == "pass"

    def test_unlisted_item_inside_counts_as_listed_with_unknown_validity(self, county: County) -> None:
        other = {"system": LOINC, "code": "0000-0"}
        county.observation["code"] = {"coding": [other]}
        county.parameters[0]["valueCoding"] = other
        assert county.outcome("MR-006")[0] == "pass"
        assert county.outcome("MR-010") == ("warn", "MR-TIME")

    def outside(self, county: County, mark: str | None = "national") -> None:
        county.parameters[1]["valueReference"] = {"reference": "Organization/neighbour"}
        if mark:
            county.observation["extension"] = [{"url": f"{B}recognition-mark", "valueCode": mark}]

    def test_unlisted_item_outside_fails(self, county: County) -> None:
        self.outside(county)
        other = {"system": LOINC, "code": "0000-0"}
        county.observation["code"] = {"coding": [other]}
        county.parameters[0]["valueCoding"] = other
        assert county.outcome("MR-006") == ("fail", "MR-LIST")

    def test_unmarked_result_outside_is_history_only(self, county: County) -> None:
        self.outside(county, None)
        assert county.ask().candidates == ()

    def test_unmarked_result_inside_counts_as_community(self, county: County) -> None:
        assert county.outcome("MR-007") == ("pass", "")

    @pytest.mark.parametrize(
        ("mark", "outcome"),
        [("community", "fail"), ("city", "pass"), ("province", "pass"), ("national", "pass")],
    )
    def test_scope_must_reach_a_neighbour_in_the_city(self, county: County, mark: str, outcome: str) -> None:
        self.outside(county, mark)
        assert county.outcome("MR-007")[0] == outcome

    @pytest.mark.parametrize(
        ("state", "mark", "outcome"),
        [("山东省", "city", "fail"), ("山东省", "province", "pass"), ("河北省", "province", "fail")],
    )
    def test_scope_by_province(self, county: County, state: str, mark: str, outcome: str) -> None:
        self.outside(county, mark)
        county.neighbour["address"] = [{"state": state, "city": "某市"}]
        assert county.outcome("MR-007")[0] == outcome

    def test_named_region_reaches_between_its_provinces(self, county: County) -> None:
        self.outside(county, "region")
        county.hospital["address"] = [{"state": "北京市"}]
        county.neighbour["address"] = [{"state": "河北省"}]
        county.parameters[0]["valueCoding"] = GLUCOSE | {"code": "x"}
        county.observation["code"] = {"coding": [GLUCOSE | {"code": "x"}]}
        assert county.outcome("MR-007")[0] == "pass"

    def test_item_scope_narrows_the_mark(self, county: County) -> None:
        """Potassium is listed for the province; a national mark does not carry it further."""
        self.outside(county, "national")
        county.neighbour["address"] = [{"state": "广东省"}]
        assert county.outcome("MR-007") == ("fail", "MR-SCOPE")

    def test_organisation_scope_narrows_the_mark(self, county: County) -> None:
        self.outside(county, "province")
        county.hospital["extension"].append({"url": f"{B}recognition-scope", "valueCode": "community"})
        assert county.outcome("MR-007")[0] == "fail"

    def test_level_inside_passes(self, county: County) -> None:
        assert county.outcome("MR-026")[0] == "pass"

    @pytest.mark.parametrize(
        ("own", "other", "outcome"), [("1", "2", "warn"), ("2", "2", "pass"), ("3", "2", "pass")]
    )
    def test_level_outside(self, county: County, own: str, other: str, outcome: str) -> None:
        self.outside(county)
        county.hospital["extension"][-1]["valueCode"] = own
        county.neighbour["extension"][-1]["valueCode"] = other
        assert county.outcome("MR-026")[0] == outcome


class TestQuality:
    """MR-008, MR-009, MR-013, MR-015 … MR-018"""

    @pytest.mark.parametrize(("rule", "place"), [("MR-008", 0), ("MR-009", 1)])
    def test_unknown_warns(self, county: County, rule: str, place: int) -> None:
        del county.hospital["extension"][place]
        assert county.outcome(rule)[0] == "warn"

    @pytest.mark.parametrize(("rule", "place", "scheme"), [("MR-008", 0, "eqa"), ("MR-009", 1, "iqc")])
    def test_failed_or_expired_fails(self, county: County, rule: str, place: int, scheme: str) -> None:
        county.hospital["extension"][place] = quality(scheme, POTASSIUM, result="fail")
        assert county.outcome(rule)[0] == "fail"
        county.hospital["extension"][place] = quality(scheme, POTASSIUM, end="2026-03-17")
        assert county.outcome(rule)[0] == "fail"

    def test_the_last_day_of_the_period_counts(self, county: County) -> None:
        county.hospital["extension"][0] = quality("eqa", POTASSIUM, end="2026-03-18")
        assert county.outcome("MR-008")[0] == "pass"

    def test_another_item_is_unknown(self, county: County) -> None:
        county.hospital["extension"][0] = quality("eqa", GLUCOSE)
        assert county.outcome("MR-008")[0] == "warn"

    def test_convertible_unit_passes_with_conversion(self, county: County) -> None:
        county.observation["valueQuantity"] = {"value": 4100, "code": "umol/L", "unit": "umol/L"}
        assert county.outcome("MR-013") == ("pass", "")
        rule = next(row for row in county.candidate().rules if row.id == "MR-013")
        assert rule.limit == "4.1 mmol/L"

    @pytest.mark.parametrize("unit", ["mg/dL", "U/L", "nonsense"])
    def test_other_dimension_fails(self, county: County, unit: str) -> None:
        county.observation["valueQuantity"] |= {"code": unit, "unit": unit}
        assert county.outcome("MR-013") == ("fail", "MR-METHOD")

    def test_images_within_reach_pass(self, county: County) -> None:
        county.imaging()
        assert county.outcome("MR-015") == ("pass", "")
        assert county.candidate().image == "https://pacs.example/wado"
        assert county.candidate().result["resourceType"] == "DiagnosticReport"

    @pytest.mark.parametrize("change", [{"endpoint": []}, {"status": "cancelled"}])
    def test_images_out_of_reach_fail_with_98(self, county: County, change: dict[str, Any]) -> None:
        county.imaging()
        county.more[0] |= change
        assert county.outcome("MR-015") == ("fail", "98")

    def test_switched_off_endpoint_is_out_of_reach(self, county: County) -> None:
        county.imaging()
        county.more[1]["status"] = "off"
        assert county.outcome("MR-015") == ("fail", "98")

    def ecg(self, county: County, leads: int, content_type: str | None = None) -> None:
        county.parameters[0] = {"name": "item", "valueCoding": ECG}
        component = {
            "code": {"text": "lead"},
            "valueSampledData": {"origin": {"value": 0}, "period": 2, "dimensions": 1, "data": "1 2"},
        }
        county.observation |= {"code": {"coding": [ECG]}, "category": [], "component": [component] * leads}
        county.report |= {"category": [{"coding": [{"code": "EC"}]}], "code": {"coding": [ECG]}}
        if content_type:
            county.more.append(
                {
                    "resourceType": "DocumentReference",
                    "id": "file",
                    "status": "current",
                    "content": [{"attachment": {"contentType": content_type, "url": "Binary/1"}}],
                    "context": {"related": [{"reference": "Observation/potassium"}]},
                }
            )

    @pytest.mark.parametrize(
        ("leads", "content_type", "outcome"),
        [
            (12, None, "pass"),
            (11, None, "warn"),
            (0, "application/pdf", "warn"),
            (0, "application/dicom", "pass"),
            (0, "application/scp-ecg", "pass"),
            (0, "application/vnd.aecg+xml", "pass"),
        ],
    )
    def test_waveform(self, county: County, leads: int, content_type: str | None, outcome: str) -> None:
        self.ecg(county, leads, content_type)
        assert county.outcome("MR-016")[0] == outcome

    def test_no_value_blocks(self, county: County) -> None:
        del county.observation["valueQuantity"]
        assert county.outcome("MR-017") == ("block", "MR-DATA")
        assert county.candidate().decision == "repeat"

    @pytest.mark.parametrize("missing", ["referenceRange", "unit"])
    def test_incomplete_number_warns(self, county: County, missing: str) -> None:
        if missing == "unit":
            county.observation["valueQuantity"] = {"value": 4.1}
        else:
            del county.observation["referenceRange"]
        assert county.outcome("MR-017")[0] == "warn"

    @pytest.mark.parametrize(
        ("value", "flag", "outcome"),
        [(4.1, None, "pass"), (6.0, None, "warn"), (6.0, "H", "pass"), (5.3, None, "pass")],
    )
    def test_missing_flag_matters_outside_the_range_only(
        self, county: County, value: float, flag: str | None, outcome: str
    ) -> None:
        county.observation["valueQuantity"]["value"] = value
        if flag:
            county.observation["interpretation"] = [{"coding": [{"code": flag}]}]
        assert county.outcome("MR-017")[0] == outcome

    @pytest.mark.parametrize("text", ["标本溶血", "脂血", "乳糜血", "有凝块", "hemolyzed", "Haemolysed +"])
    def test_spoiled_specimen_fails(self, county: County, text: str) -> None:
        county.specimen["condition"] = [{"text": text}]
        assert county.outcome("MR-018") == ("fail", "MR-SPEC")

    @pytest.mark.parametrize("text", ["未见溶血", "无凝块", "溶血(-)", "no hemolysis", "非脂血标本"])
    def test_negated_words_pass(self, county: County, text: str) -> None:
        county.specimen["condition"] = [{"text": text}]
        assert county.outcome("MR-018") == ("pass", "")

    def test_a_note_counts(self, county: County) -> None:
        county.observation["note"] = [{"text": "标本轻度溶血,结果仅供参考"}]
        assert county.outcome("MR-018")[0] == "fail"

    def test_coded_condition_counts(self, county: County) -> None:
        county.specimen["condition"] = [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0493", "code": "HEM"}]}
        ]
        assert county.outcome("MR-018")[0] == "fail"


class TestValidity:
    """MR-010, MR-011: seven days of potassium from collection on 18 March."""

    @pytest.mark.parametrize(
        ("moment", "outcome"),
        [
            ("2026-03-24T23:59:59+08:00", "pass"),
            ("2026-03-25T00:00:00+08:00", "warn"),
            ("2026-03-25T23:59:59+08:00", "warn"),
            ("2026-03-25T15:59:59+00:00", "warn"),
            ("2026-03-25T16:00:00+00:00", "fail"),
            ("2026-03-26T00:00:00+08:00", "fail"),
        ],
    )
    def test_days_are_calendar_days_in_china(self, county: County, moment: str, outcome: str) -> None:
        county.at = at(moment)
        assert county.outcome("MR-010")[0] == outcome

    def test_leap_day_counts(self, county: County) -> None:
        """From 28 February 2028 seven days lead to 6 March, because 29 February exists."""
        for resource in (county.observation, county.report):
            resource |= {
                "effectiveDateTime": "2028-02-28T08:00:00+08:00",
                "issued": "2028-02-28T09:00:00+08:00",
            }
        county.specimen["collection"]["collectedDateTime"] = "2028-02-28T08:00:00+08:00"
        county.at = at("2028-03-06T23:00:00+08:00")
        assert county.outcome("MR-010")[0] == "warn"
        county.at = at("2028-03-07T00:00:00+08:00")
        assert county.outcome("MR-010")[0] == "fail"

    def test_without_specimen_the_effective_time_counts(self, county: County) -> None:
        del county.observation["specimen"]
        county.observation["effectiveDateTime"] = "2026-03-10T08:00:00+08:00"
        assert county.outcome("MR-010")[0] == "fail"

    @pytest.mark.parametrize(
        ("effective", "issued"),
        [
            ("2026-03-18T08:15:00", "2026-03-18T10:00:00+08:00"),
            ("2026-03-18", "2026-03-18T10:00:00+08:00"),
            ("2026-03-21T08:15:00+08:00", "2026-03-21T10:00:00+08:00"),
            ("2026-03-18T11:00:00+08:00", "2026-03-18T10:00:00+08:00"),
        ],
    )
    def test_implausible_times_block(self, county: County, effective: str, issued: str) -> None:
        for resource in (county.observation, county.report):
            resource |= {"effectiveDateTime": effective, "issued": issued}
        assert county.outcome("MR-011") == ("block", "MR-CLOCK")


class TestItem:
    """MR-012, MR-014"""

    def mapped(self, county: County, equivalence: str, *, others: int = 0, backwards: bool = False) -> None:
        local = {"system": "urn:lis", "code": "K"}
        county.observation["code"] = {"coding": [local]}
        source, target = (POTASSIUM, local) if backwards else (local, POTASSIUM)
        elements = [
            {"code": source["code"], "target": [{"code": target["code"], "equivalence": equivalence}]}
        ]
        elements += [
            {"code": f"other{number}", "target": [{"code": target["code"], "equivalence": equivalence}]}
            for number in range(others)
        ]
        county.maps.append(
            {
                "resourceType": "ConceptMap",
                "group": [{"source": source["system"], "target": target["system"], "element": elements}],
            }
        )

    @pytest.mark.parametrize(
        ("equivalence", "outcome"),
        [
            ("equal", "pass"),
            ("equivalent", "pass"),
            ("wider", "warn"),
            ("narrower", "warn"),
            ("inexact", "warn"),
            ("relatedto", "warn"),
        ],
    )
    def test_mapped_item(self, county: County, equivalence: str, outcome: str) -> None:
        self.mapped(county, equivalence)
        assert county.outcome("MR-012")[0] == outcome

    @pytest.mark.parametrize("equivalence", ["unmatched", "disjoint"])
    def test_unmatched_is_no_candidate(self, county: County, equivalence: str) -> None:
        self.mapped(county, equivalence)
        assert county.ask().candidates == ()

    def test_one_to_one_backwards_passes(self, county: County) -> None:
        self.mapped(county, "equivalent", backwards=True)
        assert county.outcome("MR-012")[0] == "pass"

    def test_many_to_one_backwards_warns(self, county: County) -> None:
        self.mapped(county, "equivalent", others=1, backwards=True)
        assert county.outcome("MR-012") == ("warn", "MR-ITEM")

    def test_many_to_one_forwards_passes(self, county: County) -> None:
        self.mapped(county, "equivalent", others=1)
        assert county.outcome("MR-012")[0] == "pass"

    def test_another_code_is_no_candidate_and_missing(self, county: County) -> None:
        county.parameters[0]["valueCoding"] = GLUCOSE
        answer = county.ask()
        assert (answer.decision, answer.candidates, answer.missing) == ("repeat", (), (GLUCOSE,))

    @pytest.mark.parametrize(
        ("own", "ordered", "outcome"), [("左膝", "右膝", "fail"), ("左膝", "左膝", "pass")]
    )
    def test_side(self, county: County, own: str, ordered: str, outcome: str) -> None:
        county.imaging()
        county.more[0]["series"] = [{"bodySite": {"display": own}}]
        order = {
            "resourceType": "ServiceRequest",
            "id": "order",
            "status": "active",
            "code": {"coding": [CHEST_CT]},
            "bodySite": [{"text": ordered}],
        }
        county.parameters[0] = {"name": "order", "resource": order}
        assert county.outcome("MR-014")[0] == outcome


class TestCircumstance:
    """MR-020 … MR-025, MR-032"""

    def condition(self, id: str, recorded: str, code: str = "E11.900") -> dict[str, Any]:
        return {
            "resourceType": "Condition",
            "id": id,
            "code": {"coding": [{"system": "icd", "code": code}]},
            "recordedDate": recorded,
        }

    def test_new_diagnosis_warns(self, county: County) -> None:
        county.more.append(self.condition("new", "2026-03-19T08:00:00+08:00"))
        assert county.outcome("MR-020") == ("warn", "01")

    def test_a_known_diagnosis_recorded_again_does_not(self, county: County) -> None:
        county.more += [
            self.condition("old", "2025-01-01"),
            self.condition("again", "2026-03-19T08:00:00+08:00"),
        ]
        assert county.outcome("MR-020") == ("pass", "")

    @pytest.mark.parametrize(("id", "outcome"), [("ward", "warn"), ("now", "pass")])
    def test_admission_warns_unless_it_is_the_own_encounter(
        self, county: County, id: str, outcome: str
    ) -> None:
        county.more.append(
            {
                "resourceType": "Encounter",
                "id": id,
                "status": "in-progress",
                "class": {"code": "IMP"},
                "period": {"start": "2026-03-19T08:00:00+08:00"},
            }
        )
        if id == "now":
            county.parameters.append({"name": "encounter", "valueReference": {"reference": "Encounter/now"}})
        assert county.outcome("MR-020")[0] == outcome

    def test_procedure_warns(self, county: County) -> None:
        county.more.append(
            {
                "resourceType": "Procedure",
                "id": "p",
                "status": "completed",
                "performedDateTime": "2026-03-19T08:00:00+08:00",
                "code": {"text": "胃镜"},
            }
        )
        assert county.outcome("MR-020")[0] == "warn"

    @pytest.mark.parametrize(
        "request_",
        [
            {"code": {"text": "输血"}},
            {"category": [{"coding": [{"system": "http://snomed.info/sct", "code": "387713003"}]}]},
            {"code": {"coding": [{"system": "http://snomed.info/sct", "code": "5447007"}]}},
        ],
    )
    def test_planned_operation_or_transfusion_warns(self, county: County, request_: dict[str, Any]) -> None:
        county.more.append({"resourceType": "ServiceRequest", "id": "op", "status": "active", **request_})
        assert county.outcome("MR-021") == ("warn", "03")

    def order(self, county: County, **more: Any) -> None:
        order = {
            "resourceType": "ServiceRequest",
            "id": "order",
            "status": "active",
            "code": {"coding": [POTASSIUM]},
            **more,
        }
        county.parameters[0] = {"name": "order", "resource": order}

    @pytest.mark.parametrize("priority", ["stat", "asap"])
    def test_emergency_never_waits(self, county: County, priority: str) -> None:
        self.order(county, priority=priority)
        assert county.outcome("MR-022") == ("warn", "04")
        assert county.ask().is_bypassed

    def test_routine_is_no_bypass(self, county: County) -> None:
        self.order(county, priority="routine")
        assert not county.ask().is_bypassed

    @pytest.mark.parametrize("purpose", ["judicial", "disability", "sick-leave", "labour-arbitration"])
    def test_other_purposes_fail_with_05(self, county: County, purpose: str) -> None:
        county.parameters.append({"name": "purpose", "valueCode": purpose})
        assert county.outcome("MR-023") == ("fail", "05")

    def test_an_appraisal_in_the_reason_is_judicial(self, county: County) -> None:
        self.order(county, reasonCode=[{"text": "伤残鉴定"}])
        assert county.outcome("MR-023")[0] == "fail"

    @pytest.mark.parametrize(
        "more",
        [{"basedOn": [{"reference": "CarePlan/1"}]}, {"occurrenceTiming": {"repeat": {"frequency": 1}}}],
    )
    def test_monitoring_is_not_counted(self, county: County, more: dict[str, Any]) -> None:
        self.order(county, **more)
        assert county.outcome("MR-025") == ("warn", "99")

    def consent(self, actor: str | None, status: str = "active") -> dict[str, Any]:
        provision: dict[str, Any] = {"type": "deny"}
        if actor:
            provision["actor"] = [{"role": {}, "reference": {"reference": f"Organization/{actor}"}}]
        return {"resourceType": "Consent", "id": "c", "status": status, "provision": provision}

    @pytest.mark.parametrize(
        ("actor", "status", "outcome"),
        [
            ("township", "active", "block"),
            (None, "active", "block"),
            ("neighbour", "active", "pass"),
            ("township", "inactive", "pass"),
        ],
    )
    def test_consent(self, county: County, actor: str | None, status: str, outcome: str) -> None:
        county.more.append(self.consent(actor, status))
        assert county.outcome("MR-032")[0] == outcome


class TestRequest:
    def test_no_item_is_refused(self, county: County) -> None:
        del county.parameters[0]
        with pytest.raises(InvalidInput, match="HT-MR-04"):
            county.ask()

    @pytest.mark.parametrize("value", ["2026-03-20", "yesterday", "2026-03-20T10:00:00"])
    def test_at_needs_a_zone(self, county: County, value: str) -> None:
        county.parameters.append({"name": "at", "valueDateTime": value})
        with pytest.raises(InvalidInput, match="HT-MR-05"):
            county.ask()

    def test_unknown_purpose_is_refused(self, county: County) -> None:
        county.parameters.append({"name": "purpose", "valueCode": "curiosity"})
        with pytest.raises(InvalidInput, match="HT-MR-06"):
            county.ask()

    def test_unknown_requester_is_refused(self, county: County) -> None:
        county.parameters[1]["valueReference"] = {"reference": "Organization/nowhere"}
        with pytest.raises(NotFound, match="HT-MR-07"):
            county.ask()


class TestAnswer:
    def test_best_candidate_first_then_newest(self, county: County) -> None:
        newer = county.observation | {
            "id": "newer",
            "effectiveDateTime": "2026-03-19T08:00:00+08:00",
            "issued": "2026-03-19T09:00:00+08:00",
            "specimen": {},
        }
        worse = county.observation | {
            "id": "worse",
            "effectiveDateTime": "2026-03-20T08:00:00+08:00",
            "issued": "2026-03-20T09:00:00+08:00",
            "status": "preliminary",
        }
        county.more += [newer, worse]
        assert [row.result["id"] for row in county.ask().candidates] == ["newer", "potassium", "worse"]

    def test_asking_twice_gives_the_same_answer(self, county: County) -> None:
        assert county.ask() == county.ask()

    def test_exam_code_of_another_site_is_no_candidate(self, county: County) -> None:
        county.imaging()
        county.parameters[0] = {"name": "item", "valueCoding": {"system": EXAM, "code": "B020ZYZZZ"}}
        assert county.ask().candidates == ()

    def test_parameters_carry_every_rule_in_two_languages(self, county: County) -> None:
        from conformance.recognition.parameters import to_parameters

        parameters = to_parameters(county.ask())["parameter"]
        assert [row["name"] for row in parameters] == ["decision", "candidate", "pack"]
        parts = parameters[1]["part"]
        rules = [part["part"] for part in parts if part["name"] == "rule"]
        assert len(rules) == len(county.candidate().rules)
        assert all(
            any(part["name"] == "message" and "_valueString" in part for part in rule) for rule in rules
        )
