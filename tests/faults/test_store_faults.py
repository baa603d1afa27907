"""What happens to the embedded store when the disk is full, the process is killed, a connection is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.search import Parameters, parse
from gateway.store.protocol import Commit, Put
from gateway.store.sqlite import SqliteStore
from terminology.issues import Unavailable

ROOT = Path(__file__).parent.parent.parent


def observation(id: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id, "status": "final", "valueString": "x" * 2_000}


def test_a_full_disk_refuses_and_keeps_what_was_written(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(tmp_path / "s.db", Parameters())
        await store.commit(Commit([Put(observation("first"))]))
        connection = store._writer._connection
        pages = connection.execute("PRAGMA page_count").fetchone()
        assert pages is not None
        connection.execute(f"PRAGMA max_page_count = {pages[0] + 20}")
        written, refused = [], []
        codes = set()

        async def write(n: int) -> None:
            try:
                await store.commit(Commit([Put(observation(f"o{n}"))]))
                written.append(f"o{n}")
            except Unavailable as error:
                codes.add(error.issues[0].code)
                refused.append(f"o{n}")

        await asyncio.gather(*(write(n) for n in range(120)))
        assert refused
        assert codes == {"HT-STORE-02"}
        assert await store.read("Observation", "first") is not None
        for id in written:
            assert await store.read("Observation", id) is not None
        for id in refused:
            assert await store.read("Observation", id) is None
        connection.execute("PRAGMA max_page_count = 1000000")
        # The same writes succeed once there is room, and are found.
        for id in refused:
            await store.commit(Commit([Put(observation(id))]))
        page = await store.search(parse("Observation", [("_count", "0")], parameters=store.parameters))
        assert page.total == 121
        await store.close()

    asyncio.run(main())


WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.store.protocol import Commit, Put
from gateway.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), synchronous="normal")
    async def client(c):
        n = 0
        while True:
            id = f"{sys.argv[2]}-{c}-{n}"
            await store.commit(Commit([Put({"resourceType": "Basic", "id": id, "code": {"text": id}}, expected=0)]))
            print(id, flush=True)
            n += 1
    await asyncio.gather(*(client(c) for c in range(8)))

asyncio.run(main())
"""


@pytest.mark.parametrize("rounds", [3])
def test_a_killed_process_loses_nothing_acknowledged(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "s.db"
    acknowledged: list[str] = []
    for turn in range(rounds):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(turn)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        acknowledged.append(process.stdout.readline().strip())
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        # The last line may be cut in the middle.
        acknowledged += rest.split("\n")[:-1]

    async def main() -> None:
        store = SqliteStore(path, Parameters())
        for id in acknowledged:
            found = await store.read("Basic", id)
            assert found is not None, id
            assert found.version == 1
        query = parse("Basic", [("_count", "1000"), ("_sort", "_id")], parameters=store.parameters)
        page = await store.search(query)
        ids = [version.id for version in page.matches]
        assert len(ids) == len(set(ids))
        await store.close()

    asyncio.run(main())
    assert len(acknowledged) > rounds * 10


def test_postgres_that_goes_away_is_unavailable(postgres_dsn: str) -> None:
    from gateway.store.postgres import PostgresStore

    async def main() -> None:
        store = await PostgresStore.open(postgres_dsn, Parameters(), fresh=True)
        await store.commit(Commit([Put(observation("o1"))]))
        async with store._pool.acquire() as other:
            await other.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                "WHERE application_name = 'hutong' AND pid <> pg_backend_pid()"
            )
        # The connection under the writer is gone: one commit may be refused, the next ones work again.
        outcomes = []
        for n in range(3):
            try:
                await store.commit(Commit([Put(observation(f"n{n}"))]))
                outcomes.append("written")
            except Unavailable as error:
                outcomes.append(error.issues[0].code)
        assert outcomes[-1] == "written"
        assert set(outcomes) <= {"written", "HT-STORE-03"}
        assert await store.read("Observation", "o1") is not None
        await store.close()

    asyncio.run(main())


def test_no_server_is_unavailable() -> None:
    from gateway.store.postgres import PostgresStore

    with pytest.raises(Unavailable) as caught:
        asyncio.run(PostgresStore.open("postgresql://nobody@127.0.0.1:1/none"))
    assert caught.value.issues[0].code == "HT-STORE-03"
