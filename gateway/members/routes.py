"""`/conformance/certificates|overrides|proposals|quality|presets|nightly`: what a person decides about members.

Every change names who (`by`) and why (`reason`); the ledger keeps it.
"""

from collections.abc import Iterable
from datetime import date

import yaml

from conformance.reports import from_document
from conformance.testing.preset import presets, save_preset, with_preset
from conformance.testing.quality import meets
from conformance.testing.requirements import load_register
from conformance.testing.result import Result
from conformance.testing.verdict import Verdict, Waiver, verdicts
from gateway.members.nightly import Nightly, tell
from gateway.members.registry import shown
from gateway.members.sample import quality_of
from gateway.rest.request import Request
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, InvalidInput, NotAllowed, NotFound, Unavailable

Page = tuple[bytes, str]
MAX_DAYS = 366
MAX_HOURS = 1_000
"""More than any override may have: the rule refuses it, and the calendar can still count it."""
FORMS = ("html", "pdf", "jws")


class MemberRoutes:
    """`nightly` brings the data folder, store, journal and clock."""

    def __init__(self, nightly: Nightly) -> None:
        self.nightly, self.registry = nightly, nightly.registry

    async def answer(self, request: Request, parts: list[str], body: Json) -> tuple[int, Json | Page] | None:
        """Return status and JSON (or a page: bytes and media type), None for a path that is not ours."""
        today = self.nightly.clock().date()
        match (request.method, parts):
            case ("GET", ["certificates"]):
                return 200, {"certificates": [shown(row, today) for row in self.registry.certificates()]}
            case ("POST", ["certificates"]):
                return await self._certify(body)
            case ("GET", ["certificates", member]):
                history = [row for row in self.registry.ledger.rows() if row.get("member") == member]
                return 200, shown(self.registry.certificate(member), today) | {"history": history}
            case ("GET", ["certificates", member, form]) if form in FORMS:
                return 200, self._page(member, form, request)
            case ("POST", ["certificates", member, "state"]):
                by, reason, to = _text(body, "by"), _text(body, "reason"), _text(body, "to")
                made = self.registry.move(member, to, by=by, reason=reason)
                await tell(self.nightly.store, member, reason=made.state, at=self.nightly.clock())
                return 200, shown(made, today)
            case ("GET", ["overrides"]):
                return 200, {"overrides": self.registry.overrides()}
            case ("POST", ["overrides"]):
                hours = body.get("hours", 4)
                if not isinstance(hours, (int, float)) or isinstance(hours, bool):
                    raise InvalidInput("HT-CT-50", name="hours", detail="1 … 24")
                member, reason, by = _text(body, "member"), _text(body, "reason"), _text(body, "by")
                return 201, self.registry.ask_override(
                    member, reason=reason, by=by, hours=float(min(hours, MAX_HOURS))
                )
            case ("POST", ["overrides", id, "approve"]):
                row = self.registry.approve_override(id, by=_text(body, "by"))
                await tell(self.nightly.store, row["member"], reason="override", at=self.nightly.clock())
                return 200, row
            case ("GET", ["proposals"]):
                return 200, {"proposals": self.registry.proposals()}
            case ("POST", ["proposals", id]):
                return await self._decide(id, body)
            case ("GET", ["quality"]):
                return await self._quality(request)
            case ("GET", ["presets"]):
                return 200, {"presets": presets(self.nightly.data / "presets")}
            case ("POST", ["presets"]):
                path = save_preset(self._target(_text(body, "target")), self.nightly.data / "presets")
                return 201, {"preset": path.stem}
            case ("POST", ["nightly"]):
                return 200, {"proposals": await self.nightly.run_once()}
        if parts and parts[0] in ("certificates", "overrides", "proposals", "quality", "presets", "nightly"):
            raise NotAllowed("HT-CT-58", method=request.method, path=request.path[:80], allowed="GET, POST")
        return None

    def _page(self, member: str, form: str, request: Request) -> Page:
        from conformance.reports.certificate_page import to_certificate_html

        found, jws = self.registry.certificate(member), self.registry.statement(member)
        if form == "jws":
            return jws.encode(), "application/jose"
        if form == "html":
            return to_certificate_html(found, jws, request.language).encode(), "text/html; charset=utf-8"
        try:
            from conformance.reports.certificate_pdf import to_certificate_pdf

            return to_certificate_pdf(found, jws, request.language), "application/pdf"
        except ModuleNotFoundError:
            raise Unavailable("HT-CT-57", name="reportlab") from None

    async def _certify(self, body: Json) -> tuple[int, Json]:
        """A draft without a run, a certificate of one: {"target", "run"?, "by"}."""
        given, by = self._target(_text(body, "target")), _text(body, "by")
        if not by:
            raise InvalidInput("HT-CT-50", name="by", detail="required")
        today = self.nightly.clock().date()
        if not body.get("run"):
            made = self.registry.enter(given, by=by)
        else:
            path = self.nightly.data / "conformance-runs" / f"{_text(body, 'run')}.json"
            if not path.is_file() or path.parent != (self.nightly.data / "conformance-runs"):
                raise NotFound("HT-CT-46", id=_text(body, "run"))
            run = from_document(yaml.safe_load(path.read_text("utf-8")))
            made = self.registry.issue(
                given, role_verdicts(given, run.results, today), run=run.id, suite_hash=run.suite_hash, by=by
            )
        await tell(self.nightly.store, made.member, reason=made.state, at=self.nightly.clock())
        return 201, shown(made, today)

    async def _decide(self, id: str, body: Json) -> tuple[int, Json]:
        decision = _text(body, "decision")
        if decision not in ("accept", "dismiss"):
            raise InvalidInput("HT-CT-50", name="decision", detail="accept | dismiss")
        row = self.registry.decide(
            id, accept=decision == "accept", by=_text(body, "by"), reason=_text(body, "reason")
        )
        if decision == "accept":
            await tell(self.nightly.store, row["member"], reason="suspended", at=self.nightly.clock())
        return 200, row

    async def _quality(self, request: Request) -> tuple[int, Json]:
        text = request.param("days") or "30"
        if not text.isdigit() or not 1 <= int(text) <= MAX_DAYS:
            raise InvalidInput("HT-CT-50", name="days", detail=f"1 … {MAX_DAYS}")
        member, least = request.param("member"), request.param("least")
        found = await quality_of(self.nightly.store, self.nightly.journal, member=member, days=int(text))
        if member is not None and found.resources == 0:
            raise NotFound("HT-CT-54", member=member[:64])
        more = {"meets": meets(found.grade, least)} if least in ("A", "B", "C", "D", "E") else {}
        return 200, {"member": member, "days": int(text)} | found.to_json() | more

    def _target(self, name: str) -> Json:
        folder = self.nightly.data / "targets"
        path = folder / f"{name}.yaml"
        if not name.replace("-", "").replace("_", "").isalnum() or not path.is_file():
            raise NotFound("HT-CT-31", name=name[:64])
        given: Json = with_preset(
            yaml.safe_load(path.read_text("utf-8")), presets(self.nightly.data / "presets")
        )
        return given


def role_verdicts(given: Json, results: Iterable[Result], today: date) -> dict[str, list[Verdict]]:
    """Return the verdicts of a target file's roles over results, with its waivers and declarations."""
    register = load_register()
    waivers = [read_waiver(row) for row in given.get("waivers", ())]
    rows = list(results)
    return {
        role: verdicts(
            register,
            rows,
            role=role,
            today=today,
            waivers=waivers,
            not_applicable=given.get("not_applicable"),
        )
        for role in given.get("roles", ())
    }


def read_waiver(row: Json) -> Waiver:
    """Return a waiver of a target file; raises BusinessRule HT-CT-40."""
    try:
        return Waiver(
            row["requirement"], row["reason"], row["asked_by"], row["approver"],
            date.fromisoformat(str(row["granted"])), date.fromisoformat(str(row["until"])),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise BusinessRule("HT-CT-40", detail=str(error)[:100]) from None


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    return value.strip()[:500] if isinstance(value, str) else ""
