"""Patient data and secrets taken out of evidence before it is shown (docs/design.md §5).

Two policies: `standard` hides what identifies a person and every credential; `strict` shows no content at all, only how
long it was and its SHA-256.
"""

import re
from hashlib import sha256
from typing import Literal

Policy = Literal["standard", "strict"]
POLICIES: tuple[Policy, ...] = ("standard", "strict")
# Fields of HL7 v2 segments that hold names, addresses and telephone numbers.
_FIELDS = {"PID": (5, 6, 9, 11, 13, 14), "NK1": (2, 4, 5, 6), "IN1": (16, 19), "GT1": (3, 5, 6)}
_RULES = (
    # Citizen numbers and mobile numbers, wherever they stand.
    (re.compile(r"(?<!\d)(\d{6})\d{8}(\d{3}[\dXx])(?!\d)"), r"\1********\2"),
    (re.compile(r"(?<!\d)(1[3-9]\d)\d{4}(\d{4})(?!\d)"), r"\1****\2"),
    # Names and addresses of FHIR JSON and of vendors' JSON.
    (re.compile(r'("(?:family|given|text|line|patientName|xm|hzxm)"\s*:\s*\[?\s*")[^"]*'), r"\1***"),
    # Names and addresses of FHIR XML, HL7 v3 and shared documents.
    (
        re.compile(r'(<(?:\w+:)?(?:family|given|text|line|part|streetAddressLine)\b[^>]*\svalue=")[^"]*'),
        r"\1***",
    ),
    (re.compile(r"(<(?:\w+:)?(?:name|family|given|streetAddressLine)\b[^>/]*>)[^<]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=\-]+"), r"\1 ***"),
    (
        re.compile(
            r'(?i)("?(?:password|passwd|client_secret|client_assertion|access_token|refresh_token|api_key|apikey|secret|sign)"?'
            r'\s*[:=]\s*"?)[^"&\s]+'
        ),
        r"\1***",
    ),
)
_SEGMENT = re.compile(rf"(?:^|(?<=[\r\n]))({'|'.join(_FIELDS)})\|[^\r\n]*")
SECRET_HEADERS = frozenset(
    {"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key", "sign"}
)


def mask(text: str) -> str:
    """Return `text` without what identifies a person and without credentials."""
    text = _SEGMENT.sub(_segment, text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def shown(body: bytes, limit: int, policy: Policy) -> str:
    """Return a body as the policy shows it: its beginning, masked, or only its length and hash."""
    if policy == "strict":
        return f"*** {len(body)} bytes, sha256 {sha256(body).hexdigest()}" if body else ""
    text = body[:limit].decode("utf-8", "replace")
    if '"OperationOutcome"' in text[:200]:
        # What a server says is wrong is why somebody reads the report; it names no person by those fields.
        text = text.replace('"text"', "\0")
        return mask(text).replace("\0", '"text"')
    return mask(text)


def _segment(found: "re.Match[str]") -> str:
    fields = found[0].split("|")
    for number in _FIELDS[found[1]]:
        if number < len(fields) and fields[number]:
            fields[number] = "***"
    return "|".join(fields)
