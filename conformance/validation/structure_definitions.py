"""StructureDefinitions in themselves: can the profile be built, can its rules be read?"""

from conformance.fhirpath import parse
from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json
from terminology.issues import FhirError


def check_structure_definition(node: Node, run: Run) -> None:
    """Build the profile as a validation would, and tell what hinders it."""
    value = node.value
    if value.get("derivation") == "constraint" and isinstance(value.get("differential"), dict):
        for code, values in run.registry.profile_of(value).problems:
            run.report(code, node.path, "warning" if code == "HT-VAL-144" else "error", **values)
    for name in ("differential", "snapshot"):
        part = value.get(name)
        if isinstance(part, dict):
            for row, path in objects(part, "element", Path(node.path, name)):
                for constraint, where in objects(row, "constraint", path):
                    _check_expression(constraint.get("expression"), where, run)
                _check_value(row, path, run)
                slicing = row.get("slicing")
                if (
                    isinstance(slicing, dict)
                    and not slicing.get("discriminator")
                    and not slicing.get("description")
                ):
                    run.report("HT-VAL-140", path, profile=str(value.get("url")), element=row.get("path"))


def _check_value(row: Json, path: Path, run: Run) -> None:
    """A fixed value or pattern has one of the element's types (eld-5 to eld-8 say the rest)."""
    types = (
        {kind.get("code") for kind in row.get("type", ()) if isinstance(kind, dict)}
        if isinstance(row.get("type"), list)
        else set()
    )
    for key in row:
        stem = next((stem for stem in ("fixed", "pattern") if key.startswith(stem)), None)
        # System types stand where a primitive's own value is meant (Extension.url).
        if (
            stem is None
            or not types
            or any(str(name).startswith("http://hl7.org/fhirpath/") for name in types)
        ):
            continue
        kind = key.removeprefix(stem)
        if not any(
            isinstance(name, str) and name.rpartition(".")[2].lower() == kind.lower() for name in types
        ):
            run.report("HT-VAL-146", path, kind=kind, types=", ".join(sorted(str(name) for name in types)))


def check_search_parameter(node: Node, run: Run) -> None:
    """A search parameter's expression can be read."""
    _check_expression(node.value.get("expression"), Path(node.path, "expression"), run)


def _check_expression(expression: object, path: Path, run: Run) -> None:
    if not isinstance(expression, str):
        return
    try:
        parse(expression)
    except FhirError as problem:
        run.report("HT-VAL-186", path, expression=expression[:200], problem=str(problem)[:200])
