"""A FHIR response as a value; `gateway/rest/render.py` turns it into bytes of the negotiated format."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from gateway.rest.request import Request
from gateway.store.protocol import Version
from terminology.fhirjson import Json


@dataclass(slots=True)
class Response:
    """`resource` is a tree (may hold `msgspec.Raw` for stored resources), `stored` a resource as the store keeps it.

    `content` with `media_type` is an answer that is no resource (a Binary's bytes, a page). At most one of the three.
    """

    status: int = 200
    resource: Json | None = None
    stored: bytes | None = None
    content: bytes | None = None
    media_type: str = ""
    last_updated: datetime | None = None
    headers: dict[str, str] = field(default_factory=dict)


def version_headers(version: Version) -> dict[str, str]:
    """Return ETag and Last-Modified of a version (http.html#versioning)."""
    return {"ETag": f'W/"{version.version}"', "Last-Modified": http_date(version.last_updated)}


@lru_cache(maxsize=1024)
def http_date(instant: datetime) -> str:
    """Return the RFC 9110 form of an instant, whole seconds."""
    return format_datetime(instant.astimezone(UTC), usegmt=True)


def location(request: Request, version: Version) -> str:
    """Return the version-specific URL of what was written (http.html#create)."""
    return f"{request.base}/{version.type}/{version.id}/_history/{version.version}"
