"""What comes with the project beside plain code tables: sample lists, flags, pairs, recognition attributes."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.catalogues.authoring import Catalogues
from gateway.catalogues.first_load import load_some
from gateway.catalogues.place import open_catalogues
from gateway.settings import Settings
from terminology.catalogue.icd10 import Pair, split_pair
from terminology.catalogue.lists import DRUGS, ICD10, value_sets
from terminology.catalogue.shipped import prefixes, shipped
from terminology.catalogue.shipped_maps import MapTable, ShippedMaps, shipped_maps
from terminology.catalogue.tcm import check_pair
from terminology.fhirjson import Json
from terminology.issues import NotFound
from terminology.library import Libraries, ResourceLibrary
from terminology.service import Terminology
from terminology.snapshot.library import CatalogueLibrary
from terminology.tables.domain import TABLES
from terminology.tables.rows import table_rows

NAMES = ["icd10", "drugs", "tcm", "recognition-items", "infectious-disease"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shipped")


@pytest.fixture(scope="module")
def catalogues(folder: Path) -> Iterator[Catalogues]:
    made = open_catalogues(Settings(data=folder))
    load_some(made, folder / "snapshots", NAMES, progress=lambda title: None)
    yield made
    made.close()


@pytest.fixture(scope="module")
def library(catalogues: Catalogues, folder: Path) -> CatalogueLibrary:  # they are loaded
    return CatalogueLibrary(folder / "snapshots")


@pytest.fixture(scope="module")
def terminology(library: CatalogueLibrary) -> Terminology:
    return Terminology(Libraries(library, ResourceLibrary(value_sets().values())))


def is_in(terminology: Terminology, value_set: str, system: str, code: str) -> bool:
    rows = [
        {"name": "url", "valueUri": f"https://hutong.health/fhir/ValueSet/{value_set}"},
        {"name": "system", "valueUri": system},
        {"name": "code", "valueCode": code},
    ]
    answer = terminology.validate_code_in_value_set({"resourceType": "Parameters", "parameter": rows})
    return {"name": "result", "valueBoolean": True} in answer["parameter"]


class TestLists:
    def test_the_lists_have_as_many_diseases_as_their_names_say(self) -> None:
        sets = value_sets()
        assert len(sets["first-visit-50"]["compose"]["include"]) == 50
        assert len(sets["no-referral-30"]["compose"]["include"]) == 30
        assert all(row["experimental"] and row["version"] == "sample" for row in sets.values())

    def test_they_speak_of_the_shipped_catalogues(self) -> None:
        assert (shipped()["icd10"].url, shipped()["drugs"].url) == (ICD10, DRUGS)

    def test_every_category_has_codes(self, catalogues: Catalogues) -> None:
        codes = {row.code[:3] for row in catalogues.rows("icd10", 1)}
        assert {row["prefix"] for row in table_rows("disease_lists.csv")} <= codes
        assert {prefix[:3] for prefix in prefixes("icd10_flags.csv")} <= codes

    @pytest.mark.parametrize(
        ("value_set", "code", "expected"),
        [
            ("first-visit-50", "I10.x00x002", True),
            ("first-visit-50", "I21.900", False),
            ("no-referral-30", "J00.x00", True),
            ("no-referral-30", "I10.x00x002", False),
        ],
    )
    def test_a_diagnosis_is_in_the_list_of_its_category(
        self, terminology: Terminology, value_set: str, code: str, *, expected: bool
    ) -> None:
        assert is_in(terminology, value_set, ICD10, code) is expected

    def test_drugs_by_disease_follow_the_drug_catalogue(self, terminology: Terminology) -> None:
        assert is_in(terminology, "chronic-drugs-hypertension", DRUGS, "HT0001")
        assert not is_in(terminology, "chronic-drugs-diabetes", DRUGS, "HT0001")


class TestDiagnoses:
    @pytest.mark.parametrize(
        ("code", "pair"),
        [
            ("A01.001+K77.0*", Pair("A01.001", "K77.0")),
            ("A01.000x005+J17.0*", Pair("A01.000x005", "J17.0")),
            ("A01.002+G01*", Pair("A01.002", "G01")),
            ("A01.001", None),
            ("+*", None),
            ("A01.001+K77.0*" * 1000, None),
        ],
    )
    def test_dagger_and_asterisk(self, code: str, pair: Pair | None) -> None:
        assert split_pair(code) == pair

    def test_every_pair_of_the_table_is_parsed(self, catalogues: Catalogues) -> None:
        rows = [row for row in catalogues.rows("icd10", 1) if "+" in row.code]
        assert len(rows) == 1178
        assert all({"dagger", "asterisk"} <= set(row.properties) for row in rows)

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("I10.x00x002", {"chronic": "hypertension"}),
            ("A15.000", {"infectious": "214", "chronic": "tuberculosis"}),
            ("A01.001+K77.0*", {"infectious": "2151", "dagger": "A01.001", "asterisk": "K77.0"}),
            ("S93.000", {}),
        ],
    )
    def test_flags(self, catalogues: Catalogues, code: str, expected: dict[str, Any]) -> None:
        assert dict(catalogues.history("icd10", code)[0][2].properties) == expected

    def test_flags_of_infectious_diseases_are_national_codes(self, catalogues: Catalogues) -> None:
        known = {row.code for row in catalogues.rows("infectious-disease", 1)}
        flags = {row["infectious"] for row in prefixes("icd10_flags.csv").values() if "infectious" in row}
        assert flags <= known

    @pytest.mark.parametrize(
        ("disease", "syndrome", "found"),
        [
            ("BEA000", "ZBZ010", []),
            ("ZBZ010", "BEA000", ["HT-CAT-71", "HT-CAT-71"]),
            ("BEA", "ZBZ", ["HT-CAT-72", "HT-CAT-72"]),
            ("X", "ZBZ010", ["HT-CAT-70"]),
        ],
    )
    def test_disease_and_syndrome(
        self, library: CatalogueLibrary, disease: str, syndrome: str, found: list[str]
    ) -> None:
        system = library.code_system(shipped()["tcm"].url, None)
        assert system is not None
        assert [issue.code for issue in check_pair(system, disease, syndrome)] == found


class TestRecognition:
    def test_items_carry_their_attributes(self, catalogues: Catalogues) -> None:
        row = catalogues.history("recognition-items", "2885-2")[0][2]
        assert row.display == "总蛋白"
        assert row.properties["scope"] == "province"
        assert row.properties["validity-days"] == 30
        assert row.properties["source"] == "鄂卫通〔2023〕56号"

    def test_the_table_is_the_one_that_decides(self) -> None:
        """terminology cannot import conformance: the two copies are held together here."""
        pack = TABLES.parents[1] / "conformance" / "recognition" / "packs" / "base" / "items.csv"
        with pack.open(encoding="utf-8", newline="") as lines:
            assert list(table_rows("recognition_items.csv")) == list(csv.DictReader(lines))


def test_an_unknown_name_is_told(tmp_path: Path) -> None:
    made = open_catalogues(Settings(data=tmp_path))
    with pytest.raises(NotFound, match="HT-CAT-43"):
        load_some(made, tmp_path / "snapshots", ["icd10", "icd99"], progress=lambda title: None)
    assert made.all() == []
    made.close()


class TestMaps:
    """The shipped ConceptMaps answer $translate, forwards and backwards; a stored map of the same URL comes before."""

    BASE = "https://hutong.health/fhir/ConceptMap/"

    def ask(self, **values: str) -> Json:
        rows = [{"name": name, "valueString": value} for name, value in values.items()]
        service = Terminology(Libraries(ResourceLibrary(), ShippedMaps()))
        return service.translate({"resourceType": "Parameters", "parameter": rows})

    def codes(self, answer: Json) -> list[str]:
        return [
            part["valueCoding"]["code"]
            for match in answer["parameter"]
            if match["name"] == "match"
            for part in match["part"]
            if part["name"] == "concept"
        ]

    def test_a_hospital_code_becomes_the_national_one(self) -> None:
        rows = list(table_rows("icd10_clinical_to_nhsa_v2.csv.gz"))
        changed = next(row for row in rows if row["clinical_code"] != row["nhsa_code"])
        answer = self.ask(
            url=f"{self.BASE}icd10-clinical-to-nhsa",
            system="https://hutong.health/fhir/CodeSystem/icd10-clinical",
            code=changed["clinical_code"],
        )
        assert self.codes(answer) == [changed["nhsa_code"]]

    def test_the_way_back_is_not_unique(self) -> None:
        rows = list(table_rows("icd10_clinical_to_nhsa_v2.csv.gz"))
        counts = Counter(row["nhsa_code"] for row in rows)
        target, count = counts.most_common(1)[0]
        answer = self.ask(
            url=f"{self.BASE}icd10-clinical-to-nhsa",
            targetCode=target,
            targetSystem="urn:oid:2.16.156.10011.2.3.3.11",
        )
        assert len(self.codes(answer)) == count > 1

    def test_without_a_url_the_systems_choose_the_map(self) -> None:
        answer = self.ask(
            system="urn:oid:2.16.156.10011.2.3.3.4",
            code="2",
            targetsystem="http://hl7.org/fhir/administrative-gender",
        )
        assert self.codes(answer) == ["female"]

    def test_spellings_of_the_tables_are_no_codes(self) -> None:
        answer = self.ask(
            url=f"{self.BASE}sex-to-administrative-gender", system="urn:oid:2.16.156.10011.2.3.3.4", code="男"
        )
        assert answer["parameter"][0] == {"name": "result", "valueBoolean": False}

    def test_every_map_names_its_source_and_leads_somewhere(self) -> None:
        for concept_map in shipped_maps().values():
            assert concept_map["copyright"]
            table = concept_map.rows[0]
            assert isinstance(table, MapTable)
            first = next(
                row for row in table_rows(table.file) if not table.codes or row[table.source] in table.codes
            )
            assert table.elements(first[table.source])
