"""ValueSets (https://hl7.org/fhir/R4/valueset.html): systems, listed codes and filters that can mean something."""

import re
from typing import Any

from conformance.fhirpath import parse
from conformance.validation.codes import SNOMED, core_resource
from conformance.validation.codings import is_value_set
from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json
from terminology.issues import FhirError

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+")
_TOOLS = "http://hl7.org/fhir/tools/StructureDefinition/"
_EXPRESSION = "http://hl7.org/fhir/StructureDefinition/cqf-expression"
_VARIABLE = re.compile(r"%([A-Za-z][\w-]*|`[^`]+`)")
# Properties that every code system has, or that its hierarchy gives it (valueset-filter.html).
_ANYWHERE = frozenset(
    {
        "concept",
        "code",
        "display",
        "parent",
        "child",
        "ancestor",
        "descendant",
        "status",
        "inactive",
        "abstract",
    }
)
# What SNOMED CT's own filters take (snomedct.html#filters); an attribute's number stands for a refinement.
_SNOMED_OPERATORS = {
    "concept": ("=", "is-a", "descendent-of", "in", "is-not-a", "descendent-leaf", "generalizes", "child-of"),
    "expression": ("=",),
    "constraint": ("=",),
    "expressions": ("=",),
}
_ATTRIBUTE_OPERATORS = ("=", "in")
_FORMS = {
    "integer": re.compile(r"(lt|le|gt|ge)?-?(0|[1-9][0-9]*)"),
    "decimal": re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"),
    "dateTime": re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?"),
    "boolean": re.compile(r"true|false"),
}


def check_value_set(node: Node, run: Run) -> None:
    compose = node.value.get("compose")
    if not isinstance(compose, dict):
        return
    parameters = {
        str(next((row.get("valueCode") for row in ext.get("extension", ()) if row.get("url") == "name"), ""))
        for ext in node.value.get("extension", ())
        if isinstance(ext, dict) and ext.get("url") == _TOOLS + "valueset-parameter"
    }
    for name in ("include", "exclude"):
        for part, path in objects(compose, name, Path(node.path, "compose")):
            _check_part(part, path, parameters, run)


def _check_part(part: Json, path: Path, parameters: set[str], run: Run) -> None:
    system = part.get("system")
    if not isinstance(system, str):
        return
    if not _ABSOLUTE.fullmatch(system):
        run.report("HT-VAL-180", path, system=system[:200])
        return
    if is_value_set(system, run):
        run.report("HT-VAL-37", Path(path, "system"), system=system[:200])
        return
    if run.registry.is_supplement(system):
        run.report("HT-VAL-38", Path(path, "system"), system=system[:200])
        return
    for row, where in objects(part, "concept", path):
        code = row.get("code")
        if isinstance(code, str) and run.terminology.knows(system, code) is False:
            run.report("HT-VAL-34", where, code=code[:80], system=system[:200])
    for row, where in objects(part, "filter", path):
        _check_filter(row, where, system, parameters, run)


def _check_filter(row: Json, path: Path, system: str, parameters: set[str], run: Run) -> None:
    name, operator, value = row.get("property"), row.get("op"), row.get("value")
    _check_expressions(row, path, parameters, run)
    if not isinstance(name, str) or not isinstance(operator, str) or not isinstance(value, str):
        return
    if system == SNOMED:
        allowed = _SNOMED_OPERATORS.get(name) or (_ATTRIBUTE_OPERATORS if name.isdigit() else None)
        if allowed is not None and operator not in allowed:
            run.report("HT-VAL-181", path, op=operator, property=name, allowed=", ".join(allowed))
        if name == "concept" and operator != "in":
            _check_code_value(value, system, name, path, run)
        return
    definition = run.registry.find("CodeSystem", system) or core_resource(
        "code_systems", system.partition("|")[0]
    )
    if definition is None:
        return
    _check_defined(row, definition, path, run)


def _check_defined(row: Json, definition: Json, path: Path, run: Run) -> None:
    """Hold a filter against what its code system declares: filters with operators, properties with types."""
    name, operator, value = row["property"], row["op"], row["value"]
    filters = {one.get("code"): one for one in definition.get("filter", ()) if isinstance(one, dict)}
    kinds = {
        one.get("code"): one.get("type") for one in definition.get("property", ()) if isinstance(one, dict)
    }
    if name not in filters and name not in kinds and name not in _ANYWHERE:
        if definition.get("content") == "complete":
            run.report("HT-VAL-182", path, property=name, system=definition.get("url"))
        return
    if (
        name in filters
        and operator not in filters[name].get("operator", ())
        and name not in kinds
        and name not in _ANYWHERE
    ):
        run.report(
            "HT-VAL-181",
            path,
            op=operator,
            property=name,
            allowed=", ".join(filters[name].get("operator", ())),
        )
    if operator == "exists":
        if value not in ("true", "false"):
            run.report("HT-VAL-183", path, property=name, value=value[:80], kind="boolean")
        return
    if operator == "regex":
        return
    if name in filters:
        return  # what a declared filter's value looks like is its system's own business
    values = [one.strip() for one in value.split(",")] if operator in ("in", "not-in") else [value]
    kind = kinds.get(name)
    form = _FORMS.get(str(kind))
    for one in values:
        if form is not None and not form.fullmatch(one):
            run.report("HT-VAL-183", path, property=name, value=one[:80], kind=kind)
        elif kind == "code" or (
            name in ("concept", "code", "parent", "child")
            and operator in ("=", "is-a", "descendent-of", "is-not-a", "in", "generalizes")
        ):
            _check_code_value(one, str(definition.get("url")), name, path, run)


def _check_code_value(value: str, system: str, name: str, path: Path, run: Run) -> None:
    if run.terminology.knows(system, value) is False:
        run.report("HT-VAL-184", path, property=name, value=value[:80], system=system[:200])


def _check_expressions(row: Json, path: Path, parameters: set[str], run: Run) -> None:
    """A filter's value may be an expression over the value set's own parameters."""
    sibling = row.get("_value")
    holders: list[Any] = [row, sibling] if isinstance(sibling, dict) else [row]
    for holder in holders:
        for extension in holder.get("extension", ()) if isinstance(holder.get("extension"), list) else ():
            expression = (
                extension.get("valueExpression")
                if isinstance(extension, dict) and extension.get("url") == _EXPRESSION
                else None
            )
            if isinstance(expression, dict):
                _check_expression(expression, path, parameters, run)


def _check_expression(expression: Json, path: Path, parameters: set[str], run: Run) -> None:
    text = expression.get("expression")
    if expression.get("language") != "text/fhirpath":
        run.report("HT-VAL-185", path, language=expression.get("language"))
        return
    if not isinstance(text, str):
        return
    try:
        parse(text)
    except FhirError as problem:
        run.report("HT-VAL-186", path, expression=text[:200], problem=str(problem)[:200])
        return
    for name in _VARIABLE.findall(text):
        if name.strip("`") not in parameters:
            run.report("HT-VAL-187", path, name=name, expression=text[:200])
