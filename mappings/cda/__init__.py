"""Shared documents (WS/T 500 EMR documents, WS/T 483 health-record documents): CDA in, and their table as data."""
