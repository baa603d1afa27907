"""Converters from FHIR datatypes to those of HL7 v2 (`identifier[] | to_cx`): the other direction of mappings/datatypes."""
