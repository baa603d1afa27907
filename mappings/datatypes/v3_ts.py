"""TS, IVL_TS → dateTime, date, instant, Period: precision kept, the source's zone where the sender gives none.

A time may stand in `@value`, in `<low>`, `<any>` or `<center>`, or in the text. The rules of the text are those of
HL7 v2 (mappings/datatypes/dtm.py): both write 20260315083012+0800.
"""

from mappings.datatypes.dtm import period, to_date, to_datetime, to_instant
from mappings.language.converters import Context, converter
from mappings.xml.tree import Element
from terminology.fhirjson import Json

_PLACES = ("any", "center", "low", "high", "value")


@converter("ts", returns="dateTime")
def to_time(value: Element | str, context: Context) -> str | None:
    text = text_of(value)
    found = to_datetime(text, context) if text else None
    return str(found) if found else None


@converter("ts_date", returns="date")
def to_day(value: Element | str, context: Context) -> str | None:
    text = text_of(value)
    found = to_date(text, context) if text else None
    return str(found) if found else None


@converter("ts_instant", returns="instant")
def to_moment(value: Element | str, context: Context) -> str | None:
    text = text_of(value)
    found = to_instant(text, context) if text else None
    return str(found) if found else None


@converter("ivl", returns="Period")
def to_interval(value: Element | str, context: Context) -> Json | None:
    """low … high; a single time is the start."""
    if isinstance(value, str):
        return period(value, "", context)
    low, high = value.first("low"), value.first("high")
    if low is None and high is None:
        return period(text_of(value), "", context)
    return period(
        low.own_text() if low is not None else "", high.own_text() if high is not None else "", context
    )


def text_of(value: Element | str) -> str:
    """Return the text of a time, wherever in the element it stands."""
    if isinstance(value, str):
        return value
    found = value.own_text()
    for name in _PLACES if not found or value.children else ():
        inner = value.first(name)
        if inner is not None and (said := inner.own_text()):
            return said
    return found
