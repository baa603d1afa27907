"""The way back: resources in, HL7 v2, XML and JSON out, by maps of the same language (docs/mapping.md)."""
