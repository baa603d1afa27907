"""`/catalogues`: the catalogues and their change sets over HTTP (docs/terminology/catalogues.md).

GET /catalogues · POST /catalogues?catalogue=… · GET /catalogues/change-sets[/{n}[/changes|/affected]] ·
POST /catalogues/change-sets/{n}/submit|approve|reject|publish · GET /catalogues/{id}[/versions|/export|/audit|/concepts] ·
POST /catalogues/{id}/rollback · GET|POST /catalogues/{id}/deviations · GET /catalogues/{id}/available ·
POST /catalogues/deviations/{n}/approve|reject
"""

from collections.abc import Callable, Collection
from dataclasses import asdict

from gateway.catalogues import drugs
from gateway.catalogues.authoring import Catalogue, PublishedVersion
from gateway.catalogues.change_set import ChangeSet
from gateway.catalogues.intake import Checked, changes_report, check_table, issue_row, report, touched
from gateway.catalogues.person import person
from gateway.catalogues.place import Office
from gateway.catalogues.publish import (
    reject,
    to_csv,
    to_recognition_items,
    to_resource,
    write_snapshot,
)
from gateway.catalogues.request import (
    CSV,
    MAX_BODY,
    MAX_ROWS,
    MAX_UPLOAD,
    choice,
    count_of,
    day,
    file_name,
    flag,
    needed,
    read_json,
    text,
    uploaded,
    whole,
)
from gateway.catalogues.uses import report as in_use
from gateway.catalogues.uses import uses_of
from gateway.channels.part import FHIR_JSON, Part, Receive, Reply, json_reply, read_body
from gateway.rest.request import Request
from gateway.store.protocol import Store
from terminology.fhirjson import Json, encode
from terminology.issues import InvalidInput, NotAllowed, NotFound
from terminology.snapshot.library import CatalogueLibrary

KINDS = ("diagnosis", "procedure", "drug", "lab-item", "exam-item", "codes")


class CatalogueRoutes(Part):
    """The ASGI application of `/catalogues`."""

    def __init__(
        self, office: Office, store: Store, *, published: Callable[[], None], prefix: str = "/catalogues"
    ) -> None:
        """`store` tells who uses a code; `published` is called when versions may have changed."""
        super().__init__(prefix)
        self._office, self._store, self._published = office, store, published

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # the base's signature
        parts = request.path.split("/") if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        limit = MAX_UPLOAD if not parts else MAX_BODY
        body = b"" if is_reading else await read_body(request, receive, limit, code="HT-CAT-60")
        match parts:
            case [] if request.method == "POST":
                return await self._take(request, body)
            case ["change-sets", number, "affected"] if is_reading:
                affected = await self._affected(whole("change-set", number))
                return json_reply(affected)
            case ["deviations", number, step] if request.method == "POST" and step in drugs.REVIEWS:
                decided, commit = await self._office.run(
                    lambda: drugs.review(self._office, number, step, request, body)
                )
                await self._store.commit(commit)
                return json_reply(decided)
        reply = await self._office.run(lambda: self._reply(request, parts, body, is_reading=is_reading))
        if not is_reading:
            self._published()
        return reply

    def _reply(self, request: Request, parts: list[str], body: bytes, *, is_reading: bool) -> Reply:
        match parts:
            case [] if is_reading:
                return json_reply(self._list())
            case ["change-sets"] if is_reading:
                return self._change_sets(request)
            case ["change-sets", number] if is_reading:
                return json_reply(shown(self._office.catalogues.change_set(whole("change-set", number))))
            case ["change-sets", number, "changes"] if is_reading:
                return self._changes(whole("change-set", number), request)
            case ["change-sets", number, step] if request.method == "POST" and step in STEPS:
                return self._step(whole("change-set", number), step, request, read_json(body))
            case [id, "deviations"] if is_reading:
                return drugs.read_deviations(self._office, self._office.catalogues.get(id), request)
            case [id, "deviations"] if request.method == "POST":
                return drugs.propose(self._office, self._office.catalogues.get(id), request, body)
            case [id, "available"] if is_reading:
                return drugs.available(self._office, self._office.catalogues.get(id), request)
            case [id, "rollback"] if request.method == "POST":
                return self._rollback(id, request, read_json(body))
            case [id] if is_reading:
                return json_reply(self._catalogue(self._office.catalogues.get(id)))
            case [id, "versions"] if is_reading:
                return json_reply({"versions": self._versions(self._office.catalogues.get(id))})
            case [id, "export"] if is_reading:
                return self._export(self._office.catalogues.get(id), request)
            case [id, "audit"] if is_reading:
                return self._audit(self._office.catalogues.get(id), request)
            case ["tcm", "pair"] if is_reading:
                return self._pair(request)
            case [id, "concepts"] if is_reading:
                return self._concept(self._office.catalogues.get(id), request)
        raise NotAllowed(
            "HT-CAT-63",
            method=request.method,
            path=f"{self.prefix}/{request.path}"[:80],
            allowed="POST"
            if parts and parts[-1] in (*STEPS, *drugs.REVIEWS, "rollback")
            else "GET, HEAD, POST",
        )

    def _list(self) -> Json:
        waiting = [
            row
            for row in self._office.catalogues.change_sets()
            if row.state in ("draft", "submitted", "approved", "scheduled")
        ]
        return {
            "catalogues": [self._catalogue(row) for row in self._office.catalogues.all()],
            "change_sets": [shown(row) for row in waiting],
        }

    def _catalogue(self, row: Catalogue) -> Json:
        self._office.catalogues.turn(self._office.today())
        version = self._office.catalogues.in_force(row.id, self._office.today())
        return {**asdict(row), "in_force": _version(version) if version else None}

    def _versions(self, row: Catalogue) -> list[Json]:
        return [_version(version) for version in self._office.catalogues.versions(row.id)]

    def _change_sets(self, request: Request) -> Reply:
        rows = self._office.catalogues.change_sets(request.param("catalogue"), request.param("state"))
        return json_reply({"change_sets": [shown(row) for row in rows[: count_of(request)]]})

    async def _take(self, request: Request, body: bytes) -> Reply:
        """Read an uploaded file: a report with `dry-run=true`, else a draft; 400 with every bad row."""
        answer, known, codes = await self._office.run(lambda: self._read(request, body))
        if known is not None and "diff" in answer:
            uses = await uses_of(self._store, kind=known.kind, system=known.url, codes=codes)
            answer["diff"]["affected_resources"] = in_use(uses, codes)
        made = answer.get("change_set")
        if made is None:
            return json_reply(answer)
        return self._made(made["id"], answer)

    def _read(self, request: Request, body: bytes) -> tuple[Json, Catalogue | None, list[str]]:
        """Return the report (with the change set, unless it was a dry run), the catalogue and the codes that change."""
        catalogues = self._office.catalogues
        id = needed(request, "catalogue")
        is_dry = flag(request, "dry-run")
        is_complete = not flag(request, "partial")
        who = "" if is_dry else person(request)
        known = catalogues.find(id)
        kind = known.kind if known else choice(request, "kind", KINDS, "codes")
        checked = check_table(
            catalogues,
            known.id if known else id,
            uploaded(request, body),
            kind=kind,
            is_complete=is_complete,
            with_levels=flag(request, "levels"),
        )
        if is_dry:
            return self._report(checked, request, known), known, touched(checked)
        if not checked.is_loadable:
            raise InvalidInput(
                sorted(checked.problems, key=lambda problem: problem.severity in ("warning", "information"))
            )
        if known is None:
            known = _new(id, kind, request)
            catalogues.register(known, who=who)
        change_set, _ = catalogues.draft(
            known.id, checked.table.rows, title=request.param("title") or file_name(request), who=who,
            is_complete=is_complete,
        )  # fmt: skip
        answer = {"change_set": shown(change_set), **self._report(checked, request, known)}
        return answer, known, touched(checked)

    def _made(self, number: int, answer: Json) -> Reply:
        status, content, headers = json_reply(answer, status=201)
        return status, content, {**headers, "Location": f"{self.prefix}/change-sets/{number}"}

    def _report(self, checked: Checked, request: Request, known: Catalogue | None) -> Json:
        """The report, with the members' mappings whose target would be gone or mean another thing."""
        answer = report(checked, request.language)
        if known is not None and checked.difference is not None:
            codes = {change.code for change in (*checked.difference.retired, *checked.difference.reused)}
            answer["diff"]["affected_mappings"] = self._mappings(known, codes)
        return answer

    def _mappings(self, catalogue: Catalogue, codes: Collection[str]) -> Json:
        affected = self._office.desk.projects.aimed_at(catalogue.id, codes)
        return {
            "count": len(affected),
            "codes": [
                {"member": member, "domain": domain, "local": local, "target": target}
                for member, domain, local, target in affected[:MAX_ROWS]
            ],
        }

    async def _affected(self, number: int) -> Json:
        """What a change set touches: for the person who is to approve it."""

        def read() -> tuple[Catalogue, list[str], Json]:
            change_set = self._office.catalogues.change_set(number)
            catalogue = self._office.catalogues.get(change_set.catalogue)
            codes = self._office.catalogues.touched(number)
            return catalogue, codes, self._mappings(catalogue, set(codes))

        catalogue, codes, mappings = await self._office.run(read)
        uses = await uses_of(self._store, kind=catalogue.kind, system=catalogue.url, codes=codes)
        return {
            "codes": len(codes),
            "affected_mappings": mappings,
            "affected_resources": in_use(uses, codes),
        }

    def _changes(self, number: int, request: Request) -> Reply:
        """A page of what a change set does to each code; `after` in the answer goes on."""
        count = max(count_of(request), 1)
        found = self._office.catalogues.changes(number, after=request.param("after") or "", limit=count + 1)
        answer: Json = {"changes": changes_report(found[:count])}
        if len(found) > count:
            answer["after"] = found[count - 1].code
        return json_reply(answer)

    def _step(self, number: int, step: str, request: Request, body: Json) -> Reply:
        catalogues, who = self._office.catalogues, person(request, body)
        if step == "reject":
            note = text(body, "note")
            return json_reply(
                shown(reject(catalogues, number, who=who, note=note, folder=self._office.snapshots))
            )
        if step != "publish":
            return json_reply(
                shown(catalogues.move(number, STEPS[step], who=who, note=text(body, "note")))  # type: ignore[arg-type]  # states of the table
            )
        effective = day("effective", text(body, "effective")) or self._office.today()
        version = catalogues.publish(number, who=who, effective=effective, label=text(body, "label"))
        write_snapshot(catalogues, version, self._office.snapshots)
        return json_reply(_version(version))

    def _rollback(self, id: str, request: Request, body: Json) -> Reply:
        catalogues = self._office.catalogues
        to, reason = body.get("to"), text(body, "reason")
        if not isinstance(to, int) or isinstance(to, bool):
            raise InvalidInput("HT-CAT-62", name="to", value=str(to)[:40], expected="1, 2, 3 …")
        if not reason:
            raise InvalidInput("HT-CAT-62", name="reason", value="", expected="why it goes back / 原因")
        change_set = catalogues.rollback(
            catalogues.get(id).id, to=to, who=person(request, body), reason=reason
        )
        return self._made(change_set.id, {"change_set": shown(change_set)})

    def _export(self, row: Catalogue, request: Request) -> Reply:
        on = day("date", request.param("date")) or self._office.today()
        version = self._office.catalogues.in_force(row.id, on)
        if version is None:
            raise NotFound("HT-CAT-64", catalogue=row.id, date=on.isoformat())
        rows = self._office.catalogues.rows(row.id, version.number)
        format = choice(request, "format", ("csv", "json", "recognition"), "csv")
        if format == "json":
            return 200, encode(to_resource(row, version, rows)), {"Content-Type": FHIR_JSON}
        if format == "recognition":
            content, name = to_recognition_items(row, rows), "items.csv"
        else:
            content, name = to_csv(rows), f"{row.id}-{version.number}.csv"
        disposition = f'attachment; filename="{name}"'
        return 200, content.encode(), {"Content-Type": CSV, "Content-Disposition": disposition}

    def _audit(self, row: Catalogue, request: Request) -> Reply:
        return json_reply({"audit": self._office.catalogues.audit(row.id, count_of(request))})

    def _pair(self, request: Request) -> Reply:
        """Whether a disease and a syndrome of Chinese medicine make a diagnosis: `?disease=BNA010&syndrome=ZBZ010`."""
        from terminology.catalogue.tcm import check_pair

        system = CatalogueLibrary(self._office.snapshots, today=self._office.today).code_system(
            self._office.catalogues.get("tcm").url, None
        )
        if system is None:
            raise NotFound("HT-CAT-64", catalogue="tcm", date=self._office.today().isoformat())
        issues = check_pair(system, needed(request, "disease"), needed(request, "syndrome"))
        return json_reply(
            {
                "result": not any(issue.severity == "error" for issue in issues),
                "issues": [issue_row(issue, request.language) for issue in issues],
            }
        )

    def _concept(self, row: Catalogue, request: Request) -> Reply:
        """Every form that one code had, with its versions: `GET /catalogues/icd10/concepts?code=I10`."""
        code = needed(request, "code")
        found = self._office.catalogues.history(row.id, code)
        return json_reply(
            {
                "code": code,
                "history": [
                    {"first": first, "last": last, **concept.content()} for first, last, concept in found
                ],
            }
        )


STEPS: dict[str, str] = {
    "submit": "submitted",
    "approve": "approved",
    "reject": "rejected",
    "publish": "in-force",
}


def shown(change_set: ChangeSet) -> Json:
    row = asdict(change_set)
    row["effective"] = change_set.effective.isoformat() if change_set.effective else None
    return row


def _version(version: PublishedVersion) -> Json:
    row = asdict(version)
    row["effective_from"] = version.effective_from.isoformat()
    row["effective_to"] = version.effective_to.isoformat() if version.effective_to else None
    return row


def _new(id: str, kind: str, request: Request) -> Catalogue:
    if (
        id in ("change-sets", "deviations")
        or not id.replace("-", "").isalnum()
        or not id.isascii()
        or len(id) > 40
    ):
        raise InvalidInput("HT-CAT-62", name="catalogue", value=id[:40], expected="a-z 0-9 -")
    url = request.param("url") or f"https://hutong.health/fhir/CodeSystem/{id}"
    return Catalogue(id, url, request.param("title") or id, kind, file_name(request))
