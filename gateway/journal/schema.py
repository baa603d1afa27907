"""The tables of the journal (SQLite, WAL, synchronous=FULL)."""

from pathlib import Path

import apsw

from gateway.journal.database import open_database

VERSION = 1

# The raw bytes stand apart, so that a change of state never rewrites a page of them.
TABLES = """
create table if not exists message (
  id integer primary key autoincrement,
  received integer not null,
  kind text not null,
  channel text not null,
  peer text not null,
  source text not null,
  control_id text not null,
  event text not null,
  keys text not null,
  hash blob not null,
  request_id text not null,
  size integer not null,
  state text not null,
  attempts integer not null default 0,
  next_attempt integer not null default 0,
  counted integer not null default 0,
  detail text not null default '{}'
);
create table if not exists raw (id integer primary key, bytes blob not null);
create index if not exists message_identity on message (source, control_id, hash);
create index if not exists message_open on message (next_attempt) where state in ('received', 'mapped', 'failed');
create index if not exists message_trouble on message (id) where state <> 'stored';
create index if not exists message_request on message (request_id);
create table if not exists checkpoint (source text primary key, value blob not null, at integer not null) without rowid;
create table if not exists unmapped (
  domain text not null,
  system text not null,
  code text not null,
  source text not null,
  display text not null,
  count integer not null,
  first_message integer not null,
  last_message integer not null,
  primary key (domain, system, code, source)
) without rowid;
"""


def connect(path: Path, *, writing: bool) -> apsw.Connection:
    """Open the journal; the writer makes the tables. Raises Unavailable for a journal of a newer version."""
    return open_database(path, tables=TABLES, version=VERSION, writing=writing, code="HT-MSG-40")
