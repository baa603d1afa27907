"""Confidentiality of a Bundle: as high as that of what it holds (https://hl7.org/fhir/R4/security-labels.html)."""

from collections.abc import Iterable

from gateway.store.protocol import Version
from terminology.fhirjson import Json, decode_resource

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
HIGH = ("R", "V")
_MARK = CONFIDENTIALITY.encode()


def confidentiality(versions: Iterable[Version]) -> Json:
    """Return `{"meta": …}` with the highest of R and V that a resource carries, {} when none does.

    Bodies stay unparsed but for those that name the system.
    """
    found = ""
    for version in versions:
        if version.body is None or _MARK not in version.body:
            continue
        for row in (decode_resource(version.body).get("meta") or {}).get("security") or ():
            code = row.get("code")
            if row.get("system") == CONFIDENTIALITY and code in HIGH and code > found:
                found = str(code)
    return {"meta": {"security": [{"system": CONFIDENTIALITY, "code": found}]}} if found else {}
