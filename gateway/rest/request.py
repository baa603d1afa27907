"""A FHIR request as a value: no framework type passes the ASGI edge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.rest.negotiate import Format
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Language

if TYPE_CHECKING:
    from gateway.operations.registry import Operation

Params = list[tuple[str, str]]


@dataclass(slots=True)
class Request:
    """One request. `base` is the absolute FHIR base without a slash at its end, `path` what follows it, decoded.

    `type`, `id`, `version`, `operation` are what the route found in the path. Header names are in lower case.
    `request_id` goes into logs, X-Request-Id and every OperationOutcome. `resource` is the body already parsed and
    `is_nested` true for an entry of a batch or transaction.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    base: str = "http://localhost/fhir"
    request_id: str = ""
    type: str | None = None
    id: str | None = None
    version: str | None = None
    compartment: str | None = None
    operation: "Operation | None" = None
    format: Format = "json"
    resource: Json | None = None
    is_nested: bool = False
    _params: Params | None = None

    @property
    def params(self) -> Params:
        """The URL's parameters in order, decoded; raises InvalidInput when they are not UTF-8 or too many."""
        if self._params is None:
            self._params = read_params(self.query)
        return self._params

    def param(self, name: str) -> str | None:
        """Return the last value of a parameter, None when it isn't there."""
        if not self.query and self._params is None:
            return None
        return next((value for key, value in reversed(self.params) if key == name), None)

    @property
    def language(self) -> Language:
        return language(self.headers.get("accept-language", ""))

    def preference(self, name: str) -> str | None:
        """Return a preference of the Prefer header (RFC 7240): `return`, `handling`, `respond-async` ("")."""
        header = self.headers.get("prefer")
        if not header:
            return None
        for part in header.replace(",", ";").split(";"):
            key, _, value = part.partition("=")
            if key.strip().lower() == name:
                return value.strip().strip('"').lower()
        return None


def read_params(query: str) -> Params:
    """Return the pairs of a query string or form body, blank values kept (search.html#escaping is not undone)."""
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise InvalidInput("HT-REST-10", detail=str(error)) from None


def language(header: str) -> Language:
    """Return the language of texts that the Accept-Language header prefers; Chinese when it says nothing."""
    best, weight = "zh", 0.0
    for part in header.split(","):
        tag, _, rest = part.strip().partition(";")
        primary = tag.strip().lower().partition("-")[0]
        if primary not in ("zh", "en"):
            continue
        quality = rest.strip().removeprefix("q=")
        try:
            given = float(quality) if quality else 1.0
        except ValueError:
            given = 0.0
        if given > weight:
            best, weight = primary, given
    return "en" if best == "en" else "zh"


def etag_version(header: str, name: str) -> int | None:
    """Return the version number of a weak or strong ETag; None for a tag that no version of ours can have.

    http.html#versioning: ETags are the versionId, weak: W/"3". Raises InvalidInput when it isn't an ETag at all.
    """
    tag = header.strip().removeprefix("W/")
    if len(tag) < 2 or tag[0] != '"' or tag[-1] != '"':
        # Many clients send the bare number; it can mean only one thing.
        if tag.isascii() and tag.isdigit() and len(tag) < 16:
            return int(tag)
        raise InvalidInput("HT-REST-11", header=name, value=header[:80])
    inner = tag[1:-1]
    return int(inner) if inner.isascii() and inner.isdigit() and len(inner) < 16 else None


def http_date(header: str, name: str) -> datetime:
    """Return the instant of an HTTP date (RFC 9110 §5.6.7); raises InvalidInput."""
    try:
        value = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        raise InvalidInput("HT-REST-12", header=name, value=header[:80]) from None
    if value.tzinfo is None:
        raise InvalidInput("HT-REST-12", header=name, value=header[:80])
    return value
