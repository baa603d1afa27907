"""Identifier → CX, EI; a system's URI → HD; Organization → XON.

The URI of a namespace becomes what the receiver calls it: his own name for it (`systems` of the destination), the name
in `urn:id:NAME`, or the universal id with its type.
"""

import re
from typing import Any
from urllib.parse import unquote

from mappings.language.converters import Context, converter
from mappings.outbound.types.dates import to_ts
from mappings.outbound.types.extensions import extension_text
from terminology.fhirjson import Json

Parts = tuple[Any, ...]

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){2,}")

_CHECK_DIGIT = "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit"
_SCHEME = "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit"
_NAMES = {
    "http://hl7.org/fhir/sid/us-npi": "NPI",
    "http://hl7.org/fhir/sid/us-ssn": "SSA",
}


def authority_of(system: str | None, context: Context, *, name: str = "") -> tuple[str, str, str]:
    """Return the HD of a namespace: name, universal id, its type; `name`: what its organisation is called."""
    if not system:
        return name, "", ""
    own = next((local for local, uri in context.systems.items() if uri == system), None)
    if own is not None:
        return own, "", ""
    if system.startswith("urn:id:"):
        return unquote(system[7:]), "", ""
    if system in _NAMES:
        return _NAMES[system], "", ""
    if system.startswith("urn:oid:"):
        return name, system[8:], "ISO"
    if system.startswith("urn:uuid:"):
        return name, system[9:], "UUID"
    if system.startswith("urn:dns:"):
        return name, unquote(system[8:]), "DNS"
    return name, system, "URI"


def type_of(identifier: Json) -> str:
    """Return the code of an identifier's type (table 0203), its text when it has none."""
    kind = identifier.get("type") or {}
    for coding in kind.get("coding", ()):
        if coding.get("code"):
            return str(coding["code"])
    return str(kind.get("text") or "")


def cx_of(identifier: Json, context: Context) -> Parts | None:
    if not identifier.get("value"):
        return None
    assigner = identifier.get("assigner") or {}
    name = str(assigner.get("display") or "")
    authority = authority_of(identifier.get("system"), context, name=name)
    period = identifier.get("period") or {}
    return (
        str(identifier["value"]),
        extension_text(identifier, _CHECK_DIGIT),
        extension_text(identifier, _SCHEME),
        authority,
        type_of(identifier),
        (name,) if name and name != authority[0] else "",
        to_ts(period["start"], context) if period.get("start") else "",
        to_ts(period["end"], context) if period.get("end") else "",
    )


def ei_of(identifier: Json, context: Context) -> Parts | None:
    value = identifier.get("value")
    if not value:
        return None
    system = identifier.get("system")
    if system == "urn:ietf:rfc:3986":
        return ("", *authority_of(str(value), context))
    name = str((identifier.get("assigner") or {}).get("display") or "")
    return (str(value), *authority_of(system, context, name=name))


@converter("to_cx", returns="v2")
def to_cx(value: Any, context: Context, type: str = "") -> Parts | None:
    """`identifier[] | to_cx`: number ^ check digit ^ scheme ^ authority ^ type. The old form of a number isn't sent.

    `type`: what stands in CX.5 whatever the identifier says.
    """
    if not isinstance(value, dict) or value.get("use") == "old":
        return None
    made = cx_of(value, context)
    return (*made[:4], type, *made[5:]) if made and type else made


@converter("to_ei", returns="v2")
def to_ei(value: Any, context: Context) -> Parts | None:
    """`identifier[type.coding.code=PLAC] | to_ei`: number ^ namespace ^ universal id ^ type."""
    return ei_of(value, context) if isinstance(value, dict) else None


@converter("to_root", returns="string", takes_text=True)
def to_root(value: str, context: Context) -> str | None:
    """`identifier.system | to_root`: the OID of HL7 v3 messages, or the receiver's own name of the namespace."""
    name, universal, _ = authority_of(value, context)
    return name or (universal if _OID.fullmatch(universal) else None)


@converter("to_hd", returns="v2")
def to_hd(value: Any, context: Context) -> Parts | None:
    """A system's URI, or the reference to an organisation, as namespace ^ universal id ^ type."""
    if isinstance(value, str):
        return authority_of(value, context)
    found = organization_of(value, context)
    return hd_of(found) if found else None


@converter("to_xon", returns="v2")
def to_xon(value: Json, context: Context) -> Parts | None:
    """`performer->Organization | to_xon` or a reference: name ^^ number ^^^ authority ^ type ^^^ number."""
    found = organization_of(value, context)
    if found is None:
        return None
    row = next((one for one in found.get("identifier", ()) if one.get("value")), None)
    name = str(found.get("name") or "")
    if row is None:
        return (name,) if name else None
    authority = authority_of(row.get("system"), context)
    return (name, "", str(row["value"]), "", "", authority, type_of(row), "", "", str(row["value"]))


def organization_of(value: Any, context: Context) -> Json | None:
    """Return the Organization of a reference (or itself); a reference that leads nowhere is known by its display."""
    if not isinstance(value, dict):
        return None
    if value.get("resourceType") == "Organization":
        return value
    if value.get("resourceType"):
        return None
    found: Json | None = context.message.resolve(value)
    if found is not None:
        return found if found.get("resourceType") == "Organization" else None
    return {"name": value["display"]} if value.get("display") else None


def hd_of(organization: Json) -> Parts:
    """Return the HD of an organisation: its local name, universal id and type."""
    name, universal, kind = "", "", ""
    for row in organization.get("identifier", ()):
        value, system = str(row.get("value") or ""), row.get("system")
        if system == "urn:ietf:rfc:3986":
            continue
        typed = type_of(row)
        if typed in ("ISO", "UUID", "DNS", "URI", "CLIA", "GUID", "L", "M", "N", "Random"):
            universal, kind = value, typed
        elif not name:
            name = value
    return (name or str(organization.get("name") or ""), universal, kind)
