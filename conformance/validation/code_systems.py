"""CodeSystems (https://hl7.org/fhir/R4/codesystem.html): supplements, properties and their types."""

from typing import Any

from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json

_URI = "http://hl7.org/fhir/concept-properties#"
# http://hl7.org/fhir/concept-properties: the properties that the specification itself defines.
STANDARD = {
    "inactive": ("boolean",),
    "deprecated": ("dateTime",),
    "deprecationDate": ("dateTime",),
    "retirementDate": ("dateTime",),
    "effectiveDate": ("dateTime",),
    "notSelectable": ("boolean",),
    "parent": ("code",),
    "child": ("code",),
    "status": ("code",),
    "partOf": ("code",),
    "synonym": ("code",),
    "comment": ("string",),
    "itemWeight": ("decimal",),
}


def check_code_system(node: Node, run: Run) -> None:
    value = node.value
    base = node.text("supplements")
    content = node.text("content")
    if base is not None and content is not None and content != "supplement":
        run.report("HT-VAL-190", Path(node.path, "content"), content=content)
    if base is None and content == "supplement":
        run.report("HT-VAL-191", node.path)
    kinds = _check_properties(node, run)
    if "concept" in value:
        _check_concepts(value, node.path, kinds, base, run, 0)


def _check_properties(node: Node, run: Run) -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    uris: set[str] = set()
    for row, path in node.objects("property"):
        code, uri, kind = row.get("code"), row.get("uri"), row.get("type")
        if isinstance(code, str):
            if code in kinds:
                run.report("HT-VAL-192", path, name=code)
            kinds.setdefault(code, kind)
        if isinstance(uri, str):
            if uri in uris:
                run.report("HT-VAL-192", path, name=uri)
            uris.add(uri)
            name = uri.removeprefix(_URI)
            if uri.startswith(_URI) and name in STANDARD:
                if kind not in STANDARD[name]:
                    run.report("HT-VAL-193", path, uri=uri, kind=kind, wanted=" | ".join(STANDARD[name]))
                if code in STANDARD and code != name:
                    run.report("HT-VAL-194", path, uri=uri, code=code, wanted=name)
    return kinds


def _check_concepts(
    holder: Json, path: Path, kinds: dict[str, Any], base: str | None, run: Run, depth: int
) -> None:
    if depth > 100:
        return
    for concept, where in objects(holder, "concept", path):
        code = concept.get("code")
        if base is not None and isinstance(code, str) and run.terminology.knows(base, code) is False:
            run.report("HT-VAL-195", where, code=code[:80], system=base[:200])
        for row, place in objects(concept, "property", where):
            _check_value(row, place, kinds, run)
        _check_concepts(concept, where, kinds, base, run, depth + 1)


def _check_value(row: Json, path: Path, kinds: dict[str, Any], run: Run) -> None:
    name = row.get("code")
    key = next((key for key in row if key.startswith("value")), None)
    if not isinstance(name, str) or key is None:
        return
    found = key[5:] if key == "valueCoding" else key[5:6].lower() + key[6:]
    if name not in kinds:
        if name not in STANDARD:
            run.report("HT-VAL-196", path, "warning", name=name)
        elif found not in STANDARD[name]:
            run.report("HT-VAL-197", path, name=name, found=found, wanted=" | ".join(STANDARD[name]))
    elif kinds[name] is not None and found != kinds[name]:
        run.report("HT-VAL-197", path, name=name, found=found, wanted=kinds[name])
