"""Validation of R4 resources: structure, rules, profiles (docs/validation.md).

`validate(resource)` lists every problem with its FHIRPath; `is_valid_structure(resource)` answers only yes or no, fast.
"""

from conformance.validation.accept import is_valid_structure
from conformance.validation.codes import CoreTerminology, Terminology
from conformance.validation.registry import ProfileRegistry
from conformance.validation.run import Policy
from conformance.validation.validate import validate

__all__ = ["CoreTerminology", "Policy", "ProfileRegistry", "Terminology", "is_valid_structure", "validate"]
