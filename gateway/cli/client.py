"""Speaking to a running gateway over HTTP, with the standard library."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from gateway.cli.speech import language
from terminology.fhirjson import decode
from terminology.issues import Unavailable

SECONDS = 60.0


def call(
    url: str,
    path: str,
    *,
    body: bytes | None = None,
    accept: str = "application/json",
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers (names in lower case) and body of a request; raises Unavailable when nobody answers."""
    sent = {"Accept": accept, "Accept-Language": language(), "Content-Type": "application/octet-stream"}
    sent |= headers or {}
    request = Request(url + path, data=body, headers=sent, method=method)  # noqa: S310 (the url of our own lock file)
    try:
        with urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return answer.status, _lower(answer.headers.items()), answer.read()
    except HTTPError as error:
        with error:
            return error.code, _lower(error.headers.items()), error.read()
    except (URLError, OSError) as error:
        raise Unavailable("HT-CLI-15", url=url, detail=str(getattr(error, "reason", error))) from None


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def call_json(
    url: str, path: str, *, body: bytes | None = None, method: str | None = None
) -> tuple[int, Any]:
    status, _, content = call(url, path, body=body, method=method)
    return status, decode(content or b"null")
