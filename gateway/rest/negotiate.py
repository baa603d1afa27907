"""Which format and FHIR version a request speaks and wants (https://hl7.org/fhir/R4/http.html#mime-type)."""

from functools import lru_cache
from typing import Literal

from terminology.issues import NotAcceptable, UnsupportedMedia

Format = Literal["json", "xml"]

MEDIA_TYPES: dict[Format, str] = {
    "json": "application/fhir+json; charset=utf-8; fhirVersion=4.0",
    "xml": "application/fhir+xml; charset=utf-8; fhirVersion=4.0",
}

# http.html#parameters: the short names and the media types of earlier versions are understood too.
NAMES: dict[str, Format] = {
    "json": "json",
    "application/json": "json",
    "application/fhir+json": "json",
    "application/json+fhir": "json",
    "text/json": "json",
    "xml": "xml",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/fhir+xml": "xml",
    "application/xml+fhir": "xml",
}
ANYTHING = {"*/*", "application/*", "text/html", "application/xhtml+xml", "text/*", ""}

VERSIONS = {"4.0", "4.0.1"}


@lru_cache(maxsize=1024)
def accepted(accept: str, parameter: str | None) -> Format:
    """Return the format of the answer: `_format` decides over Accept; JSON when neither says anything.

    Raises NotAcceptable for a format or FHIR version that this server doesn't speak.
    """
    if parameter is not None:
        # A "+" of an unescaped application/fhir+json arrives as a space.
        media, version = _media(parameter.replace(" ", "+") if ";" not in parameter else parameter)
        if media.replace(" ", "+") not in NAMES or version not in VERSIONS:
            raise NotAcceptable("HT-REST-20", value=parameter[:80])
        return NAMES[media.replace(" ", "+")]
    if not accept or accept == "*/*":
        return "json"
    best: Format | None = None
    weight = 0.0
    wrong_version = False
    for part in accept.split(","):
        media, version = _media(part)
        quality = _quality(part)
        found: Format | None = NAMES.get(media) or ("json" if media in ANYTHING else None)
        if found is None or quality <= 0:
            continue
        if version not in VERSIONS:
            wrong_version = True
            continue
        if quality > weight:
            best, weight = found, quality
    if best is None:
        raise NotAcceptable("HT-REST-21" if wrong_version else "HT-REST-20", value=accept[:80])
    return best


@lru_cache(maxsize=1024)
def sent(content_type: str) -> Format:
    """Return the format of a resource body; raises UnsupportedMedia for another one."""
    media, version = _media(content_type)
    found = NAMES.get(media)
    if found is None:
        raise UnsupportedMedia("HT-REST-22", value=content_type[:80])
    if version not in VERSIONS:
        raise UnsupportedMedia("HT-REST-23", value=content_type[:80])
    charset = _parameter(content_type, "charset")
    if charset is not None and charset.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia("HT-REST-24", value=content_type[:80])
    return found


def media_type(content_type: str) -> str:
    """Return the bare media type in lower case."""
    return _media(content_type)[0]


def _media(value: str) -> tuple[str, str]:
    media = value.partition(";")[0].strip().lower()
    return media, _parameter(value, "fhirversion") or "4.0"


def _parameter(value: str, name: str) -> str | None:
    for part in value.split(";")[1:]:
        key, _, given = part.partition("=")
        if key.strip().lower() == name:
            return given.strip().strip('"')
    return None


def _quality(part: str) -> float:
    given = _parameter(part, "q")
    try:
        return float(given) if given is not None else 1.0
    except ValueError:
        return 0.0
