"""ConceptMaps (https://hl7.org/fhir/R4/conceptmap.html): codes that their code systems have."""

from typing import Any

from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects


def check_concept_map(node: Node, run: Run) -> None:
    for group, path in node.objects("group"):
        for element, where in objects(group, "element", path):
            _check(group.get("source"), element.get("code"), where, run)
            for target, place in objects(element, "target", where):
                _check(group.get("target"), target.get("code"), place, run)


def _check(system: Any, code: Any, path: Path, run: Run) -> None:
    if isinstance(system, str) and isinstance(code, str) and run.terminology.knows(system, code) is False:
        run.report("HT-VAL-34", path, "warning", code=code[:80], system=system[:200])
