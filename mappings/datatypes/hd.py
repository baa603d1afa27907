"""HD → the URI of a namespace, or a logical reference to its organisation.

An ISO, UUID or DNS universal id is a URI by itself; a mere namespace id ("H1") becomes one by the sender's settings
(`systems`), by the table of well-known names, or as urn:id:H1, so that two hospitals' "MR 1" never meet.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from mappings.datatypes.extension import filled
from mappings.datatypes.xpn import is_chinese
from mappings.identifiers.kinds import kind_of
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){2,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WELL_KNOWN = {
    "NPI": "http://hl7.org/fhir/sid/us-npi",
    "CLIA": "urn:oid:2.16.840.1.113883.4.7",
    "SSA": "http://hl7.org/fhir/sid/us-ssn",
    "USSSA": "http://hl7.org/fhir/sid/us-ssn",
}


class Authority(NamedTuple):
    """The parts of an HD: namespace id, universal id, universal id type."""

    name: str
    universal: str
    kind: str

    @property
    def is_empty(self) -> bool:
        return not (self.name or self.universal)


def read(parts: list[str]) -> Authority:
    """Return the HD of three parts, absent ones empty."""
    name, universal, kind, *_ = (*[part.strip() for part in parts], "", "", "")
    return Authority(name, universal, kind.upper())


def universal_uri(universal: str, kind: str) -> str | None:
    """Return the URI of a universal id and its type (table 0301), None when they make none."""
    if not universal:
        return None
    if universal.startswith(("http:", "https:", "urn:")):
        return universal
    # An "ISO" id that is no OID stays a mere name: urn:oid: in front of it would make an invalid URI.
    if kind in ("ISO", "OID", "HL7", "") and _OID.fullmatch(universal):
        return f"urn:oid:{universal}"
    if kind in ("UUID", "GUID", "") and _UUID.fullmatch(universal):
        return f"urn:uuid:{universal.lower()}"
    if kind in ("DNS", "URI", "URL"):
        return universal if ":" in universal else f"urn:dns:{quote(universal)}"
    return None


def system_of(authority: Authority, context: Context) -> str | None:
    """Return the URI of the namespace, None when the HD says nothing."""
    if context.systems:
        for text in (authority.universal, authority.name):
            if text and text in context.systems:
                return context.systems[text]
    is_short = len(authority.name) + len(authority.universal) + len(authority.kind) < 200
    return _remembered_system(authority) if is_short else _system(authority)


def _system(authority: Authority) -> str | None:
    uri = universal_uri(authority.universal, authority.kind)
    if uri:
        return uri
    for word in (authority.name, authority.universal):
        if word in _WELL_KNOWN:
            return _WELL_KNOWN[word]
    kind = kind_of(words=(authority.name,)) if authority.name else None
    if kind and kind.system:
        return kind.system
    name = authority.name or authority.universal
    return f"urn:id:{quote(name, safe='')}" if name else None


# The same few authorities stand in every message.
_remembered_system = lru_cache(maxsize=2048)(_system)


def organization_of(authority: Authority, context: Context) -> Json | None:
    """Return the reference to the organisation that an HD names; it is made when more than a name is known."""
    if authority.is_empty:
        return None
    name = name_of(authority)
    if not authority.universal:
        return {"display": name}
    uri = universal_uri(authority.universal, authority.kind)
    key = ("urn:ietf:rfc:3986", uri) if uri else ("hd", authority.name, authority.universal)
    body = filled({"identifier": identifiers_of(authority), "name": name}) or {}
    return {**context.make("Organization", key, body), "display": name}


def name_of(authority: Authority) -> str:
    """Return what people call it: 020101&心血管内科 has its name where the universal id should be."""
    return authority.universal if is_chinese(authority.universal) else authority.name or authority.universal


def identifiers_of(authority: Authority) -> list[Json]:
    """Return what an HD says of an organisation, as Identifiers: its name, and the universal id as sent and as URI."""
    found: list[Json] = []
    if authority.name:
        found.append({"value": authority.name})
    if authority.universal and not is_chinese(authority.universal):
        kind = filled({"system": "http://terminology.hl7.org/CodeSystem/v2-0301", "code": authority.kind})
        typed = {"type": {"coding": [kind]}} if authority.kind else {}
        found.append({**typed, "value": authority.universal})
        uri = universal_uri(authority.universal, authority.kind)
        if uri:
            found.append({"system": "urn:ietf:rfc:3986", "value": uri})
    return found


@converter("hd_identifiers", returns="Identifier[]", is_cached=True)
def to_identifiers(value: str, context: Context) -> list[Json] | None:
    return identifiers_of(read(context.components(value))) or None


@converter("hd_name", returns="string", is_cached=True)
def to_name(value: str, context: Context) -> str | None:
    authority = read(context.components(value))
    return name_of(authority) or None


@converter("hd_uri", returns="url|uri", is_cached=True)
def to_uri(value: str, context: Context) -> str | None:
    """The address of an application: its universal id, or a name that stays a name."""
    authority = read(context.components(value))
    uri = universal_uri(authority.universal, authority.kind)
    name = authority.name or authority.universal
    return uri or (f"urn:id:{quote(name, safe='')}" if name else None)


@converter("hd_organization", returns="Reference", by_sender=True)
def to_organization(value: str, context: Context) -> Json | None:
    return organization_of(read(context.components(value)), context)
