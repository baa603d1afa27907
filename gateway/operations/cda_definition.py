"""OperationDefinition of $cda (docs/adapters/cda.md)."""

from terminology.fhirjson import Json

CDA: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/cda",
    "name": "Cda",
    "title": "共享文档",
    "status": "active",
    "kind": "operation",
    "code": "cda",
    "description": "The shared document (CDA; WS/T 500, WS/T 483) of a Composition, or of a laboratory or examination report (C0007, C0006), a prescription (C0004), a referral (483.20), a consultation (C0045) or a visit (483.17, 483.18). Where a Composition holds the resource already, that one is written. The answer is XML (application/hl7-cda+xml). Nothing is stored.",
    "affectsState": False,
    "resource": ["Composition", "DiagnosticReport", "ServiceRequest", "MedicationRequest", "Encounter"],
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "charset", "use": "in", "min": 0, "max": "1", "type": "code", "documentation": "UTF-8 (default), GB18030, GBK"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Binary"},
    ],
}  # fmt: skip
