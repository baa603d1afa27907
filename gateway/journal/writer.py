"""One thread that writes, many callers that wait: the group commit of the journal.

A commit with synchronous=FULL costs one fsync whatever it holds (257 messages/s one by one, 6,590/s in groups of 32),
so all jobs that wait when the thread is free share the next transaction.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import apsw

T = TypeVar("T")
Job = Callable[[apsw.Connection], Any]


class Row(NamedTuple):
    """A job and who is told of its end; an urgent one is not kept waiting for company."""

    job: Job
    future: asyncio.Future[Any]
    is_urgent: bool


GROUP = 256
# How long a group without an urgent job may gather more.
LINGER_SECONDS = 0.02


class Writer:
    """Runs jobs in their order on one connection; those of a group become durable together."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self._jobs: queue.SimpleQueue[Row | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[apsw.Connection], T], *, is_urgent: bool = True) -> "asyncio.Future[T]":
        """Return a future that is done when the job's transaction is on the disk."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.put(Row(job, future, is_urgent))
        return future

    def close(self) -> None:
        self._jobs.put(None)
        self._thread.join()
        self.connection.close()

    def _run(self) -> None:
        is_open = True
        while is_open:
            group: list[Row] = []
            is_urgent = False
            while len(group) < GROUP:
                try:
                    row = self._next(is_first=not group, is_urgent=is_urgent)
                except queue.Empty:
                    break
                if row is None:
                    is_open = False
                    break
                group.append(row)
                is_urgent = is_urgent or row.is_urgent
            if group:
                self._write(group)

    def _next(self, *, is_first: bool, is_urgent: bool) -> Row | None:
        if is_first:
            return self._jobs.get()
        return self._jobs.get_nowait() if is_urgent else self._jobs.get(timeout=LINGER_SECONDS)

    def _write(self, group: list[Row]) -> None:
        try:
            results = self._transact([row.job for row in group])
        except Exception as error:
            if len(group) > 1 and not isinstance(error, (apsw.FullError, apsw.IOError)):
                # One job of the group is at fault: each for itself.
                for row in group:
                    self._write([row])
                return
            _deliver([(row.future, None, error) for row in group])
        else:
            pairs = zip(group, results, strict=True)
            _deliver([(row.future, result, None) for row, result in pairs])

    def _transact(self, jobs: list[Job]) -> list[Any]:
        connection = self.connection
        connection.execute("begin immediate")
        try:
            results = [job(connection) for job in jobs]
            connection.execute("commit")
        except BaseException:
            # A full disk may have rolled back already.
            if connection.in_transaction:
                connection.execute("rollback")
            raise
        return results


def _deliver(answers: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    """Wake each caller's loop once for all answers of the group."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, rows in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, rows)


def _settle(rows: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in rows:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
