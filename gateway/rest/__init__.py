"""FHIR REST: one file an interaction, over any store (https://hl7.org/fhir/R4/http.html)."""
