"""What the store adds to a resource: version and instant (https://hl7.org/fhir/R4/resource.html#meta)."""

from datetime import UTC, datetime, timedelta, timezone
from time import time_ns

from terminology.fhirjson import Json, decode_resource, encode

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """Return microseconds since 1970 UTC in whole milliseconds, so that the instant in the body is exact."""
    return time_ns() // 1_000_000 * 1000


def to_datetime(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def to_micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


class Clock:
    """Writes instants of one zone; the text up to the second is kept, a batch shares it."""

    def __init__(self, offset_minutes: int = 480) -> None:
        self._zone = timezone(timedelta(minutes=offset_minutes))
        self._second = -1
        self._text = ("", "")

    def text(self, micros: int) -> str:
        second, rest = divmod(micros, 1_000_000)
        if second != self._second:
            whole = to_datetime(second * 1_000_000).astimezone(self._zone).isoformat()
            self._text = (whole[:19], whole[19:])
            self._second = second
        return f"{self._text[0]}.{rest // 1000:03d}{self._text[1]}"


def stamped(resource: Json, version: int, instant: str) -> bytes:
    """Return the JSON of `resource` with meta.versionId and meta.lastUpdated; the argument stays as it is."""
    meta = resource.get("meta")
    kept = (
        {name: value for name, value in meta.items() if name not in STAMPS} if isinstance(meta, dict) else {}
    )
    stamped = HEAD | resource
    stamped["meta"] = {"versionId": str(version), "lastUpdated": instant, **kept}
    return encode(stamped)


# These come first, whatever the order in which they were sent.
HEAD: Json = {"resourceType": None, "id": None, "meta": None}
STAMPS = ("versionId", "lastUpdated", "_versionId", "_lastUpdated")


def is_same(resource: Json, body: bytes) -> bool:
    """Return whether `resource` says nothing new beside the stored `body`, version and instant aside."""
    return encode(_bare(resource)) == encode(_bare(decode_resource(body)))


def _bare(resource: Json) -> Json:
    meta = resource.get("meta") or {}
    kept = {name: value for name, value in meta.items() if name not in STAMPS}
    rest = {name: value for name, value in sorted(resource.items()) if name != "meta"}
    return rest | {"meta": kept} if kept else rest
