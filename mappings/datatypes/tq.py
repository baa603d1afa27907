"""TQ, TQ1, RI → Timing and priority. Table 0485 and the words of Chinese order systems → request-priority."""

from mappings.datatypes import dtm
from mappings.datatypes.extension import filled
from mappings.datatypes.nm import number, quantity
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

PRIORITIES = {
    "S": "stat",
    "STAT": "stat",
    "A": "asap",
    "ASAP": "asap",
    "R": "routine",
    "ROUTINE": "routine",
    "P": "urgent",
    "C": "urgent",
    "T": "urgent",
    "U": "urgent",
    "UR": "urgent",
    "E": "urgent",
    "急": "stat",
    "急诊": "stat",
    "加急": "urgent",
    "抢救": "stat",
    "平": "routine",
    "普通": "routine",
    "常规": "routine",
    "0": "routine",
    "1": "urgent",
    "2": "stat",
}
# GTS abbreviations of table 0335 and of prescriptions: times a period.
_CODES = {
    "QD": "QD",
    "BID": "BID",
    "TID": "TID",
    "QID": "QID",
    "AM": "AM",
    "PM": "PM",
    "QOD": "QOD",
    "Q4H": "Q4H",
    "Q6H": "Q6H",
}
_ABBREVIATIONS = "http://terminology.hl7.org/CodeSystem/v3-GTSAbbreviation"


@converter("priority", returns="code", is_cached=True)
def to_priority(value: str, context: Context) -> str | None:
    """A priority of TQ1-9, ORC-7.6, OBR-5 or a Chinese word → request-priority; others go to the work list."""
    parts = context.components(value)
    for text in (parts[0], parts[1] if len(parts) > 1 else ""):
        found = PRIORITIES.get(text.strip().upper())
        if found:
            return found
    if parts[0].strip():
        context.unmapped("priority", system=None, code=parts[0].strip(), display=None)
    return None


@converter("timing", returns="Timing", reads={"TQ1": (2, 3, 4, 7, 8, 11, 13, 14)})
def to_timing(segment: Segment, context: Context) -> Json | None:
    """TQ1 → Timing: start and end as bounds, the repeat pattern as code, explicit times of day, number of times."""
    codes = [context.subcomponents(text, 1)[0] for text in segment.repetitions(3)]
    known = next((code.upper() for code in codes if code.upper() in _CODES), None)
    occurrences = number(segment.get(14) or "")
    times = [text for part in segment.repetitions(4) if (text := dtm.to_time(part, context))]
    duration = quantity(context.components(segment.raw(13))[0], None) if segment.raw(13) else None
    repeat = filled(
        {
            "boundsPeriod": dtm.period(segment.get(7) or "", segment.get(8) or "", context),
            "count": int(occurrences) if occurrences and occurrences == int(occurrences) > 0 else None,
            "timeOfDay": times,
        }
    )
    text = " ".join(
        part for part in (context.text(segment.raw(11)), *(code for code in codes if code != known)) if part
    )
    code = filled(
        {
            "coding": [{"system": _ABBREVIATIONS, "code": _CODES[known]}] if known else None,
            "text": text or (codes[0] if codes and not known else None),
        }
    )
    if duration is None and repeat is None and code is None:
        return None
    return filled({"repeat": repeat, "code": code})


@converter("tq_period", returns="Period", is_cached=True)
def to_period(value: str, context: Context) -> Json | None:
    """TQ of ORC-7 and OBR-27: start in its fourth, end in its fifth component."""
    parts = [*context.components(value), *[""] * 6]
    return dtm.period(parts[3], parts[4], context)
