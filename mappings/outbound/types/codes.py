"""CodeableConcept, Coding → CWE (CE): the receiver's own code first, the county's and international ones beside it."""

from functools import cache
from typing import Any
from urllib.parse import unquote

from mappings.datatypes.cwe import SYSTEMS
from mappings.language.converters import Context, converter
from mappings.outbound.types.identifiers import organization_of
from terminology.fhirjson import Json

Parts = tuple[Any, ...]

_V2_TABLE = "http://terminology.hl7.org/CodeSystem/v2-"


@cache
def _names() -> dict[str, str]:
    """Systems by URI → the name of table 0396; of several spellings the first."""
    found: dict[str, str] = {}
    for name, uri in SYSTEMS.items():
        found.setdefault(uri, name)
    return found


def system_name(system: str | None, context: Context) -> str:
    """Return what stands in CWE.3: the receiver's own name of the system, that of table 0396, "L" for a local code."""
    if not system:
        return "L"
    own = next((local for local, uri in context.systems.items() if uri == system), None)
    if own is not None:
        return own
    if system in _names():
        return _names()[system]
    if system.startswith(_V2_TABLE):
        return f"HL7{system.removeprefix(_V2_TABLE)}"
    if system.startswith("urn:id:"):
        return unquote(system[7:])
    return system


def cwe_of(concept: Json, context: Context) -> Parts | None:
    """Return code ^ text ^ system, the alternate ones, and the original text (CWE.9) when it is another."""
    codings = sorted(
        (row for row in concept.get("coding", ()) if row.get("code") or row.get("display")),
        key=lambda row: not _is_own(row.get("system"), context),
    )
    text = str(concept.get("text") or "")
    if not codings:
        return ("", text) if text else None
    first, *rest = codings[:2]
    made = [*_triple(first, context), *(_triple(rest[0], context) if rest else ("", "", ""))]
    if not made[1] and text:
        made[1] = text
    if text and text != made[1]:
        made += [str(first.get("version") or ""), "", text]
    elif first.get("version"):
        made.append(str(first["version"]))
    return tuple(made)


def _triple(coding: Json, context: Context) -> tuple[str, str, str]:
    code = str(coding.get("code") or "")
    return code, str(coding.get("display") or ""), system_name(coding.get("system"), context) if code else ""


def _is_own(system: str | None, context: Context) -> bool:
    """A code without system, or of a system that the receiver has a name for, is his own."""
    return not system or system.startswith("urn:id:") or system in context.systems.values()


@converter("to_cwe", returns="v2")
def to_cwe(value: Any, context: Context) -> Parts | None:
    """`code | to_cwe`: code ^ name ^ system ^ alternate code ^ name ^ system; the receiver's own code first."""
    if not isinstance(value, dict):
        return ("", str(value)) if value else None
    if "coding" in value or "text" in value:
        return cwe_of(value, context)
    return cwe_of({"coding": [value]}, context) if value.get("code") else None


@converter("code_in", returns="string")
def to_code_in(value: Any, context: Context, system: str = "") -> str | None:
    """`code | code_in "http://loinc.org"`: the code of that system; without one, the receiver's own, else the first."""
    rows = value.get("coding", [value] if "code" in value else []) if isinstance(value, dict) else []
    if system:
        return next(
            (str(row["code"]) for row in rows if row.get("system") == system and row.get("code")), None
        )
    own = sorted(rows, key=lambda row: not _is_own(row.get("system"), context))
    return next((str(row["code"]) for row in own if row.get("code")), None)


@converter("name_of_code", returns="string")
def to_name_of_code(value: Any, context: Context) -> str | None:
    """`code | name_of_code`: what people call a concept: its text, else the first display, else the code."""
    if not isinstance(value, dict):
        return str(value) if value else None
    rows = value.get("coding", [value])
    words = [value.get("text"), *(row.get("display") for row in rows), *(row.get("code") for row in rows)]
    return next((str(word) for word in words if word), None)


@converter("to_is", returns="v2")
def to_is(value: Any, context: Context, table: str = "") -> str | None:
    """`class | to_is 0004`: a bare code, as fields of type IS and ID take it; of that v2 table where it has one."""
    if not isinstance(value, dict):
        return str(value) if value else None
    rows = [row for row in value.get("coding", [value]) if row.get("code")]
    wanted = f"{_V2_TABLE}{table}"
    first = next((row for row in rows if row.get("system") == wanted), None)
    own = next(iter(sorted(rows, key=lambda row: not _is_own(row.get("system"), context))), None)
    chosen = first or own
    return str(chosen["code"]) if chosen else str(value.get("text") or "") or None


@converter("to_department", returns="v2")
def to_department(value: Any, context: Context) -> Parts | None:
    """`$this | to_department`: a department or organisation as code ^ name (ORC-17, OBX-15)."""
    found = organization_of(value, context)
    if found is None:
        return None
    number = next((str(row["value"]) for row in found.get("identifier", ()) if row.get("value")), "")
    name = str(found.get("name") or "")
    return (number, name) if number or name else None


@converter("to_additive", returns="v2")
def to_additive(value: Any, context: Context) -> Parts | None:
    """`processing.additive[] | to_additive`: an additive known by its code (a logical reference) as CWE."""
    if not isinstance(value, dict):
        return None
    row = value.get("identifier") or {}
    code, name = str(row.get("value") or ""), str(value.get("display") or "")
    return (code, name, system_name(row.get("system"), context) if code else "") if code or name else None
