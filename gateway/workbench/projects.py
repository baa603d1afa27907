"""Mapping projects in SQLite: a member's local table on one side, a catalogue on the other."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.catalogues.database import open_database, transaction
from gateway.workbench.state import (
    OPEN_TO_PROPOSALS,
    RELATIONSHIPS,
    Proposal,
    State,
    check_reviewer,
    relationship_of,
    state_after,
)
from terminology.catalogue.row import Row
from terminology.fhirjson import Json, decode, encode
from terminology.issues import BusinessRule, InvalidInput, NotFound, VersionConflict
from terminology.workbench.suggest import Local

SCHEMA = """
create table if not exists project(
  id integer primary key, member text not null, domain text not null, catalogue text not null, version integer not null,
  source text not null, is_blind integer not null, created_at text not null,
  unique(member, domain)) strict;
create table if not exists local_row(
  project integer not null, code text not null, name text not null, strength text not null, maker text not null,
  uses integer not null, extra blob not null, state text not null, target text, relationship text, reviewer text,
  note text, primary key(project, code)) strict, without rowid;
create index if not exists local_row_by_state on local_row(project, state, uses desc);
create table if not exists proposal(
  project integer not null, code text not null, number integer not null, author text not null, target text,
  relationship text not null, note text, at text not null, primary key(project, code, number)) strict, without rowid;
create table if not exists publication(
  project integer not null, version text not null, at text not null, who text not null, content blob not null,
  primary key(project, version)) strict, without rowid;
create table if not exists step(
  number integer primary key, project integer not null, code text not null, at text not null, who text not null,
  action text not null, detail blob not null) strict;
"""


# Whose mappings teach: of any member, decided by a second person, and the same thing.
APPROVED = """from local_row join project on project.id=local_row.project
  where domain=? and state='approved' and target is not null and relationship in ('equal', 'equivalent')"""


@dataclass(frozen=True, slots=True)
class Project:
    """`source`: canonical of the member's local code system; `version`: of the catalogue that targets are taken from."""

    id: int
    member: str
    domain: str
    catalogue: str
    version: int
    source: str
    is_blind: bool


@dataclass(frozen=True, slots=True)
class LocalRow:
    """A local code with what is decided about it; `uses`: how often it occurred, most used first."""

    local: Local
    uses: int
    state: State
    target: str | None
    relationship: str | None
    reviewer: str | None
    note: str | None


class Projects:
    """The workbench's database. Every step is kept with who took it."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._db = open_database(path, SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what the body does as one transaction: thousands of rows then cost one sync of the disk."""
        with transaction(self._db):
            yield

    def open(
        self, member: str, domain: str, *, catalogue: str, version: int, source: str, is_blind: bool = False
    ) -> Project:
        """Return the project of a member and domain, made when it is new."""
        self._db.execute(
            "insert into project(member, domain, catalogue, version, source, is_blind, created_at) values(?,?,?,?,?,?,?) on conflict do nothing",
            (member, domain, catalogue, version, source, is_blind, self._now().isoformat()),
        )
        return self.get(member, domain)

    def get(self, member: str, domain: str) -> Project:
        row = self._one(
            "select id, member, domain, catalogue, version, source, is_blind from project where member=? and domain=?",
            (member, domain),
        )
        if row is None:
            raise NotFound("HT-CAT-52", member=member, domain=domain)
        return _project(row)

    def all(self) -> list[Project]:
        rows = self._db.execute(
            "select id, member, domain, catalogue, version, source, is_blind from project order by member, domain"
        )
        return [_project(row) for row in rows]

    def add(self, project: Project, rows: Iterable[Row], *, who: str) -> tuple[int, int]:
        """Take a local table; known codes keep their mapping unless the name changed. Returns (new, changed)."""
        new = changed = 0
        with self._step(project, "*", who, "import", {}):
            for row in rows:
                own = {name: str(value) for name, value in row.properties.items()}
                strength, maker = _pick(own, STRENGTH), _pick(own, MAKER)
                uses = _pick(own, USES)
                held = self._one(
                    "select name, strength from local_row where project=? and code=?", (project.id, row.code)
                )
                if held is None:
                    new += 1
                    self._db.execute(
                        "insert into local_row(project, code, name, strength, maker, uses, extra, state) values(?,?,?,?,?,?,?,'unmapped')",
                        (
                            project.id,
                            row.code,
                            row.display,
                            strength,
                            maker,
                            int(uses) if uses.isdigit() else 0,
                            encode(own),
                        ),
                    )
                elif held != (row.display, strength):
                    changed += 1
                    self._db.execute(
                        "update local_row set name=?, strength=?, maker=?, state='unmapped', target=null, relationship=null where project=? and code=?",
                        (row.display, strength, maker, project.id, row.code),
                    )
        return new, changed

    def rows(
        self, project: Project, states: Sequence[State] = (), *, after: str = "", limit: int = 1_000_000
    ) -> list[LocalRow]:
        """Return rows in the order of their codes from `after` on."""
        # Only question marks are put into the text.
        wanted = f"and state in ({','.join('?' * len(states))})" if states else ""
        statement = f"""select code, name, strength, maker, uses, state, target, relationship, reviewer, note
            from local_row where project=? and code>? {wanted} order by code limit ?"""  # noqa: S608
        found = self._db.execute(statement, (project.id, after, *states, limit))
        return [_local_row(one) for one in found]

    def row(self, project: Project, code: str) -> LocalRow:
        found = self._db.execute(
            "select code, name, strength, maker, uses, state, target, relationship, reviewer, note"
            " from local_row where project=? and code=?",
            (project.id, code),
        )
        for one in found:
            return _local_row(one)
        raise NotFound("HT-CAT-53", concept=code, member=project.member)

    def counts(self, project: Project) -> dict[str, int]:
        return dict(
            self._db.execute(
                "select state, count(*) from local_row where project=? group by state", (project.id,)
            )
        )

    def propose(
        self,
        project: Project,
        code: str,
        *,
        target: str | None,
        who: str,
        relationship: str = "equivalent",
        note: str | None = None,
    ) -> State:
        """Say what a local code is; no target means that there is none (relationship unmatched).

        Raises InvalidInput HT-CAT-54 for an unknown relationship, BusinessRule HT-CAT-55 when the row is closed.
        """
        relationship = relationship_of(relationship, target)
        if relationship not in RELATIONSHIPS or (relationship == "unmatched") != (target is None):
            raise InvalidInput("HT-CAT-54", value=relationship, allowed=", ".join(RELATIONSHIPS))
        row = self.row(project, code)
        if row.state not in OPEN_TO_PROPOSALS:
            raise BusinessRule("HT-CAT-55", concept=code, state=row.state)
        with self._step(
            project, code, who, "propose", {"target": target, "relationship": relationship, "note": note}
        ):
            self._db.execute(
                "insert into proposal select ?1, ?2, 1+coalesce(max(number), 0), ?3, ?4, ?5, ?6, ?7 from proposal where project=?1 and code=?2",
                (project.id, code, who, target, relationship, note, self._now().isoformat()),
            )
            latest = {proposal.author: proposal for proposal in self.proposals(project, code)}
            state = state_after(tuple(latest.values()), is_blind=project.is_blind)
            self._settle(
                project,
                code,
                state,
                target if state == "submitted" else None,
                relationship if state == "submitted" else None,
            )
            if state == "submitted":
                notes = dict.fromkeys(proposal.note for proposal in latest.values() if proposal.note)
                self._note(project, code, "; ".join(notes) or None)
        return state

    def proposals(self, project: Project, code: str) -> list[Proposal]:
        """Return the proposals on a row, oldest first."""
        rows = self._db.execute(
            "select author, target, relationship, note, at from proposal where project=? and code=? order by number",
            (project.id, code),
        )
        return [Proposal(*row) for row in rows]

    def review(
        self, project: Project, code: str, *, who: str, approve: bool, note: str | None = None
    ) -> State:
        """Approve or reject a submitted row; the reviewer is none of its authors."""
        wanted: State = "approved" if approve else "rejected"
        row = self.row(project, code)
        check_reviewer(code, row.state, self._authors(project, code), who, wanted=wanted)
        with self._step(project, code, who, wanted, {"note": note}):
            self._db.execute(
                "update local_row set state=?, reviewer=? where project=? and code=?",
                (wanted, who, project.id, code),
            )
            if note:
                self._note(project, code, f"{row.note}; {note}" if row.note else note)
        return wanted

    def reconcile(
        self,
        project: Project,
        code: str,
        *,
        target: str | None,
        who: str,
        relationship: str = "equivalent",
        note: str | None = None,
    ) -> State:
        """Decide a conflict of two blind authors; a third person's word counts as approved."""
        row = self.row(project, code)
        check_reviewer(code, row.state, self._authors(project, code), who, wanted="submitted")
        relationship = relationship_of(relationship, target)
        if relationship not in RELATIONSHIPS or (relationship == "unmatched") != (target is None):
            raise InvalidInput("HT-CAT-54", value=relationship, allowed=", ".join(RELATIONSHIPS))
        with self._step(
            project, code, who, "reconcile", {"target": target, "relationship": relationship, "note": note}
        ):
            self._settle(project, code, "approved", target, relationship)
            self._db.execute(
                "update local_row set reviewer=?, note=? where project=? and code=?",
                (who, note, project.id, code),
            )
        return "approved"

    def approved_pairs(self, domain: str) -> list[tuple[Local, str]]:
        """Return what was approved in a domain by any member: what the next suggestions learn from."""
        rows = self._db.execute(f"select code, name, strength, maker, target {APPROVED}", (domain,))
        return [(Local(code, name, strength, maker), target) for code, name, strength, maker, target in rows]

    def approved_count(self, domain: str) -> int:
        """Return how many pairs `approved_pairs` has, without reading them."""
        return int(self._one(f"select count(*) {APPROVED}", (domain,))[0])

    def aimed_at(self, catalogue: str, targets: Collection[str]) -> list[tuple[str, str, str, str]]:
        """Return (member, domain, local code, target) of the mappings that aim at one of these codes of a catalogue."""
        rows = self._db.execute(
            "select member, domain, code, target from local_row join project on project.id=local_row.project"
            " where catalogue=? and target is not null and state in ('submitted', 'approved')",
            (catalogue,),
        )
        return [(member, domain, code, target) for member, domain, code, target in rows if target in targets]

    def keep_publication(self, project: Project, concept_map: Json, *, who: str) -> None:
        """Keep a published ConceptMap for good; raises VersionConflict HT-CAT-67 when its version is there already."""
        if self.publication(project, concept_map["version"]) is not None:
            raise VersionConflict("HT-CAT-67", version=concept_map["version"])
        with self._step(project, "*", who, "publish", {"version": concept_map["version"]}):
            self._db.execute(
                "insert into publication values(?,?,?,?,?)",
                (project.id, concept_map["version"], self._now().isoformat(), who, encode(concept_map)),
            )

    def publication(self, project: Project, version: str) -> Json | None:
        row = self._one(
            "select content from publication where project=? and version=?", (project.id, version)
        )
        return decode(row[0]) if row else None

    def publications(self, project: Project) -> list[dict[str, str]]:
        """Return version, time and person of each publication, newest first."""
        rows = self._db.execute(
            "select version, at, who from publication where project=? order by version desc", (project.id,)
        )
        return [{"version": version, "at": at, "who": who} for version, at, who in rows]

    def newest_publications(self) -> list[tuple[str, Json]]:
        """Return (domain, ConceptMap) of every project's newest publication: what messages are translated by."""
        rows = self._db.execute(
            "select domain, content, max(publication.version) from publication"
            " join project on project.id=publication.project group by project order by project"
        )
        return [(domain, decode(content)) for domain, content, _ in rows]

    def carry_over(
        self, project: Project, version: int, targets: Callable[[str], str | None], *, who: str
    ) -> list[str]:
        """Move a project to the next version of its catalogue; rows whose target is gone or renamed become stale.

        `targets` returns "ok", "changed" or None (gone) for a target code. Returns the stale local codes.
        """
        stale: list[str] = []
        with self._step(project, "*", who, "carry-over", {"version": version}):
            for row in self.rows(project, ("approved", "submitted")):
                if row.target is not None and targets(row.target) != "ok":
                    stale.append(row.local.code)
                    self._db.execute(
                        "update local_row set state='stale' where project=? and code=?",
                        (project.id, row.local.code),
                    )
            self._db.execute("update project set version=? where id=?", (version, project.id))
        return stale

    def steps(self, project: Project, code: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """Return who did what, newest first."""
        rows = self._db.execute(
            "select step.code, at, who, action, detail, state from step"
            " left join local_row on local_row.project=step.project and local_row.code=step.code"
            " where step.project=?1 and (?2 is null or step.code=?2) order by number desc limit ?3",
            (project.id, code, limit),
        )
        # Who maps blind must not see what the other one said.
        return [
            {"code": code, "at": at, "who": who, "action": action}
            | ({} if project.is_blind and state == "draft" else decode(detail))
            for code, at, who, action, detail, state in rows
        ]

    def _note(self, project: Project, code: str, note: str | None) -> None:
        self._db.execute("update local_row set note=? where project=? and code=?", (note, project.id, code))

    def authors(self, project: Project) -> dict[str, list[str]]:
        """Return who proposed for each local code; of a blind project only where both have."""
        rows = self._db.execute(
            "select proposal.code, author from proposal join local_row using(project, code)"
            " where project=? and state<>'draft' group by proposal.code, author order by min(number)",
            (project.id,),
        )
        found: dict[str, list[str]] = {}
        for code, author in rows:
            found.setdefault(code, []).append(author)
        return found

    def _authors(self, project: Project, code: str) -> frozenset[str]:
        return frozenset(proposal.author for proposal in self.proposals(project, code))

    def _settle(
        self, project: Project, code: str, state: State, target: str | None, relationship: str | None
    ) -> None:
        self._db.execute(
            "update local_row set state=?, target=?, relationship=? where project=? and code=?",
            (state, target, relationship, project.id, code),
        )

    def _one(self, statement: str, bindings: tuple[Any, ...]) -> Any:
        return next(iter(self._db.execute(statement, bindings)), None)

    @contextmanager
    def _step(
        self, project: Project, code: str, who: str, action: str, detail: dict[str, Any]
    ) -> Iterator[None]:
        with transaction(self._db):
            yield
            self._db.execute(
                "insert into step(project, code, at, who, action, detail) values(?,?,?,?,?,?)",
                (
                    project.id,
                    code,
                    self._now().isoformat(),
                    who,
                    action,
                    encode({key: value for key, value in detail.items() if value is not None}),
                ),
            )


def _local_row(row: Any) -> LocalRow:
    code, name, strength, maker, uses, state, target, relationship, reviewer, note = row
    return LocalRow(Local(code, name, strength, maker), uses, state, target, relationship, reviewer, note)


def _project(row: Any) -> Project:
    id, member, domain, catalogue, version, source, is_blind = row
    return Project(id, member, domain, catalogue, version, source, bool(is_blind))


STRENGTH = ("strength", "规格", "gg", "药品规格", "spec")
MAKER = ("maker", "生产企业", "生产厂家", "厂家", "cj", "sccj")
USES = ("uses", "使用次数", "用量", "count")


def _pick(values: dict[str, str], names: Sequence[str]) -> str:
    return next((values[name] for name in names if values.get(name)), "")
