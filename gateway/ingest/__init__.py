"""From a message to its resources: admission, journal, mapping, one commit with Provenance."""
