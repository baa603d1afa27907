"""The tables of the durable stores (docs/storage.md).

`version` has one row a version of a resource, numbered in commit order; a version is what a snapshot `s` sees when
`rid <= s < until`. The index tables hold what a version can be found by. Words that repeat (paths, types, systems,
units, displays) are numbers from `word`, so that an index row is some twenty bytes.
"""

import re

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS word (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS version (
  rid INTEGER PRIMARY KEY, t INTEGER NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
  updated INTEGER NOT NULL, until INTEGER NOT NULL, method INTEGER NOT NULL, body BLOB);
CREATE UNIQUE INDEX IF NOT EXISTS version_id ON version (t, id, version);
CREATE INDEX IF NOT EXISTS version_type ON version (t, rid, until, method);
CREATE INDEX IF NOT EXISTS version_updated ON version (updated);
CREATE TABLE IF NOT EXISTS large (rid INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS token (
  rid INTEGER NOT NULL, p INTEGER NOT NULL, code TEXT NOT NULL, s INTEGER NOT NULL, d INTEGER NOT NULL,
  n INTEGER NOT NULL, PRIMARY KEY (rid, p, code, s, d, n)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS token_code ON token (p, code, rid, s);
CREATE TABLE IF NOT EXISTS display (
  p INTEGER NOT NULL, d INTEGER NOT NULL, code TEXT NOT NULL, s INTEGER NOT NULL,
  PRIMARY KEY (d, p, code, s)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS string (
  rid INTEGER NOT NULL, p INTEGER NOT NULL, value TEXT NOT NULL, exact TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (rid, p, value, exact, n)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS string_value ON string (p, value, rid);
CREATE TABLE IF NOT EXISTS suffix (
  p INTEGER NOT NULL, value TEXT NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (p, value, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS date (
  rid INTEGER NOT NULL, p INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, wide INTEGER NOT NULL,
  n INTEGER NOT NULL, PRIMARY KEY (rid, p, low, high, n)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS date_low ON date (p, low, rid, high);
CREATE INDEX IF NOT EXISTS date_high ON date (p, high) WHERE wide = 1;
CREATE TABLE IF NOT EXISTS quantity (
  rid INTEGER NOT NULL, p INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL, s INTEGER NOT NULL,
  code INTEGER NOT NULL, unit INTEGER NOT NULL, base INTEGER, base_low REAL NOT NULL, base_high REAL NOT NULL,
  wide INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (rid, p, n, low, high, s, code, unit)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS quantity_low ON quantity (p, low, rid);
CREATE INDEX IF NOT EXISTS quantity_base ON quantity (p, base, base_low) WHERE base IS NOT NULL;
CREATE INDEX IF NOT EXISTS quantity_wide ON quantity (p, high) WHERE wide = 1;
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, key TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS audit (id INTEGER PRIMARY KEY AUTOINCREMENT, entry BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS retired (rid INTEGER PRIMARY KEY, until INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS reindex (
  url TEXT PRIMARY KEY, code TEXT NOT NULL, revision INTEGER NOT NULL, done INTEGER NOT NULL, upto INTEGER NOT NULL)
  WITHOUT ROWID;
"""

SQLITE_ONLY = """
CREATE VIRTUAL TABLE IF NOT EXISTS narrative USING fts5 (
  words, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co M*'");
CREATE VIRTUAL TABLE IF NOT EXISTS content USING fts5 (
  words, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0 categories 'L* N* Co M*'");
"""

POSTGRES_ONLY = """
CREATE TABLE IF NOT EXISTS clock (
  name TEXT PRIMARY KEY, rid BIGINT NOT NULL, updated BIGINT NOT NULL, word INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS narrative (rid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL);
CREATE INDEX IF NOT EXISTS narrative_words ON narrative USING GIN (words);
CREATE TABLE IF NOT EXISTS content (rid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL);
CREATE INDEX IF NOT EXISTS content_words ON content USING GIN (words);
INSERT INTO clock VALUES ('main', 0, 0, 0) ON CONFLICT DO NOTHING;
"""

# Numbers that grow with the data are 64 bits wide in PostgreSQL; texts are compared by their bytes, as in SQLite.
WIDE = ("rid", "updated", "until", "low", "high", "at", "done", "upto", "revision")


def postgres_tables() -> str:
    """Return the same tables in the words of PostgreSQL."""
    text = (
        re.sub(r"\)\s+WITHOUT ROWID", ")", TABLES)
        .replace("BLOB", "BYTEA")
        .replace("REAL", "DOUBLE PRECISION")
    )
    text = text.replace("TEXT", 'TEXT COLLATE "C"')
    text = text.replace(
        "INTEGER PRIMARY KEY AUTOINCREMENT", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    )
    for name in WIDE:
        text = re.sub(rf"\b{name} INTEGER", f"{name} BIGINT", text)
    return text + POSTGRES_ONLY
