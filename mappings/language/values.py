"""The converters of the language itself; those of HL7 datatypes stand in `mappings/datatypes`.

`table` and `join` read texts; the generated code gives them unescaped texts (`takes_text`).
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from mappings.language.converters import Context, converter, find_converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_TRUE = {"1", "y", "yes", "t", "true", "是", "有", "阳性"}
_FALSE = {"0", "n", "no", "f", "false", "否", "无", "阴性"}


@converter("table", takes_text=True)
def table(value: Any, context: Context, rows: dict[str, Any], name: str) -> Any:
    """`PID-8 | table gender`: the row of a table of this map; the row "*" for everything else.

    A value without a row goes to the mapping work list.
    """
    found = rows.get(value)
    if found is None:
        found = rows.get("*")
        if found is None:
            context.unmapped(f"table {name}", system=None, code=value, display=None)
    return found


@converter("code", returns="CodeableConcept", is_cached=True)
def code(value: Any, context: Context, domain: str) -> Json | None:
    """`OBX-3 | code lab-item`: the county's coding of a terminology domain before the sender's own.

    What the county's tables don't know keeps the sender's coding only and goes to the mapping work list.
    """
    concept = _concept(value, context)
    if concept is None:
        return None
    codings: list[Json] = list(concept.get("coding", ()))
    asked = codings or [{"display": concept["text"]}]
    for coding in asked:
        mapped = context.translator.translate(domain, coding)
        if mapped is not None:
            rest = [row for row in codings if not _is_same(row, mapped)]
            return {**concept, "coding": [mapped, *rest]}
    first = asked[0]
    context.unmapped(
        domain,
        system=first.get("system"),
        code=first.get("code"),
        display=first.get("display") or concept.get("text"),
    )
    return concept


@converter("coding", returns="Coding", is_cached=True)
def coding(value: Any, context: Context, domain: str) -> Json | None:
    """`PV1-4 | coding DOMAIN`: as `code`, as one Coding."""
    concept = code(value, context, domain)
    rows = concept.get("coding") if concept else None
    return rows[0] if rows else None


@converter("join", returns="string", takes_all=True, takes_text=True)
def join(values: list[str], context: Context, separator: str = "\n") -> str | None:
    r"""`NTE[]-3 | join "\n"`: all texts as one."""
    return separator.join(values) or None


@converter("whole", returns="string")
def whole(value: Any, context: Context) -> str | None:
    """`OBX-5 | whole`: the whole repetition as text, delimiters of senders that forgot to escape them kept."""
    return context.text(value).strip() or None if isinstance(value, str) else str(value)


@converter("lower", returns="string", takes_text=True)
def lower(value: str, context: Context) -> str:
    return value.lower()


@converter("upper", returns="string", takes_text=True)
def upper(value: str, context: Context) -> str:
    return value.upper()


@converter("prefix", returns="string", takes_text=True)
def prefix(value: str, context: Context, text: str) -> str:
    """`ORC-2 | prefix "urn:oid:"`: the text before the value."""
    return text + value


@converter("split", returns="string[]", takes_text=True)
def split(value: str, context: Context, separator: str = ",") -> list[str]:
    """`xm | split ","`: the parts of one text, blanks removed, empty parts left out."""
    return [part.strip() for part in value.split(separator) if part.strip()]


@converter("boolean", returns="boolean", takes_text=True)
def boolean(value: str, context: Context) -> bool | None:
    """`PID-30 | boolean`: Y/N, 1/0, true/false, 是/否, 有/无; anything else is flagged and empty."""
    word = value.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    context.flag("HT-MAP-41", value=value[:60], type="boolean")
    return None


@converter("integer", returns="integer", takes_text=True)
def integer(value: str, context: Context) -> int | None:
    """`OBX-1 | integer`: a whole number within the FHIR range; anything else is flagged and empty."""
    found = _decimal(value)
    if found is not None and found == found.to_integral_value() and abs(found) < 2**31:
        return int(found)
    context.flag("HT-MAP-41", value=value[:60], type="integer")
    return None


@converter("decimal", returns="decimal", takes_text=True)
def decimal(value: str, context: Context) -> Decimal | None:
    """`ssy | decimal`: a number with the digits as sent; anything else is flagged and empty."""
    found = _decimal(value)
    if found is None:
        context.flag("HT-MAP-41", value=value[:60], type="decimal")
    return found


def _decimal(value: str) -> Decimal | None:
    text = value.strip()
    if not _NUMBER.fullmatch(text) or len(text) > 40:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _concept(value: Any, context: Context) -> Json | None:
    """Return the sender's own CodeableConcept: of an XML element its CD, of HL7 v2 its CWE, else code or name."""
    if isinstance(value, dict):
        return value or None
    if isinstance(value, Element):
        coded = find_converter("cd")
        assert coded is not None
        made = coded.function(value, context)
        return made if isinstance(made, dict) else None
    known = find_converter("cwe")
    if known is not None and isinstance(value, str):
        found = known.function(value, context)
        return found if isinstance(found, dict) else None
    parts = context.components(str(value))
    first: Json = {}
    if parts[0]:
        first["code"] = parts[0]
    if len(parts) > 1 and parts[1]:
        first["display"] = parts[1]
    if len(parts) > 2 and parts[2]:
        first["system"] = context.systems.get(parts[2], f"urn:hutong:system:{parts[2]}")
    if not first:
        return None
    return {"coding": [first], "text": parts[1] if len(parts) > 1 and parts[1] else parts[0]}


def _is_same(one: Json, other: Json) -> bool:
    return one.get("system") == other.get("system") and one.get("code") == other.get("code")
