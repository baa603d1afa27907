"""The terminology operations over HTTP: GET and POST, type and instance level, stored resources, outcomes."""

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.store.memory import MemoryStore
from tests.gateway.server import Server
from tests.suites.test_tx_ecosystem import cases, load, request
from tests.suites.tx_compare import Comparison
from tests.suites.tx_convert import to_r5

GENDER = "http://hl7.org/fhir/administrative-gender"
GENDERS = "http://hl7.org/fhir/ValueSet/administrative-gender"

ITEMS: Any = {
    "resourceType": "CodeSystem",
    "id": "items",
    "url": "urn:county:items",
    "version": "1",
    "name": "Items",
    "status": "active",
    "content": "complete",
    "caseSensitive": True,
    "valueSet": "urn:county:all-items",
    "concept": [
        {
            "code": "B",
            "display": "血液检查",
            "concept": [{"code": "B1", "display": "血常规"}, {"code": "B2", "display": "血糖"}],
        },
        {"code": "U", "display": "尿液检查"},
    ],
}
BLOOD: Any = {
    "resourceType": "ValueSet",
    "id": "blood",
    "url": "urn:county:blood",
    "status": "active",
    "compose": {
        "include": [
            {
                "system": "urn:county:items",
                "filter": [{"property": "concept", "op": "descendent-of", "value": "B"}],
            }
        ]
    },
}
TO_GENDER: Any = {
    "resourceType": "ConceptMap",
    "id": "sex",
    "url": "urn:county:sex",
    "status": "active",
    "group": [
        {
            "source": "urn:his:sex",
            "target": GENDER,
            "element": [{"code": "1", "target": [{"code": "male", "equivalence": "equivalent"}]}],
        }
    ],
}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(MemoryStore())
    yield made
    made.close()


def value(body: Any, name: str) -> Any:
    row = next(row for row in body["parameter"] if row["name"] == name)
    return next(row[key] for key in row if key.startswith("value"))


def codes(body: Any) -> list[str]:
    return [row["code"] for row in body["expansion"].get("contains", [])]


class TestShippedContent:
    """FHIR's own code systems and value sets answer without being stored."""

    def test_expand_by_get(self, server: Server) -> None:
        body = server.request("GET", f"ValueSet/$expand?url={GENDERS}").json()
        assert codes(body) == ["male", "female", "other", "unknown"]
        assert body["expansion"]["total"] == 4

    def test_expand_one_page(self, server: Server) -> None:
        body = server.request("GET", f"ValueSet/$expand?url={GENDERS}&offset=1&count=2").json()
        assert codes(body) == ["female", "other"]
        assert body["expansion"]["total"] == 4

    def test_expand_by_id(self, server: Server) -> None:
        assert codes(server.request("GET", "ValueSet/administrative-gender/$expand").json())[0] == "male"

    def test_validate_code(self, server: Server) -> None:
        url = f"ValueSet/$validate-code?url={GENDERS}&system={GENDER}&code="
        assert value(server.request("GET", url + "male").json(), "result") is True
        assert value(server.request("GET", url + "m").json(), "result") is False

    def test_lookup(self, server: Server) -> None:
        body = server.request("GET", f"CodeSystem/$lookup?system={GENDER}&code=male").json()
        assert value(body, "display") == "Male"

    def test_an_unknown_code_is_404(self, server: Server) -> None:
        answer = server.request("GET", f"CodeSystem/$lookup?system={GENDER}&code=m")
        assert answer.status_code == 404
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "HT-TX-07"


class TestGrammars:
    """Units, languages and media types: checked by their grammar, never listed."""

    @pytest.mark.parametrize(
        ("system", "right", "wrong"),
        [
            ("http://unitsofmeasure.org", "mmol/L", "mmoll"),
            ("urn:ietf:bcp:47", "zh-CN", "chinese-language"),
            ("urn:ietf:bcp:13", "application/pdf", "pdf"),
        ],
    )
    def test_validate_code(self, server: Server, system: str, right: str, wrong: str) -> None:
        url = f"CodeSystem/$validate-code?url={system}&code="
        assert value(server.request("GET", url + right).json(), "result") is True
        assert value(server.request("GET", url + wrong).json(), "result") is False

    def test_a_listed_value_set_of_units_is_expanded(self, server: Server) -> None:
        url = "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/ucum-vitals-common"
        assert "mm[Hg]" in codes(server.request("GET", url).json())

    def test_all_units_cannot_be_listed(self, server: Server) -> None:
        url = "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/ucum-units"
        answer = server.request("GET", url)
        assert answer.status_code == 422
        assert "cannot be expanded" in answer.json()["issue"][0]["details"]["text"]


class TestStoredResources:
    """What is stored over REST takes effect with the write, and loses it with the deletion."""

    def test_a_stored_code_system_answers_at_once(self, server: Server) -> None:
        url = "CodeSystem/$lookup?system=urn:county:items&code=B1"
        assert server.request("GET", url).status_code == 404
        assert server.request("PUT", "CodeSystem/items", ITEMS).status_code == 201
        assert value(server.request("GET", url).json(), "display") == "血常规"
        server.request("DELETE", "CodeSystem/items")
        assert server.request("GET", url).status_code == 404

    def test_an_update_takes_effect(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        changed = {**ITEMS, "concept": [{"code": "B1", "display": "血细胞分析"}]}
        server.request("PUT", "CodeSystem/items", changed)
        body = server.request("GET", "CodeSystem/$lookup?system=urn:county:items&code=B1").json()
        assert value(body, "display") == "血细胞分析"

    def test_value_set_by_url_and_by_id(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        server.request("PUT", "ValueSet/blood", BLOOD)
        assert codes(server.request("GET", "ValueSet/$expand?url=urn:county:blood").json()) == ["B1", "B2"]
        assert codes(server.request("GET", "ValueSet/blood/$expand").json()) == ["B1", "B2"]

    def test_implicit_value_sets(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        everything = server.request(
            "GET", "ValueSet/$expand?url=urn:county:all-items&excludeNested=true"
        ).json()
        assert codes(everything) == ["B", "B1", "B2", "U"]
        below = server.request(
            "GET", "ValueSet/$expand?url=urn:county:items%3Ffhir_vs=isa/B&excludeNested=true"
        )
        assert codes(below.json()) == ["B", "B1", "B2"]

    def test_a_tree_is_the_default(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        body = server.request("GET", "ValueSet/$expand?url=urn:county:all-items").json()
        assert codes(body) == ["B", "U"]
        assert [row["code"] for row in body["expansion"]["contains"][0]["contains"]] == ["B1", "B2"]

    def test_a_chinese_filter_finds_only_what_has_it(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        body = server.request("GET", "ValueSet/$expand?url=urn:county:all-items&filter=血").json()
        assert sorted(codes(body)) == ["B", "B1", "B2"]
        assert {"name": "filter", "valueString": "血"} in body["expansion"]["parameter"]

    def test_subsumes(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        url = "CodeSystem/$subsumes?system=urn:county:items&codeA={}&codeB={}"
        for first, second, expected in (
            ("B", "B1", "subsumes"),
            ("B1", "B", "subsumed-by"),
            ("B", "B", "equivalent"),
            ("B", "U", "not-subsumed"),
        ):
            assert value(server.request("GET", url.format(first, second)).json(), "outcome") == expected

    def test_instance_level_subsumes(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        answer = server.request("GET", "CodeSystem/items/$subsumes?codeA=B&codeB=B1")
        assert value(answer.json(), "outcome") == "subsumes"

    def test_translate_both_ways(self, server: Server) -> None:
        server.request("PUT", "ConceptMap/sex", TO_GENDER)
        forwards = server.request(
            "GET", f"ConceptMap/$translate?system=urn:his:sex&code=1&targetsystem={GENDER}"
        )
        match = next(row for row in forwards.json()["parameter"] if row["name"] == "match")
        assert value(forwards.json(), "result") is True
        assert {part["name"]: part for part in match["part"]}["concept"]["valueCoding"]["code"] == "male"
        backwards = server.request("GET", f"ConceptMap/$translate?system={GENDER}&code=male&reverse=true")
        match = next(row for row in backwards.json()["parameter"] if row["name"] == "match")
        concept = {part["name"]: part for part in match["part"]}["concept"]["valueCoding"]
        assert concept == {"system": "urn:his:sex", "code": "1"}
        by_id = server.request("GET", "ConceptMap/sex/$translate?system=urn:his:sex&code=2")
        assert value(by_id.json(), "result") is False

    def test_versions(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        body = server.request("GET", "CodeSystem/$versions?url=urn:county:items").json()
        assert value(body, "version") == "urn:county:items|1"
        assert value(server.request("GET", "$versions").json(), "default") == "4.0"

    def test_closure(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)

        def call(*rows: Any) -> Any:
            name = {"name": "name", "valueString": "mine"}
            body = {"resourceType": "Parameters", "parameter": [name, *rows]}
            return server.request("POST", "$closure", body).json()

        def concept(code: str) -> Any:
            return {"name": "concept", "valueCoding": {"system": "urn:county:items", "code": code}}

        assert "group" not in call()
        assert "group" not in call(concept("B"))
        added = call(concept("B1"), concept("U"))
        assert added["group"][0]["element"] == [
            {"code": "B1", "target": [{"code": "B", "equivalence": "subsumes"}]}
        ]
        again = call({"name": "version", "valueString": "0"})
        assert again["group"] == added["group"]

    def test_find_matches(self, server: Server) -> None:
        server.request("PUT", "CodeSystem/items", ITEMS)
        rows = [
            {"name": "system", "valueUri": "urn:county:items"},
            {"name": "exact", "valueBoolean": True},
            {
                "name": "property",
                "part": [{"name": "code", "valueCode": "display"}, {"name": "value", "valueString": "血糖"}],
            },
        ]
        body = server.request(
            "POST", "CodeSystem/$find-matches", {"resourceType": "Parameters", "parameter": rows}
        )
        match = body.json()["parameter"][0]
        assert match["part"][0]["valueCoding"]["code"] == "B2"

    @pytest.mark.parametrize(
        ("this", "other", "word", "only_this", "only_other"),
        [
            ("ab", "ab", "same", "", ""),
            ("abc", "ab", "superset", "c", ""),
            ("a", "ab", "subset", "", "b"),
            ("ab", "bc", "overlapping", "a", "c"),
            ("a", "b", "disjoint", "a", "b"),
            ("", "", "empty", "", ""),
            ("a", "", "superset", "a", ""),
            ("", "a", "subset", "", "a"),
        ],
    )
    def test_related(
        self, server: Server, this: str, other: str, word: str, only_this: str, only_other: str
    ) -> None:
        system = {
            "resourceType": "CodeSystem", "url": "urn:abc", "status": "active", "content": "complete",
            "concept": [{"code": code} for code in "abcd"],
        }  # fmt: skip

        def value_set(codes: str, url: str) -> Any:
            # "d" is taken away again, so that a set without codes can be written too.
            include = {"system": "urn:abc", "concept": [{"code": code} for code in codes + "d"]}
            exclude = {"system": "urn:abc", "concept": [{"code": "d"}]}
            compose = {"include": [include], "exclude": [exclude]}
            return {"resourceType": "ValueSet", "url": url, "status": "active", "compose": compose}

        rows = [
            {"name": "tx-resource", "resource": system},
            {"name": "valueSet", "resource": value_set(this, "urn:this")},
            {"name": "tx-resource", "resource": value_set(other, "urn:other")},
            {"name": "otherUrl", "valueUri": "urn:other"},
        ]
        answer = server.request(
            "POST", "ValueSet/$related", {"resourceType": "Parameters", "parameter": rows}
        )
        assert answer.status_code == 200, answer.text
        found = answer.json()["parameter"]
        assert found[0] == {"name": "relationship", "valueCode": word}
        for name, codes in (("only-this", only_this), ("only-other", only_other)):
            listed = [row["valueCoding"]["code"] for row in found if row["name"] == name]
            assert listed == list(codes)

    def test_related_needs_two_value_sets(self, server: Server) -> None:
        for query, status in (
            ("", 400),
            ("?url=urn:x", 404),
            ("?url=http://hl7.org/fhir/ValueSet/administrative-gender", 400),
        ):
            assert server.request("GET", f"ValueSet/$related{query}").status_code == status

    def test_every_coding_of_a_concept_is_translated(self, server: Server) -> None:
        group = {
            "source": "urn:a", "target": "urn:z",
            "element": [{"code": code, "target": [{"code": code.upper(), "equivalence": "equal"}]} for code in "xy"],
        }  # fmt: skip
        concept_map = {"resourceType": "ConceptMap", "url": "urn:m", "status": "active", "group": [group]}
        codings = [
            {"system": "urn:other", "code": "1"},
            *({"system": "urn:a", "code": code} for code in "yx"),
        ]
        rows = [
            {"name": "conceptMap", "resource": concept_map},
            {"name": "codeableConcept", "valueCodeableConcept": {"coding": codings}},
        ]
        answer = server.request(
            "POST", "ConceptMap/$translate", {"resourceType": "Parameters", "parameter": rows}
        ).json()["parameter"]
        assert answer[0] == {"name": "result", "valueBoolean": True}
        found = [
            part["valueCoding"]["code"]
            for row in answer[1:]
            for part in row["part"]
            if part["name"] == "concept"
        ]
        assert found == ["Y", "X"]

    def test_batch_validate_code(self, server: Server) -> None:
        def one(code: str) -> Any:
            rows = [{"name": "system", "valueUri": GENDER}, {"name": "code", "valueCode": code}]
            return {"name": "validation", "resource": {"resourceType": "Parameters", "parameter": rows}}

        rows = [{"name": "url", "valueUri": GENDERS}, one("male"), one("m"), {"name": "validation"}]
        body = server.request(
            "POST", "ValueSet/$batch-validate-code", {"resourceType": "Parameters", "parameter": rows}
        ).json()
        answers = [row["resource"] for row in body["parameter"]]
        assert [answer["resourceType"] for answer in answers] == [
            "Parameters",
            "Parameters",
            "OperationOutcome",
        ]
        assert [value(answer, "result") for answer in answers[:2]] == [True, False]


class TestLanguages:
    def test_sentences_are_english_unless_chinese_is_asked_for(self, server: Server) -> None:
        url = f"ValueSet/$validate-code?url={GENDERS}&system={GENDER}&code=m"
        english = value(server.request("GET", url).json(), "message")
        chinese = value(server.request("GET", url, accept_language="zh-CN").json(), "message")
        assert "Unknown code 'm'" in english
        assert "没有代码“m”" in chinese


class TestCacheId:
    def test_resources_are_sent_once(self, server: Server) -> None:
        def expand(*rows: Any) -> Any:
            own = [{"name": "url", "valueUri": "urn:county:blood"}, {"name": "cache-id", "valueId": "c1"}]
            body = {"resourceType": "Parameters", "parameter": [*own, *rows]}
            return server.request("POST", "ValueSet/$expand", body)

        sent = expand(*({"name": "tx-resource", "resource": row} for row in (ITEMS, BLOOD)))
        assert codes(sent.json()) == ["B1", "B2"]
        assert codes(expand().json()) == ["B1", "B2"]


class TestMetadata:
    """The ecosystem's suite `metadata`."""

    def test_capability_statement(self, server: Server) -> None:
        statement = server.request("GET", "metadata").json()
        assert Comparison({"general"}, is_pattern=True).difference(load("capstmt.json"), statement) is None

    def test_terminology_capabilities(self, server: Server) -> None:
        statement = server.request("GET", "metadata?mode=terminology").json()
        assert Comparison({"general"}, is_pattern=True).difference(load("capterms.json"), statement) is None
        assert {"uri": GENDER, "version": [{"code": "4.0.1"}]} in statement["codeSystem"]


HTTP_SUITES = ("simple-cases", "errors", "translate", "inactive")
PATHS = {
    "expand": "ValueSet/$expand",
    "validate-code": "ValueSet/$validate-code",
    "cs-validate-code": "CodeSystem/$validate-code",
    "lookup": "CodeSystem/$lookup",
    "translate": "ConceptMap/$translate",
}


@pytest.mark.parametrize("suite_name", HTTP_SUITES)
def test_the_ecosystem_suites_pass_over_http(server: Server, suite_name: str) -> None:
    failed = {}
    for name, suite, test in cases():
        if suite["name"] != suite_name:
            continue
        answer = server.request("POST", PATHS[test["operation"]], request(suite, test))
        if str(answer.status_code)[0] != test.get("http-code", "2xx")[0]:
            failed[name] = answer.text
            continue
        modes = {"general", test.get("mode", "general")}
        found = Comparison(modes).difference(load(test["response"]), to_r5(answer.json()))
        if found:
            failed[name] = found
    assert not failed
