"""How the two databases of the catalogues are opened and written: durable, one writer at a time, all or nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

BUSY_MILLISECONDS = 10_000


def open_database(path: Path, schema: str) -> apsw.Connection:
    """Open the file, made when it is not there, with the tables of `schema`."""
    database = apsw.Connection(str(path))
    database.set_busy_timeout(BUSY_MILLISECONDS)
    database.execute("pragma journal_mode=wal; pragma synchronous=full")
    database.execute(schema)
    return database


@contextmanager
def transaction(database: apsw.Connection) -> Iterator[None]:
    """Commit what the body wrote, or roll all of it back; within another transaction it is a part of that one."""
    if database.in_transaction:
        yield
        return
    database.execute("begin immediate")
    try:
        yield
    except BaseException:
        database.execute("rollback")
        raise
    database.execute("commit")
