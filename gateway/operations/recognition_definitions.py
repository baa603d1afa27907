"""OperationDefinitions of mutual recognition (docs/recognition.md)."""

from terminology.fhirjson import Json

RECOGNIZE: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/recognize",
    "name": "Recognize",
    "title": "检查检验结果互认",
    "status": "active",
    "kind": "operation",
    "code": "recognize",
    "description": "Candidates for ordered items among earlier results, each with a decision and every rule's result. Reads only.",
    "resource": ["Patient"],
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "item", "use": "in", "min": 0, "max": "*", "type": "Coding"},
        {"name": "order", "use": "in", "min": 0, "max": "1", "type": "ServiceRequest"},
        {"name": "at", "use": "in", "min": 0, "max": "1", "type": "dateTime"},
        {"name": "requester", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "encounter", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "purpose", "use": "in", "min": 0, "max": "1", "type": "code"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Parameters"},
    ],
}

DECISION: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/recognition-decision",
    "name": "RecognitionDecision",
    "title": "互认决定",
    "status": "active",
    "kind": "operation",
    "code": "recognition-decision",
    "description": "The physician's decision on one earlier result: accept, reject with a reason, revoke, viewed. Kept as Task, DetectedIssue and Provenance.",
    "affectsState": True,
    "resource": ["Patient"],
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "result", "use": "in", "min": 1, "max": "1", "type": "Reference"},
        {"name": "order", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "action", "use": "in", "min": 1, "max": "1", "type": "code"},
        {"name": "reason", "use": "in", "min": 0, "max": "1", "type": "Coding"},
        {"name": "practitioner", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "organization", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "encounter", "use": "in", "min": 0, "max": "1", "type": "Reference"},
        {"name": "note", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "at", "use": "in", "min": 0, "max": "1", "type": "dateTime"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Task"},
    ],
}

STATISTICS: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/recognition-statistics",
    "name": "RecognitionStatistics",
    "title": "互认统计",
    "status": "active",
    "kind": "operation",
    "code": "evaluate-measure",
    "description": "Reminders, decisions by reason, rate and savings of mutual recognition in a period, recomputed from the decisions. Measure/mutual-recognition only.",
    "resource": ["Measure"],
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "periodStart", "use": "in", "min": 1, "max": "1", "type": "date"},
        {"name": "periodEnd", "use": "in", "min": 1, "max": "1", "type": "date"},
        {"name": "organization", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "item", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "practitioner", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "doctor", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "MeasureReport"},
    ],
}

AUDIT: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/recognition-audit",
    "name": "RecognitionAudit",
    "title": "互认重复收费稽核",
    "status": "active",
    "kind": "operation",
    "code": "recognition-audit",
    "description": "Accepted results whose item was charged again while they were valid (MR-030). Reads only.",
    "system": True,
    "type": False,
    "instance": False,
    "parameter": [
        {"name": "periodStart", "use": "in", "min": 1, "max": "1", "type": "date"},
        {"name": "periodEnd", "use": "in", "min": 1, "max": "1", "type": "date"},
        {"name": "organization", "use": "in", "min": 0, "max": "1", "type": "string"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Parameters"},
    ],
}
