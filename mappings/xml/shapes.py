"""Other shapes of a message: what a map of `source: {shape: …}` reads instead of the tree as sent."""

from collections.abc import Mapping

from mappings.xml.parse import XmlMessage
from terminology.issues import UnmappableMessage

STATEMENTS = "statements"
"""Shared documents as sections of statements (mappings/cda/statements.py)."""


def shaped(message: XmlMessage, shape: str, systems: Mapping[str, str]) -> XmlMessage:
    """Return the message in a shape, worked out once; `systems`: what the roots of its source mean (Sender.systems).

    A message that the shape is not made for stays as it is. Raises UnmappableMessage (HT-CDA-01, -02).
    """
    if shape != STATEMENTS or message.root.name != "ClinicalDocument":
        return message
    known = message.shapes.get(shape)
    if known is None:
        from mappings.cda.shape import to_statements

        known = message.shapes[shape] = to_statements(message, systems)
    return known


def no_map(message: XmlMessage, known: str) -> UnmappableMessage:
    """Return what to say of a message that no map takes."""
    if message.root.name == "ClinicalDocument":
        from mappings.cda.shape import unknown

        return unknown(message.root)
    return UnmappableMessage("HT-MAP-35", kind=message.root.name[:80], known=known or "-")
