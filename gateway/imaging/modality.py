"""Which kind of device an order needs: said by a DICOM code of the order, or by the words of its examination."""

import csv
import re
from functools import cache
from pathlib import Path

from terminology.fhirjson import Json

DCM = "http://dicom.nema.org/resources/ontology/DCM"
DIAGNOSTIC_SERVICE = "http://terminology.hl7.org/CodeSystem/v2-0074"
# HL7 table 0074 → modality.
_SERVICES = {
    "CT": "CT",
    "NMR": "MR",
    "RUS": "US",
    "CUS": "US",
    "VUS": "US",
    "NMS": "NM",
    "XRC": "XA",
    "OUS": "US",
    "EC": "ECG",
}
# What is one kind of device for a worklist: a plain film comes from CR, DX and DR alike.
ALIKE = ({"DX", "CR", "DR", "RG"}, {"OT", "SC"}, {"ES", "XC"}, {"PT", "CT"})


def modalities_of(order: Json) -> set[str]:
    """Return the DICOM modalities that fit an order; empty when it doesn't tell."""
    said = {
        str(coding["code"])
        for concept in (*order.get("orderDetail", ()), *order.get("category", ()), order.get("code") or {})
        for coding in concept.get("coding", ())
        if coding.get("system") == DCM and coding.get("code")
    }
    said |= {
        _SERVICES[coding["code"]]
        for concept in order.get("category", ())
        for coding in concept.get("coding", ())
        if coding.get("system") == DIAGNOSTIC_SERVICE and coding.get("code") in _SERVICES
    }
    if not said:
        said = {kind for text in _texts(order) if (kind := modality_of(text))}
    for group in ALIKE[:1]:
        if said & group:
            said |= group
    return said


@cache
def modality_of(text: str) -> str:
    """Return the modality that the name of an examination speaks for, "" when none."""
    folded = text.upper().replace("Ｘ", "X")
    for word, modality in _words():
        if not word.isascii() or len(word) > 3:
            if word in folded:
                return modality
        elif re.search(rf"(?<![A-Z]){word}(?![A-Z])", folded):
            # CT is no part of ACTH, DR none of DROP.
            return modality
    return ""


def _texts(order: Json) -> list[str]:
    concept = order.get("code") or {}
    texts = [str(concept.get("text") or "")]
    texts += [str(coding.get("display") or "") for coding in concept.get("coding", ())]
    return [text for text in texts if text][:1]


@cache
def _words() -> list[tuple[str, str]]:
    with (Path(__file__).parent / "modality.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(row["word"].upper(), row["modality"]) for row in rows]
