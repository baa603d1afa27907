"""The index of the object folder (SQLite, WAL, synchronous=FULL): studies, series, instances, and what waits for somebody.

The objects themselves are files; every row here could be read from them again, decisions of people and queues aside.
"""

from pathlib import Path

import apsw

from gateway.journal.database import open_database

FILE = "index.sqlite"
VERSION = 1

TABLES = """
create table if not exists study (
  uid text primary key,
  patient_id text not null, issuer text not null, patient_name text not null, birth_date text not null, sex text not null,
  study_date text not null, study_time text not null, accession text not null, study_id text not null,
  description text not null, referring text not null, institution text not null, source text not null,
  received integer not null, changed integer not null,
  revision integer not null default 1, kept integer not null default 0,
  is_available integer not null default 0, expected integer,
  reference text not null default '', subject text not null default '', order_reference text not null default '', linked_by text not null default '',
  due integer not null, attempts integer not null default 0, problem text not null default ''
) without rowid;
create table if not exists series (
  uid text primary key, study text not null, modality text not null, number text not null, record text not null
) without rowid;
create table if not exists instance (
  uid text primary key, study text not null, series text not null, sop_class text not null, syntax text not null,
  number text not null, title text not null, rows integer, columns integer, frames integer, size integer not null,
  digest blob not null, path text not null, received integer not null, source text not null,
  mapped text not null default ''
) without rowid;
create index if not exists study_due on study (due) where due > 0;
create index if not exists study_whole on study (changed, order_reference) where is_available = 1;
create index if not exists study_patient on study (patient_id);
create index if not exists study_accession on study (accession);
create index if not exists study_date on study (study_date, study_time);
create index if not exists series_study on series (study);
create index if not exists instance_series on instance (series);
create index if not exists instance_study on instance (study, received);
create table if not exists aside (
  id integer primary key autoincrement, uid text not null, study text not null, reason text not null, detail text not null,
  path text not null, digest blob not null, received integer not null, source text not null, state text not null default 'open'
);
create unique index if not exists aside_content on aside (uid, digest);
create table if not exists orphan (
  study text primary key, reason text not null, detail text not null, since integer not null, looked integer not null,
  state text not null default 'open', decided integer, decided_by text not null default '', note text not null default ''
) without rowid;
create table if not exists scheduled (study text primary key, reference text not null) without rowid;
create table if not exists step (
  uid text primary key, status text not null, study text not null, accession text not null, record text not null,
  received integer not null, changed integer not null, kept integer not null default 0
) without rowid;
create table if not exists forward (
  id integer primary key autoincrement, destination text not null, uid text not null, study text not null,
  queued integer not null, state text not null default 'waiting', attempts integer not null default 0,
  next_attempt integer not null default 0, problem text not null default ''
);
create unique index if not exists forward_once on forward (destination, uid);
create index if not exists forward_waiting on forward (destination, id) where state = 'waiting';
"""


def connect(folder: Path, *, writing: bool) -> apsw.Connection:
    """Open the index in `folder`; the writer makes the tables. Raises Unavailable for an index of a newer version."""
    return open_database(folder / FILE, tables=TABLES, version=VERSION, writing=writing, code="HT-MSG-40")
