"""`/conformance`: the suites, the register, runs against the targets that the operator allowed, certificates verified.

GET /conformance/tests · /requirements · /coverage · /runs · /runs/{id} · /runs/{id}/html|junit|sarif|testreport|xlsx ·
/runs/{id}/compare/{other};
POST /conformance/runs {"target", "roles", "tests"} · POST /conformance/verify {"certificate", "role"}; and what
`gateway.members.routes` answers: certificates and their states, overrides, proposals, quality, presets.
A target is a file `targets/<name>.yaml` in the data folder: no caller makes the gateway speak to an address of his own.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.rest.asgi import request_id_of
from gateway.rest.outcomes import STATUS, outcome
from gateway.rest.request import Request
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, InvalidInput, NotAllowed, NotFound, TooLarge, Unavailable

if TYPE_CHECKING:
    from gateway.members.routes import MemberRoutes

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Reply = tuple[int, bytes, str]

JSON = "application/json; charset=utf-8"
NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}", re.ASCII)
MAX_BODY, KEPT_RUNS = 256 * 1024, 200


class ConformanceApi:
    """`folder`: the data folder; runs are kept in `conformance-runs`, one at a time is under way.

    `members` builds the routes that decide about members when they are first asked.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], datetime],
        members: "Callable[[], MemberRoutes] | None" = None,
    ) -> None:
        self.folder, self.clock, self._members = folder, clock, members
        self._running = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].strip("/").partition("/")[2]
        request = Request(
            scope["method"],
            path,
            scope["query_string"].decode("latin-1"),
            headers,
            request_id=request_id_of(headers),
        )
        try:
            status, body, media = await self._answer(request, receive)
        except FhirError as error:
            status, media = STATUS[type(error)], "application/fhir+json; charset=utf-8; fhirVersion=4.0"
            body = encode(outcome(error.issues, request))
        fields = [
            (b"Content-Type", media.encode()),
            (b"Content-Length", str(len(body)).encode()),
            (b"X-Request-Id", request.request_id.encode()),
            # A report shows what a target sent: it is text, whatever a browser thinks of it.
            (b"X-Content-Type-Options", b"nosniff"),
            (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, request: Request, receive: Receive) -> Reply:
        from conformance.testing.requirements import coverage, load_register
        from conformance.testing.yaml_test import load_suites, select

        parts = request.path.split("/") if request.path else []
        match (request.method, parts):
            case ("GET", ["tests"]):
                role = request.param("role")
                tests = select(load_suites(), roles=[role] if role else ())
                rows = [{"id": row.id, "zh": row.zh, "en": row.en, "roles": row.roles,
                         "requirements": row.requirements, "negative": row.is_negative} for row in tests]  # fmt: skip
                return _json({"tests": rows})
            case ("GET", ["requirements"]):
                return _json({"requirements": [asdict(row) for row in load_register().values()]})
            case ("GET", ["coverage"]):
                found = coverage(load_register(), load_suites())
                untested = [row.id for row in found.untested]
                return _json(
                    {"complete": found.is_complete, "untested": untested, "unknown": list(found.unknown)}
                )
            case ("GET", ["runs"]):
                return _json({"runs": [_head(json.loads(path.read_bytes())) for path in self._runs()]})
            case ("GET", ["runs", id]):
                return _json(self._run(id))
            case ("GET", ["runs", id, "compare", other]):
                from conformance.reports import compare

                return _json(compare(self._run(id), self._run(other)))
            case ("GET", ["runs", id, form]):
                return _rendered(self._run(id), form, request)
            case ("POST", ["runs"]):
                return await self._start(await _body(receive))
            case ("POST", ["verify"]):
                return self._verify(await _body(receive))
        if self._members is not None:
            body = await _body(receive) if request.method == "POST" else {}
            answered = await self._members().answer(request, parts, body)
            if answered is not None:
                status, shown = answered
                return (status, *shown) if isinstance(shown, tuple) else _json(shown, status)
        raise NotAllowed("HT-CT-58", method=request.method, path=request.path[:80], allowed="GET, POST")

    async def _start(self, given: Json) -> Reply:
        name = given.get("target")
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InvalidInput("HT-CT-47", detail="target")
        path = self.folder / "targets" / f"{name}.yaml"
        if not path.is_file():
            raise NotFound("HT-CT-31", name=name)
        names = {key: given.get(key, []) for key in ("roles", "tests")}
        if given.get("failed"):
            # Only what did not pass in that run is played again; nothing left is an error, no empty pass.
            earlier = self._run(str(given["failed"]))
            again = [row["id"] for row in earlier["results"] if row["state"] not in ("pass", "attested")]
            if not again:
                raise InvalidInput("HT-CT-47", detail="failed")
            names["tests"] = [*names["tests"], *again]
        for key, value in names.items():
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise InvalidInput("HT-CT-47", detail=key)
        if self._running.locked():
            raise Unavailable("HT-CT-48")
        async with self._running:
            document = await asyncio.to_thread(self._play, path, names["roles"], names["tests"])
        return _json(document, 201)

    def _play(self, path: Path, roles: list[str], ids: list[str]) -> Json:
        import yaml

        from conformance.reports import to_document
        from conformance.reports.mask import Policy
        from conformance.testing.ports import open_target
        from conformance.testing.preset import presets, with_preset
        from conformance.testing.run import run_tests
        from conformance.testing.yaml_test import load_suites, select
        from gateway.members.sandbox import Sandbox

        try:
            given = with_preset(yaml.safe_load(path.read_text("utf-8")), presets(self.folder / "presets"))
            target = open_target(given, path.parent, counterpart=Sandbox)
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput("HT-CT-34", name=path.name, detail=str(error)[:200]) from None
        masking: Policy = "strict" if given.get("masking") == "strict" else "standard"
        try:
            tests = select(load_suites(), roles=roles or target.roles, ids=ids)
            document = to_document(run_tests(tests, target, now=self.clock()), masking=masking)
        finally:
            target.close()
        folder = self.folder / "conformance-runs"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{document['id']}.json").write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        for old in self._runs()[KEPT_RUNS:]:
            old.unlink(missing_ok=True)
        return document

    def _verify(self, given: Json) -> Reply:
        from conformance.testing.certificate import verify

        public = self.folder / "certificates" / "centre.pem"
        jws, role = given.get("certificate"), given.get("role")
        if not isinstance(jws, str) or not (role is None or isinstance(role, str)):
            raise InvalidInput("HT-CT-47", detail="certificate, role")
        if not public.is_file():
            raise NotFound("HT-CT-42", detail="centre.pem")
        found = verify(jws, public.read_bytes(), today=self.clock().date(), role=role)
        return _json({"valid": True, "certificate": asdict(found)})

    def _runs(self) -> list[Path]:
        files = (self.folder / "conformance-runs").glob("*.json")
        return sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _run(self, id: str) -> Json:
        path = self.folder / "conformance-runs" / f"{id}.json"
        if not NAME.fullmatch(id) or not path.is_file():
            raise NotFound("HT-CT-46", id=id[:64])
        found: Json = json.loads(path.read_bytes())
        return found


def _rendered(document: Json, form: str, request: Request) -> Reply:
    from conformance.reports.machine import to_junit, to_sarif, to_test_report
    from conformance.reports.page import to_html

    spoken = request.language
    match form:
        case "html":
            return 200, to_html(document, spoken).encode(), "text/html; charset=utf-8"
        case "junit":
            return 200, to_junit(document, spoken).encode(), "application/xml"
        case "sarif":
            return 200, to_sarif(document, spoken).encode(), "application/sarif+json"
        case "testreport":
            return 200, encode(to_test_report(document, spoken)), "application/fhir+json; charset=utf-8"
        case "xlsx":
            return 200, _matrix(document), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    raise NotFound("HT-CT-46", id=form[:64])


def _matrix(document: Json) -> bytes:
    """Return the matrix requirement × member of one run; raises Unavailable without the extra `xlsx`."""
    from datetime import date

    from conformance.reports import from_document
    from conformance.testing.requirements import load_register
    from conformance.testing.verdict import verdicts

    try:
        from conformance.reports.matrix import to_xlsx

        register, results = load_register(), from_document(document).results
        today = date.fromisoformat(document["started"][:10])
        rows = [
            row for role in document["roles"] for row in verdicts(register, results, role=role, today=today)
        ]
        return to_xlsx(register, {document["target"]: rows})
    except ModuleNotFoundError:
        raise Unavailable("HT-CT-57", name="openpyxl") from None


async def _body(receive: Receive) -> Json:
    held, has_more = b"", True
    while has_more:
        message = await receive()
        held += message.get("body", b"")
        has_more = bool(message.get("more_body"))
        if len(held) > MAX_BODY:
            raise TooLarge("HT-CT-03", name="body", limit=MAX_BODY)
    try:
        found = json.loads(held)
    except (ValueError, RecursionError):
        raise InvalidInput("HT-CT-47", detail="JSON") from None
    if not isinstance(found, dict):
        raise InvalidInput("HT-CT-47", detail="JSON")
    return found


def _head(document: Json) -> Json:
    return {key: document[key] for key in ("id", "target", "roles", "started", "counts")}


def _json(value: Json, status: int = 200) -> Reply:
    return status, json.dumps(value, ensure_ascii=False).encode(), JSON
