"""Search: parameters to conditions, conditions to rows (https://hl7.org/fhir/R4/search.html)."""
