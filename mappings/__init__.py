"""Formats in, FHIR out, and back: pure, no I/O."""
