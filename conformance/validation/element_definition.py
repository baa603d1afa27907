"""ElementDefinitions as authors write them (https://hl7.org/fhir/R4/elementdefinition.html), read into rules."""

from typing import Any

from conformance.definitions import Binding, Constraint, Discriminator, Slicing, TypeRef
from conformance.validation.profile_rule import Rule
from terminology.fhirjson import Json

_BASE = "http://hl7.org/fhir/StructureDefinition/"
_SYSTEM = "http://hl7.org/fhirpath/System."
_FHIR_TYPE = _BASE + "structuredefinition-fhir-type"
_REGEX = _BASE + "regex"
_MAX_VALUE_SET = _BASE + "elementdefinition-maxValueSet"
_TRANSLATION = _BASE + "translation"


def element_id(row: Json, trail: dict[str, str]) -> str:
    """Return an ElementDefinition's id; where the author wrote none, it is made of path and slice names.

    `trail` remembers the id last given to each path, so that children follow their slice.
    """
    path, name = row["path"], row.get("sliceName")
    identifier = row.get("id")
    parts = [part.partition(":")[0] for part in str(identifier).split(".")]
    stated = (
        isinstance(identifier, str) and parts[0] == path.split(".")[0] and len(parts) == len(path.split("."))
    )
    if not stated:
        parent, _, last = path.rpartition(".")
        identifier = f"{trail.get(parent, parent)}.{last}" if parent else last
        if isinstance(name, str):
            identifier += f":{name}"
    elif isinstance(name, str) and ":" not in str(identifier).rpartition(".")[2]:
        identifier = f"{identifier}:{name}"
    for known in [key for key in trail if key.startswith(path + ".")]:
        del trail[known]
    trail[path] = str(identifier)
    return str(identifier)


def take_json(rule: Rule, row: Json) -> None:
    """Take over what an ElementDefinition says."""
    if isinstance(row.get("min"), int):
        rule.min, rule.has_min = row["min"], True
    if isinstance(row.get("max"), str):
        rule.max = None if row["max"] == "*" else int(row["max"]) if row["max"].isdigit() else rule.max
    if isinstance(row.get("type"), list):
        rule.types = [_type_ref(one) for one in row["type"] if isinstance(one, dict)]
    binding = row.get("binding")
    if isinstance(binding, dict) and isinstance(binding.get("strength"), str):
        rule.binding = Binding(
            binding["strength"], str(binding.get("valueSet") or binding.get("valueSetUri") or "")
        )
        for one in binding.get("extension", ()):
            if isinstance(one, dict) and one.get("url") == _MAX_VALUE_SET:
                rule.max_value_set = str(one.get("valueCanonical") or one.get("valueUri") or "")
    for one in row.get("constraint", ()):
        if (
            isinstance(one, dict)
            and isinstance(one.get("expression"), str)
            and all(one.get("key") != old.key for old in rule.constraints)
        ):
            rule.constraints.append(
                Constraint(
                    str(one.get("key", "")),
                    str(one.get("severity", "error")),
                    str(one.get("human", "")),
                    one["expression"],
                    _translation(one.get("_human")),
                )
            )
    slicing = row.get("slicing")
    if isinstance(slicing, dict):
        rule.slicing = Slicing(
            [
                Discriminator(str(one.get("type")), str(one.get("path")))
                for one in slicing.get("discriminator", ())
                if isinstance(one, dict)
            ]
            or (rule.slicing.discriminators if rule.slicing else []),
            str(slicing.get("rules") or (rule.slicing.rules if rule.slicing else "open")),
            bool(slicing.get("ordered", False)),
        )
    for key, value in row.items():
        if key.startswith(("fixed", "pattern")) and not key.startswith("_"):
            rule.value = (key, value)
        elif key.startswith(("minValue", "maxValue")):
            rule.limits[key] = value
    for holder in (row, *(one for one in row.get("type", ()) if isinstance(one, dict))):
        for one in holder.get("extension", ()):
            if isinstance(one, dict) and one.get("url") == _REGEX and isinstance(one.get("valueString"), str):
                rule.pattern = one["valueString"]
    if isinstance(row.get("maxLength"), int):
        rule.max_length = row["maxLength"]
    if isinstance(row.get("isModifier"), bool):
        rule.is_modifier = row["isModifier"]
    if isinstance(row.get("contentReference"), str):
        rule.content_reference = row["contentReference"].partition("#")[2]
    if isinstance(row.get("sliceName"), str):
        rule.slice_name = row["sliceName"]


def _translation(sibling: Any) -> str:
    """Return the Chinese text of a primitive's translation extensions, "" without one."""
    for one in sibling.get("extension", ()) if isinstance(sibling, dict) else ():
        if not isinstance(one, dict) or one.get("url") != _TRANSLATION:
            continue
        parts = {row.get("url"): row for row in one.get("extension", ()) if isinstance(row, dict)}
        if str(parts.get("lang", {}).get("valueCode", "")).startswith("zh"):
            return str(parts.get("content", {}).get("valueString", ""))
    return ""


def _type_ref(row: Json) -> TypeRef:
    code = str(row.get("code", ""))
    if code.startswith(_SYSTEM):
        named = next(
            (
                one.get("valueUrl") or one.get("valueUri")
                for one in row.get("extension", ())
                if one.get("url") == _FHIR_TYPE
            ),
            None,
        )
        code = str(named or code.removeprefix(_SYSTEM)[:1].lower() + code.removeprefix(_SYSTEM)[1:])
    return TypeRef(code, list(row.get("profile", ())), list(row.get("targetProfile", ())), None)
