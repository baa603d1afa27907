"""The tables of the delivery log (SQLite, WAL, synchronous=FULL)."""

import secrets
from pathlib import Path

import apsw

from gateway.journal.database import open_database

FILE = "deliveries.sqlite"
VERSION = 1

# The bytes stand apart, so that a change of state never rewrites a page of them.
TABLES = """
create table if not exists delivery (
  id integer primary key autoincrement,
  destination text not null,
  number integer not null,
  event integer not null,
  digest text not null default '',
  topic text not null,
  key text not null,
  focus text not null,
  payload text not null,
  control_id text not null,
  state text not null default 'waiting',
  attempts integer not null default 0,
  refusals integer not null default 0,
  created integer not null,
  since integer not null,
  next_attempt integer not null default 0,
  updated integer not null,
  size integer not null default 0,
  media text not null default '',
  map text not null default '',
  detail text not null default '{}'
);
create table if not exists body (id integer primary key, sent blob, answer blob);
create unique index if not exists delivery_event on delivery (destination, event, digest) where event > 0;
create unique index if not exists delivery_number on delivery (destination, number) where number > 0;
create index if not exists delivery_open on delivery (destination, id) where state in ('waiting', 'failed');
create index if not exists delivery_key on delivery (destination, key, id) where state in ('waiting', 'failed');
create index if not exists delivery_trouble on delivery (id) where state in ('waiting', 'failed', 'parked');
create index if not exists delivery_focus on delivery (destination, focus);
create index if not exists delivery_done on delivery (updated) where state in ('delivered', 'discarded');
create table if not exists destination (
  name text primary key,
  state text not null default 'up',
  since integer not null default 0,
  reason text not null default '',
  number integer not null default 0,
  failures integer not null default 0,
  next_attempt integer not null default 0
) without rowid;
create table if not exists fact (name text primary key, value text not null) without rowid;
"""


def connect(path: Path, *, writing: bool) -> apsw.Connection:
    """Open the delivery log; the writer makes the tables. Raises Unavailable for a log of a newer version."""
    connection = open_database(path, tables=TABLES, version=VERSION, writing=writing, code="HT-OUT-20")
    if writing:
        # Two gateways that send to one receiver must not use one control id twice.
        mark = "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(6))
        connection.execute("insert or ignore into fact values ('mark', ?)", (mark,))
    return connection
