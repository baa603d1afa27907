"""Page cursors: opaque, signed, bound to their search and to a snapshot of the data.

A cursor says where the next page starts in the order of the search, so a deep page costs what the first one costs;
the snapshot makes a page show what was there when the first page was asked for, whatever is written meanwhile.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from gateway.search.query import Query
from terminology.issues import InvalidInput

SIGNATURE = 12
MAX_LENGTH = 4_000


@dataclass(frozen=True, slots=True)
class Cursor:
    """`snapshot`: the last commit that is seen; `after`: the sort keys and number of the last row; `total` as shown.

    `phase` 0: rows with a value of the first sort key, 1: those without.
    """

    snapshot: int
    after: tuple[Any, ...]
    phase: int = 0
    total: int | None = None


def fingerprint(query: Query) -> str:
    """Return a digest of what the cursor must be used with: the types, conditions and order, not the page size."""
    text = repr((query.types, query.where, query.sort))
    return blake2b(text.encode(), digest_size=9).hexdigest()


def encode(cursor: Cursor, query: Query, secret: bytes) -> str:
    body = msgspec.msgpack.encode(
        [cursor.snapshot, list(cursor.after), cursor.phase, cursor.total, fingerprint(query)]
    )
    return urlsafe_b64encode(_sign(body, secret) + body).decode().rstrip("=")


def decode(text: str, query: Query, secret: bytes) -> Cursor:
    """Return the cursor; raises InvalidInput when we didn't issue it for this search."""
    try:
        raw = urlsafe_b64decode(text[:MAX_LENGTH] + "=" * (-len(text) % 4))
        signature, body = raw[:SIGNATURE], raw[SIGNATURE:]
        if not hmac.compare_digest(signature, _sign(body, secret)):
            raise InvalidInput("HT-SEARCH-35")
        snapshot, after, phase, total, mark = msgspec.msgpack.decode(body)
    except (Error, ValueError, msgspec.DecodeError):
        raise InvalidInput("HT-SEARCH-35") from None
    if mark != fingerprint(query):
        raise InvalidInput("HT-SEARCH-35")
    return Cursor(snapshot, tuple(after), phase, total)


def _sign(body: bytes, secret: bytes) -> bytes:
    return blake2b(body, key=secret, digest_size=SIGNATURE).digest()
