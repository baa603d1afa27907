"""II → Identifier: root (OID or UUID) and extension, bare or as `<item>` of a DSET (ISO 21090; WS/T 500, HL7 v3 R1 and R2).

Chinese hospitals put private roots in the place of the national ones (1.2.156.112606…), so what a root means may be
told for each source: `systems` of its sender names a URI, or one of the kinds of mappings/identifiers ("resident").
"""

import re
from functools import lru_cache

from mappings.datatypes.cx import checked, identifier_type, local_system
from mappings.datatypes.extension import filled
from mappings.identifiers.check import check_resident
from mappings.identifiers.kinds import KINDS, kind_of
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

URI = "urn:ietf:rfc:3986"
INSTANCE = "instance"
"""`id | ii instance`: an OID without extension is the identifier of the thing, as of a document."""
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*)){1,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@converter("ii", returns="Identifier[]")
def to_identifiers(value: Element | str, context: Context, name: str = "") -> list[Json] | None:
    """Every identifier of an element; `name`: its kind ("resident", "request") where the root tells none."""
    if isinstance(value, str):
        found = _identifiers("", value, name, context)
        return found or None
    made: list[Json] = []
    for root, extension in pairs(value):
        made += [row for row in _identifiers(root, extension, name, context) if row not in made]
    return made or None


@converter("ii_one", returns="Identifier")
def to_identifier(value: Element | str, context: Context, name: str = "") -> Json | None:
    """The first identifier, for elements that take one."""
    found = to_identifiers(value, context, name)
    return found[0] if found else None


@converter("ii_key", returns="string")
def to_key(value: Element | str, context: Context) -> str | None:
    """What makes it the same thing next time: system and number of the first identifier."""
    found = to_identifiers(value, context)
    return f"{found[0].get('system', '')}|{found[0]['value']}" if found else None


@converter("ii_value", returns="string")
def to_value(value: Element | str, context: Context) -> str | None:
    """The number alone."""
    found = to_identifiers(value, context)
    return str(found[0]["value"]) if found else None


@converter("oid_uri", returns="uri|string", is_cached=True)
def to_oid_uri(value: str, context: Context) -> str | None:
    """A root as URI: urn:oid:…, urn:uuid:…, or what the source's settings say."""
    return system_of(value, context)


def pairs(element: Element) -> list[tuple[str, str]]:
    """Return (root, extension) of an II, of the `<item>`s of a DSET<II>, or of the `<id>`s inside the element."""
    items = element.all("item") or ([element] if element.get("root") or element.get("extension") else [])
    items = items or element.all("id") or [one for one in element.all("value") if one.get("extension")]
    found = [
        (item.get("root"), item.get("extension"))
        for item in items
        # An empty number is none, whatever its root says.
        if not item.get("nullFlavor") and (item.get("extension") or "extension" not in item.attributes)
    ]
    if not found and not element.children and element.text.strip():
        return [("", element.text.strip())]
    return [pair for pair in found if any(pair)]


def system_of(root: str, context: Context) -> str | None:
    """Return the URI of a root, None when it is empty."""
    if not root:
        return None
    told = context.systems.get(root)
    if told:
        return KINDS[told].system if told in KINDS else told
    return _uri(root)


@lru_cache(maxsize=4096)
def _uri(root: str) -> str:
    from urllib.parse import quote

    if root.startswith(("urn:", "http:", "https:")):
        return root
    if _OID.fullmatch(root):
        return f"urn:oid:{root}"
    if _UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    return f"urn:id:{quote(root, safe='')}"


def _identifiers(root: str, extension: str, name: str, context: Context) -> list[Json]:
    system = system_of(root, context)
    if not extension:
        # A root alone names the thing itself where it is a UUID; senders leave numbers out behind the OID of the
        # scheme (`<id root="2.16.156.10011.1.3"/>`), and that must never make two people one.
        is_own = system is not None and (system.startswith("urn:uuid:") or name == INSTANCE)
        return [{"system": URI, "value": system}] if is_own else []
    told = context.systems.get(root, "")
    kind = KINDS.get(told) or kind_of(system=system) or (KINDS.get(name) if name else None)
    if kind is None and system is None and len(extension) >= 15 and check_resident(extension).is_valid:
        # A number without a root that passes the check of a resident's number is one.
        kind = KINDS["resident"]
    if kind is not None and kind.system and (system is None or told in KINDS):
        system = kind.system
    base = filled({"type": identifier_type("", kind), "system": system or local_system(context)})
    return checked(extension, base or {}, kind, context)
