"""What people do at the workbench: import a table, look at suggestions, accept, review, export, publish."""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import lru_cache

from gateway.catalogues.authoring import Catalogues, PublishedVersion
from gateway.workbench.concept_map import to_concept_map
from gateway.workbench.projects import LocalRow, Project, Projects
from gateway.workbench.sheet import lines, to_csv, to_xlsx
from terminology.catalogue.row import Row, Table
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, FhirError, InvalidInput
from terminology.workbench.suggest import Suggester, Suggestion, Target

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,28}[A-Za-z0-9])?", re.ASCII)
LEAST_CUT = 0.6
"""Bulk acceptance below this confidence would be guessing; the cut that people choose lies above."""


class Desk:
    """The workbench over both databases; `now` gives the time with zone."""

    def __init__(self, catalogues: Catalogues, projects: Projects, *, now: Callable[[], datetime]) -> None:
        self.catalogues = catalogues
        self.projects = projects
        self._now = now
        self._targets = lru_cache(maxsize=4)(self._read_targets)
        self._suggester = lru_cache(maxsize=4)(self._make_suggester)

    def close(self) -> None:
        self.catalogues.close()
        self.projects.close()

    def open(
        self,
        member: str,
        domain: str,
        table: Table,
        *,
        catalogue: str,
        who: str,
        is_blind: bool = False,
        source: str | None = None,
    ) -> tuple[Project, int, int]:
        """Take a member's table; raises InvalidInput with every bad line, nothing is kept then. Returns (project, new, changed).

        `source`: the system that the member's messages give these codes, when they name one.
        """
        for name in (member, domain):
            if not NAME.fullmatch(name):
                raise InvalidInput("HT-CAT-65", value=name[:40])
        if not table.is_loadable:
            raise InvalidInput(table.problems)
        version = self._in_force(catalogue)
        source = source or f"https://hutong.health/fhir/CodeSystem/{member}-{domain}"
        project = self.projects.open(
            member, domain, catalogue=catalogue, version=version.number, source=source, is_blind=is_blind
        )
        new, changed = self.projects.add(project, table.rows, who=who)
        return project, new, changed

    def suggest(self, project: Project, row: LocalRow, limit: int = 5) -> list[Suggestion]:
        """Return suggestions for one row, the likeliest first."""
        return self._suggester(project, self.projects.approved_count(project.domain)).suggest(
            row.local, limit
        )

    def accept_above(self, project: Project, cut: float, *, who: str) -> list[tuple[str, str, float]]:
        """Propose the first suggestion of every unmapped row whose confidence reaches `cut`; vetoed ones never.

        Of two targets that are equally like (one name, two codes) neither: a person chooses. Returns (local code,
        target code, confidence). A reviewer still has to approve.
        """
        if not LEAST_CUT <= cut <= 1:
            raise InvalidInput("HT-CAT-56", value=cut, least=LEAST_CUT)
        found = [
            (row.local.code, best)
            for row in self.projects.rows(project, ("unmapped",))
            if (best := _clear_winner(self.suggest(project, row, 2))) is not None
            and best.may_be_bulk_accepted
            and best.confidence >= cut
        ]
        with self.projects.together():
            for code, best in found:
                self.projects.propose(
                    project,
                    code,
                    target=best.target.code,
                    who=who,
                    relationship=best.relationship,
                    note=", ".join(best.reasons),
                )
        return [(code, best.target.code, best.confidence) for code, best in found]

    def propose(
        self,
        project: Project,
        code: str,
        *,
        target: str | None,
        who: str,
        relationship: str = "equivalent",
        note: str | None = None,
    ) -> str:
        """Propose a target that the catalogue has; raises InvalidInput HT-CAT-57 for one that it has not."""
        self._check_target(project, target)
        return self.projects.propose(
            project, code, target=target, who=who, relationship=relationship, note=note
        )

    def _check_target(self, project: Project, target: str | None) -> None:
        if target is not None and target not in self._targets(project.catalogue, project.version):
            raise InvalidInput("HT-CAT-57", concept=target, catalogue=project.catalogue)

    def reconcile(
        self,
        project: Project,
        code: str,
        *,
        target: str | None,
        who: str,
        relationship: str = "equivalent",
        note: str | None = None,
    ) -> str:
        """Decide a conflict of two blind authors; raises InvalidInput HT-CAT-57 for a target that the catalogue has not."""
        self._check_target(project, target)
        return self.projects.reconcile(
            project, code, target=target, who=who, relationship=relationship, note=note
        )

    def review_all(
        self, project: Project, codes: list[str], *, who: str, approve: bool, note: str | None = None
    ) -> tuple[list[str], list[tuple[str, FhirError]]]:
        """Review rows; those that cannot be reviewed (by this person) are told, the others go on."""
        reviewed: list[str] = []
        refused: list[tuple[str, FhirError]] = []
        with self.projects.together():
            for code in codes:
                try:
                    # Refused before anything of it is written.
                    self.projects.review(project, code, who=who, approve=approve, note=note)
                    reviewed.append(code)
                except FhirError as error:
                    refused.append((code, error))
        return reviewed, refused

    def carry_over(self, project: Project, *, who: str) -> list[str]:
        """Move a project to the version in force; returns the local codes whose target is gone or means another thing."""
        version = self._in_force(project.catalogue)
        before, after = (
            self._targets(project.catalogue, project.version),
            self._targets(project.catalogue, version.number),
        )

        def verdict(code: str) -> str | None:
            row = after.get(code)
            if row is None or row.is_inactive:
                return None
            return "ok" if code not in before or before[code].display == row.display else "changed"

        return self.projects.carry_over(project, version.number, verdict, who=who)

    def export(self, project: Project) -> str:
        """Return all rows with state, target, authors and notes as CSV."""
        return to_csv(self._lines(project))

    def export_xlsx(self, project: Project) -> bytes:
        """Return the same as a workbook; raises Unavailable HT-CAT-12 without the extra [xlsx]."""
        return to_xlsx(self._lines(project), title=f"{project.member} {project.domain}")

    def _lines(self, project: Project) -> Iterator[list[str]]:
        authors = self.projects.authors(project)
        return lines(self.projects.rows(project), self._display(project), authors)

    def concept_map(self, project: Project) -> Json:
        """Return the approved rows as the next ConceptMap; raises BusinessRule HT-CAT-58 when none is approved."""
        rows = self.projects.rows(project)
        if not any(row.state == "approved" for row in rows):
            raise BusinessRule("HT-CAT-58", member=project.member, domain=project.domain)
        catalogue = self.catalogues.get(project.catalogue)
        label = next(
            version.label
            for version in self.catalogues.versions(catalogue.id)
            if version.number == project.version
        )
        today = self._now()
        return to_concept_map(
            project,
            rows,
            target_system=catalogue.url,
            target_version=label,
            display=self._display(project),
            version=today.strftime("%Y%m%d%H%M%S"),
            date=today.date().isoformat(),
        )

    def publish(self, project: Project, *, who: str) -> Json:
        """Keep the approved rows as an immutable ConceptMap and return it; raises BusinessRule HT-CAT-58 when none is approved."""
        concept_map = self.concept_map(project)
        stamp = f"{project.member}-{project.domain}-{concept_map['version']}"
        concept_map = {"resourceType": "ConceptMap", "id": stamp[:64], **concept_map}
        self.projects.keep_publication(project, concept_map, who=who)
        return concept_map

    def _in_force(self, catalogue: str) -> PublishedVersion:
        self.catalogues.get(catalogue)
        version = self.catalogues.in_force(catalogue, self._now().date())
        if version is None:
            raise BusinessRule("HT-CAT-59", catalogue=catalogue)
        return version

    def _display(self, project: Project) -> Callable[[str], str | None]:
        targets = self._targets(project.catalogue, project.version)
        return lambda code: targets[code].display if code in targets else None

    def _read_targets(self, catalogue: str, version: int) -> dict[str, Row]:
        return {row.code: row for row in self.catalogues.rows(catalogue, version)}

    def _make_suggester(self, project: Project, approved: int) -> Suggester:  # noqa: ARG002  # more approvals, another suggester
        rows = self._targets(project.catalogue, project.version).values()
        targets = [
            Target(
                row.code,
                row.display,
                tuple(name.value for name in row.names),
                str(row.properties.get("strength", "")),
            )
            for row in rows
            if not row.is_inactive
        ]
        return Suggester(
            project.domain,
            targets,
            self.projects.approved_pairs(project.domain),
            national=self._national(project),
        )

    def _national(self, project: Project) -> Callable[[str], str | None]:
        """Return what the national maps say of a hospital's code, when the project aims at the system that they lead to."""
        from terminology.tables.domain import domain_names, load_domain

        if project.domain in domain_names():
            domain = load_domain(project.domain)
            if domain.is_icd and domain.system == self.catalogues.get(project.catalogue).url:
                return domain.by_code
        return lambda _: None


def _clear_winner(found: list[Suggestion]) -> Suggestion | None:
    """Return the first suggestion, unless the second is as likely."""
    if not found or (len(found) > 1 and found[1].confidence == found[0].confidence):
        return None
    return found[0]
