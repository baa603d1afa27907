"""XAD, AD, SAD → Address: street & name & number ^ other ^ city ^ state ^ postal code ^ country ^ type ^ … .

Chinese senders put the whole address into the first component: it is the `text`, and a line.
"""

from mappings.datatypes.dtm import period
from mappings.datatypes.extension import extension, filled
from mappings.datatypes.xpn import is_chinese
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

# Table 0190 → (use, type).
TYPES: dict[str, tuple[str | None, str | None]] = {
    "B": ("work", None),
    "O": ("work", None),
    "H": ("home", None),
    "P": ("home", None),
    "RH": ("home", None),
    "HV": ("home", None),
    "C": ("temp", None),
    "BA": ("old", None),
    "BI": ("billing", None),
    "M": (None, "postal"),
    "SH": (None, "postal"),
}


@converter("xad", returns="Address", is_cached=True)
def to_address(value: str, context: Context) -> Json | None:
    parts = [*(part.strip() for part in context.components(value)), *[""] * 20]
    street = [part.strip() for part in context.subcomponents(value, 1)]
    lines = [part for part in (*street, parts[1], parts[18]) if part]
    if not (lines or any(parts[2:6]) or parts[7] or parts[8]):
        return None
    use, kind = TYPES.get(parts[6].upper(), (None, None))
    return filled(
        {
            "use": use,
            "type": kind,
            "text": _text(parts, lines),
            "line": lines,
            # The extension belongs to a line; the other lines have none.
            "_line": [
                {"extension": [extension("iso21090-ADXP-censusTract", "String", parts[9])]},
                *[None] * (len(lines) - 1),
            ]
            if parts[9] and lines
            else None,
            "city": parts[2],
            "district": parts[8] or (parts[7] if is_chinese(parts[7]) else ""),
            "state": parts[3],
            "postalCode": parts[4],
            "country": parts[5],
            "period": period(parts[12], parts[13], context) or _validity(value, context),
        }
    )


@converter("work_address", returns="Address", is_cached=True)
def to_work_address(value: str, context: Context) -> Json | None:
    """The address of an organisation, which is nobody's home (invariant org-2)."""
    found = to_address(value, context)
    return {**found, "use": "work"} if found and found.get("use") == "home" else found


@converter("birth_place", returns="Extension", is_cached=True)
def to_birth_place(value: str, context: Context) -> Json | None:
    """A birth place told as a text → the extension patient-birthPlace."""
    text = context.text(value).strip()
    return extension("patient-birthPlace", "Address", {"text": text}) if text else None


def _text(parts: list[str], lines: list[str]) -> str | None:
    whole = [parts[3], parts[2], parts[8], *lines]
    if not is_chinese("".join(whole)):
        return None
    # Chinese order: from the large to the small; many senders repeat the province within the line.
    text = ""
    for part in whole:
        if part and part not in text:
            text = part if part.startswith(text) else text + part
    return text


def _validity(value: str, context: Context) -> Json | None:
    start, end, *_ = [*context.subcomponents(value, 12), "", ""]
    return period(start, end, context)
