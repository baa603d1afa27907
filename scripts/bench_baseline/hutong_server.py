"""Hutong's FHIR routes alone over SQLite, as scripts/bench rest measures them. HUTONG_BENCH_DB, HUTONG_BENCH_SYNC."""

import os
from pathlib import Path
from typing import Literal, cast

from gateway.interpreter import settle, share_time
from gateway.operations.registry import ROWS, Operations
from gateway.rest.asgi import Rest
from gateway.rest.context import Context
from gateway.rest.respond_async import Jobs
from gateway.store.sqlite import SqliteStore

app = Rest(
    Context(
        store=SqliteStore(
            Path(os.environ["HUTONG_BENCH_DB"]),
            synchronous=cast(Literal["full", "normal"], os.environ.get("HUTONG_BENCH_SYNC", "normal")),
        ),
        operations=Operations(ROWS),
        jobs=Jobs(),
    )
)
share_time()
settle()
