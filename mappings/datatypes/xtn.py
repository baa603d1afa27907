"""XTN, TN → ContactPoint: number ^ use ^ equipment ^ email ^ country ^ area ^ local ^ extension ^ text ^ … ^ unformatted."""

from conformance.identifiers import normalise_phone
from mappings.datatypes.dtm import period
from mappings.datatypes.extension import ABSENT, ORIGINAL, extension, filled
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

# Table 0202 → http://hl7.org/fhir/contact-point-system.
SYSTEMS = {
    "PH": "phone",
    "CP": "phone",
    "SAT": "phone",
    "FX": "fax",
    "BP": "pager",
    "INTERNET": "email",
    "X.400": "email",
    "MD": "other",
    "TDD": "other",
    "TTY": "other",
}
# Table 0201 → http://hl7.org/fhir/contact-point-use.
USES = {
    "PRN": "home",
    "ORN": "home",
    "VHN": "home",
    "WPN": "work",
    "PRS": "mobile",
    "EMR": "temp",
    "ASN": None,
    "BPN": None,
}


@converter("xtn", returns="ContactPoint", is_cached=True)
def to_contact_point(value: str, context: Context) -> Json | None:
    parts = [*(part.strip() for part in context.components(value)), *[""] * 20]
    number, use, equipment, email = parts[:4]
    country, area, local, dial = parts[4:8]
    system = SYSTEMS.get(equipment.upper())
    text = email or parts[11] or number
    if email or (system is None and "@" in text):
        system = "email"
    extensions = [
        extension(url, "String", part)
        for url, part in (
            ("contactpoint-country", country),
            ("contactpoint-area", area),
            ("contactpoint-local", local),
            ("contactpoint-extension", dial),
        )
        if part
    ]
    validity = period(parts[12], parts[13], context)
    if not text and local:
        text = f"+{country} {area} {local}" if country else f"{area} {local}".strip()
        system = system or "phone"
    if not (text or extensions or validity or parts[8]):
        return None
    line_use = "mobile" if equipment.upper() == "CP" else USES.get(use.upper())
    value_text: str | None = text or parts[8] or None
    if system in (None, "phone", "fax") and value_text and not email:
        phone = normalise_phone(value_text)
        if phone.is_valid:
            if phone.value != value_text and phone.extension:
                extensions.append(extension(ORIGINAL, "String", value_text))
            if phone.extension and not dial:
                extensions.append(extension("contactpoint-extension", "String", phone.extension))
            value_text, system = phone.value, system or "phone"
            line_use = line_use or ("mobile" if phone.line == "mobile" else None)
        elif system is None:
            # Not a number and nobody says what it is: kept as it was sent (cpt-2 needs a system).
            system = "other"
    rank = int(parts[17]) if parts[17].isdigit() and 0 < int(parts[17]) < 1000 else None
    return filled(
        {
            "extension": extensions or None,
            "system": system,
            "_system": {"extension": [extension(ABSENT, "Code", "unknown")]} if system is None else None,
            "value": value_text,
            "use": line_use,
            "rank": rank,
            "period": validity,
        }
    )


@converter("home_phone", returns="ContactPoint", is_cached=True)
def to_home_phone(value: str, context: Context) -> Json | None:
    """A number of a field that is for home numbers (PID-13) unless it says otherwise."""
    return _with_use(to_contact_point(value, context), "home")


@converter("work_phone", returns="ContactPoint", is_cached=True)
def to_work_phone(value: str, context: Context) -> Json | None:
    return _with_use(to_contact_point(value, context), "work")


@converter("office_phone", returns="ContactPoint", is_cached=True)
def to_office_phone(value: str, context: Context) -> Json | None:
    """A number of an organisation, which is nobody's home (invariant org-3)."""
    found = to_contact_point(value, context)
    return {**found, "use": "work"} if found and found.get("use") in (None, "home") else found


def _with_use(found: Json | None, use: str) -> Json | None:
    if found is None or "use" in found or found.get("system") == "email":
        return found
    return {**found, "use": use}
