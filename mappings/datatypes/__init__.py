"""Converters from HL7 v2 data types to FHIR data types, one file a data type.

They follow the data type maps of the HL7 v2-to-FHIR implementation guide (https://hl7.org/fhir/uv/v2mappings/) and,
where Chinese senders do otherwise, what is met (docs/adapters/hl7v2.md). Importing a module registers its converters.
"""
