"""A database of what was promised (SQLite, WAL, synchronous=FULL): the journal, the delivery log, the index of objects."""

import os
from pathlib import Path

import apsw

from terminology.issues import Unavailable


def open_database(path: Path, *, tables: str, version: int, writing: bool, code: str) -> apsw.Connection:
    """Open the file at `path`; the writer makes the `tables`.

    Raises Unavailable (`code`) when a newer version than `version` made it.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writing else apsw.SQLITE_OPEN_READONLY
    connection = apsw.Connection(os.fspath(path), flags=flags)
    connection.set_busy_timeout(10_000)
    if not writing:
        return connection
    connection.pragma("journal_mode", "wal")
    # Others forget what we say that we have: it is on the disk then, not only promised by the system.
    connection.pragma("synchronous", "full")
    found = connection.pragma("user_version")
    if found > version:
        connection.close()
        raise Unavailable(code, path=path, found=found, known=version)
    # One transaction, one wait for the disk.
    with connection:
        connection.execute(tables)
        connection.pragma("user_version", version)
    return connection
