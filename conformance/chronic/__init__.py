"""Risk grades of chronic diseases (慢病分级): low, medium, high, shown green, yellow, red; rules are dated packs, grading is pure."""

from conformance.chronic.grading import Finding, Grade, Visit, grade, urgent
from conformance.chronic.measures import Measured, latest, measured
from conformance.chronic.packs import Disease, Diseases, load_diseases

__all__ = [
    "Disease",
    "Diseases",
    "Finding",
    "Grade",
    "Measured",
    "Visit",
    "grade",
    "latest",
    "load_diseases",
    "measured",
    "urgent",
]
