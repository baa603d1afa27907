"""A shared document as maps read it: its type told, national roots in the place of private ones, its body flat.

To the document as sent come, as the first elements of the root:
    documentType  @template @code @title @standard (mappings/cda/documents.csv)
    original      @hash (SHA-1, Base64; Attachment.hash) @size @contentType, and the bytes as sent in Base64
A document of another standard (C-CDA, a vendor's own) stays as it is: its maps read it as sent.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace

from mappings.cda.documents import FAMILY, Identified, identify
from mappings.cda.statements import append, flatten
from mappings.identifiers.kinds import KINDS
from mappings.xml.parse import XmlMessage
from mappings.xml.tree import Element
from terminology.issues import Issue, UnmappableMessage

CONTENT_TYPE = "application/hl7-cda+xml"


def to_statements(message: XmlMessage, systems: Mapping[str, str]) -> XmlMessage:
    """Return the message with its root as maps of shared documents read it.

    `systems`: what the roots of this source mean (Sender.systems). Raises UnmappableMessage: no patient (HT-CDA-01), two
    of them (HT-CDA-02).
    """
    found = identify(message.root)
    if found is None:
        return message
    _check_patient(message.root)
    root = flatten(message.root)
    if systems:
        _translate(root, systems)
    issues = list(message.issues)
    if found.disagrees:
        issues.append(_disagreement(found))
    append(root, _type_element(found, root))
    append(root, _original_element(message.raw, root))
    _name_template(root, found.type.template)
    return replace(message, root=root, issues=tuple(issues), shapes={})


def unknown(root: Element) -> UnmappableMessage:
    """Return what to say of a document that no map takes (HT-CDA-03)."""
    code, title = root.first("code"), root.first("title")
    templates = ", ".join(one.get("root") for one in root.all("templateId"))
    return UnmappableMessage(
        "HT-CDA-03",
        source="templateId",
        template=templates[:120] or "-",
        code=(code.get("code")[:40] if code is not None else "") or "-",
        title=(title.own_text()[:60] if title is not None else "") or "-",
        family=FAMILY,
    )


def _check_patient(root: Element) -> None:
    targets = [one for one in root.all("recordTarget") if one.first("patientRole") is not None]
    if not targets:
        raise UnmappableMessage("HT-CDA-01", source="recordTarget/patientRole")
    if len(targets) > 1:
        raise UnmappableMessage("HT-CDA-02", source="recordTarget[2]", count=len(targets))
    role = targets[0].first("patientRole")
    assert role is not None
    patient = role.first("patient")
    if patient is None and not any(one.get("extension") for one in role.all("id")):
        raise UnmappableMessage("HT-CDA-01", source="recordTarget/patientRole/patient")
    if len(role.all("patient")) > 1:
        raise UnmappableMessage(
            "HT-CDA-02", source="recordTarget/patientRole/patient[2]", count=len(role.all("patient"))
        )


def _translate(root: Element, systems: Mapping[str, str]) -> None:
    """Put the national OID in the place of a root that the source's settings explain (`systems`: OID → kind or URI)."""
    national = {given: _oid(told) for given, told in systems.items() if _oid(told)}
    for element in root.walk() if national else ():
        for name in ("root", "codeSystem"):
            meant = national.get(element.attributes.get(name, ""))
            if meant is not None:
                element.attributes = {**element.attributes, name: meant}


def _oid(told: str) -> str:
    kind = KINDS.get(told)
    uri = (kind.system or "") if kind is not None else told
    return uri.removeprefix("urn:oid:") if uri.startswith("urn:oid:") else ""


def _type_element(found: Identified, root: Element) -> Element:
    told = found.type
    attributes = {
        "template": told.template,
        "code": told.code,
        "title": told.title_zh,
        "standard": told.standard,
    }
    return Element("documentType", attributes, root)


def _name_template(root: Element, template: str) -> None:
    """Let the document have the template that it should have: maps are found by it."""
    others = [one for one in root.all("templateId") if not one.get("root").startswith(FAMILY)]
    root.kids["templateId"] = [Element("templateId", {"root": template}, root), *others]


def _original_element(raw: bytes, root: Element) -> Element:
    digest = base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode()
    made = Element("original", {"hash": digest, "size": str(len(raw)), "contentType": CONTENT_TYPE}, root)
    made.text = base64.b64encode(raw).decode()
    return made


def _disagreement(found: Identified) -> Issue:
    values = {"template": found.disagrees, "code": found.type.code, "title": found.type.title_zh}
    return Issue("HT-CDA-04", values, "warning", source="templateId")
