"""Accession numbers: every imaging order that is in force gets one from the gateway when its sender gave none.

The number follows from the order's id, so that it is the same on every node and after every repeat, and needs no counter:
HT and 12 characters without the ones that are mistaken for others, 14 in all (SH holds 16).
"""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from gateway.imaging.orders import kind_of
from gateway.store.layer import Layer
from gateway.store.protocol import Commit, Delete, Put, Version
from terminology.fhirjson import Json

TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
SYSTEM = "https://hutong.health/fhir/NamingSystem/accession-number"
# Crockford's base 32: no I, L, O, U.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12


def accession_number(order_id: str) -> str:
    """Return the accession number of an order's id."""
    number = int.from_bytes(blake2b(order_id.encode(), digest_size=8).digest())
    return "HT" + "".join(_LETTERS[number >> 5 * place & 31] for place in range(LENGTH))


def number_of(order: Json) -> str:
    """Return the accession number that an order carries, "" when none."""
    return next(
        (
            str(row["value"])
            for row in order.get("identifier", ())
            if row.get("value")
            and any(part.get("code") == "ACSN" for part in (row.get("type") or {}).get("coding", ()))
        ),
        "",
    )


def with_number(order: Json) -> Json:
    """Return an order that needs an accession number with one: imaging or ECG, in force, and without any."""
    if order.get("status") != "active" or order.get("intent") not in (
        "order",
        "original-order",
        "filler-order",
        "reflex-order",
    ):
        return order
    if kind_of(order) not in ("imaging", "ecg") or number_of(order) or not order.get("id"):
        return order
    given = {
        "use": "official",
        "type": {"coding": [{"system": TYPES, "code": "ACSN", "display": "Accession ID"}]},
        "system": SYSTEM,
        "value": accession_number(order["id"]),
    }
    return {**order, "identifier": [*order.get("identifier", ()), given]}


class NumberingStore(Layer):
    """A store that gives accession numbers on the one write path, whoever writes the order; all else is the store's own."""

    async def commit(self, commit: Commit) -> Sequence[Version | None]:
        if not any(_is_order(change) for change in commit.changes):
            return await self._store.commit(commit)
        changes = [
            replace(change, resource=with_number(change.resource))
            if isinstance(change, Put) and _is_order(change)
            else change
            for change in commit.changes
        ]
        return await self._store.commit(replace(commit, changes=changes))


def _is_order(change: Put | Delete) -> bool:
    return isinstance(change, Put) and change.resource.get("resourceType") == "ServiceRequest"
