"""`/api/report/…`: mutual recognition as provincial platforms offer it to vendors (docs/recognition-vendor-api.md).

POST getRelativeReports · getDetail · getDenyReasons · uploadRecognizedResult; headers clientId, orgCode, timestamp, sign;
every answer is {"code", "message", "data"}. Dates are read in both forms that are about (2025-06-22T09:06:26Z and
2024-10-23 15:49:54, the second in +08:00), and written in the second.
"""

import hmac
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from conformance.recognition.moment import countable, read_instant
from conformance.recognition.pack import CHINA
from conformance.recognition.record import reference_of, references
from gateway.channels.part import Part, Receive, Reply, json_reply, read_body
from gateway.gate import Gate
from gateway.operations.recognition_decision import keep
from gateway.operations.recognize import library
from gateway.recognition.decision import Action, Decision
from gateway.recognition.earlier import Asked, Earlier, earlier_reports, find_patient
from gateway.recognition.evidence import Evidence
from gateway.recognition.vendor_report import detail, row_of
from gateway.rest.context import Context
from gateway.rest.outcomes import STATUS
from gateway.rest.request import Request
from gateway.search.escape import escape
from terminology.fhirjson import Json, decode_resource
from terminology.issues import FhirError, InvalidInput, LoginRequired, NotAllowed, NotFound

PREFIX = "/api/report"
MAX_BODY = 256 * 1024
MAX_SKEW = timedelta(minutes=10)
HEADERS = ("clientid", "orgcode", "timestamp", "sign")
SUCCESS = 200
# What vendors write for the physician's decision: the number of the form, or the word.
ACTIONS: dict[str, Action] = {
    "1": "accept", "accept": "accept", "recognise": "accept", "recognize": "accept", "认可": "accept",
    "2": "reject", "0": "reject", "reject": "reject", "不认可": "reject",
    "3": "revoke", "revoke": "revoke", "撤销": "revoke",
    "4": "viewed", "viewed": "viewed", "已查看": "viewed",
}  # fmt: skip
LOCAL = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?(?:\.\d+)?")


class VendorApi(Part):
    """`clients`: clientId → secret; without any the signature is not looked at (a sandbox on this machine).

    `gate`: whether a member may call in production; the member is the gate's header, else the caller's `orgCode`.
    """

    def __init__(
        self, context: Context, clients: Mapping[str, str] | None = None, gate: Gate | None = None
    ) -> None:
        super().__init__(PREFIX)
        self.context, self.clients, self.gate = context, dict(clients or {}), gate
        self._calls: dict[str, Callable[[Json, str | None], Any]] = {
            "getRelativeReports": self._relative,
            "getDetail": self._detail,
            "getDenyReasons": self._reasons,
            "uploadRecognizedResult": self._upload,
        }

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:  # noqa: ARG002  # of every part
        try:
            call = self._calls.get(request.path)
            if call is None:
                raise NotFound("HT-MR-13", name=request.path[:80], allowed=", ".join(self._calls))
            if request.method != "POST":
                raise NotAllowed("HT-CT-58", method=request.method, path=request.path, allowed="POST")
            raw = await read_body(request, receive, MAX_BODY)
            self._check_caller(request.headers, raw)
            if self.gate is not None:
                member = request.headers.get(self.gate.header) or request.headers.get("orgcode", "")
                self.gate.check(member, f"recognition {request.path}")
            body = _body(raw)
            organization = await self._organization(request.headers.get("orgcode", ""))
            data = await call(body, organization)
        except FhirError as error:
            return _refused(error, request)
        return json_reply(
            {"code": SUCCESS, "message": "成功" if request.language == "zh" else "success", "data": data}
        )

    def _check_caller(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Raise InvalidInput for a missing header, LoginRequired for a stranger, an old time or a wrong signature."""
        missing = [name for name in HEADERS if not headers.get(name, "").strip()]
        if missing:
            raise InvalidInput("HT-MR-14", name=", ".join(missing))
        moment = read_moment(headers["timestamp"], "timestamp")
        if not self.clients:
            return
        secret = self.clients.get(headers["clientid"])
        is_near = abs(self.context.clock() - moment) <= MAX_SKEW
        wanted = sign(secret or "", headers["clientid"], headers["orgcode"], headers["timestamp"], raw)
        if (
            secret is None
            or not is_near
            or not hmac.compare_digest(wanted.encode(), headers["sign"].lower().encode())
        ):
            raise LoginRequired("HT-MR-19")

    async def _organization(self, code: str) -> str | None:
        """Return the Organization with this number; a registered client's has to be known."""
        found = await Evidence(self.context).search("Organization", ("identifier", escape(code)), count=2)
        if found:
            return reference_of(found[0])
        if self.clients:
            raise LoginRequired("HT-MR-19")
        return None

    async def _relative(self, body: Json, organization: str | None) -> list[Json]:
        patient = await self._patient(body)
        order = await self._order(body)
        is_visit = str(body.get("searchType", "")) == "1" or not _codes(body)
        asked = Asked(
            resident_id=_text(body, "idCardNo", "idCardValue"),
            at=_moment(body, self.context, "orderTime", "visitTime"),
            items=() if is_visit else tuple({"code": code} for code in _codes(body)),
            organization=organization,
            doctor=await self._doctor(body),
            order=order,
            trigger="visit" if is_visit else "order",
        )
        found = await earlier_reports(asked, patient, self.context)
        return [row_of(row, patient) for row in found]

    async def _detail(self, body: Json, _organization: str | None) -> Json:
        report = await self._report(body)
        if _text(body, "idCardNo", "idCardValue"):
            await self._check_owner(report, body)
        evidence = Evidence(self.context)
        await evidence.read([reference_of(report)])
        await evidence.follow([report])
        results = await evidence.read(references(report, "result"))
        await evidence.follow(results)
        subject = (await evidence.read(references(report, "subject")) or [{}])[0]
        held = Earlier(report, (), evidence.record(), is_viewed=False)
        earliest = await self._preliminary(report)
        return detail(held, subject, results, preliminary=earliest)

    async def _reasons(self, _body: Json, _organization: str | None) -> list[Json]:
        listed = library(self.context).at(self.context.clock()).reasons()
        return [
            {
                "reasonCode": code,
                "reasonName": row.get("zh", ""),
                "counted": row.get("counts") is not False,
                "freeText": bool(row.get("free_text")),
            }
            for code, row in sorted(listed.items())
        ]

    async def _upload(self, body: Json, organization: str | None) -> Json:
        patient = await self._patient(body)
        report = await self._report(body)
        action = _action(body)
        code, mark = _text(body, "reasonCode"), _text(body, "reasonMark", "reasonName")
        if action == "reject" and not (code and mark):
            raise InvalidInput(
                "HT-MR-14",
                name=", ".join(n for n, v in (("reasonCode", code), ("reasonMark", mark)) if not v),
            )
        order, doctor = await self._order(body), await self._doctor(body)
        made = Decision(
            patient=reference_of(patient),
            result=_versioned(report),
            action=action,
            at=_moment(body, self.context, "operateTime", "recognizedTime"),
            order=order if "/" in order else None,
            reason={"code": code} if code and action == "reject" else None,
            practitioner=doctor if "/" in doctor else None,
            organization=organization,
            doctor=_doctor(body),
        )
        listed = library(self.context).at(made.at).reason(code) or {}
        if made.reason is not None:
            # A mark beside a listed reason is the reason's name in the vendor's words, not free text (MR-028).
            is_free = bool(listed.get("free_text"))
            made = replace(made, note=mark if is_free else None, remark=None if is_free else mark)
        version = await self.context.store.read("Patient", patient["id"])
        assert version is not None
        response = await keep(made, version, self.context)
        task = response.resource or {}
        return {"taskId": task.get("id"), "examUid": report["id"], "recognizedResult": action}

    async def _patient(self, body: Json) -> Json:
        number = _text(body, "idCardNo", "idCardValue")
        if not number:
            raise InvalidInput("HT-MR-14", name="idCardNo")
        found = await find_patient(number, _text(body, "patientName"), self.context)
        if found is None:
            raise NotFound("HT-MR-16", name="idCardNo, patientName")
        return found

    async def _report(self, body: Json) -> Json:
        """Return the report of `examUid`: its id here, or a number of its own (reportNo, study UID)."""
        uid = _text(body, "examUid", "reportNo")
        if not uid:
            raise InvalidInput("HT-MR-14", name="examUid")
        evidence = Evidence(self.context)
        for kind in ("DiagnosticReport", "Observation"):
            if re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", uid) and (
                found := await evidence.read([f"{kind}/{uid}"])
            ):
                return found[0]
        named = await evidence.search("DiagnosticReport", ("identifier", escape(uid)), count=2)
        if not named:
            raise NotFound("HT-MR-16", name="examUid")
        return named[0]

    async def _check_owner(self, report: Json, body: Json) -> None:
        """A report that isn't the named person's is as unknown as one that isn't there."""
        evidence = Evidence(self.context)
        [holder] = (await evidence.read(references(report, "subject")))[:1] or [{}]
        named = await find_patient(_text(body, "idCardNo", "idCardValue"), "", self.context)
        from conformance.recognition.rules.person import is_other_person

        if named is None or not holder or is_other_person(named, holder):
            raise NotFound("HT-MR-16", name="examUid")

    async def _order(self, body: Json) -> str:
        """Return the order as a reference where its number is known here, else the number itself."""
        number = _text(body, "orderId", "businessNo")
        if not number:
            return ""
        found = await Evidence(self.context).search("ServiceRequest", ("identifier", escape(number)), count=1)
        return reference_of(found[0]) if found else number[:64].replace("/", "-")

    async def _doctor(self, body: Json) -> str:
        number = _text(body, "doctorCode", "doctorId")
        if not number:
            return ""
        found = await Evidence(self.context).search("Practitioner", ("identifier", escape(number)), count=1)
        return reference_of(found[0]) if found else number[:64].replace("/", "-")

    async def _preliminary(self, report: Json) -> str | None:
        """Return when an earlier, preliminary version was issued."""
        steps = 0
        async for version in self.context.store.history(report["resourceType"], report["id"]):
            found = decode_resource(version.body) if version.body else {}
            if found.get("status") in ("preliminary", "partial", "registered"):
                return str(found.get("issued") or version.last_updated.isoformat())
            steps += 1
            if steps >= 50:
                break
        return None


def load_clients(path: Path) -> dict[str, str]:
    """Return clientId → secret of a TOML file of lines `name = "secret"`; raises InvalidInput HT-CLI-05."""
    try:
        held = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("HT-CLI-05", path=path.name, detail=str(error)[:200]) from None
    return {name: value for name, value in held.items() if isinstance(value, str) and value}


def sign(secret: str, client: str, organization: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a call: HMAC-SHA-256 of client, organisation, time and body, a line each, in hex."""
    held = "\n".join((client, organization, timestamp)).encode() + b"\n" + body
    return hmac.new(secret.encode(), held, sha256).hexdigest()


def read_moment(text: str, name: str) -> datetime:
    """Return an instant written in either form, or as seconds or milliseconds since 1970; without zone it is +08:00.

    Raises InvalidInput HT-MR-17.
    """
    text = str(text).strip()
    exact = read_instant(text)
    if exact is not None:
        return exact
    if re.fullmatch(r"\d{10}(\d{3})?", text):
        return datetime.fromtimestamp(int(text[:10]), UTC)
    found = LOCAL.fullmatch(text)
    local: datetime | None = None
    try:
        if found is not None:
            local = datetime(*(int(part or 0) for part in found.groups()), tzinfo=CHINA)  # type: ignore[misc,arg-type]  # six numbers
        elif re.fullmatch(r"\d{14}", text):
            local = datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=CHINA)
    except ValueError:
        pass
    moment = countable(local) if local is not None else None
    if moment is not None:
        return moment
    raise InvalidInput("HT-MR-17", name=name, value=text[:40])


def _body(raw: bytes) -> Json:
    try:
        found = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        raise InvalidInput("HT-MR-18") from None
    if not isinstance(found, dict):
        raise InvalidInput("HT-MR-18")
    return found


def _text(body: Json, *names: str) -> str:
    for name in names:
        value = body.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()[:256]
    return ""


def _moment(body: Json, context: Context, *names: str) -> datetime:
    text = _text(body, *names)
    return read_moment(text, names[0]) if text else context.clock()


def _codes(body: Json) -> list[str]:
    """Return the codes of the ordered item: a list, or one text with commas (dataCode, examItemCode)."""
    for name in ("dataCode", "examItemCode", "itemCode"):
        value = body.get(name)
        parts = value if isinstance(value, list) else re.split(r"[,，;；\s]+", str(value or ""))
        codes = [str(part).strip()[:64] for part in parts if str(part).strip()]
        if codes:
            return codes[:50]
    return []


def _action(body: Json) -> Action:
    """Return the decision; without one a reason means rejection, and no reason recognition (the method's name)."""
    word = _text(body, "recognizedResult", "action", "isRecognized", "status").lower()
    if not word:
        return "reject" if _text(body, "reasonCode", "reasonMark") else "accept"
    if word not in ACTIONS:
        raise InvalidInput("HT-MR-15", name="recognizedResult", detail="1 | 2 | 3 | 4")
    return ACTIONS[word]


def _doctor(body: Json) -> Json | None:
    code, name = _text(body, "doctorCode", "doctorId"), _text(body, "doctorName")
    found: Json = ({"identifier": {"value": code}} if code else {}) | ({"display": name} if name else {})
    return found or None


def _versioned(resource: Json) -> str:
    return f"{reference_of(resource)}/_history/{(resource.get('meta') or {}).get('versionId', '1')}"


def _refused(error: FhirError, request: Request) -> Reply:
    status = STATUS[type(error)]
    spoken = request.language
    rows = [
        {
            "code": issue.code,
            "text": issue.text(spoken),
            "fix": issue.fix(spoken),
            "docs": f"/docs/errors/{issue.code}",
        }
        for issue in error.issues[:20]
    ]
    message = "；".join(row["text"] for row in rows)
    return json_reply({"code": status, "message": message, "data": None, "issues": rows}, status=status)
