"""URLs and codes of recognition: extensions, systems, the vocabularies that rules look for."""

BASE = "https://hutong.health/fhir/StructureDefinition/"
MARK = f"{BASE}recognition-mark"
SCOPE = f"{BASE}recognition-scope"
LEVEL = f"{BASE}institution-level"
QUALITY_ASSURANCE = f"{BASE}quality-assurance"
QUALIFIED_ITEM = f"{BASE}qualified-item"

RESULT_SOURCE = "https://hutong.health/fhir/CodeSystem/result-source"
MACHINE_SOURCES = frozenset({"ai", "wearable", "self-measured"})
"""A result of these sources stands only behind a physician's name."""

ORGANIZATION_TYPE = "https://hutong.health/fhir/CodeSystem/organization-type"
SCOPES = ("community", "city", "province", "region", "national")
"""From the narrowest to the widest."""
LEVEL_ONE_TYPES = frozenset({"township", "clinic"})

SNOMED = "http://snomed.info/sct"
TRANSFUSION = "5447007"
SURGERY = "387713003"
EMERGENCY_CLASS = "EMER"
INPATIENT_CLASSES = frozenset({"IMP", "ACUTE", "NONAC", "OBSENC"})
URGENT = frozenset({"stat", "asap"})

IMAGING_CATEGORIES = frozenset(
    {"RAD", "IMG", "RX", "CT", "NMR", "MR", "CUS", "OUS", "RUS", "VUS", "NMS", "imaging"}
)
"""v2-0074 sections of imaging, and the Observation category."""
ECG_CATEGORIES = frozenset({"EC", "ECG", "EKG"})
ECG_CODES = frozenset({"11524-6", "34534-8", "8601-7", "131328"})
ECG_LEADS = 12
WAVEFORM_FORMATS = ("aecg", "scp", "dicom", "ecg+xml")

NOT_A_CANDIDATE = frozenset({"entered-in-error", "cancelled"})
FINAL = frozenset({"final", "amended", "corrected", "appended"})
CHANGED = frozenset({"amended", "corrected", "appended"})
