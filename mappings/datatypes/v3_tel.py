"""TEL → ContactPoint: a URL (tel:, mailto:), or the bare number that Chinese senders write."""

from conformance.identifiers import normalise_phone
from mappings.datatypes.extension import filled
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_SCHEMES = {"tel": "phone", "mailto": "email", "fax": "fax", "http": "url", "https": "url", "sms": "sms"}
_USES = {
    "H": "home",
    "HP": "home",
    "HV": "home",
    "WP": "work",
    "DIR": "work",
    "MC": "mobile",
    "TMP": "temp",
    "BAD": "old",
}


@converter("tel", returns="ContactPoint[]")
def to_contact_points(value: Element | str, context: Context) -> list[Json] | None:
    if isinstance(value, str):
        found = contact_point(value, "")
        return [found] if found else None
    made = [contact_point(item.own_text(), item.get("use")) for item in value.all("item") or [value]]
    return [point for point in made if point] or None


@converter("tel_work", returns="ContactPoint[]")
def to_office_points(value: Element | str, context: Context) -> list[Json] | None:
    """Numbers of an organisation, which are nobody's home (invariant org-3)."""
    found = to_contact_points(value, context) or []
    return [{**one, "use": "work"} if one.get("use", "home") == "home" else one for one in found] or None


def contact_point(text: str, use: str) -> Json | None:
    """Return the ContactPoint of a TEL's value and use; None when it is empty."""
    text = text.strip()
    scheme, _, rest = text.partition(":")
    system = _SCHEMES.get(scheme.lower()) if rest else None
    number = rest if system in ("phone", "email", "fax", "sms") else text
    if not number:
        return None
    system = system or ("email" if "@" in number else None)
    line = _USES.get(use.split(" ")[0])
    if system in (None, "phone", "fax"):
        phone = normalise_phone(number)
        if phone.is_valid:
            number, system = phone.value, system or "phone"
            line = line or ("mobile" if phone.line == "mobile" else None)
        system = system or "other"
    return filled({"system": system, "value": number, "use": line})
