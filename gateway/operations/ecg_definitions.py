"""OperationDefinitions of $ecg-svg and $ecg-waveform (docs/adapters/ecg.md)."""

from terminology.fhirjson import Json

TYPES = ["Observation", "DiagnosticReport", "DocumentReference"]

ECG_SVG: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/ecg-svg",
    "name": "EcgSvg",
    "title": "心电图绘图",
    "status": "active",
    "kind": "operation",
    "code": "ecg-svg",
    "description": "The tracing of a stored ECG as an SVG in real millimetres (image/svg+xml): grid of 1 and 5 mm, calibration pulse, 25 or 50 mm/s, 5, 10 or 20 mm/mV, with a text alternative that lists the measurements. Called on the ECG's Observation, its report, or the document that holds the original file.",
    "affectsState": False,
    "resource": TYPES,
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [
        {"name": "layout", "use": "in", "min": 0, "max": "1", "type": "code", "documentation": "3x4+1 (default), 6x2, 12x1"},
        {"name": "speed", "use": "in", "min": 0, "max": "1", "type": "integer", "documentation": "mm/s: 25 (default), 50"},
        {"name": "gain", "use": "in", "min": 0, "max": "1", "type": "integer", "documentation": "mm/mV: 5, 10 (default), 20"},
        {"name": "language", "use": "in", "min": 0, "max": "1", "type": "code", "documentation": "zh, en; default by Accept-Language"},
        {"name": "anonymous", "use": "in", "min": 0, "max": "1", "type": "boolean", "documentation": "true leaves out name and number"},
        {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Binary"},
    ],
}  # fmt: skip

ECG_WAVEFORM: Json = {
    "resourceType": "OperationDefinition",
    "url": "https://hutong.health/fhir/OperationDefinition/ecg-waveform",
    "name": "EcgWaveform",
    "title": "心电波形",
    "status": "active",
    "kind": "operation",
    "code": "ecg-waveform",
    "description": "The ECG's Observation with one SampledData component a lead, made of the original file; the limb leads that follow from I and II are computed. Nothing is stored.",
    "affectsState": False,
    "resource": TYPES,
    "system": False,
    "type": False,
    "instance": True,
    "parameter": [{"name": "return", "use": "out", "min": 1, "max": "1", "type": "Observation"}],
}
