"""`/codes`: the mapping workbench over HTTP (docs/terminology/mapping.md).

GET /codes · POST|GET /codes/{member}/{domain} · GET …/rows|row|suggestions|export|audit|publications ·
POST …/propose|approve|reject|reconcile|accept|carry-over|publish
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from gateway.catalogues.person import person
from gateway.catalogues.place import Office
from gateway.catalogues.request import (
    CSV,
    MAX_BODY,
    MAX_ROWS,
    MAX_UPLOAD,
    XLSX,
    choice,
    count_of,
    flag,
    needed,
    read_json,
    text,
    uploaded,
)
from gateway.channels.part import FHIR_JSON, Part, Receive, Reply, json_reply, read_body
from gateway.rest.request import Request
from gateway.workbench.projects import LocalRow, Project
from gateway.workbench.state import NAMES
from gateway.workbench.task import to_task
from terminology.fhirjson import Json, encode
from terminology.issues import InvalidInput, NotAllowed, NotFound
from terminology.workbench.suggest import Suggestion

STEPS = ("propose", "approve", "reject", "reconcile", "accept", "carry-over", "publish")
MAX_SUGGESTED = 50
"""Rows whose suggestions one request asks for: each takes some 10 ms."""
OPEN = ("unmapped", "stale", "rejected")


class CodeRoutes(Part):
    """The ASGI application of `/codes`; `publish` stores a ConceptMap and lets messages be translated by it."""

    def __init__(
        self, office: Office, publish: Callable[[str, Json], Awaitable[None]], *, prefix: str = "/codes"
    ) -> None:
        super().__init__(prefix)
        self._office, self._publish = office, publish

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # the base's signature
        parts = request.path.split("/") if request.path else []
        is_reading = request.method in ("GET", "HEAD")
        limit = MAX_UPLOAD if len(parts) == 2 else MAX_BODY
        body = b"" if is_reading else await read_body(request, receive, limit, code="HT-CAT-60")
        match parts:
            case [] if is_reading:
                return await self._office.run(self._list)
            case [member, domain] if request.method == "POST":
                return await self._office.run(lambda: self._import(member, domain, request, body))
            case [member, domain, *more] if is_reading and len(more) < 3:
                return await self._office.run(
                    lambda: self._read(self._project(member, domain), more, request)
                )
            case [member, domain, "publish"] if request.method == "POST":
                return await self._publish_map(member, domain, person(request, read_json(body)))
            case [member, domain, step] if request.method == "POST" and step in STEPS:
                return await self._office.run(
                    lambda: self._step(self._project(member, domain), step, request, read_json(body))
                )
        raise self._not_allowed(request)

    def _not_allowed(self, request: Request) -> NotAllowed:
        last = request.path.rpartition("/")[2]
        return NotAllowed(
            "HT-CAT-63",
            method=request.method,
            path=f"{self.prefix}/{request.path}"[:80],
            allowed="POST" if last in STEPS else "GET, HEAD, POST",
        )

    def _project(self, member: str, domain: str) -> Project:
        return self._office.desk.projects.get(member, domain)

    def _list(self) -> Reply:
        return json_reply({"projects": [self._shown(row) for row in self._office.desk.projects.all()]})

    def _shown(self, project: Project) -> Json:
        row = asdict(project)
        row.pop("id")
        return {**row, "states": self._office.desk.projects.counts(project)}

    def _import(self, member: str, domain: str, request: Request, body: bytes) -> Reply:
        project, new, changed = self._office.desk.open(
            member,
            domain,
            uploaded(request, body),
            catalogue=needed(request, "catalogue"),
            who=person(request),
            is_blind=flag(request, "blind"),
            source=request.param("source"),
        )
        return json_reply({"new": new, "changed": changed, **self._shown(project)}, status=201)

    def _read(self, project: Project, more: list[str], request: Request) -> Reply:
        desk = self._office.desk
        match more:
            case []:
                return json_reply(
                    {**self._shown(project), "publications": desk.projects.publications(project)}
                )
            case ["rows"]:
                return json_reply(self._rows(project, request))
            case ["tasks"]:
                return 200, encode(self._tasks(project, request)), {"Content-Type": FHIR_JSON}
            case ["row"]:
                return json_reply(self._row(project, needed(request, "code")))
            case ["suggestions"]:
                return json_reply(self._suggestions(project, request))
            case ["audit"]:
                steps = desk.projects.steps(project, request.param("code"), count_of(request))
                return json_reply({"audit": steps})
            case ["export"]:
                format = choice(request, "format", ("csv", "json", "xlsx"), "csv")
                if format == "json":
                    return 200, encode(desk.concept_map(project)), {"Content-Type": FHIR_JSON}
                name = f'attachment; filename="{project.member}-{project.domain}.{format}"'
                headers = {"Content-Type": CSV if format == "csv" else XLSX, "Content-Disposition": name}
                content = desk.export(project).encode() if format == "csv" else desk.export_xlsx(project)
                return 200, content, headers
            case ["publications", version]:
                concept_map = desk.projects.publication(project, version)
                if concept_map is None:
                    raise NotFound("HT-CAT-66", version=version[:40])
                return 200, encode(concept_map), {"Content-Type": FHIR_JSON}
        raise self._not_allowed(request)

    def _rows(self, project: Project, request: Request) -> Json:
        state = request.param("state")
        if state is not None and state not in NAMES:
            raise InvalidInput("HT-CAT-62", name="state", value=state[:40], expected=" | ".join(NAMES))
        count = max(count_of(request), 1)
        rows = self._office.desk.projects.rows(
            project, (state,) if state else (), after=request.param("after") or "", limit=count + 1  # type: ignore[arg-type]  # held against the names above
        )  # fmt: skip
        answer: Json = {"rows": [_row(row) for row in rows[:count]]}
        if len(rows) > count:
            answer["after"] = rows[count - 1].local.code
        return answer

    def _tasks(self, project: Project, request: Request) -> Json:
        """The rows that wait for somebody (or of one `state`) as a Bundle of Tasks."""
        state = request.param("state")
        if state is not None and state not in NAMES:
            raise InvalidInput("HT-CAT-62", name="state", value=state[:40], expected=" | ".join(NAMES))
        waiting = tuple(name for name in NAMES if name != "approved") if state is None else (state,)
        rows = self._office.desk.projects.rows(
            project, waiting, after=request.param("after") or "", limit=max(count_of(request), 1)  # type: ignore[arg-type]  # names of states
        )  # fmt: skip
        entries = [{"resource": to_task(project, row)} for row in rows]
        bundle: Json = {"resourceType": "Bundle", "type": "collection"}
        return bundle | {"entry": entries} if entries else bundle

    def _row(self, project: Project, code: str) -> Json:
        projects = self._office.desk.projects
        row = projects.row(project, code)
        answer = _row(row)
        # Who maps blind must not see what the other one said.
        if not (project.is_blind and row.state == "draft"):
            answer["proposals"] = [asdict(proposal) for proposal in projects.proposals(project, code)]
        return answer

    def _suggestions(self, project: Project, request: Request) -> Json:
        desk, code = self._office.desk, request.param("code")
        count = min(max(count_of(request, 20), 1), MAX_SUGGESTED)
        rows = (
            [desk.projects.row(project, code)]
            if code
            else desk.projects.rows(project, OPEN, after=request.param("after") or "", limit=count)  # type: ignore[arg-type]  # states of state.py
        )
        return {
            "rows": [
                {**_row(row), "suggestions": [suggestion(one) for one in desk.suggest(project, row)]}
                for row in rows
            ]
        }

    def _step(self, project: Project, step: str, request: Request, body: Json) -> Reply:
        desk, who = self._office.desk, person(request, body)
        match step:
            case "propose" | "reconcile":
                decide = desk.propose if step == "propose" else desk.reconcile
                code = text(body, "code")
                if not code:
                    raise InvalidInput("HT-CAT-62", name="code", value="", expected='{"code": "…"}')
                state = decide(
                    project,
                    code,
                    target=text(body, "target"),
                    who=who,
                    relationship=text(body, "relationship") or "equivalent",
                    note=text(body, "note"),
                )
                return json_reply({"code": code, "state": state})
            case "approve" | "reject":
                codes = _codes(body)
                if codes is None:
                    codes = [row.local.code for row in desk.projects.rows(project, ("submitted",))]
                reviewed, refused = desk.review_all(
                    project, codes, who=who, approve=step == "approve", note=text(body, "note")
                )
                if not reviewed and refused:
                    raise refused[0][1]
                shown = [
                    {"code": code, "text": error.issues[0].text(request.language)} for code, error in refused
                ]
                return json_reply({"reviewed": reviewed, "refused": shown, **self._shown(project)})
            case "accept":
                accepted = desk.accept_above(project, _cut(body), who=who)
                rows = [
                    {"code": code, "target": target, "confidence": round(confidence, 4)}
                    for code, target, confidence in accepted
                ]
                return json_reply({"accepted": rows, **self._shown(project)})
        return json_reply({"stale": desk.carry_over(project, who=who), **self._shown(project)})

    async def _publish_map(self, member: str, domain: str, who: str) -> Reply:
        """Keep the ConceptMap for good, store it as a FHIR resource and translate messages by it."""
        desk_publish = lambda: self._office.desk.publish(self._project(member, domain), who=who)  # noqa: E731  # opened on its thread
        concept_map = await self._office.run(desk_publish)
        await self._publish(domain, concept_map)
        location = f"/fhir/ConceptMap/{concept_map['id']}"
        return 201, encode(concept_map), {"Content-Type": FHIR_JSON, "Location": location}


def suggestion(one: Suggestion) -> Json:
    return {
        "code": one.target.code,
        "display": one.target.display,
        "confidence": round(one.confidence, 4),
        "relationship": one.relationship,
        "reasons": list(one.reasons),
        "vetoes": list(one.vetoes),
    }


def _row(row: LocalRow) -> Json:
    answer: Json = {"code": row.local.code, "name": row.local.name, "uses": row.uses, "state": row.state}
    more = {
        "strength": row.local.strength,
        "maker": row.local.maker,
        "target": row.target,
        "relationship": row.relationship,
        "reviewer": row.reviewer,
        "note": row.note,
    }
    return answer | {name: value for name, value in more.items() if value}


def _codes(body: Json) -> list[str] | None:
    """Return the codes to review; None stands for all that wait."""
    found: Any = body.get("codes")
    if found is None:
        return None
    if (
        not isinstance(found, list)
        or len(found) > MAX_ROWS
        or not all(isinstance(code, str) for code in found)
    ):
        raise InvalidInput("HT-CAT-62", name="codes", value=str(found)[:40], expected='["…", "…"] ≤ 1000')
    return found


def _cut(body: Json) -> float:
    found = body.get("cut", 0.9)
    try:
        return float(found)
    except (TypeError, ValueError):
        raise InvalidInput("HT-CAT-62", name="cut", value=str(found)[:40], expected="0.6 … 1") from None
