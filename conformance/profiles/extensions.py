"""extensions.yaml → StructureDefinitions of extensions (https://hl7.org/fhir/R4/defining-extensions.html)."""

from functools import cache
from typing import Any

from conformance.profiles.build import BASE, HL7, header, in_chinese, to_element
from conformance.profiles.table import FOLDER, Row, load_yaml
from terminology.fhirjson import Json


@cache
def extension_table() -> dict[str, dict[str, Any]]:
    return load_yaml(FOLDER / "extensions.yaml")


def to_extension(identity: str) -> Json:
    """Return the definition of an extension: simple (`value`) or with `parts`, each with name, card and value."""
    row = extension_table()[identity]
    url = f"{BASE}StructureDefinition/{identity}"
    root: Json = {
        "id": "Extension",
        "path": "Extension",
        "short": row["en"],
        "_short": in_chinese(row["zh"]),
        "min": 0,
        "max": row.get("max", "1"),
    }
    rows: list[Json] = [root]
    parts: dict[str, str] = row.get("parts", {})
    if parts:
        for name, text in parts.items():
            rows += _part(name, text)
    else:
        rows.append({"id": "Extension.extension", "path": "Extension.extension", "max": "0"})
    rows.append({"id": "Extension.url", "path": "Extension.url", "fixedUri": url})
    rows.append(_value("Extension.value[x]", "" if parts else row["value"], is_absent=bool(parts)))
    return header("StructureDefinition", identity, row["zh"], row["en"]) | {
        "description": f"{row['en']}. {row['zh']}。",
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": name} for name in row["at"].split(", ")],
        "type": "Extension",
        "baseDefinition": HL7 + "Extension",
        "derivation": "constraint",
        "differential": {"element": rows},
    }


def _part(name: str, text: str) -> list[Json]:
    card, _, rest = text.partition(" ")
    least, _, most = card.partition("..")
    identity = f"Extension.extension:{name}"
    path = "Extension.extension"
    return [
        {"id": identity, "path": path, "sliceName": name, "min": int(least), "max": most},
        {"id": f"{identity}.extension", "path": f"{path}.extension", "max": "0"},
        {"id": f"{identity}.url", "path": f"{path}.url", "fixedUri": name},
        _value(f"{identity}.value[x]", rest),
    ]


def _value(identity: str, rules: str, *, is_absent: bool = False) -> Json:
    relative = identity.removeprefix("Extension.")
    rules_of = tuple(rule.strip() for rule in rules.split(";") if rule.strip())
    return to_element(Row(relative, "0..0" if is_absent else "1..1", rules_of, "", "", ""), "Extension")
