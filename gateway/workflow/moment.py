"""Moments in resources: FHIR's dateTime may be a year, a month or a day, which no time limit can be counted from."""

from datetime import datetime


def read_moment(text: object) -> datetime | None:
    """Return a dateTime that has time and zone; None for everything else (https://hl7.org/fhir/R4/datatypes.html#dateTime)."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
