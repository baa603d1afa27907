"""What the store knows of one patient, as far as chronic care asks."""

from collections.abc import AsyncIterator, Iterable, Sequence
from hashlib import sha256

from gateway.search.parse import parse
from gateway.store.protocol import Store
from terminology.fhirjson import Json, decode_resource

MOST = 500
PAGE = 200


async def find(store: Store, type: str, params: Sequence[tuple[str, str]], *, most: int = MOST) -> list[Json]:
    """Return the first `most` resources that a search finds, in its order."""
    page = [*params, ("_count", str(most))]
    query = parse(type, page, strict=True, parameters=store.parameters, max_count=most)
    found = await store.search(query)
    return [decode_resource(row.body) for row in found.matches if row.body is not None]


async def read_one(store: Store, reference: str) -> Json | None:
    """Return the current version of a local reference; None when it is not local or not there."""
    type, _, id = reference.partition("/")
    version = await store.read(type, id) if type and id and "/" not in id else None
    return decode_resource(version.body) if version is not None and version.body is not None else None


async def every(
    store: Store, type: str, params: Sequence[tuple[str, str]], *, most: int
) -> AsyncIterator[Json]:
    """Yield what a search finds page by page, `most` at the most, in the order of the ids: what changes meanwhile moves nothing."""
    cursor: str | None = None
    count = 0
    while count < most:
        asked = [*params, ("_sort", "_id"), ("_count", str(PAGE))]
        if cursor:
            asked.append(("_cursor", cursor))
        page = await store.search(
            parse(type, asked, strict=True, parameters=store.parameters, max_count=PAGE)
        )
        for version in page.matches:
            count += 1
            if version.body is not None:
                yield decode_resource(version.body)
        cursor = page.cursor
        if not cursor:
            return


async def conditions_of(patient: str, store: Store) -> list[Json]:
    return await find(store, "Condition", [("subject", patient)])


async def observations_of(patient: str, codes: Iterable[str], store: Store) -> list[Json]:
    """Return the observations with one of the codes, their components' included, the newest first."""
    params = [("subject", patient), ("combo-code", ",".join(sorted(codes))), ("_sort", "-date")]
    return await find(store, "Observation", params)


async def plans_of(patient: str, store: Store) -> list[Json]:
    """Return the active plans."""
    return await find(store, "CarePlan", [("subject", patient), ("status", "active")])


async def contracts_of(patient: str, store: Store) -> list[Json]:
    """Return the contracts of any state, those in force first found by `in_force`."""
    return await find(store, "Contract", [("subject", patient)])


def in_force(contract: Json, day: str) -> bool:
    """Whether a contract is executed and covers a day ("2026-03-15")."""
    period = contract.get("applies") or {}
    start, end = str(period.get("start", ""))[:10], str(period.get("end", ""))[:10]
    # A renewed or amended contract goes on as what it became (workflows §1.4).
    return (
        contract.get("status") in ("executed", "renewed", "amended")
        and (not start or start <= day)
        and (not end or day <= end)
    )


def id_of(kind: str, *parts: str) -> str:
    """Return the one id of something about these parts: the same question always finds the same resource."""
    return f"{kind}-{sha256('|'.join(parts).encode()).hexdigest()[:32]}"
