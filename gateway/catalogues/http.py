"""`/catalogues`: the catalogues and their change sets over HTTP (docs/terminology/catalogues.md).

GET /catalogues · POST /catalogues?catalogue=… · GET /catalogues/change-sets[/{n}] ·
POST /catalogues/change-sets/{n}/submit|approve|reject|publish · GET /catalogues/{id}[/versions|/export|/audit|/concepts] ·
POST /catalogues/{id}/rollback
"""

import tomllib
from dataclasses import asdict
from datetime import date
from typing import Any

from gateway.catalogues.authoring import Catalogue, PublishedVersion
from gateway.catalogues.change_set import ChangeSet
from gateway.catalogues.intake import Checked, check_table, issue_row, report
from gateway.catalogues.person import person
from gateway.catalogues.place import Office
from gateway.catalogues.publish import to_csv, to_resource, write_snapshot
from gateway.channels.part import FHIR_JSON, Part, Receive, Reply, json_reply, read_body
from gateway.rest.request import Request
from terminology.catalogue.row import Table
from terminology.fhirjson import Json, decode, encode
from terminology.issues import FhirError, InvalidInput, NotAllowed, NotFound
from terminology.snapshot.library import CatalogueLibrary

MAX_UPLOAD = 64 * 1024 * 1024
MAX_BODY = 1024 * 1024
MAX_ROWS = 1_000
CSV = "text/csv; charset=utf-8"
EXTENSIONS = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/json": "json",
    "application/fhir+json": "json",
    "application/x-ndjson": "ndjson",
    "application/fhir+ndjson": "ndjson",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/zip": "zip",
    "application/gzip": "tgz",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
KINDS = ("diagnosis", "procedure", "drug", "lab-item", "exam-item", "codes")


class CatalogueRoutes(Part):
    """The ASGI application of `/catalogues`."""

    def __init__(self, office: Office, *, prefix: str = "/catalogues") -> None:
        super().__init__(prefix)
        self._office = office

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # the base's signature
        parts = request.path.split("/") if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        limit = MAX_UPLOAD if not parts else MAX_BODY
        body = b"" if is_reading else await read_body(request, receive, limit, code="HT-CAT-60")
        return await self._office.run(lambda: self._reply(request, parts, body, is_reading=is_reading))

    def _reply(self, request: Request, parts: list[str], body: bytes, *, is_reading: bool) -> Reply:
        match parts:
            case [] if is_reading:
                return json_reply(self._list())
            case [] if request.method == "POST":
                return self._take(request, body)
            case ["change-sets"] if is_reading:
                return self._change_sets(request)
            case ["change-sets", number] if is_reading:
                return json_reply(shown(self._office.catalogues.change_set(whole("change-set", number))))
            case ["change-sets", number, step] if request.method == "POST" and step in STEPS:
                return self._step(whole("change-set", number), step, request, read_json(body))
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
            allowed="POST" if parts and parts[-1] in (*STEPS, "rollback") else "GET, HEAD, POST",
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

    def _take(self, request: Request, body: bytes) -> Reply:
        """Read an uploaded file: a report with `dry-run=true`, else a draft; 400 with every bad row."""
        catalogues = self._office.catalogues
        id = needed(request, "catalogue")
        is_dry = flag(request, "dry-run")
        is_complete = not flag(request, "partial")
        who = "" if is_dry else person(request)
        table = uploaded(request, body)
        known = catalogues.find(id)
        kind = known.kind if known else choice(request, "kind", KINDS, "codes")
        checked = check_table(
            catalogues, known.id if known else id, table, kind=kind, is_complete=is_complete
        )
        if is_dry:
            return json_reply(self._report(checked, request, known))
        if not checked.is_loadable:
            raise InvalidInput(
                sorted(checked.problems, key=lambda problem: problem.severity in ("warning", "information"))
            )
        if known is None:
            known = _new(id, kind, request)
            catalogues.register(known, who=who)
        change_set, _ = catalogues.draft(
            known.id, table.rows, title=request.param("title") or file_name(request), who=who,
            is_complete=is_complete,
        )  # fmt: skip
        status, content, headers = json_reply(
            {"change_set": shown(change_set), **self._report(checked, request, known)}, status=201
        )
        return status, content, {**headers, "Location": f"{self.prefix}/change-sets/{change_set.id}"}

    def _report(self, checked: Checked, request: Request, known: Catalogue | None) -> Json:
        """The report, with the members' mappings whose target would be gone or mean another thing."""
        answer = report(checked, request.language)
        if known is not None and checked.difference is not None:
            codes = {change.code for change in (*checked.difference.retired, *checked.difference.reused)}
            affected = self._office.desk.projects.aimed_at(known.id, codes)
            answer["diff"]["affected_mappings"] = {
                "count": len(affected),
                "codes": [
                    {"member": member, "domain": domain, "local": local, "target": target}
                    for member, domain, local, target in affected[:MAX_ROWS]
                ],
            }
        return answer

    def _step(self, number: int, step: str, request: Request, body: Json) -> Reply:
        catalogues, who = self._office.catalogues, person(request, body)
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
        version = catalogues.rollback(catalogues.get(id).id, to=to, who=person(request, body), reason=reason)
        write_snapshot(catalogues, version, self._office.snapshots)
        return json_reply(_version(version))

    def _export(self, row: Catalogue, request: Request) -> Reply:
        on = day("date", request.param("date")) or self._office.today()
        version = self._office.catalogues.in_force(row.id, on)
        if version is None:
            raise NotFound("HT-CAT-64", catalogue=row.id, date=on.isoformat())
        rows = self._office.catalogues.rows(row.id, version.number)
        if choice(request, "format", ("csv", "json"), "csv") == "json":
            return 200, encode(to_resource(row, version, rows)), {"Content-Type": FHIR_JSON}
        name = f'attachment; filename="{row.id}-{version.number}.csv"'
        return 200, to_csv(rows).encode(), {"Content-Type": CSV, "Content-Disposition": name}

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
    if id == "change-sets" or not id.replace("-", "").isalnum() or not id.isascii() or len(id) > 40:
        raise InvalidInput("HT-CAT-62", name="catalogue", value=id[:40], expected="a-z 0-9 -")
    url = request.param("url") or f"https://hutong.health/fhir/CodeSystem/{id}"
    return Catalogue(id, url, request.param("title") or id, kind, file_name(request))


# What a request says


def uploaded(request: Request, body: bytes) -> Table:
    """Return the table of a raw body: its name from `name=` or the Content-Type, its column map from `columns=`."""
    from terminology.catalogue.load import load_table

    if not body:
        raise InvalidInput("HT-CAT-08")
    return load_table(file_name(request), body, columns(request))


def columns(request: Request) -> dict[str, Any]:
    """Return the column map, JSON or TOML as in a --columns file."""
    written = request.param("columns")
    if not written:
        return {}
    try:
        found = decode(written.encode()) if written.lstrip().startswith("{") else tomllib.loads(written)
    except (FhirError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput("HT-CAT-62", name="columns", value=written[:80], expected="JSON / TOML")
    return found


def file_name(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.param("name") or f"upload.{EXTENSIONS.get(kind, 'csv')}"


def read_json(body: bytes) -> Json:
    """Return a JSON object; no body is an empty one."""
    try:
        found = decode(body) if body.strip() else {}
    except (FhirError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(
            "HT-CAT-62", name="body", value=body[:40].decode("utf-8", "replace"), expected="JSON {…}"
        )
    return found


def needed(request: Request, name: str) -> str:
    value = request.param(name)
    if not value:
        raise InvalidInput("HT-CAT-62", name=name, value="", expected=f"?{name}=…")
    return value


def flag(request: Request, name: str) -> bool:
    return choice(request, name, ("true", "false"), "false") == "true"


def choice(request: Request, name: str, allowed: tuple[str, ...], default: str) -> str:
    value = request.param(name) or default
    if value not in allowed:
        raise InvalidInput("HT-CAT-62", name=name, value=value[:40], expected=" | ".join(allowed))
    return value


def text(body: Json, name: str) -> str | None:
    """Return a text of a JSON body."""
    value = body.get(name)
    if value is None or (isinstance(value, str) and len(value) <= 1_000):
        return value or None
    raise InvalidInput("HT-CAT-62", name=name, value=str(value)[:40], expected="string")


def whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise InvalidInput("HT-CAT-62", name=name, value=value[:40], expected="0, 1, 2 …")
    return int(value)


def count_of(request: Request, default: int = 100) -> int:
    """Return the page size that `count` asks for, at most 1,000."""
    return min(whole("count", request.param("count") or str(default)), MAX_ROWS)


def day(name: str, value: str | None) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise InvalidInput("HT-CAT-62", name=name, value=str(value)[:40], expected="YYYY-MM-DD") from None
