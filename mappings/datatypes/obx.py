"""OBX → Observation.value[x]: by OBX-2, and by what is really there; and why there is none.

A Chinese laboratory writes ">100", "阴性" or "3.5～9.5" whatever OBX-2 says: numbers become quantities, words stay words.
"""

from collections.abc import Callable
from typing import Any

from mappings.datatypes import dtm
from mappings.datatypes.cwe import concept_of
from mappings.datatypes.extension import filled
from mappings.datatypes.nm import quantity, range_of, structured, unit_of
from mappings.hl7v2.message import Segment
from mappings.language.converters import Context, converter
from terminology.fhirjson import Json

Typed = tuple[str, Any] | None
Reader = Callable[[Segment, str, Context], Typed]


@converter("obxvalue", is_cached=True, returns="[x]", reads={"OBX": (2, 5, 6)})
def to_value(segment: Segment, context: Context) -> Typed:
    """The value of an OBX as (type, value); None when it has none or it goes elsewhere (ED, RP: converter `attachment`)."""
    repetitions = [text for text in segment.repetitions(5) if text not in ("", '""')]
    if not repetitions:
        return None
    kind = (segment.raw(2) or "ST").strip().upper()
    if len(repetitions) > 1 and kind not in ("CWE", "CE", "CNE", "CF", "IS", "ID"):
        text = ("\n" if kind in ("TX", "FT", "ST") else "~").join(context.text(text) for text in repetitions)
        return ("string", text) if kind not in ("ED", "RP") else None
    reader = _READERS.get(kind, _string)
    found = reader(segment, repetitions[0], context)
    if found and len(repetitions) > 1 and found[0] == "CodeableConcept":
        for more in repetitions[1:]:
            extra = concept_of(context.components(more), context)
            if extra:
                found[1].setdefault("coding", []).extend(extra.get("coding", ()))
    return found


@converter("absent", is_cached=True, returns="CodeableConcept", reads={"OBX": (5, 11)})
def to_absent_reason(segment: Segment, context: Context) -> Json | None:
    """Why an OBX without value has none: X says that it can't be obtained."""
    if any(text not in ("", '""') for text in segment.repetitions(5)):
        return None
    status = segment.raw(11)
    if status == "O":
        # Ordered, not yet observed: nothing is missing.
        return None
    coding = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason"}
    if status == "X":
        return {"coding": [{**coding, "code": "error"}], "text": "cannot-be-obtained"}
    return {
        "coding": [{**coding, "code": {"N": "not-performed", "I": "temp-unknown"}.get(status, "unknown")}]
    }


def _number(segment: Segment, value: str, context: Context) -> Typed:
    text = context.text(value)
    if text in ("", '""'):
        return None
    unit = unit_of(segment.raw(6), context)
    found = quantity(text, unit)
    if found:
        return "Quantity", found
    between = range_of(text, unit)
    if between:
        return "Range", between
    context.flag("HT-DT-03", value=text[:60])
    return "string", text


def _string(segment: Segment, value: str, context: Context) -> Typed:
    text = context.text(value).strip()
    if not text:
        return None
    if segment.raw(6) and text[-1:].isdigit():
        # Analysers declare ST for every result; a number with a unit is a quantity.
        found = quantity(text, unit_of(segment.raw(6), context))
        if found:
            return "Quantity", found
    return "string", text


def _text(segment: Segment, value: str, context: Context) -> Typed:
    text = context.text(value).rstrip()
    return ("string", text) if text.strip() else None


def _structured(segment: Segment, value: str, context: Context) -> Typed:
    return structured(context.components(value), unit_of(segment.raw(6), context))


def _concept(segment: Segment, value: str, context: Context) -> Typed:
    found = concept_of(context.components(value), context)
    return (
        ("CodeableConcept", {**found, **({"coding": list(found["coding"])} if "coding" in found else {})})
        if found
        else None
    )


def _moment(segment: Segment, value: str, context: Context) -> Typed:
    found = dtm.to_datetime(value, context)
    return ("dateTime", found) if found else _text(segment, value, context)


def _time(segment: Segment, value: str, context: Context) -> Typed:
    found = dtm.to_time(value, context)
    return ("time", found) if found else _text(segment, value, context)


def _range(segment: Segment, value: str, context: Context) -> Typed:
    low, high, *_ = [*context.components(value), "", ""]
    unit = unit_of(segment.raw(6), context)
    found = filled({"low": quantity(low, unit), "high": quantity(high, unit)})
    return ("Range", found) if found else _text(segment, value, context)


def _period(segment: Segment, value: str, context: Context) -> Typed:
    found = dtm.to_period(value, context)
    return ("Period", found) if found else _text(segment, value, context)


def _composite(segment: Segment, value: str, context: Context) -> Typed:
    parts = context.components(value)
    unit = None
    if len(parts) > 1:
        inner = [*context.subcomponents(value, 2), "", ""]
        unit = unit_of(context.delimiters.component.join(inner[:3]), context)
    found = quantity(parts[0], unit or unit_of(segment.raw(6), context))
    return ("Quantity", found) if found else _text(segment, value, context)


def _readable(segment: Segment, value: str, context: Context) -> Typed:
    """Types that no value[x] has (names, addresses, identifiers): their parts as one text."""
    text = " ".join(part for part in context.components(value) if part)
    return ("string", text) if text else None


def _nothing(segment: Segment, value: str, context: Context) -> Typed:
    return None


_READERS: dict[str, Reader] = {
    "NM": _number,
    "SN": _structured,
    "NR": _range,
    "CQ": _composite,
    "MO": _composite,
    "CP": _composite,
    "ST": _string,
    "TX": _text,
    "FT": _text,
    "SI": _number,
    "CE": _concept,
    "CWE": _concept,
    "CNE": _concept,
    "CF": _concept,
    "IS": _concept,
    "ID": _concept,
    "DT": _moment,
    "DTM": _moment,
    "TS": _moment,
    "TM": _time,
    "DR": _period,
    "CX": _readable,
    "EI": _readable,
    "XPN": _readable,
    "XCN": _readable,
    "XAD": _readable,
    "AD": _readable,
    "XTN": _readable,
    "TN": _readable,
    "XON": _readable,
    "PN": _readable,
    "HD": _readable,
    "ED": _nothing,
    "RP": _nothing,
}
