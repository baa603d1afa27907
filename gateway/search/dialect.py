"""What differs between the SQL of SQLite and of PostgreSQL; everything else is written once (gateway/search/sql.py)."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """`join` keeps the written order of a join; `fence` keeps an EXISTS from being turned into a join."""

    name: str
    mark: str
    marks: re.Pattern[str]
    join: str
    fence: str
    text_list: str
    """`code IN …` over a bound JSON array (SQLite) or text array (PostgreSQL); {value} is the placeholder."""
    position: str
    """1-based place of a piece in a text, 0 when it isn't there."""
    fulltext: str
    """Whether the words of a row match a query; {table} {row} {query}."""
    fulltext_rows: str
    """SELECT of the row numbers that match a query."""
    by_type: str
    """Hint for walking a resource type; SQLite guesses wrong without statistics."""
    by_id: str
    """Hint for finding a resource by type and id."""
    wide: str
    """Hint for the few quantities that are intervals."""
    arrays_are_json: bool


SQLITE = Dialect(
    name="sqlite",
    mark="?",
    marks=re.compile(r"\?(\d+)"),
    join="CROSS JOIN",
    fence="",
    text_list="IN (SELECT value FROM json_each({value}))",
    position="instr({text}, {piece})",
    fulltext="EXISTS (SELECT 1 FROM {table} WHERE rowid = {row} AND {table} MATCH {query})",
    fulltext_rows="SELECT rowid AS rid FROM {table} WHERE {table} MATCH {query}",
    by_type="INDEXED BY version_type",
    by_id="INDEXED BY version_id",
    wide="INDEXED BY quantity_wide",
    arrays_are_json=True,
)

POSTGRES = Dialect(
    name="postgres",
    mark="$",
    marks=re.compile(r"\$(\d+)"),
    join="JOIN",
    fence=" OFFSET 0",
    text_list="= ANY({value})",
    position="strpos({text}, {piece})",
    fulltext="EXISTS (SELECT 1 FROM {table} f WHERE f.rid = {row} AND f.words @@ ({query}::text)::tsquery OFFSET 0)",
    fulltext_rows="SELECT f.rid FROM {table} f WHERE f.words @@ ({query}::text)::tsquery",
    by_type="",
    by_id="",
    wide="",
    arrays_are_json=False,
)
