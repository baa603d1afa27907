"""Parameters of the lists beside FHIR (`/messages`, `/deliveries`, `/imaging`): whole numbers and instants."""

import re
from datetime import datetime

from gateway.rest.request import Request
from terminology.issues import InvalidInput

NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
INSTANT = "2026-03-15T08:00:00+08:00"


def instant(request: Request, name: str) -> int | None:
    """Return a date or an instant in milliseconds since 1970, None when it is not there; raises InvalidInput (HT-MSG-12)."""
    text = request.param(name)
    if text is None:
        return None
    try:
        # A "+" of an unescaped offset arrives as a space.
        value = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise InvalidInput("HT-MSG-12", name=name, value=text[:40], expected=INSTANT) from None
    return int((value if value.tzinfo else value.astimezone()).timestamp() * 1000)


def whole_number(request: Request, name: str, default: int) -> int:
    """Return a number of at most 18 digits, `default` when it is not there; raises InvalidInput (HT-MSG-12)."""
    text = request.param(name)
    if text is None:
        return default
    if not NUMBER.fullmatch(text):
        raise InvalidInput("HT-MSG-12", name=name, value=text[:40], expected="0, 1, 2 …")
    return int(text)
