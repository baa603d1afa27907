"""The certificate of a member: a signed statement of what was tested (JWS, RFC 7515; Ed25519, RFC 8037).

Whoever has the centre's public key can verify it offline. Its states and their transitions are the table below.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Literal

from conformance.testing.verdict import Verdict, blocking
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput

CertificateState = Literal["draft", "testing", "certified", "conditional", "suspended", "revoked", "expired"]
NEXT: dict[CertificateState, tuple[CertificateState, ...]] = {
    "draft": ("testing", "revoked"),
    "testing": ("certified", "conditional", "revoked"),
    "certified": ("conditional", "suspended", "revoked", "expired", "testing"),
    "conditional": ("certified", "suspended", "revoked", "expired", "testing"),
    "suspended": ("certified", "conditional", "revoked", "expired", "testing"),
    "expired": ("testing", "revoked"),
    "revoked": (),
}
# In these the gateway lets the member work.
WORKING: frozenset[CertificateState] = frozenset({"certified", "conditional"})
DAYS = 365
MAX_BYTES = 256 * 1024
TYPE = "hutong-certificate+jws"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Dates are ISO days, the last one included. `waivers`: requirement → its last day. `suite_hash`: SHA-256."""

    member: str
    vendor: str
    product: str
    version: str
    roles: tuple[str, ...]
    interface_version: str
    suite_hash: str
    run: str
    issued: str
    valid_to: str
    state: CertificateState = "certified"
    waivers: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""

    def state_on(self, today: date) -> CertificateState:
        """Return the state on a day: a working one ends with the validity, and with a waiver that ran out."""
        if self.state not in WORKING:
            return self.state
        if not self.issued <= today.isoformat() <= self.valid_to:
            return "expired"
        if any(today.isoformat() > until for until in self.waivers.values()):
            return "suspended"
        return self.state

    def moved(self, wanted: CertificateState) -> "Certificate":
        """Return it in another state; raises BusinessRule for a transition that the table hasn't."""
        if wanted not in NEXT[self.state]:
            raise BusinessRule(
                "HT-CT-43", state=self.state, wanted=wanted, allowed=", ".join(NEXT[self.state]) or "∅"
            )
        return replace(self, state=wanted)


def issue(
    *,
    member: str,
    vendor: str,
    product: str,
    version: str,
    verdicts: dict[str, Sequence[Verdict]],
    interface_version: str,
    suite_hash: str,
    run: str,
    today: date,
    fingerprint: str = "",
) -> Certificate:
    """Return the certificate of the roles in `verdicts`; raises BusinessRule when anything stands in the way."""
    if not verdicts:
        raise BusinessRule("HT-CT-41", ids="∅", state="not-evaluated")
    for role, rows in verdicts.items():
        wrong = blocking(rows)
        if wrong or not rows:
            ids = ", ".join(row.requirement.id for row in wrong[:10]) or role
            states = ", ".join(dict.fromkeys(row.state for row in wrong)) or "not-evaluated"
            raise BusinessRule("HT-CT-41", ids=ids, state=states)
    waivers = _waivers(row for rows in verdicts.values() for row in rows)
    return Certificate(
        member=member,
        vendor=vendor,
        product=product,
        version=version,
        roles=tuple(verdicts),
        interface_version=interface_version,
        suite_hash=suite_hash,
        run=run,
        issued=today.isoformat(),
        valid_to=(today + timedelta(days=DAYS)).isoformat(),
        state="conditional" if waivers else "certified",
        waivers=waivers,
        fingerprint=fingerprint,
    )


def new_key() -> bytes:
    """Return a new private key as PEM (PKCS #8)."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_key(private_pem: bytes) -> bytes:
    """Return the public key of a private one as PEM."""
    from cryptography.hazmat.primitives import serialization

    encoded: bytes = (
        _private(private_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return encoded


def sign(certificate: Certificate, private_pem: bytes) -> str:
    """Return the compact JWS of a certificate."""
    head = _encode({"alg": "EdDSA", "typ": TYPE})
    signed = f"{head}.{_encode(asdict(certificate))}"
    return f"{signed}.{_base64(_private(private_pem).sign(signed.encode()))}"


def verify(jws: str, public_pem: bytes, *, today: date, role: str | None = None) -> Certificate:
    """Return the certificate; raises InvalidInput (HT-CT-42) when it is altered, foreign, expired, or not of `role`."""
    found = open_certificate(jws, public_pem)
    state = found.state_on(today)
    if state not in WORKING:
        raise InvalidInput("HT-CT-42", detail=f"{state}, {found.issued} … {found.valid_to}")
    if role is not None and role not in found.roles:
        raise InvalidInput("HT-CT-42", detail=f"role {role}")
    return found


def open_certificate(jws: str, public_pem: bytes) -> Certificate:
    """Return a certificate in any state; raises InvalidInput (HT-CT-42) when it is altered or another centre's."""
    from cryptography.exceptions import InvalidSignature

    parts = jws.strip().split(".")
    if len(parts) != 3 or len(jws) > MAX_BYTES:
        raise InvalidInput("HT-CT-42", detail="not a compact JWS")
    head = _decode(parts[0])
    # The algorithm is ours to choose, never the sender's: "none" and others are refused (RFC 8725 §3.1).
    if head.get("alg") != "EdDSA" or head.get("typ") != TYPE:
        raise InvalidInput("HT-CT-42", detail="alg / typ")
    try:
        _public(public_pem).verify(_bytes(parts[2]), f"{parts[0]}.{parts[1]}".encode())
    except InvalidSignature:
        raise InvalidInput("HT-CT-42", detail="signature") from None
    body = _decode(parts[1])
    try:
        return Certificate(**{**body, "roles": tuple(body["roles"])})
    except (TypeError, KeyError):
        raise InvalidInput("HT-CT-42", detail="content") from None


def _waivers(rows: Iterable[Verdict]) -> dict[str, str]:
    return {row.requirement.id: row.waiver.until.isoformat() for row in rows if row.waiver is not None}


def _private(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput("HT-CT-42", detail=f"key: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput("HT-CT-42", detail="key: Ed25519")
    return key


def _public(pem: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise InvalidInput("HT-CT-42", detail=f"key: {type(error).__name__}") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput("HT-CT-42", detail="key: Ed25519")
    return key


def _encode(value: Json) -> str:
    return _base64(json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode())


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidInput("HT-CT-42", detail="base64") from None
    # Unused bits of the last character would let two texts stand for the same bytes.
    if _base64(raw) != text:
        raise InvalidInput("HT-CT-42", detail="base64")
    return raw


def _decode(text: str) -> Json:
    try:
        value = json.loads(_bytes(text))
    except (ValueError, RecursionError):
        raise InvalidInput("HT-CT-42", detail="JSON") from None
    if not isinstance(value, dict):
        raise InvalidInput("HT-CT-42", detail="JSON")
    return value
