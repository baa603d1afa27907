"""Databases of what was promised: made by the writer, read by others, never opened by an older program."""

from pathlib import Path

import apsw
import pytest

from gateway.journal.database import open_database
from terminology.issues import Unavailable

TABLES = "create table if not exists thing (name text)"


def test_the_writer_makes_the_tables_and_a_reader_only_reads(tmp_path: Path) -> None:
    path = tmp_path / "things.sqlite"
    writer = open_database(path, tables=TABLES, version=1, writing=True, code="HT-MSG-40")
    writer.execute("insert into thing values ('kept')")
    reader = open_database(path, tables=TABLES, version=1, writing=False, code="HT-MSG-40")
    assert reader.execute("select name from thing").get == "kept"
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("delete from thing")
    assert (writer.pragma("journal_mode"), writer.pragma("synchronous")) == ("wal", 2)
    reader.close()
    writer.close()


@pytest.mark.parametrize("code", ["HT-MSG-40", "HT-OUT-20"])
def test_what_a_newer_version_made_is_left_alone(tmp_path: Path, code: str) -> None:
    path = tmp_path / "things.sqlite"
    open_database(path, tables=TABLES, version=2, writing=True, code=code).close()
    with pytest.raises(Unavailable) as error:
        open_database(path, tables=TABLES, version=1, writing=True, code=code)
    (issue,) = error.value.issues
    assert (issue.code, issue.values["found"], issue.values["known"]) == (code, 2, 1)
