"""Catalogues and the terminology operations; the bottom of the house."""
