"""The department behind a Task's owner, for answers that must not name a person."""

from gateway.store.protocol import Store
from gateway.workflow.draft import local, reference_of
from terminology.fhirjson import Json, decode_resource

DEPARTMENT = "https://hutong.health/fhir/StructureDefinition/department"
UNNAMED = ("另一科室", "another department")


async def department_of(store: Store, task: Json) -> tuple[str, str]:
    """Return the name of the department that owns a Task, in Chinese and English."""
    owner = task.get("owner") or {}
    reference = department_reference(owner) or reference_of(owner)
    if reference.startswith(("PractitionerRole/", "HealthcareService/")):
        resource = await _read(store, reference)
        element = "organization" if reference.startswith("PractitionerRole/") else "providedBy"
        reference = reference_of(resource.get(element))
    if not reference.startswith("Organization/"):
        return UNNAMED
    resource = await _read(store, reference)
    name = str(resource.get("name") or reference)
    return name, name


def department_reference(owner: Json) -> str:
    """Return the department that a claim noted beside a person who has no PractitionerRole."""
    for row in owner.get("extension") or ():
        if row.get("url") == DEPARTMENT:
            return reference_of(row.get("valueReference"))
    return ""


async def _read(store: Store, reference: str) -> Json:
    place = local(reference)
    version = await store.read(*place) if place is not None else None
    return decode_resource(version.body) if version is not None and version.body is not None else {}
