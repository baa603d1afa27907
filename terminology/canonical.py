"""Canonical URLs and the version after the bar (https://hl7.org/fhir/R4/references.html#canonical)."""


def split(canonical: str) -> tuple[str, str | None]:
    """Return url and version of "url|version"; the version is None when there is none."""
    url, bar, version = canonical.partition("|")
    return url, version if bar and version else None


def join(url: str, version: str | None) -> str:
    return f"{url}|{version}" if version else url


def is_absolute(uri: str) -> bool:
    """Say whether a system is an absolute URI: a scheme, or a urn."""
    scheme, colon, rest = uri.partition(":")
    return bool(colon and rest and scheme.isalnum() and scheme[0].isalpha())
