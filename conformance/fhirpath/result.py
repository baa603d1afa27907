"""Results as JSON values, and the FHIR type of each."""

from typing import Any, Final

from conformance.fhirpath import quantity
from conformance.fhirpath.model import Node, TypeInfo, type_of_python
from conformance.fhirpath.quantity import Quantity
from conformance.fhirpath.temporal import Temporal

FHIR_NAMES: Final = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
    "Quantity": "Quantity",
}


def to_json(item: Any) -> Any:
    """Return an item as its JSON value: dates as FHIR text, a Quantity and an element as dict.

    A primitive that has only extensions gives the object of its `_name` sibling.
    """
    if type(item) is Node:
        return item.value if item.value is not None else item.extra
    if isinstance(item, Temporal):
        return str(item)
    if isinstance(item, Quantity):
        return quantity.to_json(item)
    if isinstance(item, TypeInfo):
        return {"namespace": item.namespace, "name": item.name}
    return item


def fhir_type(item: Any) -> str:
    """Return the FHIR type name; System values have the name of the FHIR primitive of their kind."""
    if type(item) is Node:
        return str(item.type.name)
    name = type_of_python(item).name
    return FHIR_NAMES.get(name, name)
