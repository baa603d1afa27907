"""Search: parameters to conditions, conditions to rows (https://hl7.org/fhir/R4/search.html)."""

from gateway.search.extract import Options
from gateway.search.parameters import Parameter, Parameters
from gateway.search.parse import Terminology, parse
from gateway.search.query import Query

__all__ = ["Options", "Parameter", "Parameters", "Query", "Terminology", "parse"]
