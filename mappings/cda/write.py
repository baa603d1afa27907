"""Resources → the bytes of a shared document, by the map out-cda-document (or a site's own over it)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mappings.cda.compose import compose
from mappings.language.sources.focus import Focus
from mappings.outbound.compile import Envelope, Written
from mappings.outbound.types.v3 import oid_of
from terminology.fhirjson import Json
from terminology.issues import UnmappableMessage

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

MAP = "out-cda-document"
TYPES = "urn:oid:2.16.156.10011.2.4"
_ARC = "urn:oid:2.16.156.10011.1."
# The national root of a number whose own system has no OID: documents know no other.
_ROOTS = {
    "Practitioner": "4", "Organization": "5", "Specimen": "14", "ServiceRequest": "24", "MedicationRequest": "20",
    "Encounter": "11", "DiagnosticReport": "32",
}  # fmt: skip


@dataclass(frozen=True)
class _Plain:
    """Stands for a context where only the receiver's own names of systems are asked."""

    systems: dict[str, str]


def write_document(
    focus: Json, around: Iterable[Json], maps: "ActiveMaps", *, envelope: Envelope, explain: bool = False
) -> Written:
    """Return the document of a Composition, or of a report, referral, consultation, prescription or visit; raises as
    `as_document`, and InvalidInput (HT-MAP-26) for a resource that the map doesn't start from."""
    map = maps.outbound(MAP)
    return map.write(Focus(focus, around), envelope, maps.translator, sender=maps.sender, explain=explain)


def as_document(focus: Focus) -> Focus:
    """Return the Composition of a focus with what it refers to: what a map of `source: {shape: document}` starts from.

    Raises UnmappableMessage: the standards have no document for such a resource (HT-CDA-05), the Composition's type is
    none of theirs (HT-CDA-06), the patient is not among the resources (HT-CDA-07).
    """
    composition, others = focus.resource, focus.resources[1:]
    if composition.get("resourceType") != "Composition":
        made = compose(composition, others)
        if made is None:
            raise UnmappableMessage("HT-CDA-05", type=str(composition.get("resourceType")))
        composition, others = made.composition, made.around
    codings = (composition.get("type") or {}).get("coding", ())
    code = next((row.get("code") for row in codings if row.get("system") == TYPES), None)
    if code is None:
        shown = ", ".join(str(row.get("code")) for row in codings) or "-"
        raise UnmappableMessage("HT-CDA-06", source="Composition.type", type=shown[:80])
    others = [one for one in others if one.get("resourceType") != "Composition"]
    if not any(one.get("resourceType") == "Patient" for one in others):
        raise UnmappableMessage("HT-CDA-07", source="Composition.subject")
    return Focus(composition, [_numbered(one, str(code)) for one in others])


def _numbered(resource: Json, code: str) -> Json:
    """Return the resource with a number first that documents can carry: one with an OID, else its own under the national root."""
    number = _ROOTS.get(str(resource.get("resourceType")))
    rows = resource.get("identifier")
    if number is None or not isinstance(rows, list):
        return resource
    named = [row for row in rows if oid_of(row.get("system"), _Plain({})) and row.get("use") != "old"]  # type: ignore[arg-type]  # asks for systems only
    if named:
        rest = [row for row in rows if row is not named[0]]
        return resource if not rest else {**resource, "identifier": [named[0], *rest]}
    # A number of a kind that only its own document has (健康体检表编号) is none of these.
    first = next((row for row in rows if row.get("value") and ("system" in row or "type" not in row)), None)
    if first is None:
        return resource
    if resource["resourceType"] == "Encounter" and (resource.get("class") or {}).get("code") == "IMP":
        number = "12"
    elif resource["resourceType"] == "DiagnosticReport" and code == "C0007":
        number = "33"
    elif resource["resourceType"] == "Organization" and _is_department(resource):
        number = "26"
    own = {"system": f"{_ARC}{number}", "value": first["value"]}
    made = {**resource, "identifier": [own, *rows]}
    if resource["resourceType"] == "Specimen":
        made.setdefault("accessionIdentifier", own)
    if resource["resourceType"] == "MedicationRequest":
        made.setdefault("groupIdentifier", own)
    return made


def _is_department(organization: Json) -> bool:
    return any(
        row.get("code") in ("dept", "department")
        for kind in organization.get("type", ())
        for row in kind.get("coding", ())
    )
