"""Matching of worklist keys: single value, list of UIDs, wild card, range, universal (PS3.4 §C.2.2.2)."""

import re
from fnmatch import translate
from functools import lru_cache
from typing import Any

from gateway.imaging.names import person_name
from terminology.fhirjson import Json
from terminology.hanzi import fold

STEP = "ScheduledProcedureStepSequence"


def matches(step: Json, asked: Json) -> bool:
    """Whether a step fits every key with a value; keys that a worklist does not match on are only returned."""
    own, wanted = first_item(step[STEP]), first_item(asked.get(STEP))
    kind = str(wanted.get("Modality") or "")
    if kind and step["_kinds"] and not any(_fits(found, kind) for found in step["_kinds"]):
        return False
    # What kind of device an order needs may not be known: it is better seen on every worklist than on none.
    if step["_has_station"] and not _fits(
        own["ScheduledStationAETitle"], _text(wanted.get("ScheduledStationAETitle"))
    ):
        return False
    if not _in_range(
        own["ScheduledProcedureStepStartDate"], _text(wanted.get("ScheduledProcedureStepStartDate"))
    ):
        return False
    if not _in_range(
        own["ScheduledProcedureStepStartTime"], _text(wanted.get("ScheduledProcedureStepStartTime"))
    ):
        return False
    for keyword in (
        "AccessionNumber",
        "PatientID",
        "RequestedProcedureID",
        "StudyInstanceUID",
        "PatientSex",
        "PatientBirthDate",
    ):
        if not _fits(str(step[keyword]), _text(asked.get(keyword))):
            return False
    for keyword in ("ScheduledProcedureStepID", "ScheduledProcedureStepStatus"):
        if not _fits(str(own[keyword]), _text(wanted.get(keyword))):
            return False
    return _fits_name(step["_patient"], _text(asked.get("PatientName")))


def _fits(value: str, pattern: str) -> bool:
    if not pattern:
        return True
    if "\\" in pattern:
        return any(_fits(value, part) for part in pattern.split("\\"))
    return _matcher(pattern)(value.strip()) is not None


def _fits_name(patient: Json, pattern: str) -> bool:
    """A name fits in any of its writings, with or without the delimiter of its parts."""
    if not pattern.strip("*^= "):
        return True
    written = person_name(patient, with_characters=True)
    forms = [written, *written.split("="), *(str(row.get("text", "")) for row in patient.get("name", ()))]
    patterns = {pattern, *(part for part in pattern.split("=") if part.strip("*^ "))}
    for wanted in patterns:
        plain = wanted.replace("^", "").replace(" ", "")
        for form in forms:
            bare = form.replace("^", "").replace(" ", "")
            if _matcher(wanted.rstrip("^"))(form.rstrip("^")) or _matcher(fold(plain))(fold(bare)):
                return True
    return False


@lru_cache(maxsize=512)
def _matcher(pattern: str) -> Any:
    # Only * and ? are wild; a bracket is a bracket.
    text = pattern.replace("[", "[[]")
    return re.compile(translate(text), re.IGNORECASE).match


def _in_range(value: str, wanted: str) -> bool:
    """A date or time, or a range of them with either end open; a shorter bound holds for all that begin with it."""
    wanted = wanted.replace(":", "").replace(".", "") if "-" not in wanted else wanted
    if not wanted or wanted == "*":
        return True
    if "-" not in wanted:
        return value.startswith(wanted) or wanted.startswith(value)
    low, _, high = wanted.partition("-")
    low, high = low.strip().split(".")[0], high.strip().split(".")[0]
    return (not low or value >= low) and (not high or value[: len(high)] <= high)


def is_pattern(text: str) -> bool:
    return any(mark in text for mark in "*?\\")


def first_item(value: Any) -> Json:
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _text(value: Any) -> str:
    return "\\".join(str(part) for part in value) if isinstance(value, list) else str(value or "")
