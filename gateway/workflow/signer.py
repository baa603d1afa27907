"""Signing reports: what a signature stands on, the interface of a signer, and the key that every gateway has.

A signature is a detached compact JWS (RFC 7515 appendix F) over the canonical JSON of the report, kept in
Provenance.signature.data (https://hl7.org/fhir/R4/datatypes.html#signature).
"""

import base64
import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from terminology.fhirjson import Json, encode

FORMAT = "application/jose"
AUTHOR = {
    "system": "urn:iso-astm:E1762-95:2013",
    "code": "1.2.840.10065.1.12.1.1",
    "display": "Author's Signature",
}
VERIFIER = {
    "system": "urn:iso-astm:E1762-95:2013",
    "code": "1.2.840.10065.1.12.1.5",
    "display": "Verification Signature",
}
KEY_BITS = 3072


class Signer(Protocol):
    """Whoever holds keys: the gateway's own, or a county's certification authority (SM2) behind the same two calls."""

    def sign(self, content: bytes) -> str:
        """Return the detached JWS of `content`."""

    def verify(self, content: bytes, jws: str) -> bool: ...


def canonical(resource: Json) -> bytes:
    """Return the bytes that a signature stands on: JSON with sorted names, without `meta`."""
    return encode(_sorted({name: value for name, value in resource.items() if name != "meta"}))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(row) for row in value]
    return value


class LocalSigner:
    """RSA-PSS (PS256) with a key in a folder, made there with the first signature, readable by its owner only."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "report-signing.pem"
        self._key: Any = None

    def sign(self, content: bytes) -> str:
        from cryptography.hazmat.primitives.hashes import SHA256

        key = self._load()
        head = _encoded(json.dumps({"alg": "PS256", "kid": self._id()}).encode())
        signed = f"{head}.{_encoded(content)}".encode()
        return f"{head}..{_encoded(key.sign(signed, _padding(), SHA256()))}"

    def verify(self, content: bytes, jws: str) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.hashes import SHA256

        head, _, rest = jws.partition(".")
        empty, _, signature = rest.partition(".")
        try:
            # The algorithm is ours to choose, never the sender's (RFC 8725 §3.1).
            if empty or json.loads(_decoded(head)).get("alg") != "PS256":
                return False
            signed = f"{head}.{_encoded(content)}".encode()
            self._load().public_key().verify(_decoded(signature), signed, _padding(), SHA256())
        except (InvalidSignature, ValueError, AttributeError):
            return False
        return True

    def _load(self) -> Any:
        if self._key is None:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            if not self._file.exists():
                self._make()
            self._key = load_pem_private_key(self._file.read_bytes(), None)
        return self._key

    def _make(self) -> None:
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        key = generate_private_key(65537, KEY_BITS)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(f".{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
        try:
            # Of two that start together one key stays, and both use it.
            os.link(fresh, self._file)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()

    def _id(self) -> str:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._load().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return sha256(public).hexdigest()[:16]


def signature(signer: Signer, resource: Json, *, who: Json, when: str, type: Json) -> Json:
    """Return a Signature of a resource as it will be stored."""
    jws = signer.sign(canonical(resource))
    return {
        "type": [type],
        "when": when,
        "who": who,
        "targetFormat": "application/fhir+json",
        "sigFormat": FORMAT,
        "data": base64.b64encode(jws.encode()).decode(),
    }


def _padding() -> Any:
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
    from cryptography.hazmat.primitives.hashes import SHA256

    return PSS(mgf=MGF1(SHA256()), salt_length=32)


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
