"""Profiles: differentials laid over their base, slicing with every discriminator, fixed values, packages (profiling.html)."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import pytest

from conformance.validation import ProfileRegistry, validate
from terminology.fhirjson import decode, encode
from terminology.issues import InvalidInput

Json = dict[str, Any]
BASE = "http://hl7.org/fhir/StructureDefinition/"
URL = "https://hutong.health/fhir/StructureDefinition/p"


def profile(
    *elements: Json, type_name: str = "Observation", url: str = URL, base: str | None = None, **more: Any
) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "P",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": type_name,
        "baseDefinition": base or BASE + type_name,
        "derivation": "constraint",
        "differential": {"element": list(elements)},
        **more,
    }


def found(
    resource: Json, *definitions: Json, url: str = URL, severity: str = "error"
) -> list[tuple[str, str | None]]:
    registry = ProfileRegistry()
    for row in definitions:
        assert registry.add(row)
    issues = validate(decode(encode(resource)), profiles=[url], registry=registry)
    return [(row.code, row.expression) for row in issues if row.severity == severity]


def observation(**more: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "a"}} | more


def coding(code: str, system: str = "http://a.org") -> Json:
    return {"coding": [{"system": system, "code": code}]}


class TestElements:
    def test_cardinality(self) -> None:
        rule = profile({"path": "Observation.subject", "min": 1}, {"path": "Observation.note", "max": "1"})
        assert found(observation(), rule) == [("HT-VAL-82", "Observation")]
        assert found(observation(subject={"display": "a"}, note=[{"text": "a"}, {"text": "b"}]), rule) == [
            ("HT-VAL-83", "Observation")
        ]

    def test_prohibited(self) -> None:
        assert found(
            observation(note=[{"text": "a"}]), profile({"path": "Observation.note", "max": "0"})
        ) == [("HT-VAL-83", "Observation")]

    def test_inside_a_data_type(self) -> None:
        rule = profile(
            {"path": "Observation.code.coding", "min": 1},
            {"path": "Observation.code.coding.system", "min": 1},
        )
        assert found(observation(), rule) == [("HT-VAL-82", "Observation.code")]
        assert found(observation(code={"coding": [{"code": "a"}]}), rule) == [
            ("HT-VAL-82", "Observation.code.coding[0]")
        ]

    def test_fixed_must_be_equal_and_pattern_may_hold_more(self) -> None:
        fixed = profile({"path": "Observation.code", "fixedCodeableConcept": coding("a")})
        pattern = profile({"path": "Observation.code", "patternCodeableConcept": coding("a")})
        more = {
            "coding": [{"system": "http://b.org", "code": "b"}, {"system": "http://a.org", "code": "a"}],
            "text": "a",
        }
        assert found(observation(code=coding("a")), fixed) == []
        assert found(observation(code=more), fixed) == [("HT-VAL-85", "Observation.code")]
        assert found(observation(code=coding("b")), fixed) == [("HT-VAL-86", "Observation.code")]
        assert found(observation(code=more), pattern) == []
        assert found(observation(code=coding("b")), pattern) == [("HT-VAL-87", "Observation.code")]

    def test_types(self) -> None:
        rule = profile({"path": "Observation.value[x]", "type": [{"code": "Quantity"}]})
        assert found(observation(valueString="a"), rule) == [
            ("HT-VAL-84", "Observation.value.ofType(string)")
        ]

    def test_choice_named_by_its_type(self) -> None:
        rule = profile(
            {"path": "Observation.valueQuantity", "min": 1},
            {"path": "Observation.valueQuantity.code", "min": 1},
        )
        assert found(observation(valueQuantity={"value": 1}), rule) == [
            ("HT-VAL-82", "Observation.value.ofType(Quantity)")
        ]
        assert found(observation(), rule) == [("HT-VAL-134", "Observation")]

    def test_binding(self) -> None:
        values = {
            "resourceType": "ValueSet",
            "url": "http://a.org/vs",
            "status": "active",
            "compose": {"include": [{"system": "http://a.org", "concept": [{"code": "a"}]}]},
        }
        rule = profile(
            {"path": "Observation.code", "binding": {"strength": "required", "valueSet": "http://a.org/vs"}}
        )
        assert found(observation(code=coding("a")), rule, values) == []
        assert found(observation(code=coding("b")), rule, values) == [("HT-VAL-31", "Observation.code")]

    def test_length_and_limits(self) -> None:
        rule = profile(
            {
                "path": "Observation.value[x]",
                "type": [{"code": "integer"}, {"code": "string"}],
                "minValueInteger": 1,
                "maxValueInteger": 9,
                "maxLength": 3,
            }
        )
        assert found(observation(valueInteger=5), rule) == []
        assert found(observation(valueInteger=0), rule) == [
            ("HT-VAL-89", "Observation.value.ofType(integer)")
        ]
        assert found(observation(valueInteger=10), rule) == [
            ("HT-VAL-90", "Observation.value.ofType(integer)")
        ]
        assert found(observation(valueString="abcd"), rule) == [
            ("HT-VAL-88", "Observation.value.ofType(string)")
        ]

    def test_dates_counted_from_now(self) -> None:
        limit = {"value": 10, "unit": "a", "system": "http://unitsofmeasure.org", "code": "a"}
        rule = profile({"path": "Patient.birthDate", "maxValueDuration": limit}, type_name="Patient")
        assert found({"resourceType": "Patient", "birthDate": "2020-01-01"}, rule) == []
        assert found({"resourceType": "Patient", "birthDate": "2300-01-01"}, rule) == [
            ("HT-VAL-90", "Patient.birthDate")
        ]

    def test_instants_of_two_zones(self) -> None:
        rule = profile(
            {
                "path": "Observation.value[x]",
                "type": [{"code": "dateTime"}],
                "minValueDateTime": "2024-01-01T08:00:00+08:00",
            }
        )
        assert found(observation(valueDateTime="2024-01-01T00:00:00Z"), rule) == []
        assert found(observation(valueDateTime="2024-01-01T07:59:59+08:00"), rule) == [
            ("HT-VAL-89", "Observation.value.ofType(dateTime)")
        ]

    def test_regex(self) -> None:
        pattern = {"url": BASE + "regex", "valueString": "[0-9]{17}[0-9X]"}
        rule = profile({"path": "Patient.identifier.value", "extension": [pattern]}, type_name="Patient")
        assert found({"resourceType": "Patient", "identifier": [{"value": "11010519491231002X"}]}, rule) == []
        assert found({"resourceType": "Patient", "identifier": [{"value": "1101"}]}, rule) == [
            ("HT-VAL-98", "Patient.identifier[0].value")
        ]

    def test_constraint(self) -> None:
        rule = profile(
            {
                "path": "Observation.note",
                "constraint": [
                    {"key": "n-1", "severity": "error", "human": "short", "expression": "text.length() < 3"}
                ],
            }
        )
        assert found(observation(note=[{"text": "ab"}, {"text": "abc"}]), rule) == [
            ("HT-VAL-30", "Observation.note[1]")
        ]

    def test_constraint_that_cannot_be_read_is_a_warning(self) -> None:
        rule = profile(
            {
                "path": "Observation",
                "constraint": [{"key": "n", "severity": "error", "human": "a", "expression": "code.(("}],
            }
        )
        assert found(observation(), rule) == []
        assert ("HT-VAL-91", "Observation") in found(observation(), rule, severity="warning")

    def test_reference_targets(self) -> None:
        target = profile({"path": "Patient.name", "min": 1}, type_name="Patient", url=URL + "-patient")
        rule = profile(
            {
                "path": "Observation.subject",
                "type": [{"code": "Reference", "targetProfile": [URL + "-patient"]}],
            }
        )
        unnamed = observation(
            contained=[{"resourceType": "Patient", "id": "p", "active": True}], subject={"reference": "#p"}
        )
        named = observation(
            contained=[{"resourceType": "Patient", "id": "p", "name": [{"text": "a"}]}],
            subject={"reference": "#p"},
        )
        assert found(named, rule, target) == []
        assert found(unnamed, rule, target) == [("HT-VAL-94", "Observation.subject")]
        assert found(observation(subject={"reference": "Group/1"}), rule, target) == [
            ("HT-VAL-93", "Observation.subject")
        ]

    def test_profile_on_a_data_type(self) -> None:
        quantity = profile({"path": "Quantity.code", "min": 1}, type_name="Quantity", url=URL + "-q") | {
            "kind": "complex-type"
        }
        rule = profile(
            {"path": "Observation.value[x]", "type": [{"code": "Quantity", "profile": [URL + "-q"]}]}
        )
        assert found(observation(valueQuantity={"value": 1}), rule, quantity) == [
            ("HT-VAL-82", "Observation.value.ofType(Quantity)")
        ]

    def test_what_the_base_profile_says_holds_too(self) -> None:
        base = profile({"path": "Observation.subject", "min": 1}, url=URL + "-base")
        rule = profile({"path": "Observation.note", "min": 1}, base=URL + "-base")
        assert found(observation(), rule, base) == [
            ("HT-VAL-82", "Observation"),
            ("HT-VAL-82", "Observation"),
        ]

    def test_imposed_profiles_come_along(self) -> None:
        imposed = profile({"path": "Observation.note", "min": 1}, url=URL + "-imposed")
        rule = profile(
            {"path": "Observation.code", "min": 1},
            extension=[
                {"url": BASE + "structuredefinition-imposeProfile", "valueCanonical": URL + "-imposed"}
            ],
        )
        assert found(observation(), rule, imposed) == [("HT-VAL-82", "Observation")]

    def test_extension_with_its_own_definition(self) -> None:
        extension = profile(
            {"path": "Extension.url", "fixedUri": URL + "-x"},
            {"path": "Extension.value[x]", "min": 1, "type": [{"code": "code"}]},
            type_name="Extension",
            url=URL + "-x",
            context=[{"type": "element", "expression": "Observation"}],
        ) | {"kind": "complex-type"}
        rule = profile(
            {
                "id": "Observation.extension:x",
                "path": "Observation.extension",
                "sliceName": "x",
                "min": 1,
                "type": [{"code": "Extension", "profile": [URL + "-x"]}],
            }
        )
        assert found(observation(extension=[{"url": URL + "-x", "valueCode": "a"}]), rule, extension) == []
        assert found(observation(), rule, extension) == [("HT-VAL-134", "Observation")]
        wrong = found(observation(extension=[{"url": URL + "-x", "valueString": "a"}]), rule, extension)
        assert ("HT-VAL-84", "Observation.extension[0].value.ofType(string)") in wrong
        misplaced = observation(
            note=[{"text": "a", "extension": [{"url": URL + "-x", "valueCode": "a"}]}],
            extension=[{"url": URL + "-x", "valueCode": "a"}],
        )
        assert found(misplaced, rule, extension) == [("HT-VAL-61", "Observation.note[0].extension[0]")]


def sliced(discriminator: Json, *slices: Json, rules: str = "open", ordered: bool = False) -> Json:
    """A profile that slices Observation.component."""
    slicing = {"discriminator": [discriminator], "rules": rules, "ordered": ordered}
    return profile(
        {"id": "Observation.component", "path": "Observation.component", "slicing": slicing}, *slices
    )


def slice_of(name: str, *inside: Json, least: int = 0, most: str = "1") -> list[Json]:
    path = "Observation.component"
    head = {"id": f"{path}:{name}", "path": path, "sliceName": name, "min": least, "max": most}
    return [
        head,
        *({**row, "id": f"{path}:{name}.{row['path']}", "path": f"{path}.{row['path']}"} for row in inside),
    ]


def component(code: str, **more: Any) -> Json:
    return {"code": coding(code)} | more


SYSTOLIC = slice_of("systolic", {"path": "code", "patternCodeableConcept": coding("s")}, least=1)
DIASTOLIC = slice_of("diastolic", {"path": "code", "patternCodeableConcept": coding("d")})


class TestSlicing:
    PATTERN: ClassVar[Json] = {"type": "pattern", "path": "code"}

    def test_a_slice_that_must_be_there(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC, *DIASTOLIC)
        assert found(observation(component=[component("s"), component("x")]), rule) == []
        assert found(observation(component=[component("d")]), rule) == [("HT-VAL-134", "Observation")]

    def test_too_many_in_a_slice(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC)
        assert found(observation(component=[component("s"), component("s")]), rule) == [
            ("HT-VAL-83", "Observation")
        ]

    def test_what_a_slice_demands_inside(self) -> None:
        rule = sliced(
            self.PATTERN,
            *slice_of(
                "s", {"path": "code", "patternCodeableConcept": coding("s")}, {"path": "value[x]", "min": 1}
            ),
        )
        assert found(observation(component=[component("s"), component("x")]), rule) == [
            ("HT-VAL-82", "Observation.component[0]")
        ]

    def test_closed(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC, rules="closed")
        assert found(observation(component=[component("s"), component("x")]), rule) == [
            ("HT-VAL-131", "Observation.component[1]")
        ]

    def test_open_at_end(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC, rules="openAtEnd")
        assert found(observation(component=[component("s"), component("x")]), rule) == []
        assert found(observation(component=[component("x"), component("s")]), rule) == [
            ("HT-VAL-133", "Observation.component[1]")
        ]

    def test_ordered(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC, *DIASTOLIC, ordered=True)
        assert found(observation(component=[component("d"), component("s")]), rule) == [
            ("HT-VAL-132", "Observation.component[1]")
        ]

    def test_in_two_slices(self) -> None:
        rule = sliced(self.PATTERN, *SYSTOLIC, *DIASTOLIC)
        both = {"code": {"coding": [*coding("s")["coding"], *coding("d")["coding"]]}}
        assert ("HT-VAL-130", "Observation.component[0]") in found(observation(component=[both]), rule)

    def test_value_deep_inside(self) -> None:
        rule = sliced(
            {"type": "value", "path": "code.coding.code"},
            *slice_of(
                "s", {"path": "code.coding.code", "fixedCode": "s"}, {"path": "value[x]", "min": 1}, least=1
            ),
        )
        assert found(observation(component=[component("x"), component("s", valueInteger=1)]), rule) == []
        assert found(observation(component=[component("s")]), rule) == [
            ("HT-VAL-82", "Observation.component[0]")
        ]

    def test_exists(self) -> None:
        rule = sliced(
            {"type": "exists", "path": "value"},
            *slice_of("valued", {"path": "value[x]", "min": 1}, most="1"),
            *slice_of(
                "empty", {"path": "value[x]", "max": "0"}, {"path": "dataAbsentReason", "min": 1}, most="*"
            ),
        )
        assert (
            found(
                observation(
                    component=[component("a", valueInteger=1), component("b", dataAbsentReason={"text": "a"})]
                ),
                rule,
            )
            == []
        )
        assert found(observation(component=[component("a")]), rule) == [
            ("HT-VAL-82", "Observation.component[0]")
        ]

    def test_type(self) -> None:
        slicing = {"discriminator": [{"type": "type", "path": "$this"}], "rules": "closed"}
        rule = profile(
            {"id": "Observation.value[x]", "path": "Observation.value[x]", "slicing": slicing},
            {
                "id": "Observation.value[x]:valueQuantity",
                "path": "Observation.value[x]",
                "sliceName": "valueQuantity",
                "type": [{"code": "Quantity"}],
            },
            {"id": "Observation.value[x]:valueQuantity.code", "path": "Observation.value[x].code", "min": 1},
        )
        assert found(observation(valueQuantity={"value": 1}), rule) == [
            ("HT-VAL-82", "Observation.value.ofType(Quantity)")
        ]
        assert found(observation(valueString="a"), rule) == [
            ("HT-VAL-131", "Observation.value.ofType(string)")
        ]

    def test_resolve(self) -> None:
        slicing = {"discriminator": [{"type": "type", "path": "resolve()"}], "rules": "open"}
        rule = profile(
            {"id": "Observation.performer", "path": "Observation.performer", "slicing": slicing},
            {
                "id": "Observation.performer:person",
                "path": "Observation.performer",
                "sliceName": "person",
                "min": 1,
                "max": "1",
                "type": [{"code": "Reference", "targetProfile": [BASE + "Practitioner"]}],
            },
        )
        person = {"resourceType": "Practitioner", "id": "p", "active": True}
        house = {"resourceType": "Organization", "id": "o", "name": "a"}
        good = observation(contained=[person, house], performer=[{"reference": "#o"}, {"reference": "#p"}])
        assert found(good, rule) == []
        assert found(observation(contained=[house], performer=[{"reference": "#o"}]), rule) == [
            ("HT-VAL-134", "Observation")
        ]

    def test_profile(self) -> None:
        named = profile({"path": "Patient.name", "min": 1}, type_name="Patient", url=URL + "-named")
        slicing = {"discriminator": [{"type": "profile", "path": "resource"}], "rules": "open"}
        rule = profile(
            {"id": "Bundle.entry", "path": "Bundle.entry", "slicing": slicing},
            {"id": "Bundle.entry:named", "path": "Bundle.entry", "sliceName": "named", "min": 1, "max": "1"},
            {
                "id": "Bundle.entry:named.resource",
                "path": "Bundle.entry.resource",
                "min": 1,
                "type": [{"code": "Patient", "profile": [URL + "-named"]}],
            },
            type_name="Bundle",
        )

        def bundle(*names: str) -> Json:
            rows = [
                {"resourceType": "Patient", "id": str(i), "active": True}
                | ({"name": [{"text": name}]} if name else {})
                for i, name in enumerate(names)
            ]
            return {
                "resourceType": "Bundle",
                "type": "collection",
                "entry": [
                    {"fullUrl": f"http://a.org/Patient/{i}", "resource": row} for i, row in enumerate(rows)
                ],
            }

        assert found(bundle("a", ""), rule, named) == []
        assert found(bundle("a", "b"), rule, named) == [("HT-VAL-83", "Bundle")]
        assert found(bundle(""), rule, named) == [("HT-VAL-134", "Bundle")]

    def test_reslice(self) -> None:
        path = "Observation.component"
        rule = sliced(
            self.PATTERN,
            *slice_of("s", {"path": "code", "patternCodeableConcept": coding("s")}, most="*"),
            {
                "id": f"{path}:s",
                "path": path,
                "sliceName": "s",
                "slicing": {"discriminator": [{"type": "type", "path": "value"}], "rules": "closed"},
            },
            {"id": f"{path}:s/number", "path": path, "sliceName": "s/number", "max": "1"},
            {
                "id": f"{path}:s/number.value[x]",
                "path": f"{path}.value[x]",
                "type": [{"code": "integer"}],
                "min": 1,
            },
        )
        assert found(observation(component=[component("s", valueInteger=1), component("x")]), rule) == []
        assert found(observation(component=[component("s", valueString="a")]), rule) == [
            ("HT-VAL-131", "Observation.component[0]")
        ]

    def test_slices_of_the_base_profile_are_constrained_further(self) -> None:
        base = sliced(self.PATTERN, *SYSTOLIC) | {"url": URL + "-base"}
        rule = profile(
            {
                "id": "Observation.component:systolic.value[x]",
                "path": "Observation.component.value[x]",
                "min": 1,
            },
            base=URL + "-base",
        )
        assert found(observation(component=[component("s")]), rule, base) == [
            ("HT-VAL-82", "Observation.component[0]")
        ]


class TestRegistry:
    def test_a_snapshot_is_read_as_it_is(self) -> None:
        rule = profile() | {
            "snapshot": {
                "element": [
                    {"id": "Observation", "path": "Observation", "min": 0, "max": "*"},
                    {
                        "id": "Observation.note",
                        "path": "Observation.note",
                        "min": 1,
                        "max": "*",
                        "type": [{"code": "Annotation"}],
                    },
                ]
            }
        }
        assert found(observation(), rule) == [("HT-VAL-82", "Observation")]

    def test_versions(self) -> None:
        registry = ProfileRegistry()
        for version, least in (("1.0.0", 1), ("2.0.0", 0)):
            registry.add(profile({"path": "Observation.note", "min": least}, version=version))
        assert [
            row.code
            for row in validate(observation(), profiles=[URL + "|1.0.0"], registry=registry)
            if row.severity == "error"
        ] == ["HT-VAL-82"]
        assert [
            row.code
            for row in validate(observation(), profiles=[URL + "|2.0.0"], registry=registry)
            if row.severity == "error"
        ] == []

    def test_replacing_and_removing_take_effect_at_once(self) -> None:
        registry = ProfileRegistry()

        def codes() -> list[str]:
            return [
                row.code
                for row in validate(observation(), profiles=[URL], registry=registry)
                if row.code != "HT-VAL-70"
            ]

        assert codes() == ["HT-VAL-80"]
        registry.add(profile({"path": "Observation.note", "min": 1}))
        assert codes() == ["HT-VAL-82"]
        registry.add(profile({"path": "Observation.note", "max": "1"}))
        assert codes() == []
        registry.remove("StructureDefinition", URL)
        assert codes() == ["HT-VAL-80"]

    def test_package_file_and_folder(self, tmp_path: Path) -> None:
        body = json.dumps(profile({"path": "Observation.note", "min": 1})).encode()
        package = tmp_path / "county.tgz"
        with tarfile.open(package, "w:gz") as archive:
            for name, content in (
                ("package/package.json", b"{}"),
                ("package/p.json", body),
                ("package/broken.json", b'{"a":'),
            ):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        (tmp_path / "p.json").write_bytes(body)
        for path in (package, tmp_path / "p.json", tmp_path):
            registry = ProfileRegistry()
            problems = registry.load(path)
            assert registry.profile(URL) is not None
            assert [row.values["file"] for row in problems] == (
                ["package/broken.json"] if path == package else []
            )

    def test_what_is_no_package(self, tmp_path: Path) -> None:
        (tmp_path / "x.tgz").write_bytes(b"no archive")
        for name in ("x.tgz", "missing.json"):
            with pytest.raises(InvalidInput) as caught:
                ProfileRegistry().load(tmp_path / name)
            assert caught.value.issues[0].code == "HT-VAL-95"
