"""EN, PN, ON, TN → HumanName: text, parts, or `<item><part value/></item>` of a BAG_EN.

Which part is family and which given is told by the element's name (`<family>`) or by `part@type` (FAM, GIV; ISO 21090).
"""

from mappings.datatypes.xpn import name_of
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_PARTS = {"family": "FAM", "given": "GIV", "prefix": "PFX", "suffix": "SFX"}
# EntityNameUse → http://hl7.org/fhir/name-use, by way of the letters of table 0200 (xpn.USES).
_USES = {
    "L": "L",
    "C": "L",
    "OR": "L",
    "A": "D",
    "P": "N",
    "M": "M",
    "T": "T",
    "ABC": "",
    "IDE": "",
    "SYL": "",
}


@converter("en", returns="HumanName[]")
def to_names(value: Element | str, context: Context) -> list[Json] | None:
    if isinstance(value, str):
        found = name_of([value], "")
        return [found] if found else None
    names = [_name(item) for item in value.all("item") or [value]]
    return [name for name in names if name] or None


@converter("en_text", returns="string")
def to_text(value: Element | str, context: Context) -> str | None:
    """The name as one text."""
    if isinstance(value, str):
        return value
    found = to_names(value, context)
    return str(found[0]["text"]) if found and "text" in found[0] else None


def _name(item: Element) -> Json | None:
    parts: dict[str, list[str]] = {}
    for child in item.children:
        kind = _PARTS.get(child.name) or (child.get("type") if child.name == "part" else None)
        text = child.own_text()
        if kind is not None and text:
            parts.setdefault(kind, []).append(text)
    use = _USES.get(item.get("use").split(" ")[0], "")
    whole = "".join(parts.get("", [])) or (item.own_text() if not parts else "")
    if whole:
        return name_of([whole], "", use=use)
    given = parts.get("GIV", [])
    return name_of(
        parts.get("FAM", [""]),
        given[0] if given else "",
        " ".join(given[1:]),
        suffixes=tuple(parts.get("SFX", ())),
        prefix=" ".join(parts.get("PFX", ())),
        use=use,
    )
