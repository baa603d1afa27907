"""Documents inside a registration: a shared document (CDA) that some map knows also becomes its resources.

The document itself stays byte for byte in the Binary that the registration's own map makes.
"""

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING

from mappings.cda.receive import received
from mappings.language.result import Entry, Result
from mappings.xml.parse import parse
from mappings.xml.tree import Element
from terminology.issues import FhirError, Issue

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

MOST = 20
_HOLDERS = frozenset({"Content", "content", "Document", "document"})


def contents(root: Element) -> list[bytes]:
    """Return the documents of a registration, decoded."""
    found: list[bytes] = []
    for element in root.walk():
        if element.name in _HOLDERS and not element.children and len(element.text) > 16:
            try:
                found.append(base64.b64decode("".join(element.text.split()), validate=True))
            except (binascii.Error, ValueError):
                continue
    return found[:MOST]


def with_documents(result: Result, root: Element, maps: "ActiveMaps") -> Result:
    """Return the result with the resources of the documents that a map knows; what can't be read is told."""
    entries, issues, unmapped = list(result.entries), list(result.issues), list(result.unmapped)
    known = {entry.reference for entry in entries}
    for raw in contents(root):
        if b"<" not in raw[:400]:
            continue
        try:
            message = parse(raw)
            if message.root.name != "ClinicalDocument":
                continue
            made = received(message).convert(maps)
        except FhirError as error:
            issues += [Issue(one.code, one.values, "warning", source=one.source) for one in error.issues]
            continue
        entries += [
            entry for entry in made.entries if entry.reference not in known and not _is_twin(entry, made)
        ]
        known |= {entry.reference for entry in made.entries}
        issues += made.issues
        unmapped += made.unmapped
    if len(entries) == len(result.entries) and len(issues) == len(result.issues):
        return result
    return replace(result, entries=entries, issues=issues, unmapped=unmapped)


def _is_twin(entry: Entry, made: Result) -> bool:
    """Tell whether an entry only says that the document is there, which its registration says already."""
    if entry.type not in ("DocumentReference", "Binary"):
        return False
    others = (one.resource for one in made.entries if one.type not in ("DocumentReference", "Binary"))
    return not any(entry.reference in str(resource) for resource in others)
