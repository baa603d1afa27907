"""Reasonable drug use (合理用药): payment restrictions, allergies and duplicates of a prescription; pure, the tables are data."""

from conformance.drug_use.check import Case, Finding, Other, check
from conformance.drug_use.restrictions import Restriction, restrictions_of

__all__ = ["Case", "Finding", "Other", "Restriction", "check", "restrictions_of"]
