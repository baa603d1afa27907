"""CodeSystem/$lookup: what the catalogue knows of one code.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from collections.abc import Callable

from terminology.canonical import join
from terminology.code_system import CodeSystem
from terminology.concept_status import value_of
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, NotFound
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope
from terminology.supplement import SupplementedCodeSystem
from terminology.version_negotiation import present_versions


def lookup(scope: Scope, inputs: Inputs, given: CodeSystem | None) -> Json:
    """Return the Parameters of $lookup; raises NotFound for a code that isn't there.

    `given`: the code system of an instance-level call.
    """
    scope.require_supplements({})
    system, code = _subject(scope, inputs, given)
    scope.check_supplements()
    ordinal = system.locate(code)
    if ordinal is None:
        raise NotFound("HT-TX-07", code=code, system=system.url, version=system.version or "–")
    wants = _wanted(scope.options.properties)
    designations = system.designations(ordinal)
    preferred = designations.preferred(scope.options.languages)
    rows: list[Json] = [
        {"name": "name", "valueString": system.name},
        {"name": "code", "valueCode": system.code(ordinal)},
        {"name": "system", "valueUri": system.url},
    ]
    if system.version:
        rows.append({"name": "version", "valueString": system.version})
    display = preferred.value if preferred else system.display(ordinal) or system.code(ordinal)
    rows.append({"name": "display", "valueString": display})
    definition = system.definition(ordinal)
    if definition and wants("definition"):
        rows.append({"name": "definition", "valueString": definition})
    if wants("abstract"):
        rows.append({"name": "abstract", "valueBoolean": system.is_abstract(ordinal)})
    if wants("inactive"):
        rows.append(_property("inactive", {"valueBoolean": system.is_inactive(ordinal)}))
    if wants("designation"):
        for item in designations:
            parts: list[Json] = []
            if item.language:
                parts.append({"name": "language", "valueCode": item.language.tag})
            if item.use:
                parts.append({"name": "use", "valueCoding": item.use})
            parts.append({"name": "value", "valueString": item.value})
            if item.source:
                parts.append({"name": "source", "valueCanonical": item.source})
            rows.append({"name": "designation", "part": parts})
    rows.extend(_properties(system, ordinal, wants))
    if isinstance(system, SupplementedCodeSystem):
        rows.extend({"name": "used-supplement", "valueCanonical": name} for name in system.stated_supplements)
    return {"resourceType": "Parameters", "parameter": rows}


def _subject(scope: Scope, inputs: Inputs, given: CodeSystem | None) -> tuple[CodeSystem, str]:
    coding = inputs.coding("coding")
    if coding is not None and inputs.has("code"):
        raise InvalidInput("HT-TX-09", first="code", second="coding")
    code: str | None
    if coding is None:
        code, url, version = inputs.need("code"), inputs.text("system"), inputs.text("version")
    else:
        code, url, version = coding.get("code"), coding.get("system"), coding.get("version")
        if not code:
            raise InvalidInput("HT-TX-01", operation=inputs.operation, names="coding.code")
    if given is not None:
        return given, str(code)
    if not url:
        raise InvalidInput("HT-TX-01", operation=inputs.operation, names="system | coding.system")
    return need_code_system(scope, url, version), str(code)


def need_code_system(scope: Scope, url: str, version: str | None) -> CodeSystem:
    """Return a code system; raises TerminologyProblem (404) when it, or the version, is unknown."""
    system = scope.code_system(url, version)
    if system is not None:
        scope.check_version(system, None)
        return system
    version = scope.version_by_rules(url, version)
    known_versions = present_versions(scope, url)
    values: tuple[str, ...] = (url,)
    message_id = "UNKNOWN_CODESYSTEM"
    if version and known_versions:
        message_id, values = "UNKNOWN_CODESYSTEM_VERSION", (url, version, known_versions)
    elif version:
        message_id, values = "UNKNOWN_CODESYSTEM_VERSION_NONE", (url, version)
    issue = scope.issue("error", "not-found", "not-found", message_id, *values)
    raise TerminologyProblem(issue, status=404, unknown_system=join(url, version))


def _wanted(properties: list[str]) -> Callable[[str], bool]:
    """Return what tells whether a property is asked for; without the parameter all are."""
    names = {name.lower() for name in properties}
    return lambda name: not names or "*" in names or name.lower() in names


def _properties(system: CodeSystem, ordinal: int, wants: Callable[[str], bool]) -> list[Json]:
    rows = []
    for row in system.properties(ordinal):
        code = row.get("code")
        if code and value_of(row) is not None and (wants("property") or wants(code)):
            rows.append(_property(code, {key: row[key] for key in row if key.startswith("value")}))
    for name, others in (("parent", system.parents(ordinal)), ("child", system.children(ordinal))):
        if wants(name):
            rows.extend(
                _property(name, {"valueCode": system.code(other)}, system.display(other)) for other in others
            )
    return rows


def _property(code: str, value: Json, description: str | None = None) -> Json:
    parts: list[Json] = [{"name": "code", "valueCode": code}, {"name": "value", **value}]
    if description:
        parts.append({"name": "description", "valueString": description})
    return {"name": "property", "part": parts}
