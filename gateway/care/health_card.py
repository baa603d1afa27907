"""The QR code of an electronic health card: read, proven, still valid (china §5, row 19).

The layout is the pack `health-card`; the proof is an HMAC over SM3 (GM/T 0004; hashlib with OpenSSL). A forged code
is told nothing else, so the proof is looked at before the time.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from terminology.issues import BusinessRule, Forbidden, InvalidInput

LONGEST = 512


@dataclass(frozen=True, slots=True)
class Card:
    """`index`: the main index of the card, 64 hexadecimal digits, as it stands in the code."""

    index: str
    expires: datetime


def read_card(content: str, rules: dict[str, Any], key: bytes, *, now: datetime) -> Card:
    """Return what a code says. Raises InvalidInput for no code (HT-HC-01), Forbidden for a forged (02) or expired one (03), BusinessRule for a pack that cannot be used (08)."""
    text = content.strip()
    for form in rules["forms"] if len(text) <= LONGEST else ():
        try:
            found = re.fullmatch(form["pattern"], text, re.ASCII)
            if found is not None:
                return _proven(found, form, rules, key, now)
        except (re.error, KeyError, TypeError, AttributeError) as error:
            raise BusinessRule("HT-HC-08", detail=f"{type(error).__name__}: {error}"[:200]) from None
    raise InvalidInput("HT-HC-01", length=len(content))


def mac_of(signed: str, key: bytes) -> str:
    """Return the proof of a code: HMAC-SM3 in lower-case hexadecimal."""
    return hmac.new(key, signed.encode(), "sm3").hexdigest()


def _proven(
    found: "re.Match[str]", form: dict[str, Any], rules: dict[str, Any], key: bytes, now: datetime
) -> Card:
    parts = found.groupdict()
    wanted = mac_of(form["signed"].format_map(parts), key)
    if not hmac.compare_digest(wanted, parts["mac"].lower()):
        raise Forbidden("HT-HC-02")
    expires = _moment(parts["expires"], form["time"], now.tzinfo)
    if expires is None:
        raise InvalidInput("HT-HC-01", length=len(found[0]))
    if expires < now:
        raise Forbidden("HT-HC-03", expires=expires.isoformat(timespec="seconds"))
    if expires > now + timedelta(seconds=float(rules["longest_seconds"])):
        raise Forbidden("HT-HC-04", seconds=rules["longest_seconds"])
    return Card(parts["index"], expires)


def _moment(text: str, form: str, zone: tzinfo | None) -> datetime | None:
    try:
        return datetime.strptime(text, form).replace(tzinfo=zone)
    except ValueError:
        return None
