"""Mapping local codes to the county's catalogues (对码): parse, find candidates, rank, explain."""
