"""The county profiles: what the members of the medical community agree on beyond FHIR R4.

Authored as YAML tables (`structures/*.yaml`, `extensions.yaml`, `codes.yaml`), compiled to StructureDefinitions,
ValueSets and CodeSystems when first asked for. Canonical base: https://hutong.health/fhir/.
"""

from conformance.profiles.build import BASE
from conformance.profiles.shipped import by_id, find, profiles_of, resources

__all__ = ["BASE", "by_id", "find", "profiles_of", "resources"]
