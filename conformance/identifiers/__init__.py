"""Chinese identifiers: form, check digit, and what they say of their holder.

A wrong identifier is kept and flagged, never dropped and never repaired (docs/design.md, decision 11).
"""

from conformance.identifiers.health_record import is_health_record_number
from conformance.identifiers.organisation import is_licence_number, is_organisation_code, is_uscc
from conformance.identifiers.phone import Phone, normalise_phone
from conformance.identifiers.resident import ResidentId, read_resident_id, to_eighteen

__all__ = [
    "Phone",
    "ResidentId",
    "is_health_record_number",
    "is_licence_number",
    "is_organisation_code",
    "is_uscc",
    "normalise_phone",
    "read_resident_id",
    "to_eighteen",
]
