"""Catalogues in SQLite: concepts with the span of versions that have them, change sets, versions, audit.

A version is a whole number of one catalogue and never changes. A concept row stands once for all consecutive versions
in which it is the same, so an edition that changes 200 of 33,000 diagnoses adds 200 rows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from gateway.catalogues.change_set import ChangeSet, State, check_transition
from gateway.catalogues.database import open_database, transaction
from gateway.catalogues.deviations import Deviations
from terminology.catalogue.diff import Change, Diff, change_of, diff
from terminology.catalogue.row import Row, from_content
from terminology.fhirjson import decode, encode
from terminology.issues import BusinessRule, InvalidInput, NotFound, VersionConflict

SCHEMA = """
create table if not exists catalogue(
  id text primary key, url text not null unique, title text not null, kind text not null, source text not null) strict;
create table if not exists version(
  catalogue text not null, number integer not null, label text not null, change_set integer not null,
  effective_from text not null, effective_to text, published_at text not null, published_by text not null,
  primary key(catalogue, number)) strict, without rowid;
create table if not exists concept(
  catalogue text not null, code text not null, first integer not null, last integer, position integer not null,
  content blob not null, primary key(catalogue, code, first)) strict, without rowid;
create index if not exists concept_by_version on concept(catalogue, last, first);
create table if not exists change_set(
  id integer primary key, catalogue text not null, title text not null, state text not null, author text not null,
  approver text, base integer not null, version integer, effective text, note text) strict;
create table if not exists change(
  change_set integer not null, code text not null, content blob, position integer not null,
  primary key(change_set, code)) strict, without rowid;
create table if not exists announced(
  change_set integer not null, topic text not null, at text not null, primary key(change_set, topic)) strict, without rowid;
create table if not exists audit(
  number integer primary key, at text not null, who text not null, action text not null, subject text not null,
  detail blob not null) strict;
"""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`id`: a short name for commands ("icd10"); `kind`: diagnosis | procedure | drug | lab-item | exam-item | codes."""

    id: str
    url: str
    title: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """In force from `effective_from` (a day in +08:00) until the day before `effective_to`."""

    catalogue: str
    number: int
    label: str
    change_set: int
    effective_from: date
    effective_to: date | None


class Catalogues:
    """The authoring database. Every change is one transaction with its audit row."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        """Open or create the database; `now` gives the time with zone."""
        self._now = now
        self._db = open_database(path, SCHEMA)
        self.deviations = Deviations(self._db, self._transaction)

    def close(self) -> None:
        self._db.close()

    # Catalogues and versions

    def register(self, catalogue: Catalogue, *, who: str) -> None:
        """Add a catalogue; doing it twice changes nothing, another URL for the same id is a conflict (HT-CAT-42)."""
        held = self.find(catalogue.id)
        if held is None:
            with self._transaction(who, "register", catalogue.id, {"url": catalogue.url}):
                self._db.execute(
                    "insert into catalogue values(?,?,?,?,?)",
                    (catalogue.id, catalogue.url, catalogue.title, catalogue.kind, catalogue.source),
                )
        elif held.url != catalogue.url:
            raise VersionConflict("HT-CAT-42", catalogue=catalogue.id, url=held.url)

    def find(self, id: str) -> Catalogue | None:
        row = self._one("select id, url, title, kind, source from catalogue where id=? or url=?", (id, id))
        return Catalogue(*row) if row else None

    def get(self, id: str) -> Catalogue:
        """Return a catalogue by its id or URL; raises NotFound HT-CAT-43 naming those that exist."""
        found = self.find(id)
        if found is None:
            raise NotFound("HT-CAT-43", catalogue=id, known=", ".join(row.id for row in self.all()) or "—")
        return found

    def all(self) -> list[Catalogue]:
        return [
            Catalogue(*row)
            for row in self._db.execute("select id, url, title, kind, source from catalogue order by id")
        ]

    def versions(self, catalogue: str) -> list[PublishedVersion]:
        """Return the published versions, oldest first."""
        rows = self._db.execute(
            "select catalogue, number, label, change_set, effective_from, effective_to from version where catalogue=? order by number",
            (catalogue,),
        )
        return [_version(row) for row in rows]

    def in_force(self, catalogue: str, on: date) -> PublishedVersion | None:
        """Return the version that was (is, will be) in force on a day, None before the first."""
        row = self._one(
            "select catalogue, number, label, change_set, effective_from, effective_to from version"
            " where catalogue=? and effective_from<=? and (effective_to is null or effective_to>?) order by number desc limit 1",
            (catalogue, on.isoformat(), on.isoformat()),
        )
        return _version(row) if row else None

    def rows(self, catalogue: str, number: int) -> Iterator[Row]:
        """Yield the concepts of a version in the order of the catalogue."""
        found = self._db.execute(
            "select code, content from concept where catalogue=? and first<=? and (last is null or last>=?) order by position, code",
            (catalogue, number, number),
        )
        for code, content in found:
            yield from_content(code, decode(content))

    def row(self, catalogue: str, number: int, code: str) -> Row | None:
        """Return one concept of a version, None when the version does not have it."""
        found = self._one(
            "select content from concept where catalogue=? and code=? and first<=? and (last is null or last>=?)",
            (catalogue, code, number, number),
        )
        return from_content(code, decode(found[0])) if found else None

    def history(self, catalogue: str, code: str) -> list[tuple[int, int | None, Row]]:
        """Return each form that a code had with its first and last version."""
        found = self._db.execute(
            "select first, last, content from concept where catalogue=? and code=? order by first",
            (catalogue, code),
        )
        return [(first, last, from_content(code, decode(content))) for first, last, content in found]

    # Change sets

    def draft(
        self, catalogue: str, rows: Sequence[Row], *, title: str, who: str, is_complete: bool = True
    ) -> tuple[ChangeSet, Diff]:
        """Keep what `rows` would change as a draft against the newest version.

        Raises InvalidInput HT-CAT-44 when nothing would change.
        """
        self.get(catalogue)
        base = max((version.number for version in self.versions(catalogue)), default=0)
        found = diff(self.rows(catalogue, base), rows, is_complete=is_complete)
        if found.is_empty:
            raise InvalidInput("HT-CAT-44", catalogue=catalogue)
        detail = {
            "added": len(found.added),
            "changed": len(found.changed),
            "retired": len(found.retired),
            "reused": len(found.reused),
        }
        positions = {row.code: at for at, row in enumerate(rows)}
        with self._transaction(who, "draft", catalogue, detail):
            self._db.execute(
                "insert into change_set(catalogue, title, state, author, base) values(?,?,?,?,?)",
                (catalogue, title, "draft", who, base),
            )
            number = self._db.last_insert_rowid()
            changes = {change.code: change.after for change in (*found.added, *found.changed, *found.retired)}
            self._db.executemany(
                "insert into change values(?,?,?,?)",
                (
                    (number, code, encode(row.content()) if row else None, positions.get(code, len(rows)))
                    for code, row in changes.items()
                ),
            )
        return self.change_set(number), found

    def change_set(self, id: int) -> ChangeSet:
        row = self._one(
            "select id, catalogue, title, state, author, approver, base, version, effective, note from change_set where id=?",
            (id,),
        )
        if row is None:
            raise NotFound("HT-CAT-45", id=id)
        effective = date.fromisoformat(row[8]) if row[8] else None
        return ChangeSet(row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], effective, row[9])

    def changes(self, id: int, *, after: str = "", limit: int = 100) -> list[Change]:
        """Return what a change set does to each code, in the order of codes, from the one after `after` on."""
        change_set = self.change_set(id)
        rows = self._db.execute(
            "select change.code, concept.content, change.content from change left join concept"
            " on concept.catalogue=?1 and concept.code=change.code and first<=?3 and (last is null or last>=?3)"
            " where change_set=?2 and change.code>?4 order by change.code limit ?5",
            (change_set.catalogue, id, change_set.base, after, limit),
        )
        return [
            change_of(
                code, *(from_content(code, decode(content)) if content else None for content in contents)
            )
            for code, *contents in rows
        ]

    def touched(self, id: int) -> list[str]:
        """Return the codes that a change set changes or retires, those that it retires first."""
        change_set = self.change_set(id)
        rows = self._db.execute(
            "select change.code from change join concept on concept.catalogue=?1 and concept.code=change.code"
            " where change_set=?2 and first<=?3 and (last is null or last>=?3)"
            " order by change.content is not null, change.code",
            (change_set.catalogue, id, change_set.base),
        )
        return [code for (code,) in rows]

    def change_sets(self, catalogue: str | None = None, state: str | None = None) -> list[ChangeSet]:
        """Return change sets, newest first."""
        rows = self._db.execute(
            "select id from change_set where (?1 is null or catalogue=?1) and (?2 is null or state=?2) order by id desc",
            (catalogue, state),
        )
        return [self.change_set(number) for (number,) in list(rows)]

    def move(self, id: int, state: State, *, who: str, note: str | None = None) -> ChangeSet:
        """Submit, approve or reject; publishing has its own verb. Author and approver must differ."""
        change_set = self.change_set(id)
        if state == "rejected" and change_set.version is not None:
            return self.withdraw(id, who=who, note=note)
        check_transition(change_set, state, who)
        with self._transaction(who, state, f"{change_set.catalogue}#{id}", {"note": note} if note else {}):
            self._db.execute(
                "update change_set set state=?, note=coalesce(?, note), approver=iif(?='approved', ?, approver) where id=?",
                (state, note, state, who, id),
            )
        return self.change_set(id)

    def publish(self, id: int, *, who: str, effective: date, label: str | None = None) -> PublishedVersion:
        """Make an approved change set the next version, in force from `effective` on (scheduled when that is to come).

        Raises BusinessRule HT-CAT-46 when another version was published since it was drafted, HT-CAT-47 when
        `effective` lies before the newest version's.
        """
        change_set = self.change_set(id)
        state: State = "scheduled" if effective > self._now().date() else "in-force"
        check_transition(change_set, state, who)
        newest = max(self.versions(change_set.catalogue), key=lambda version: version.number, default=None)
        if (newest.number if newest else 0) != change_set.base:
            raise BusinessRule(
                "HT-CAT-46", id=id, base=change_set.base, newest=newest.number if newest else 0
            )
        if newest is not None and effective < newest.effective_from:
            raise BusinessRule(
                "HT-CAT-47", effective=effective.isoformat(), newest=newest.effective_from.isoformat()
            )
        number = change_set.base + 1
        with self._transaction(
            who,
            "publish",
            f"{change_set.catalogue}|{number}",
            {"effective": effective.isoformat(), "change_set": id},
        ):
            self._apply(change_set, number)
            self._begin(change_set.catalogue, number, label or effective.isoformat(), id, effective, who)
            self._db.execute(
                "update change_set set state=?, version=?, effective=? where id=?",
                (state, number, effective.isoformat(), id),
            )
        self.turn(effective if state == "in-force" else self._now().date())
        return self.versions(change_set.catalogue)[-1]

    def rollback(self, catalogue: str, *, to: int, who: str, reason: str) -> ChangeSet:
        """Submit the content of an earlier version as a change set; like any other it needs a second person.

        Raises NotFound HT-CAT-48 when there is no such earlier version, InvalidInput HT-CAT-44 when it is what is there.
        """
        newest = max((version.number for version in self.versions(catalogue)), default=0)
        if not 1 <= to < newest:
            raise NotFound("HT-CAT-48", catalogue=catalogue, version=to)
        drafted, _ = self.draft(catalogue, list(self.rows(catalogue, to)), title=f"rollback to {to}", who=who)
        return self.move(drafted.id, "submitted", who=who, note=reason)

    def withdraw(self, id: int, *, who: str, note: str | None = None) -> ChangeSet:
        """Take back a scheduled version before its day; the one before it stays in force.

        Raises BusinessRule HT-CAT-40 when it is in force already, HT-CAT-49 when a later version builds on it.
        """
        change_set = self.change_set(id)
        if change_set.effective is not None and change_set.effective <= self._now().date():
            self.turn(self._now().date())
            change_set = self.change_set(id)
        check_transition(change_set, "rejected", who)
        catalogue, number = change_set.catalogue, change_set.version
        newest = self.versions(catalogue)[-1].number
        if number != newest:
            raise BusinessRule("HT-CAT-49", id=id, version=number, newest=newest)
        with self._transaction(who, "withdraw", f"{catalogue}|{number}", {"note": note} if note else {}):
            self._db.execute("delete from concept where catalogue=? and first=?", (catalogue, number))
            self._db.execute(
                "update concept set last=null where catalogue=? and last=?", (catalogue, number - 1)
            )
            self._db.execute("delete from version where catalogue=? and number=?", (catalogue, number))
            self._db.execute(
                "update version set effective_to=null where catalogue=? and number=?", (catalogue, number - 1)
            )
            self._db.execute(
                "update change_set set state='rejected', version=null, effective=null, note=coalesce(?, note) where id=?",
                (note, id),
            )
        return self.change_set(id)

    def turn(self, today: date) -> list[int]:
        """Bring change sets to the state that the calendar gives them; returns those that changed."""
        moved: list[int] = []
        for catalogue in self.all():
            current = self.in_force(catalogue.id, today)
            for change_set in self.change_sets(catalogue.id):
                wanted: State | None = None
                if change_set.version is None or current is None:
                    continue
                if change_set.version == current.number and change_set.state == "scheduled":
                    wanted = "in-force"
                elif change_set.version < current.number and change_set.state == "in-force":
                    wanted = "superseded"
                if wanted:
                    with self._transaction("system", wanted, f"{catalogue.id}#{change_set.id}", {}):
                        self._db.execute("update change_set set state=? where id=?", (wanted, change_set.id))
                    moved.append(change_set.id)
        return moved

    def to_announce(self, today: date) -> list[tuple[str, Catalogue, PublishedVersion]]:
        """Return (topic, catalogue, version) of what others have not been told: "scheduled" or "in-force"."""
        rows = self._db.execute(
            "select catalogue, number, label, change_set, effective_from, effective_to,"
            " case when effective_from<=?1 then 'in-force' else 'scheduled' end as topic from version"
            " where not exists (select 1 from announced where announced.change_set=version.change_set"
            " and announced.topic=case when effective_from<=?1 then 'in-force' else 'scheduled' end)"
            " order by effective_from, catalogue, number",
            (today.isoformat(),),
        )
        return [(row[6], self.get(row[0]), _version(row)) for row in list(rows)]

    def announced(self, change_set: int, topic: str) -> None:
        """Note that others have been told."""
        self._db.execute(
            "insert into announced values(?,?,?) on conflict do nothing",
            (change_set, topic, self._now().isoformat()),
        )

    def audit(self, subject: str | None = None, limit: int = 100) -> list[dict[str, Any]]:
        """Return who did what, newest first."""
        rows = self._db.execute(
            "select number, at, who, action, subject, detail from audit where ?1 is null or subject like ?1||'%' order by number desc limit ?2",
            (subject, limit),
        )
        return [
            {
                "number": number,
                "at": at,
                "who": who,
                "action": action,
                "subject": about,
                "detail": decode(detail),
            }
            for number, at, who, action, about, detail in rows
        ]

    # Parts of a transaction

    def _apply(self, change_set: ChangeSet, number: int) -> None:
        changes = list(
            self._db.execute(
                "select code, content, position from change where change_set=?", (change_set.id,)
            )
        )
        self._end(change_set.catalogue, change_set.base, (code for code, _, _ in changes))
        self._add(
            change_set.catalogue,
            number,
            ((code, content, position) for code, content, position in changes if content is not None),
        )

    def _end(self, catalogue: str, last: int, codes: Iterable[str]) -> None:
        self._db.executemany(
            "update concept set last=? where catalogue=? and code=? and last is null",
            ((last, catalogue, code) for code in list(codes)),
        )

    def _add(self, catalogue: str, first: int, rows: Iterable[tuple[str, bytes, int]]) -> None:
        self._db.executemany(
            "insert into concept(catalogue, code, first, position, content) values(?,?,?,?,?)",
            ((catalogue, code, first, position, content) for code, content, position in rows),
        )

    def _begin(
        self, catalogue: str, number: int, label: str, change_set: int, effective: date, who: str
    ) -> None:
        self._db.execute(
            "update version set effective_to=? where catalogue=? and effective_to is null",
            (effective.isoformat(), catalogue),
        )
        self._db.execute(
            "insert into version(catalogue, number, label, change_set, effective_from, published_at, published_by) values(?,?,?,?,?,?,?)",
            (catalogue, number, label, change_set, effective.isoformat(), self._now().isoformat(), who),
        )

    def _contents(self, catalogue: str, number: int) -> list[tuple[str, bytes, int]]:
        return list(
            self._db.execute(
                "select code, content, position from concept where catalogue=? and first<=? and (last is null or last>=?)",
                (catalogue, number, number),
            )
        )

    def _one(self, statement: str, bindings: tuple[Any, ...]) -> Any:
        return next(iter(self._db.execute(statement, bindings)), None)

    @contextmanager
    def _transaction(self, who: str, action: str, subject: str, detail: dict[str, Any]) -> Iterator[None]:
        with transaction(self._db):
            yield
            self._db.execute(
                "insert into audit(at, who, action, subject, detail) values(?,?,?,?,?)",
                (self._now().isoformat(), who, action, subject, msgspec.json.encode(detail)),
            )


def _version(row: Any) -> PublishedVersion:
    return PublishedVersion(
        row[0],
        row[1],
        row[2],
        row[3],
        date.fromisoformat(row[4]),
        date.fromisoformat(row[5]) if row[5] else None,
    )
