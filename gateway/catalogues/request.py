"""What a request to `/catalogues` or `/codes` says: file, column map, flags, days, counts; 400 for what cannot be read."""

import tomllib
from datetime import date
from typing import Any

from gateway.rest.request import Request
from terminology.catalogue.row import Table
from terminology.fhirjson import Json, decode
from terminology.issues import FhirError, InvalidInput

MAX_UPLOAD = 64 * 1024 * 1024
MAX_BODY = 1024 * 1024
MAX_ROWS = 1_000
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
EXTENSIONS = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "application/fhir+json": "json",
    "application/x-ndjson": "ndjson",
    "application/fhir+ndjson": "ndjson",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/zip": "zip",
    "application/gzip": "tgz",
    XLSX: "xlsx",
}


def uploaded(request: Request, body: bytes) -> Table:
    """Return the table of a raw body: its name from `name=` or the Content-Type, its column map from `columns=`."""
    from terminology.catalogue.load import load_table

    if not body:
        raise InvalidInput("HT-CAT-08")
    return load_table(file_name(request), body, columns(request))


def columns(request: Request) -> dict[str, Any]:
    """Return the column map, JSON or TOML as in a --columns file."""
    written = request.param("columns")
    if not written:
        return {}
    try:
        found = decode(written.encode()) if written.lstrip().startswith("{") else tomllib.loads(written)
    except (FhirError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("HT-CAT-62", name="columns", value=written[:80], expected="JSON / TOML")
    return found


def file_name(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.param("name") or f"upload.{EXTENSIONS.get(kind, 'csv')}"


def read_json(body: bytes) -> Json:
    """Return a JSON object; no body is an empty one."""
    try:
        found = decode(body) if body.strip() else {}
    except (FhirError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(
            "HT-CAT-62", name="body", value=body[:40].decode("utf-8", "replace"), expected="JSON {…}"
        )
    return found


def needed(request: Request, name: str) -> str:
    value = request.param(name)
    if not value:
        raise InvalidInput("HT-CAT-62", name=name, value="", expected=f"?{name}=…")
    return value


def flag(request: Request, name: str) -> bool:
    return choice(request, name, ("true", "false"), "false") == "true"


def choice(request: Request, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = request.param(name) or default
    if value not in allowed:
        raise InvalidInput("HT-CAT-62", name=name, value=value[:40], expected=" | ".join(allowed))
    return value


def text(body: Json, name: str) -> str | None:
    """Return a text of a JSON body."""
    value = body.get(name)
    if value is None or (isinstance(value, str) and len(value) <= 1_000):
        return value or None
    raise InvalidInput("HT-CAT-62", name=name, value=str(value)[:40], expected="string")


def whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise InvalidInput("HT-CAT-62", name=name, value=value[:40], expected="0, 1, 2 …")
    return int(value)


def count_of(request: Request, default: int = 100) -> int:
    """Return the page size that `count` asks for, at most 1,000."""
    return min(whole("count", request.param("count") or str(default)), MAX_ROWS)


def day(name: str, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise InvalidInput("HT-CAT-62", name=name, value=str(value)[:40], expected="YYYY-MM-DD") from None
