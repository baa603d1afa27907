"""Operations on resources (https://hl7.org/fhir/R4/operations.html): one file an operation, one table of all."""
