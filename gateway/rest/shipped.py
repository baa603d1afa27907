"""The conformance resources that Hutong ships (county profiles, extensions, value sets), read and searched like stored ones.

A stored resource of the same type and id comes before them; they are never written, and history knows nothing of them.
"""

from dataclasses import replace
from datetime import UTC, datetime

from conformance.profiles import by_id
from conformance.profiles.build import DATE
from conformance.profiles.shipped import KINDS, resources
from gateway.rest.context import Context
from gateway.search.query import Query
from gateway.store.memory import MemoryStore
from gateway.store.protocol import Commit, Put, SearchPage, Store, Version
from terminology.issues import InvalidInput

# A page that begins among the shipped ones is named by its place: they are few and always the same.
_CURSOR = "shipped."
_store: dict[str, MemoryStore] = {}


async def read_shipped(type: str, id: str) -> Version | None:
    """Return a shipped resource as if it were stored, as version 1."""
    if type not in KINDS or by_id(type, id) is None:
        return None
    return await (await _shelf()).read(type, id)


async def search_with_shipped(query: Query, context: Context) -> SearchPage:
    """Return a page of what is stored; after the last of it follow the shipped ones that match."""
    if not query.types or not set(query.types) <= set(KINDS):
        return await context.store.search(query)
    if query.cursor is not None and query.cursor.startswith(_CURSOR):
        start = query.cursor.removeprefix(_CURSOR)
        if not start.isascii() or not start.isdigit() or len(start) > 6:
            raise InvalidInput("HT-SEARCH-35")
        found = await _matching(query, context.store)
        return _page(SearchPage((), total=None), found, int(start), query)
    page = await context.store.search(query)
    found = await _matching(query, context.store)
    if page.cursor is not None:
        return replace(page, total=_sum(page.total, len(found)))
    return _page(page, found, 0, query)


def _page(page: SearchPage, found: list[Version], start: int, query: Query) -> SearchPage:
    room = query.count - len(page.matches)
    end = start + room
    return replace(
        page,
        matches=[*page.matches, *found[start:end]],
        total=_sum(page.total, len(found)),
        cursor=f"{_CURSOR}{end}" if query.count and end < len(found) else None,
    )


def _sum(total: int | None, more: int) -> int | None:
    return None if total is None else total + more


async def _matching(query: Query, store: Store) -> list[Version]:
    """Return the shipped resources that match, without those that were stored under the same id (or deleted)."""
    shelf = await _shelf()
    found = await shelf.search(replace(query, cursor=None, count=1_000, includes=(), total=None))
    return [row for row in found.matches if await store.read(row.type, row.id) is None]


async def _shelf() -> MemoryStore:
    """Return the store that holds them, filled when first needed."""
    if "shelf" not in _store:
        moment = datetime.fromisoformat(DATE).replace(tzinfo=UTC)
        shelf = MemoryStore(clock=lambda: int(moment.timestamp()) * 1_000_000)
        await shelf.commit(Commit([Put(resource) for resource in resources()]))
        _store["shelf"] = shelf
    return _store["shelf"]
