"""Patient data and secrets taken out of evidence before it is shown (docs/design.md §5)."""

import re

_RULES = (
    # Citizen numbers and mobile numbers, wherever they stand.
    (re.compile(r"(?<!\d)(\d{6})\d{8}(\d{3}[\dXx])(?!\d)"), r"\1********\2"),
    (re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)"), r"\1****\2"),
    # PID-5 and PID-13 of HL7 v2, names of FHIR.
    (re.compile(r"((?:^|[\r\n])PID(?:\|[^|\r\n]*){4}\|)[^|\r\n]+"), r"\1***"),
    (re.compile(r'("(?:family|given|text)"\s*:\s*\[?\s*")[^"]*'), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=\-]+"), r"\1 ***"),
    (re.compile(r'(?i)("?(?:password|client_secret|access_token|api_key)"?\s*[:=]\s*"?)[^"&\s]+'), r"\1***"),
)
SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"})


def mask(text: str) -> str:
    """Return `text` without what identifies a person and without credentials."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text
