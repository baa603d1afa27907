"""Mapping local codes to the catalogues (对码): projects, proposals, two persons, published ConceptMaps."""
