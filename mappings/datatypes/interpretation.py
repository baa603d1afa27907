"""OBX-8 (table 0078) and what analysers print instead → Observation.interpretation."""

from mappings.datatypes.cwe import concept_of
from mappings.datatypes.extension import filled
from mappings.datatypes.nm import tidy
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_FLAGS = frozenset(
    [
        "<",
        ">",
        "A",
        "AA",
        "AC",
        "B",
        "CAR",
        "Carrier",
        "D",
        "DET",
        "E",
        "EXP",
        "H",
        "H>",
        "HH",
        "HM",
        "HU",
        "HX",
        "I",
        "IE",
        "IND",
        "L",
        "L<",
        "LL",
        "LU",
        "LX",
        "MS",
        "N",
        "NCL",
        "ND",
        "NEG",
        "NR",
        "NS",
        "OBX",
        "POS",
        "QCF",
        "R",
        "RR",
        "S",
        "SDD",
        "SYN-R",
        "SYN-S",
        "TOX",
        "U",
        "UNE",
        "VS",
        "W",
        "WR",
        "EX",
        "NAR",
    ]
)
# What analysers print instead of table 0078.
_SPELLINGS = {
    "↑": "H",
    "↑↑": "HH",
    "↓": "L",
    "↓↓": "LL",
    "偏高": "H",
    "高": "H",
    "偏低": "L",
    "低": "L",
    "正常": "N",
    "M": "N",
    "NORMAL": "N",
    "异常": "A",
    "ABNORMAL": "A",
    "*": "A",
    "阳性": "POS",
    "阴性": "NEG",
    "+": "POS",
    "-": "NEG",
    "危急": "AA",
    "危急值": "AA",
    "敏感": "S",
    "耐药": "R",
    "中介": "I",
    "P": "POS",
    "Q": "NEG",
    "WNL": "N",
    "HIGH": "H",
    "LOW": "L",
}
_DISPLAYS = {
    "H": "High",
    "L": "Low",
    "HH": "Critical high",
    "LL": "Critical low",
    "N": "Normal",
    "A": "Abnormal",
    "AA": "Critical abnormal",
    "POS": "Positive",
    "NEG": "Negative",
    "S": "Susceptible",
    "I": "Intermediate",
    "R": "Resistant",
}


@converter("interpretation", returns="CodeableConcept", is_cached=True)
def to_interpretation(value: str, context: Context) -> Json | None:
    """One repetition of OBX-8 → the HL7 interpretation, the sender's own words beside it."""
    parts = [*(part.strip() for part in context.components(value)), "", ""]
    code = parts[0]
    word = tidy(code)
    known = word if word in _FLAGS else _SPELLINGS.get(word.upper()) or _SPELLINGS.get(code)
    if parts[2] or (parts[1] and not known):
        concept = concept_of(parts, context, system="http://terminology.hl7.org/CodeSystem/v2-0078") or {}
        if known:
            codings = [_flag(known), *concept.get("coding", ())]
            return {**concept, "coding": codings}
        return concept or None
    if known:
        text = parts[1] or (code if code != known else "")
        return filled({"coding": [_flag(known)], "text": text})
    if not word:
        return None
    context.unmapped("interpretation", system=None, code=code, display=None)
    return {"text": code}


def _flag(code: str) -> Json:
    display = _DISPLAYS.get(code)
    return {"system": INTERPRETATION, "code": code} | ({"display": display} if display else {})
