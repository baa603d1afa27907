"""XPN → HumanName: family & prefixes ^ given ^ further ^ suffix ^ prefix ^ degree ^ type ^ … .

Chinese names come as 张^三丰, as 张三丰 in the first component, or as code^name (PID-5 of some HIS). `text` is what a
reader sees: family and given without a blank in Chinese, given before family otherwise. A whole name isn't cut into
family and given: where the family name ends can't be known (欧阳, 司马).
"""

import re

from mappings.datatypes.dtm import period
from mappings.datatypes.extension import extension, filled
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

# Table 0200 → http://hl7.org/fhir/name-use.
USES = {
    "L": "official",
    "B": "official",
    "D": "usual",
    "M": "maiden",
    "N": "nickname",
    "A": "anonymous",
    "S": "anonymous",
    "U": "anonymous",
    "T": "temp",
    "TEMP": "temp",
    "BAD": "old",
    "P": "nickname",
    "C": "old",
    "K": "usual",
}
_OWN_PARTS = (
    (2, "humanname-own-prefix"),
    (3, "humanname-own-name"),
    (4, "humanname-partner-prefix"),
    (5, "humanname-partner-name"),
)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_CODE = re.compile(r"[A-Za-z]*\d[\dA-Za-z_-]*")


def is_chinese(text: str) -> bool:
    return _HAN.search(text) is not None


def is_code(text: str) -> bool:
    """Tell whether `text` reads as a number or staff code rather than as a name."""
    return _CODE.fullmatch(text) is not None


def name_of(
    family: list[str],
    given: str,
    further: str = "",
    *,
    suffixes: tuple[str, ...] = (),
    prefix: str = "",
    use: str = "",
    validity: Json | None = None,
    order: str = "",
) -> Json | None:
    """Return the HumanName of parts; `family`: the subcomponents of FN, absent texts empty."""
    surname = family[0].strip()
    given, further = given.strip(), further.strip()
    if is_code(surname) and is_chinese(given):
        # code^name: the first component is the patient's or doctor's number.
        surname, given = given, ""
    text = _text(surname, given, further, prefix)
    is_whole = is_chinese(surname) and not given
    if is_whole:
        surname = ""
    elif _is_cut_out_of(surname, given):
        # 张^张三丰: the whole name repeats the family name.
        text, given = given, given.removeprefix(surname)
    parts = [
        extension(url, "String", family[place - 1])
        for place, url in _OWN_PARTS
        if place <= len(family) and family[place - 1]
    ]
    return filled(
        {
            "extension": [extension("humanname-assembly-order", "Code", order)] if order else None,
            "use": USES.get(use.upper()),
            "text": text,
            "family": surname,
            "_family": {"extension": parts} if parts else None,
            "given": [part for part in (given, further) if part],
            "prefix": [prefix] if prefix else None,
            "suffix": [part for part in suffixes if part],
            "period": validity,
        }
    )


@converter("xpn", returns="HumanName", is_cached=True)
def to_name(value: str, context: Context) -> Json | None:
    parts = [*context.components(value), *[""] * 15]
    if not any(part.strip() for part in parts[:6]):
        return None
    validity = period(parts[11], parts[12], context) or _range(context.subcomponents(value, 10), context)
    return name_of(
        [part.strip() for part in context.subcomponents(value, 1)],
        parts[1],
        parts[2],
        suffixes=(parts[3], parts[5], parts[13]),
        prefix=parts[4],
        use=parts[6],
        validity=validity,
        order=parts[10],
    )


@converter("name_text", returns="string", is_cached=True)
def to_text(value: str, context: Context) -> str | None:
    """The name as one text: for `display` and for resources that have no HumanName."""
    name = to_name(value, context)
    return name.get("text") if name else None


def _range(parts: list[str], context: Context) -> Json | None:
    return period(parts[0], parts[1] if len(parts) > 1 else "", context)


def _text(surname: str, given: str, further: str, prefix: str) -> str:
    if is_chinese(surname + given):
        return given if _is_cut_out_of(surname, given) else surname + given + further
    return " ".join(part for part in (prefix, given, further, surname) if part)


def _is_cut_out_of(surname: str, given: str) -> bool:
    return bool(surname) and is_chinese(surname) and len(given) > len(surname) and given.startswith(surname)
