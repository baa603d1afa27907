"""xml.html: FHIR XML ↔ FHIR JSON without loss."""

from decimal import Decimal
from typing import Any

import pytest

from conformance.formats.xml import read, to_json, to_xml
from terminology.issues import FhirError, InvalidInput, InvalidResource, TooLarge

XHTML = "http://www.w3.org/1999/xhtml"


def patient(inner: str) -> bytes:
    return f'<Patient xmlns="http://hl7.org/fhir">{inner}</Patient>'.encode()


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "active": True, "multipleBirthInteger": 2, "birthDate": "1974-12"},
        {"resourceType": "Observation", "valueQuantity": {"value": Decimal("1.50"), "unit": 'a "b" <c> & d'}},
        {
            "resourceType": "Patient",
            "_birthDate": {"id": "b", "extension": [{"url": "http://x.org/a", "valueCode": "u"}]},
        },
        {
            "resourceType": "Patient",
            "name": [
                {
                    "given": ["Ann", None, "Lee"],
                    "_given": [None, {"id": "g"}, {"extension": [{"url": "u:x"}]}],
                }
            ],
        },
        {
            "resourceType": "Patient",
            "contained": [{"resourceType": "Organization", "id": "o", "name": "卫生院"}],
        },
        {
            "resourceType": "Patient",
            "text": {"status": "generated", "div": f'<div xmlns="{XHTML}"><b>a</b><br/>&#160;&lt;</div>'},
        },
        {"resourceType": "Patient", "name": [{"text": "a\nb\tc\rd  e"}]},
        {
            "resourceType": "Questionnaire",
            "item": [{"linkId": "1", "item": [{"linkId": "1.1", "maxLength": 3}]}],
        },
        {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {
                    "resource": {"resourceType": "Patient", "id": "a"},
                    "link": [{"relation": "self", "url": "http://a"}],
                }
            ],
        },
        {
            "resourceType": "Parameters",
            "parameter": [{"name": "a", "resource": {"resourceType": "Basic", "id": "b"}}],
        },
        {"resourceType": "Patient"},
    ],
    ids=lambda resource: ",".join(resource),
)
def test_json_to_xml_and_back(resource: dict[str, Any]) -> None:
    assert to_json(to_xml(resource)) == resource


def test_xml_keeps_the_order_of_the_specification() -> None:
    xml = to_xml({"resourceType": "Patient", "birthDate": "1974", "active": True, "id": "p"})
    assert xml.decode().endswith('<id value="p"/><active value="true"/><birthDate value="1974"/></Patient>')


class TestNarrative:
    def test_text_stands_as_it_was_written(self) -> None:
        div = f"<div xmlns='{XHTML}'><p>a  &amp; b</p><br></br></div>"
        assert to_json(patient(f"<text>{div}</text>"))["text"]["div"] == div

    def test_foreign_prefix_becomes_the_default_namespace(self) -> None:
        div = f'<h:div xmlns:h="{XHTML}"><h:p class="x">a</h:p></h:div>'
        assert (
            to_json(patient(f"<text>{div}</text>"))["text"]["div"]
            == f'<div xmlns="{XHTML}"><p class="x">a</p></div>'
        )

    def test_named_entities_become_characters(self) -> None:
        resource = {"resourceType": "Patient", "text": {"div": f'<div xmlns="{XHTML}">&nbsp;&amp;</div>'}}
        assert "\u00a0&amp;" in to_xml(resource).decode()

    def test_broken_xhtml_is_refused(self) -> None:
        with pytest.raises(InvalidResource) as caught:
            to_xml({"resourceType": "Patient", "text": {"div": "<div><p></div>"}})
        assert caught.value.issues[0].expression == "Patient.text.div"


class TestHostile:
    """No DTD, no entities, bounded depth."""

    @pytest.mark.parametrize(
        "body",
        [
            b'<!DOCTYPE Patient SYSTEM "http://evil/x.dtd"><Patient xmlns="http://hl7.org/fhir"/>',
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">&x;</Patient>',
            b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>',
        ],
    )
    def test_declarations_are_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidInput) as caught:
            to_json(body)
        assert caught.value.issues[0].code == "HT-FMT-07"

    def test_a_thousand_levels_are_refused(self) -> None:
        with pytest.raises(TooLarge):
            to_json(patient("<extension>" * 1000 + "</extension>" * 1000))
        with pytest.raises(TooLarge):
            to_json(patient(f'<text><div xmlns="{XHTML}">' + "<b>" * 1000 + "</b>" * 1000 + "</div></text>"))


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        ('<active value="true"', "HT-FMT-06"),
        ('<active value="true">yes</active>', "HT-FMT-11"),
        ('<active xmlns="urn:x" value="true"/>', "HT-FMT-09"),
        ('<active value="true" when="now"/>', "HT-FMT-10"),
        ('<active value="true"/><active value="false"/>', "HT-FMT-12"),
        ("<contained><Cat/></contained>", "HT-FMT-08"),
    ],
)
def test_what_json_cannot_show_is_told_with_its_place(inner: str, code: str) -> None:
    with pytest.raises(FhirError) as caught:
        to_json(patient("\n" + inner))
    assert caught.value.issues[0].code == code
    assert (caught.value.issues[0].source or "").startswith(
        ("line 2", "line 1 column 1" if code == "" else "line 2")
    )


def test_order_is_told_and_the_resource_is_read() -> None:
    resource, issues = read(patient('<birthDate value="1974"/><active value="true"/>'))
    assert resource == {"resourceType": "Patient", "birthDate": "1974", "active": True}
    assert [(issue.code, issue.expression) for issue in issues] == [("HT-FMT-13", "Patient.active")]


def test_wrong_values_come_through_for_the_validator() -> None:
    resource = to_json(patient('<active value="yes"/><pet value="cat"/>'))
    assert resource == {"resourceType": "Patient", "active": "yes", "pet": "cat"}


@pytest.mark.parametrize(
    ("resource", "expression"),
    [
        ({"resourceType": "Patient", "pet": 1}, "Patient.pet"),
        ({"resourceType": "Patient", "name": {"text": "a"}}, "Patient.name"),
        ({"resourceType": "Patient", "birthDate": ["1974"]}, "Patient.birthDate"),
        ({"resourceType": "Patient", "name": [{"text": "\x01"}]}, "Patient.name.text"),
        ({"resourceType": "Cat"}, "Cat"),
    ],
)
def test_what_xml_cannot_hold_is_refused(resource: dict[str, Any], expression: str) -> None:
    with pytest.raises(InvalidResource) as caught:
        to_xml(resource)
    assert caught.value.issues[0].expression == expression
