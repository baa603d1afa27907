"""Leads ↔ SampledData components of an Observation (https://hl7.org/fhir/R4/datatypes.html#SampledData).

`data` are the device's own counts, `factor` its µV a count, `origin` the µV of count 0: nothing is rounded, so that
aECG, SCP-ECG and DICOM of one recording give the same numbers. A sample that the device doesn't have is "E".
"""

from decimal import Decimal, InvalidOperation

from mappings.ecg.codes import codes
from mappings.ecg.recording import Lead, Recording
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

UCUM = "http://unitsofmeasure.org"
MOST_VALUES = 2_000_000
_MICROVOLTS = {"uV": Decimal(1), "mV": Decimal(1000), "V": Decimal(1_000_000), "nV": Decimal("0.001")}


def to_component(lead: Lead) -> Json:
    """Return the component of one lead; a lead without a known voltage has the unit 1."""
    unit = "uV" if lead.factor is not None else "1"
    return {
        "code": lead_code(lead.label),
        "valueSampledData": {
            "origin": {"value": lead.origin, "unit": unit, "system": UCUM, "code": unit},
            "period": lead.period,
            **({"factor": lead.factor} if lead.factor is not None else {}),
            "dimensions": 1,
            "data": data_of(lead),
        },
    }


def lead_code(label: str) -> Json:
    """Return the CodeableConcept of a lead: MDC, its short name as text."""
    row = codes().leads.get(label)
    if row is None:
        return {"text": label}
    return {"coding": [{"system": codes().mdc, "code": row.code, "display": row.display}], "text": label}


def data_of(lead: Lead) -> str:
    import numpy

    finite = numpy.isfinite(lead.counts)
    if finite.all():
        return " ".join(map(str, lead.counts.astype(numpy.int64).tolist()))
    numbers = numpy.where(finite, lead.counts, 0).astype(numpy.int64).tolist()
    return " ".join(
        str(value) if known else "E" for value, known in zip(numbers, finite.tolist(), strict=True)
    )


def read_components(observation: Json) -> Recording | None:
    """Return the leads that an Observation holds as SampledData, None when it holds none.

    E (no value), L (below) and U (above the limit) become gaps. Raises InvalidInput (HT-ECG-31) for data that are none.
    """
    import numpy

    leads: list[Lead] = []
    for row in observation.get("component", ()):
        sampled = row.get("valueSampledData") if isinstance(row, dict) else None
        if not isinstance(sampled, dict) or not sampled.get("data"):
            continue
        words = str(sampled["data"]).split()
        try:
            if len(words) > MOST_VALUES or sampled.get("dimensions", 1) != 1:
                raise ValueError
            period = float(sampled["period"])
            values = [float("nan") if word in ("E", "U", "L") else float(word) for word in words]
            origin = sampled.get("origin") or {}
            scale = _MICROVOLTS.get(str(origin.get("code") or origin.get("unit")))
            factor = Decimal(str(sampled.get("factor", 1))) * scale if scale else None
            start = Decimal(str(origin.get("value") or 0)) * (scale or 1)
            leads.append(
                Lead(_label(row.get("code") or {}), numpy.array(values), 1000 / period, factor, start)
            )
        except (KeyError, TypeError, ValueError, InvalidOperation, ZeroDivisionError, AttributeError):
            raise InvalidInput(
                "HT-ECG-31",
                name="Observation.component.valueSampledData",
                value=str(sampled.get("data"))[:40],
            ) from None
    if not leads:
        return None
    return Recording("fhir", "FHIR Observation", "application/fhir+json", tuple(leads))


def _label(code: Json) -> str:
    for coding in code.get("coding", ()):
        found = codes().label(str(coding.get("code"))) if coding.get("system") == codes().mdc else None
        if found:
            return found
    return str(
        code.get("text")
        or next((row.get("display") for row in code.get("coding", ()) if row.get("display")), "?")
    )
