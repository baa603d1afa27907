"""Which rule holds where: by resource, by type, by element, by kind of value."""

from collections.abc import Callable

from conformance.validation.bundles import check_bundle
from conformance.validation.code_systems import check_code_system
from conformance.validation.codings import (
    check_binding,
    check_code,
    check_coding,
    check_quantity,
    check_simple_quantity,
    is_coded,
    is_simple_quantity,
)
from conformance.validation.concept_maps import check_concept_map
from conformance.validation.contained import check_contained
from conformance.validation.declared import check_declared, check_extension_profile
from conformance.validation.extensions import check_extension
from conformance.validation.measures import check_measure_report
from conformance.validation.narrative import check_div
from conformance.validation.questionnaires import check_questionnaire
from conformance.validation.references import check_reference
from conformance.validation.responses import check_response
from conformance.validation.run import Rule, ValueRule
from conformance.validation.structure_definitions import check_search_parameter, check_structure_definition
from conformance.validation.tables import Spec
from conformance.validation.value_sets import check_value_set
from conformance.validation.values import (
    check_attachment,
    check_canonical,
    check_identifier,
    check_string,
    check_uri,
)

RESOURCE_RULES: tuple[Rule, ...] = (check_contained, check_declared)

_QUANTITIES = ("Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity")

TYPE_RULES: dict[str, tuple[Rule, ...]] = {
    "Attachment": (check_attachment,),
    "Bundle": (check_bundle,),
    "Coding": (check_coding,),
    "Extension": (check_extension, check_extension_profile),
    "Identifier": (check_identifier,),
    "Reference": (check_reference,),
    **dict.fromkeys(_QUANTITIES, (check_quantity,)),
}

# By resource type or path of a backbone element.
ELEMENT_RULES: dict[str, tuple[Rule, ...]] = {
    "CodeSystem": (check_code_system,),
    "ConceptMap": (check_concept_map,),
    "MeasureReport": (check_measure_report,),
    "Questionnaire": (check_questionnaire,),
    "QuestionnaireResponse": (check_response,),
    "SearchParameter": (check_search_parameter,),
    "StructureDefinition": (check_structure_definition,),
    "ValueSet": (check_value_set,),
}

# Rules of a place: applied to each complex value whose element definition the condition accepts.
PLACE_RULES: tuple[tuple[Callable[[Spec], bool], Rule], ...] = (
    (is_coded, check_binding),
    (is_simple_quantity, check_simple_quantity),
)

# By the type of a primitive.
VALUE_RULES: dict[str, tuple[ValueRule, ...]] = {
    "code": (check_code,),
    "canonical": (check_uri, check_canonical),
    "string": (check_string,),
    "markdown": (check_string,),
    "uri": (check_uri,),
    "url": (check_uri,),
    "xhtml": (check_div,),
}
