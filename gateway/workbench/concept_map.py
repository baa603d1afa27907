"""A mapping project as an immutable ConceptMap."""

from collections.abc import Callable

from gateway.workbench.projects import LocalRow, Project
from terminology.fhirjson import Json


def to_concept_map(
    project: Project,
    rows: list[LocalRow],
    *,
    target_system: str,
    target_version: str,
    display: Callable[[str], str | None],
    version: str,
    date: str,
) -> Json:
    """Return the approved rows as a ConceptMap (R4); rows without target are kept as unmatched."""
    elements = []
    for row in rows:
        if row.state != "approved":
            continue
        element: Json = {"code": row.local.code, "display": row.local.name}
        if row.target is None:
            element["target"] = [{"equivalence": "unmatched"} | ({"comment": row.note} if row.note else {})]
        else:
            target: Json = {"code": row.target, "equivalence": row.relationship}
            if text := display(row.target):
                target["display"] = text
            if row.note:
                target["comment"] = row.note
            element["target"] = [target]
        elements.append(element)
    url = f"https://hutong.health/fhir/ConceptMap/{project.member}-{project.domain}"
    return {
        "resourceType": "ConceptMap",
        "url": url,
        "version": version,
        "name": "".join(
            part.capitalize() for part in f"{project.member}-{project.domain}".replace("_", "-").split("-")
        ),
        "title": f"{project.member} {project.domain} 对码",
        "status": "active",
        "date": date,
        "group": [
            {
                "source": project.source,
                "target": target_system,
                "targetVersion": target_version,
                "element": elements,
            }
        ]
        if elements
        else [],
    }
