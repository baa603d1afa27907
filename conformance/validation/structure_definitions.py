"""StructureDefinitions in themselves: can the profile be built, can its rules be read?"""

from conformance.fhirpath import parse
from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
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
                slicing = row.get("slicing")
                if (
                    isinstance(slicing, dict)
                    and not slicing.get("discriminator")
                    and not slicing.get("description")
                ):
                    run.report("HT-VAL-140", path, profile=str(value.get("url")), element=row.get("path"))


def _check_expression(expression: object, path: Path, run: Run) -> None:
    if not isinstance(expression, str):
        return
    try:
        parse(expression)
    except FhirError as problem:
        run.report("HT-VAL-186", path, expression=expression[:200], problem=str(problem)[:200])
