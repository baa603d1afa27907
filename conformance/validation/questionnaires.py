"""Questionnaires in themselves (https://hl7.org/fhir/R4/questionnaire.html): conditions and initial values that make sense."""

from conformance.validation.answers import TYPES
from conformance.validation.path import Path
from conformance.validation.responses import rows_of
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json


def check_questionnaire(node: Node, run: Run) -> None:
    """Every condition asks a question that exists; options and initial values have the question's type."""
    links: set[object] = set()
    open_ = rows_of(node.value)
    while open_:
        row = open_.pop()
        links.add(row.get("linkId"))
        open_.extend(rows_of(row))
    _check_level(node.value, node.path, links, run)


def _check_level(holder: Json, path: Path, links: set[object], run: Run) -> None:
    for item, where in objects(holder, "item", path):
        for condition, place in objects(item, "enableWhen", where):
            if condition.get("question") is not None and condition["question"] not in links:
                run.report("HT-VAL-174", place, link=condition["question"])
            elif condition.get("question") == item.get("linkId"):
                run.report("HT-VAL-175", place, link=item.get("linkId"))
        allowed = TYPES.get(str(item.get("type")))
        for row, place in objects(item, "initial", where):
            name = next((key[5:] for key in row if key.startswith("value") and key != "value"), None)
            kind = (
                name
                if name is None or name in ("Coding", "Attachment", "Reference", "Quantity")
                else name[:1].lower() + name[1:]
            )
            if allowed is not None and kind is not None and kind not in allowed:
                run.report("HT-VAL-164", place, wanted=" | ".join(allowed), found=kind)
        _check_level(item, where, links, run)
