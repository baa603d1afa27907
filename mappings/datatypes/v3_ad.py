"""AD → Address: parts by element name (`<city>`), by `part@type` (CTY; ISO 21090), or one text.

Chinese documents use state 省, city 市, county 县/区, township 乡镇, street or village 村, houseNumber 门牌.
"""

from mappings.datatypes.extension import filled
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_KINDS = {
    "AL": "text", "ADL": "line", "SAL": "line", "BNR": "houseNumber", "STR": "streetName", "STB": "township",
    "CTY": "city", "CPA": "county", "CNT": "country", "STA": "state", "ZIP": "postalCode", "VIL": "village",
    "INT": "line", "UNID": "line", "": "text",
}  # fmt: skip
_LINES = (
    "township",
    "village",
    "streetAddressLine",
    "streetName",
    "street",
    "houseNumber",
    "line",
    "additionalLocator",
)
_USES = {
    "H": "home",
    "HP": "home",
    "HV": "home",
    "WP": "work",
    "DIR": "work",
    "TMP": "temp",
    "OLD": "old",
    "BAD": "old",
}


@converter("ad", returns="Address[]")
def to_addresses(value: Element | str, context: Context) -> list[Json] | None:
    if isinstance(value, str):
        return [{"text": value}]
    found = [_address(item) for item in value.all("item") or [value]]
    return [address for address in found if address] or None


@converter("ad_text", returns="string")
def to_text(value: Element | str, context: Context) -> str | None:
    found = to_addresses(value, context)
    return found[0].get("text") if found else None


@converter("ad_work", returns="Address[]")
def to_work_addresses(value: Element | str, context: Context) -> list[Json] | None:
    """Addresses of an organisation, which are nobody's home (invariant org-2)."""
    found = to_addresses(value, context) or []
    return [{**one, "use": "work"} if one.get("use") == "home" else one for one in found] or None


def _address(item: Element) -> Json | None:
    parts: dict[str, str] = {}
    for child in item.children:
        kind = _KINDS.get(child.get("type"), "line") if child.name == "part" else child.name
        parts[kind] = parts.get(kind, "") + child.own_text()
    lines = [parts[name] for name in _LINES if parts.get(name)]
    text = parts.get("text") or (item.own_text() if not item.children else "")
    places = [parts.get("state", ""), parts.get("city", ""), parts.get("county", "")]
    return filled(
        {
            "use": _USES.get(item.get("use").split(" ")[0]),
            "text": text or "".join((*places, *lines)),
            "line": lines,
            "city": parts.get("city"),
            "district": parts.get("county"),
            "state": parts.get("state"),
            "postalCode": parts.get("postalCode"),
            "country": parts.get("country"),
        }
    )
