"""The function library; importing it fills the registry."""

from conformance.fhirpath.functions import (
    boundaries,
    combining,
    conversion,
    existence,
    fhir,
    filtering,
    math,
    navigation,
    strings,
    subsetting,
    terminologies,
    times,
    types,
    variables,
)

__all__ = [
    "boundaries",
    "combining",
    "conversion",
    "existence",
    "fhir",
    "filtering",
    "math",
    "navigation",
    "strings",
    "subsetting",
    "terminologies",
    "times",
    "types",
    "variables",
]
