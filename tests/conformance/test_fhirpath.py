"""The FHIRPath API: results, types, environment, hooks, and the expressions of R4 itself."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from conformance import definitions
from conformance.definitions import parameters, structures
from conformance.fhirpath import Host, compile, evaluate
from terminology.issues import InvalidInput

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "name": [
        {
            "given": ["小", None],
            "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}],
            "family": "王",
        }
    ],
    "birthDate": "1960-05",
    "deceasedDateTime": "2020-01-01T10:00:00+08:00",
    "contact": [{"name": {"text": "x"}}],
    "managingOrganization": {"reference": "#o"},
    "generalPractitioner": [
        {"reference": "Practitioner/1"},
        {"reference": "urn:uuid:1", "type": "Organization"},
    ],
    "contained": [{"resourceType": "Organization", "id": "o", "name": "院"}],
}

# Expressions of R4 that contradict R4: ChargeItemDefinition has no name, a probability may be a decimal, the parameter
# of Patient starts at DocumentReference. They compile with strict=False and give nothing.
CONTRADICTIONS = {"cid-0 ChargeItemDefinition", "ras-1 decimal", "part-agree Patient"}


class TestResults:
    def test_values_are_json(self) -> None:
        assert evaluate("name.family", PATIENT) == ["王"]
        assert evaluate("birthDate", PATIENT) == ["1960-05"]
        assert evaluate("contact.name", PATIENT) == [{"text": "x"}]
        assert evaluate("4 'mg'") == [
            {"value": Decimal(4), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
        ]

    def test_a_primitive_without_value_gives_its_extensions(self) -> None:
        assert evaluate("name.given", PATIENT) == ["小", {"extension": [{"url": "u", "valueCode": "c"}]}]
        assert evaluate("name.given.extension.value", PATIENT) == ["c"]

    def test_typed_names_the_fhir_type(self) -> None:
        assert compile("deceased | name | contact", "Patient").typed(PATIENT) == [
            ("2020-01-01T10:00:00+08:00", "dateTime"),
            (PATIENT["name"][0], "HumanName"),
            ({"name": {"text": "x"}}, "BackboneElement"),
        ]
        assert compile("name.count() > 1").typed(PATIENT) == [(False, "boolean")]

    def test_json_that_is_no_fhir_can_be_walked(self) -> None:
        assert evaluate("a.b.where(c > 1).c", {"a": [{"b": [{"c": 1}, {"c": 2.5}]}]}) == [Decimal("2.5")]


class TestInvariants:
    def test_holds_on_an_element_with_its_surroundings(self) -> None:
        expression = compile("name.exists() and %resource.id = 'p'", "Patient.contact")
        assert expression.holds(PATIENT["contact"][0], resource=PATIENT)
        assert not expression.holds({"gender": "male"}, resource=PATIENT)

    def test_empty_does_not_hold(self) -> None:
        assert not compile("active", "Patient").holds(PATIENT)

    def test_a_primitive_comes_with_its_sibling(self) -> None:
        ele1 = compile("hasValue() or (children().count() > id.count())", "string")
        assert ele1.holds("x")
        assert ele1.holds(None, extra={"extension": [{"url": "u", "valueCode": "c"}]})
        assert not ele1.holds(None, extra={"id": "a"})

    def test_the_wrong_resource_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="HT-FP-03"):
            compile("name", "Patient")({"resourceType": "Observation"})


class TestStrictness:
    def test_without_a_type_the_resource_decides(self) -> None:
        expression = compile("name.given")
        assert expression({"resourceType": "Patient"}) == []
        with pytest.raises(InvalidInput, match="HT-FP-02"):
            expression({"resourceType": "Observation"})

    def test_strict_false_takes_unknown_elements_as_empty(self) -> None:
        assert compile("nosuch.element", "Patient", strict=False)(PATIENT) == []

    def test_a_compiled_expression_is_cached(self) -> None:
        assert compile("name.family", "Patient") is compile("name.family", "Patient")


class TestHost:
    def test_contained_and_bundled_references(self) -> None:
        assert evaluate("managingOrganization.resolve().name", PATIENT) == ["院"]
        bundle = {
            "resourceType": "Bundle",
            "entry": [
                {"fullUrl": "http://a/Patient/p", "resource": PATIENT},
                {
                    "fullUrl": "http://a/Practitioner/1",
                    "resource": {"resourceType": "Practitioner", "id": "1", "gender": "male"},
                },
            ],
        }
        found = evaluate("entry.resource.ofType(Patient).generalPractitioner.resolve().gender", bundle)
        assert found == ["male"]

    def test_a_type_test_needs_no_resolution(self) -> None:
        assert evaluate("generalPractitioner.where(resolve() is Practitioner).reference", PATIENT) == [
            "Practitioner/1"
        ]
        assert evaluate("generalPractitioner.where(resolve().is(Organization)).reference", PATIENT) == [
            "urn:uuid:1"
        ]
        assert evaluate("generalPractitioner.resolve().count()", PATIENT) == [0]

    def test_hooks(self) -> None:
        seen: list[Any] = []
        host = Host(
            resolve=lambda reference: {
                "resourceType": "Practitioner",
                "id": reference.partition("/")[2],
                "active": True,
            },
            member_of=lambda value, url: (value, url) == ("1960-05", "http://vs"),
            subsumes=lambda left, right: left == "a" and right == "b",
            conforms_to=lambda resource, url: url == "http://p" and resource["id"] == "p",
            terminologies={"expand": lambda url: {"resourceType": "ValueSet", "url": url}},
            trace=lambda name, values: seen.append((name, values)),
            now=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
        assert evaluate("generalPractitioner.resolve().active", PATIENT, host=host) == [True, True]
        assert evaluate("birthDate.memberOf('http://vs')", PATIENT, host=host) == [True]
        assert evaluate("'a'.subsumes('b') and 'b'.subsumedBy('a')", PATIENT, host=host) == [True]
        assert evaluate("conformsTo('http://p')", PATIENT, host=host) == [True]
        assert evaluate("%terminologies.expand('http://v').url", PATIENT, host=host) == ["http://v"]
        assert evaluate("name.trace('n', family).exists()", PATIENT, host=host) == [True]
        assert seen == [("n", ["王"])]
        assert evaluate("now() | today() | timeOfDay()", host=host) == [
            "2026-01-02T03:04:05.000+00:00",
            "2026-01-02",
            "03:04:05.000",
        ]

    def test_environment_variables(self) -> None:
        assert evaluate("%a + %b", PATIENT, a=1, b=2) == [3]
        assert evaluate("%`x-y` & 'z'", PATIENT, **{"x-y": "w"}) == ["wz"]
        assert evaluate(
            "%other.status", PATIENT, other={"resourceType": "Observation", "status": "final"}
        ) == ["final"]


def element_types(row: structures.Structure, element: structures.Element) -> list[str]:
    if element.path == row.name:
        return [row.name]
    if element.content_reference:
        return [element.content_reference]
    if definitions.children(element.path):
        return [element.path]
    return [kind.code for kind in element.types]


class TestOwnExpressionsOfR4:
    def test_every_invariant_compiles_for_every_element_that_has_it(self) -> None:
        refused = set()
        for name in definitions.type_names():
            row = definitions.structure(name)
            assert row is not None
            for element in row.elements:
                for number in element.constraints:
                    rule = definitions.constraints()[number]
                    for kind in element_types(row, element):
                        if f"{rule.key} {kind}" in CONTRADICTIONS:
                            refused.add(rule.key)
                            compile(rule.expression, kind, strict=False)
                        else:
                            compile(rule.expression, kind)
        assert refused == {"cid-0", "ras-1"}

    def test_every_search_parameter_compiles_for_its_base(self) -> None:
        count = 0
        for base, rows in parameters._by_base().items():
            for row in rows.values():
                if row.expression and f"{row.code} {base}" not in CONTRADICTIONS:
                    compile(row.expression, base)
                    count += 1
        assert count > 1_600


def test_the_page_lists_every_function() -> None:
    """docs/fhirpath.md is written by scripts/build_fhirpath_docs."""
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    from pathlib import Path

    root = Path(__file__).parent.parent.parent
    loader = SourceFileLoader("build_fhirpath_docs", str(root / "scripts" / "build_fhirpath_docs"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    text = (root / "docs" / "fhirpath.md").read_text()
    assert text == module.page(text), "run scripts/build_fhirpath_docs"
    assert all(row.summary.endswith(".") for row in module.FUNCTIONS.values())
