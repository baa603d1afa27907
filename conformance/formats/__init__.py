"""FHIR JSON and XML: bytes to resources and back, with every digit and the place of every problem."""
