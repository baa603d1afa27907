"""What every store must do alike (gateway/store/protocol.py); http.html and search.html say why."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.search import parse
from gateway.store.protocol import Commit, Delete, Guard, GuardFailed, OutboxRow, Put, Store, Version
from terminology.issues import InvalidInput, VersionConflict


def patient(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, **more}


def observation(id: str, subject: str = "Patient/p1", **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "http://loinc.org", "code": "15074-8", "display": "Glucose"}]}
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": code,
        "subject": {"reference": subject},
        **more,
    }


async def put(store: Store, resource: dict[str, Any], **more: Any) -> Version:
    [version] = await store.commit(Commit([Put(resource, **more)]))
    assert version is not None
    return version


async def find(store: Store, type: str | None, query: str) -> list[str]:
    page = await store.search(ask(store, type, query))
    return [version.id for version in page.matches]


def ask(store: Store, type: str | None, query: str) -> Any:
    pairs = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    return parse(type, pairs, strict=True, parameters=store.parameters)  # type: ignore[arg-type]


def over_stores(test: Callable[[Store], Awaitable[None]]) -> Callable[..., None]:
    """Run an async test body with an open store."""

    def run(self: object, open_store: Any) -> None:
        async def main() -> None:
            async with open_store() as store:
                await test(store)

        asyncio.run(main())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


class TestVersions:
    """http.html#versions"""

    @over_stores
    async def test_the_body_carries_version_and_instant(store: Store) -> None:
        version = await put(store, patient("p1", meta={"tag": [{"code": "x"}], "versionId": "77"}))
        assert (version.type, version.id, version.version, version.method) == ("Patient", "p1", 1, "PUT")
        meta = json.loads(version.body or b"")["meta"]
        assert meta["versionId"] == "1"
        assert meta["tag"] == [{"code": "x"}]
        assert meta["lastUpdated"].endswith("+08:00")
        read = await store.read("Patient", "p1")
        assert read == version

    @over_stores
    async def test_decimals_keep_their_digits(store: Store) -> None:
        from terminology.fhirjson import decode

        body = decode(b'{"resourceType":"Observation","id":"d","valueQuantity":{"value":1.50}}')
        await put(store, body)
        found = await store.read("Observation", "d")
        assert found is not None
        assert b'"value":1.50' in (found.body or b"")

    @over_stores
    async def test_versions_count_up_across_a_deletion(store: Store) -> None:
        await put(store, patient("p1"))
        [gone] = await store.commit(Commit([Delete("Patient", "p1")]))
        assert gone is not None
        assert (gone.version, gone.body, gone.method) == (2, None, "DELETE")
        back = await put(store, patient("p1"))
        assert back.version == 3
        first = await store.vread("Patient", "p1", 1)
        assert first is not None
        assert first.version == 1
        deleted = await store.vread("Patient", "p1", 2)
        assert deleted is not None
        assert deleted.body is None

    @over_stores
    async def test_what_was_never_there_is_none(store: Store) -> None:
        assert await store.read("Patient", "nobody") is None
        assert await store.vread("Patient", "nobody", 1) is None
        await put(store, patient("p1"))
        assert await store.vread("Patient", "p1", 2) is None
        assert await store.vread("Patient", "p1", 2**70) is None

    @over_stores
    async def test_many_are_read_at_once(store: Store) -> None:
        await put(store, patient("a"))
        await put(store, patient("a", active=True))
        await put(store, patient("b"))
        await store.commit(Commit([Delete("Patient", "b")]))
        await put(store, observation("a"))
        keys = [
            ("Patient", "a"),
            ("Patient", "b"),
            ("Observation", "a"),
            ("Patient", "c"),
            ("Basic", "a"),
            ("Patient", "a"),
        ]
        found = await store.read_many(keys)
        assert {key: (row.version, row.body is None) for key, row in found.items()} == {
            ("Patient", "a"): (2, False),
            ("Patient", "b"): (2, True),
            ("Observation", "a"): (1, False),
        }
        assert await store.read_many([]) == {}

    @over_stores
    async def test_deleting_what_is_absent_changes_nothing(store: Store) -> None:
        assert list(await store.commit(Commit([Delete("Patient", "p1")]))) == [None]
        await put(store, patient("p1"))
        await store.commit(Commit([Delete("Patient", "p1")]))
        assert list(await store.commit(Commit([Delete("Patient", "p1")]))) == [None]
        assert [v.version async for v in store.history("Patient", "p1")] == [2, 1]

    @over_stores
    async def test_unless_same_keeps_the_version(store: Store) -> None:
        first = await put(store, patient("p1", active=True))
        again = await put(store, patient("p1", active=True, meta={"versionId": "9"}), unless_same=True)
        assert again.version == first.version
        other = await put(store, patient("p1", active=False), unless_same=True)
        assert other.version == 2

    @over_stores
    async def test_a_large_body_comes_back_whole(store: Store) -> None:
        data = "QUJD" * 100_000
        await put(store, {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": data})
        found = await store.read("Binary", "b")
        assert found is not None
        assert json.loads(found.body or b"")["data"] == data
        page = await store.search(ask(store, "Binary", "_id=b"))
        assert json.loads(page.matches[0].body or b"")["data"] == data
        versions = [v async for v in store.history("Binary")]
        assert json.loads(versions[0].body or b"")["data"] == data


class TestCompareAndSwap:
    """http.html#concurrency"""

    @over_stores
    async def test_a_stale_version_is_a_conflict(store: Store) -> None:
        await put(store, patient("p1"))
        await put(store, patient("p1"), expected=1)
        with pytest.raises(VersionConflict) as caught:
            await put(store, patient("p1"), expected=1)
        assert (
            caught.value.issues[0].text("en") == "Patient/p1 is at version 2; this write expected version 1."
        )

    @over_stores
    async def test_zero_means_absent(store: Store) -> None:
        await put(store, patient("p1"), expected=0)
        with pytest.raises(VersionConflict):
            await put(store, patient("p1"), expected=0)
        await store.commit(Commit([Delete("Patient", "p1")]))
        assert (await put(store, patient("p1"), expected=0)).version == 3

    @over_stores
    async def test_parallel_updates_have_one_winner(store: Store) -> None:
        await put(store, patient("p1"))
        writes = [put(store, patient("p1", active=bool(n % 2)), expected=1) for n in range(32)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        winners = [r for r in results if isinstance(r, Version)]
        assert len(winners) == 1
        assert all(isinstance(r, Version | VersionConflict) for r in results)
        assert [v.version async for v in store.history("Patient", "p1")] == [2, 1]

    @over_stores
    async def test_parallel_writes_without_condition_all_count(store: Store) -> None:
        await asyncio.gather(*(put(store, patient("p1")) for _ in range(20)))
        assert [v.version async for v in store.history("Patient", "p1")] == list(range(20, 0, -1))


class TestAtomicity:
    @over_stores
    async def test_all_or_nothing(store: Store) -> None:
        await put(store, patient("p1"))
        with pytest.raises(VersionConflict):
            await store.commit(Commit([Put(patient("p2")), Put(patient("p1"), expected=7)]))
        assert await store.read("Patient", "p2") is None
        assert await find(store, "Patient", "") == ["p1"]

    @over_stores
    async def test_one_resource_twice_is_refused(store: Store) -> None:
        with pytest.raises(InvalidInput) as caught:
            await store.commit(Commit([Put(patient("p1")), Delete("Patient", "p1")]))
        assert caught.value.issues[0].code == "HT-STORE-04"

    @over_stores
    async def test_outbox_and_audit_belong_to_the_commit(store: Store) -> None:
        rows = [OutboxRow("resource", "Patient/p1", {"version": 1})]
        await store.commit(Commit([Put(patient("p1"))], outbox=rows, audit=[{"action": "C"}]))
        with pytest.raises(VersionConflict):
            await store.commit(Commit([Put(patient("p1"), expected=5)], outbox=rows, audit=[{"action": "U"}]))
        found = await store.outbox()
        assert [row for _, row in found] == rows
        assert [entry for _, entry in await store.audit()] == [{"action": "C"}]
        await store.forget_outbox(found[-1][0])
        assert await store.outbox() == []

    @over_stores
    async def test_a_commit_of_a_group_fails_alone(store: Store) -> None:
        await put(store, patient("p1"))
        results = await asyncio.gather(
            *(put(store, patient(f"n{n}"), expected=0 if n % 2 else 9) for n in range(10)),
            return_exceptions=True,
        )
        assert [isinstance(r, Version) for r in results] == [bool(n % 2) for n in range(10)]
        assert sorted(await find(store, "Patient", "")) == ["n1", "n3", "n5", "n7", "n9", "p1"]


class TestGuards:
    """http.html#ccreate"""

    @over_stores
    async def test_if_none_exist_under_64_clients_creates_one(store: Store) -> None:
        async def create(n: int) -> str:
            query = ask(store, "Patient", "identifier=urn:id|4711&_count=2")
            while True:
                page = await store.search(query)
                if page.matches:
                    return page.matches[0].id
                resource = patient(f"c{n}", identifier=[{"system": "urn:id", "value": "4711"}])
                guard = Guard(query, frozenset())
                try:
                    await store.commit(Commit([Put(resource, expected=0, method="POST")], guards=[guard]))
                except GuardFailed:
                    continue
                return f"c{n}"

        ids = await asyncio.gather(*(create(n) for n in range(64)))
        assert len(set(ids)) == 1
        assert await find(store, "Patient", "identifier=urn:id|4711") == [ids[0]]

    @over_stores
    async def test_a_guard_sees_the_same_group(store: Store) -> None:
        query = ask(store, "Patient", "family=Zhang")
        commits = [
            Commit([Put(patient(f"g{n}", name=[{"family": "Zhang"}]))], guards=[Guard(query, frozenset())])
            for n in range(8)
        ]
        results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
        assert sum(not isinstance(r, BaseException) for r in results) == 1
        assert sum(isinstance(r, GuardFailed) for r in results) == 7


class TestHistory:
    """http.html#history"""

    @over_stores
    async def test_newest_first_by_resource_type_and_system(store: Store) -> None:
        await put(store, patient("p1"))
        await put(store, observation("o1"))
        await put(store, patient("p1"))
        await put(store, patient("p2"))
        everything = [(v.type, v.id, v.version) async for v in store.history()]
        assert everything == [
            ("Patient", "p2", 1),
            ("Patient", "p1", 2),
            ("Observation", "o1", 1),
            ("Patient", "p1", 1),
        ]
        assert [(v.id, v.version) async for v in store.history("Patient")] == [
            ("p2", 1),
            ("p1", 2),
            ("p1", 1),
        ]
        assert [v.version async for v in store.history("Patient", "p1")] == [2, 1]
        assert [v async for v in store.history("Device")] == []

    @over_stores
    async def test_since_and_until(store: Store) -> None:
        first = await put(store, patient("p1"))
        await asyncio.sleep(0.005)
        second = await put(store, patient("p2"))
        await asyncio.sleep(0.005)
        third = await put(store, patient("p3"))
        since = [v.id async for v in store.history(since=second.last_updated)]
        until = [v.id async for v in store.history("Patient", until=third.last_updated)]
        later = [v.id async for v in store.history(since=third.last_updated + timedelta(seconds=1))]
        assert (since, until, later) == (["p3", "p2"], ["p2", "p1"], [])
        assert first.last_updated < second.last_updated


class TestPaging:
    """search.html#count; a page sees the data as they were when the first page was asked for"""

    @over_stores
    async def test_no_row_is_skipped_or_doubled_while_others_write(store: Store) -> None:
        for n in range(25):
            await put(store, patient(f"p{n:02}", birthDate=f"19{n % 7 + 50}-01-01"))
        for order in ("", "&_sort=birthdate", "&_sort=-birthdate,_id", "&_sort=_id", "&_sort=_lastUpdated"):
            query = ask(store, "Patient", f"active:missing=true&_count=4{order}")
            whole = [
                v.id
                for v in (await store.search(ask(store, "Patient", f"active:missing=true{order}"))).matches
            ]
            seen: list[str] = []
            turn = 0
            cursor = None
            while True:
                page = await store.search(replace_cursor(query, cursor))
                seen += [v.id for v in page.matches]
                # What a page has shown moves to the top, what it hasn't goes away, new ones come.
                await put(store, patient(seen[-1], birthDate="2000-01-01"))
                other = f"p{(turn * 7) % 25:02}"
                await store.commit(Commit([Delete("Patient", other)]))
                await put(store, patient(f"new{turn}"))
                turn += 1
                cursor = page.cursor
                if cursor is None:
                    break
            assert seen == whole
            for version in [v async for v in store.history("Patient")]:
                await store.commit(Commit([Delete("Patient", version.id)]))
            for n in range(25):
                await put(store, patient(f"p{n:02}", birthDate=f"19{n % 7 + 50}-01-01"))

    @over_stores
    async def test_a_foreign_cursor_is_refused(store: Store) -> None:
        for n in range(5):
            await put(store, patient(f"p{n}"))
        page = await store.search(ask(store, "Patient", "_count=2"))
        assert page.cursor is not None
        for query in (
            replace_cursor(ask(store, "Patient", "_count=2&gender=male"), page.cursor),
            replace_cursor(ask(store, "Patient", "_count=2"), page.cursor[:-2] + "AA"),
            replace_cursor(ask(store, "Patient", "_count=2"), "!!"),
        ):
            with pytest.raises(InvalidInput) as caught:
                await store.search(query)
            assert caught.value.issues[0].code == "HT-SEARCH-35"

    @over_stores
    async def test_count_zero_gives_the_total(store: Store) -> None:
        for n in range(7):
            await put(store, patient(f"p{n}", gender="male" if n % 2 else "female"))
        page = await store.search(ask(store, "Patient", "_count=0&gender=female"))
        assert (page.total, list(page.matches), page.cursor) == (4, [], None)
        page = await store.search(ask(store, "Patient", "_count=2&_total=accurate"))
        assert (page.total, len(page.matches)) == (7, 2)


def replace_cursor(query: Any, cursor: str | None) -> Any:
    from dataclasses import replace

    return replace(query, cursor=cursor)


class TestPostedParameters:
    """searchparameter.html: a posted parameter takes effect, old resources are found once they are reindexed"""

    @over_stores
    async def test_reindex_reaches_old_resources(store: Store) -> None:
        for n in range(10):
            await put(
                store, patient(f"p{n}", maritalStatus={"coding": [{"system": "m", "code": "MS"[n % 2]}]})
            )
        definition = {
            "resourceType": "SearchParameter",
            "id": "sp",
            "url": "http://example.org/marital",
            "name": "marital",
            "status": "active",
            "description": "marital status",
            "code": "marital",
            "base": ["Patient"],
            "type": "token",
            "expression": "Patient.maritalStatus",
        }
        await put(store, definition)
        await put(store, patient("after", maritalStatus={"coding": [{"system": "m", "code": "S"}]}))
        query = ask(store, "Patient", "marital=m|S")
        assert [issue.code for issue in query.warnings] == ["HT-SEARCH-43"]
        assert await find(store, "Patient", "marital=m|S") == ["after"]
        for _ in range(20):
            if all(state.is_finished for state in await store.reindex(step=3)):
                break
        assert sorted(await find(store, "Patient", "marital=m|S")) == ["after", "p1", "p3", "p5", "p7", "p9"]
        assert ask(store, "Patient", "marital=m|S").warnings == ()
        assert list(await store.reindex()) == []
        await store.commit(Commit([Delete("SearchParameter", "sp")]))
        with pytest.raises(InvalidInput):
            ask(store, "Patient", "marital=m|S")

    @over_stores
    async def test_upkeep_reindexes_by_itself(store: Store) -> None:
        from gateway.store.upkeep import upkeep

        await put(store, patient("old", maritalStatus={"text": "x", "coding": [{"code": "M"}]}))
        definition = {
            "resourceType": "SearchParameter",
            "id": "sp",
            "url": "http://example.org/marital",
            "status": "active",
            "code": "marital",
            "base": ["Patient"],
            "type": "token",
            "expression": "Patient.maritalStatus.where(text = 'x')",
        }
        await put(store, definition)
        task = asyncio.create_task(upkeep(store, seconds=0.01))
        for _ in range(400):
            await asyncio.sleep(0.01)
            if not store.parameters.waiting():
                break
        task.cancel()
        assert await find(store, "Patient", "marital=M") == ["old"]


class TestRetention:
    """docs/storage.md: index rows of replaced versions stay for the snapshots of running pages, then go"""

    @over_stores
    async def test_purge_keeps_what_is_found(store: Store) -> None:
        for turn in range(3):
            await put(
                store, patient("p1", name=[{"text": f"张{'一二三'[turn]}"}], birthDate=f"200{turn}-01-01")
            )
        before = (await find(store, "Patient", "name=张三"), await find(store, "Patient", "name=张一"))
        store._retention_minutes = -1  # type: ignore[attr-defined]  # as if the hour had passed
        first = await store.search(ask(store, "Patient", "_count=1"))
        dropped = await store.purge()
        assert dropped in (0, 2)
        assert await store.purge() == 0
        assert (
            await find(store, "Patient", "name=张三"),
            await find(store, "Patient", "name=张一"),
        ) == before
        assert before == (["p1"], [])
        assert first.total == 1
        assert [v.version async for v in store.history("Patient", "p1")] == [3, 2, 1]
