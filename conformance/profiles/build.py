"""Tables → StructureDefinition with a differential (https://hl7.org/fhir/R4/profiling.html).

The rules of a row, separated by ";":
`slice value system` how the element is sliced (discriminator type and path, more after a comma);
`Quantity, string` types; `Reference(Patient, hutong-task)` and `Extension(ethnic-group)` types with their profiles;
`required order-category` (extensible, preferred) a binding to a value set of ours or an absolute URL;
`patternUri urn:oid:…`, `fixedCode order`, `maxValueInteger 5`, `maxLength 64` as in ElementDefinition, values in YAML.
"""

import re
from typing import Any

import yaml

from conformance.profiles.table import Invariant, Row, Table
from terminology.fhirjson import Json

BASE = "https://hutong.health/fhir/"
VERSION = "1.0.0"
DATE = "2026-11-24"
HL7 = "http://hl7.org/fhir/StructureDefinition/"
STRENGTHS = ("required", "extensible", "preferred", "example")
_TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
_WITH_PROFILE = re.compile(r"(Reference|Extension|canonical)\((.*)\)")
_VALUE = re.compile(r"((?:fixed|pattern|minValue|maxValue)[A-Z]\w*) (.+)")


def to_structure(table: Table) -> Json:
    """Return the StructureDefinition of a profile."""
    return header("StructureDefinition", table.id, table.zh, table.en) | {
        "description": f"{table.about_en} {table.about_zh}",
        "fhirVersion": "4.0.1",
        "kind": "resource",
        "abstract": False,
        "type": table.type,
        "baseDefinition": canonical(table.base) if table.base else HL7 + table.type,
        "derivation": "constraint",
        "differential": {"element": elements(table)},
    }


def header(kind: str, identity: str, zh: str, en: str) -> Json:
    """Return what every definition of ours begins with."""
    name = "".join(part[:1].upper() + part[1:] for part in identity.split("-"))
    return {
        "resourceType": kind,
        "id": identity,
        "url": f"{BASE}{kind}/{identity}",
        "version": VERSION,
        "name": name,
        "title": en,
        "_title": in_chinese(zh),
        "status": "active",
        "experimental": False,
        "date": DATE,
        "publisher": "Hutong",
    }


def in_chinese(text: str) -> Json:
    """Return the sibling of a text that carries its Chinese wording (extension translation)."""
    return {
        "extension": [
            {
                "url": _TRANSLATION,
                "extension": [
                    {"url": "lang", "valueCode": "zh-CN"},
                    {"url": "content", "valueString": text},
                ],
            }
        ]
    }


def canonical(name: str) -> str:
    """Return the URL of a profile: absolute as it is, a core type by its name, else one of ours."""
    if "://" in name:
        return name
    return HL7 + name if name[:1].isupper() else f"{BASE}StructureDefinition/{name}"


def elements(table: Table) -> list[Json]:
    """Return the differential: the resource itself with its invariants, then a row each."""
    at: dict[str, list[Invariant]] = {}
    for invariant in table.invariants:
        at.setdefault(invariant.at, []).append(invariant)
    root: Json = {
        "id": table.type,
        "path": table.type,
        "short": table.en,
        "_short": in_chinese(table.zh),
        "definition": table.about_en,
        "_definition": in_chinese(table.about_zh),
    }
    source = f"{BASE}StructureDefinition/{table.id}"
    if "" in at:
        root["constraint"] = [to_constraint(row, source) for row in at[""]]
    found = [root]
    for row in table.rows:
        element = to_element(row, table.type)
        if row.path in at:
            element["constraint"] = [to_constraint(one, source) for one in at[row.path]]
        found.append(element)
    missing = set(at) - {""} - {row.path for row in table.rows}
    if missing:
        raise ValueError(f"{table.id}: invariants at elements without a row: {', '.join(sorted(missing))}")
    return found


def to_constraint(row: Invariant, source: str) -> Json:
    return {
        "key": row.key,
        "severity": row.severity,
        "human": row.en,
        "_human": in_chinese(row.zh),
        "expression": row.expression,
        "source": source,
    }


def to_element(row: Row, type_name: str) -> Json:
    """Return the ElementDefinition of a row."""
    steps = row.path.split(".")
    element: Json = {
        "id": f"{type_name}.{row.path}",
        "path": ".".join([type_name, *(step.partition(":")[0] for step in steps)]),
    }
    if ":" in steps[-1]:
        element["sliceName"] = steps[-1].partition(":")[2]
    if row.en:
        element |= {"short": row.en, "_short": in_chinese(row.zh)}
    if row.source:
        element["comment"] = row.source
    if row.card:
        least, _, most = row.card.partition("..")
        element |= {"min": int(least), "max": most}
    for rule in row.rules:
        _add_rule(element, rule)
    return element


def _add_rule(element: Json, rule: str) -> None:
    word, _, rest = rule.partition(" ")
    if word == "slice":
        element["slicing"] = {
            "discriminator": [
                dict(zip(("type", "path"), one.split(), strict=True)) for one in rest.split(",")
            ],
            "rules": "open",
        }
    elif word in STRENGTHS:
        url = rest if "://" in rest else f"{BASE}ValueSet/{rest}"
        element["binding"] = {"strength": word, "valueSet": url}
    elif word == "maxLength":
        element["maxLength"] = int(rest)
    elif (found := _VALUE.fullmatch(rule)) is not None:
        element[found[1]] = _value(found[1], found[2])
    else:
        element.setdefault("type", []).extend(_types(rule))


def _types(rule: str) -> list[Json]:
    with_profile = _WITH_PROFILE.fullmatch(rule)
    if with_profile is None:
        return [{"code": code.strip()} for code in rule.split(",")]
    code, names = with_profile[1], [canonical(name.strip()) for name in with_profile[2].split(",")]
    return [{"code": code, "profile" if code == "Extension" else "targetProfile": names}]


def _value(name: str, text: str) -> Any:
    # Codes and numbers that look like something else to YAML stay what they are.
    kind = re.sub(r"^(fixed|pattern|minValue|maxValue)", "", name)
    if kind in ("Uri", "Code", "String", "Url", "Canonical", "Id", "Date", "DateTime", "Instant"):
        return text
    return yaml.safe_load(text)
