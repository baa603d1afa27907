"""HumanName → XPN, Practitioner → XCN, ContactPoint → XTN, Address → XAD."""

from typing import Any

from mappings.language.converters import Context, converter
from mappings.outbound.types.dates import to_ts
from mappings.outbound.types.extensions import extension_text
from mappings.outbound.types.identifiers import authority_of, type_of
from terminology.fhirjson import Json

Parts = tuple[Any, ...]

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_NAME_TYPES = {
    "official": "L",
    "usual": "D",
    "maiden": "M",
    "nickname": "N",
    "anonymous": "S",
    "temp": "TEMP",
    "old": "BAD",
}
_OWN_PARTS = (
    "humanname-own-prefix",
    "humanname-own-name",
    "humanname-partner-prefix",
    "humanname-partner-name",
)
_PHONE_USES = {"home": "PRN", "work": "WPN", "mobile": "PRS", "temp": "EMR"}
_EQUIPMENT = {"phone": "PH", "fax": "FX", "pager": "BP", "email": "Internet"}
_ADDRESS_TYPES = {"work": "O", "home": "H", "temp": "C", "old": "BA", "billing": "BI"}


def name_parts(name: Json) -> tuple[Any, ...]:
    """Return family, given, further, suffix, prefix, degree: a Chinese name that isn't cut stands whole in the first."""
    family, given = str(name.get("family") or ""), [str(part) for part in name.get("given", ())]
    if not family and not given:
        family = str(name.get("text") or "")
    own = [extension_text(name.get("_family") or {}, _BASE + url) for url in _OWN_PARTS]
    suffixes = [str(part) for part in name.get("suffix", ())] + ["", "", ""]
    first: Any = (family, *own) if any(own) else family
    return (
        first,
        given[0] if given else "",
        " ".join(given[1:]),
        suffixes[0],
        " ".join(str(part) for part in name.get("prefix", ())),
        suffixes[1],
        suffixes[2],
    )


@converter("to_xpn", returns="v2")
def to_xpn(value: Any, context: Context) -> Parts | None:
    """`name[] | to_xpn`: family ^ given ^ further ^ suffix ^ prefix ^ degree ^ type; 张三丰 stands whole in XPN.1."""
    if not isinstance(value, dict):
        return None
    *parts, last = name_parts(value)
    if not any(parts):
        return None
    start, end = _period(value, context)
    order = extension_text(value, f"{_BASE}humanname-assembly-order")
    return (*parts, _NAME_TYPES.get(str(value.get("use")), ""), "", "", "", order, start, end, last)


@converter("to_xcn", returns="v2")
def to_xcn(value: Any, context: Context) -> Parts | None:
    """`requester | to_xcn`: a Practitioner, the practitioner of a PractitionerRole, or a reference to either.

    number ^ family ^ given … ^ authority (9) ^ name type ^ check digit ^ scheme ^ identifier type. Others give nothing.
    """
    person = _person(value, context)
    if person is None:
        return None
    name = next(iter(person.get("name", ())), None) or {}
    *parts, last = name_parts(name)
    row: Json = next((one for one in person.get("identifier", ()) if one.get("use") != "old"), {})
    number = str(row.get("value") or "")
    if not number and not any(parts):
        return None
    assigner = str((row.get("assigner") or {}).get("display") or "")
    authority: Any = authority_of(row.get("system"), context, name=assigner) if number else ""
    start, end = _period(name, context)
    return (
        number,
        *parts,
        "",
        authority,
        _NAME_TYPES.get(str(name.get("use")), ""),
        extension_text(row, f"{_BASE}identifier-checkDigit"),
        extension_text(row, f"{_BASE}namingsystem-checkDigit"),
        type_of(row),
        "",
        "",
        "",
        "",
        extension_text(name, f"{_BASE}humanname-assembly-order"),
        start,
        end,
        last,
    )


def _person(value: Any, context: Context) -> Json | None:
    if not isinstance(value, dict):
        return None
    found = value if value.get("resourceType") else context.message.resolve(value)
    if found is None:
        # Known by name only.
        display = value.get("display")
        is_other = str(value.get("reference") or value.get("type") or "").startswith(
            ("Organization", "Device")
        )
        return {"name": [{"text": display}]} if display and not is_other else None
    if found.get("resourceType") == "PractitionerRole":
        return _person(found.get("practitioner"), context)
    return (
        found if found.get("resourceType") in ("Practitioner", "RelatedPerson", "Patient", "Person") else None
    )


@converter("to_xtn", returns="v2")
def to_xtn(value: Any, context: Context) -> Parts | None:
    """`telecom[] | to_xtn`: number ^ use ^ equipment ^ email ^ country ^ area ^ local ^ extension."""
    if not isinstance(value, dict):
        return None
    text, system, use = (
        str(value.get("value") or ""),
        str(value.get("system") or ""),
        str(value.get("use") or ""),
    )
    parts = [
        extension_text(value, f"{_BASE}contactpoint-{name}")
        for name in ("country", "area", "local", "extension")
    ]
    if not text and not any(parts):
        return None
    is_email = system == "email"
    equipment = "CP" if use == "mobile" and system in ("", "phone") else _EQUIPMENT.get(system, "")
    code = "NET" if is_email else _PHONE_USES.get(use, "")
    made = ("" if is_email else text, code, equipment, text if is_email else "", *parts)
    start, end = _period(value, context)
    rank = str(value["rank"]) if value.get("rank") else ""
    return (*made, "", "", "", "", start, end, "", "", "", rank)


@converter("to_xad", returns="v2")
def to_xad(value: Any, context: Context) -> Parts | None:
    """`address[] | to_xad`: street ^ other ^ city ^ province ^ postal code ^ country ^ type ^ ^ district."""
    if not isinstance(value, dict):
        return None
    lines = [str(part) for part in value.get("line", ())] or (
        [str(value["text"])] if value.get("text") else []
    )
    lines += ["", "", ""]
    kind = "M" if value.get("type") == "postal" else _ADDRESS_TYPES.get(str(value.get("use")), "")
    tract: Json = next((part for part in value.get("_line", ()) if part), {})
    start, end = _period(value, context)
    made = (
        lines[0],
        lines[1],
        *(str(value.get(name) or "") for name in ("city", "state", "postalCode", "country")),
        kind,
        "",
        str(value.get("district") or ""),
        extension_text(tract, f"{_BASE}iso21090-ADXP-censusTract"),
        "",
        "",
        start,
        end,
        "",
        "",
        "",
        "",
        " ".join(part for part in lines[2:] if part),
    )
    return made if any(part for number, part in enumerate(made) if number != 6) else None


def _period(value: Json, context: Context) -> tuple[str | None, str | None]:
    period = value.get("period") or {}
    return (
        to_ts(period["start"], context) if period.get("start") else "",
        to_ts(period["end"], context) if period.get("end") else "",
    )


@converter("to_cnn", returns="v2")
def to_cnn(value: Any, context: Context) -> Parts | None:
    """`resultsInterpreter | to_cnn`: a person as the first component of an NDL: number & family & given."""
    made = to_xcn(value, context)
    return made[:7] if made else None
