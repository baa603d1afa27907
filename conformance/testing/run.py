"""Running YAML tests against a target: each step does or judges one thing, and the first failure ends the test."""

import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from conformance.fhirpath import evaluate
from conformance.identifiers.resident import check_digit
from conformance.testing.client import Answer, Call, Client, Exchange, Unreachable
from conformance.testing.expect import expect
from conformance.testing.hl7 import read_fields
from conformance.testing.judge import text_of
from conformance.testing.result import Result, Run, State, Step
from conformance.testing.target import Target
from conformance.testing.yaml_test import YamlTest, suite_hash
from conformance.validation import validate
from conformance.validation.run import Policy
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, Issue

_BLANK = re.compile(r"\$\{([a-z_A-Z][\w.]{0,60})\}")
MAX_WAIT_SECONDS = 10.0
MAX_DEPTH = 40
ABSENT_SECONDS = 3.0
"""What must not come is waited for that long."""
MAX_FILES, MAX_FILE_BYTES = 500, 16 * 1024 * 1024
# Four digits of real districts (GB/T 2260); the last two are free.
AREAS = (
    "1101",
    "1201",
    "1301",
    "2101",
    "3101",
    "3201",
    "3301",
    "3501",
    "3701",
    "4101",
    "4201",
    "4401",
    "5101",
    "6101",
)


def run_tests(
    tests: Iterable[YamlTest],
    target: Target,
    *,
    now: datetime,
    language: str = "zh",
    tell: Callable[[Result], None] | None = None,
) -> Run:
    """Run the tests in order; `tell` hears of each result as it comes. `now` carries an offset."""
    rows = tuple(tests)
    run = Run(
        uuid.uuid4().hex, target.name, now.isoformat(timespec="seconds"), [], suite_hash(rows), target.roles
    )
    for row in rows:
        result = run_test(row, target, now=now, language=language)
        run.results.append(result)
        if tell is not None:
            tell(result)
    return run


def run_test(test: YamlTest, target: Target, *, now: datetime, language: str = "zh") -> Result:
    """Return the result of one test."""
    return _Play(test, target, now, language).play()


class _Play:
    """One test under way: what it knows and what came back last."""

    def __init__(self, test: YamlTest, target: Target, now: datetime, language: str) -> None:
        self.test, self.target, self.language = test, target, language
        unique = uuid.uuid4().hex[:12]
        self.values: Json = {
            "now": now.strftime("%Y%m%d%H%M%S"),
            "today": now.strftime("%Y%m%d"),
            "date": now.strftime("%Y-%m-%d"),
            **citizen(),
            **target.variables,
            **test.values,
            "unique": unique,
        }
        self.answer: Answer | None = None
        self.message: bytes | None = None
        self.document = b""

    def play(self) -> Result:
        test = self.test
        result = Result(test.id, test.zh, test.en, [], test.requirements, test.roles, test.is_negative)
        started = time.perf_counter()
        for row in test.steps:
            step = self._step(row)
            result.steps.append(step)
            if step.state not in ("pass", "attested"):
                break
        result.seconds = time.perf_counter() - started
        return result

    def _step(self, row: Json) -> Step:
        kind = next(iter(row))
        name = _name(kind, row[kind])
        self.exchange: Exchange | None = None
        try:
            issues = _KINDS[kind](self, self._fill(row[kind]))
        except Unreachable as error:
            # Silence where an answer is the point of the test is a failure, not an absence of the target.
            issue = Issue("HT-CT-19", {"detail": str(error)[:200]})
            state: State = (
                "fail" if isinstance(row[kind], dict) and row[kind].get("required") else "not-evaluated"
            )
            return Step(kind, name, state, (issue,), exchange=self.exchange)
        except _Missing as missing:
            return Step(kind, name, "not-evaluated", (missing.issue,))
        except InvalidInput as error:
            state = "fail" if error.issues[0].code in ("HT-CT-21", "HT-CT-28", "HT-CT-56") else "error"
            return Step(kind, name, state, error.issues, exchange=self.exchange)
        except FhirError as error:
            return Step(kind, name, "error", error.issues, exchange=self.exchange)
        # What a test needs and the target hasn't is no fault: the test says nothing about it.
        is_precondition = isinstance(row[kind], dict) and row[kind].get("precondition")
        state = ("not-evaluated" if is_precondition else "fail") if issues else "pass"
        return Step(kind, name, state, tuple(issues), exchange=self.exchange)

    def _request(self, row: Json) -> list[Issue]:
        client = self._client(row.get("to", "fhir"))
        body = row.get("body")
        content = (
            body.encode()
            if isinstance(body, str)
            else b""
            if body is None
            else json.dumps(body, ensure_ascii=False).encode()
        )
        if row.get("upload"):
            content = self.document
        headers = {"accept": "application/fhir+json"}
        if content:
            headers["content-type"] = "application/fhir+json"
        headers |= {name.lower(): str(value) for name, value in row.get("headers", {}).items()}
        call = Call(
            row.get("method", "GET"),
            row["url"],
            {name: value for name, value in headers.items() if value},
            content,
        )
        self.exchange = Exchange(call, None)
        self.answer = client.send(call)
        self.exchange = Exchange(call, self.answer)
        self._keep(row, self.answer.tree())
        return []

    def _client(self, name: str) -> Client:
        """The member's FHIR or other HTTP service, or the centre's own FHIR side in the sandbox."""
        target = self.target
        centre = target.counterpart.fhir if target.counterpart is not None else None
        client = {"fhir": target.fhir, "http": target.http, "counterpart": centre}[name]
        if client is None:
            raise _Missing(name)
        return client

    def _keep(self, row: Json, tree: Any) -> None:
        for name, expression in row.get("keep", {}).items():
            if expression == "ETag" and self.answer is not None:
                self.values[name] = self.answer.headers.get("etag", "")
                continue
            found = evaluate(expression, tree) if isinstance(tree, dict) else []
            if not found:
                raise InvalidInput("HT-CT-28", name=name, path=expression)
            self.values[name] = text_of(found[0])

    def _send(self, row: Json) -> list[Issue]:
        if self.target.line is None:
            raise _Missing("mllp")
        codec = row.get("codec", "utf-8")
        raw = str(row["message"]).strip().replace("\n", "\r").encode(codec) + b"\r"
        if row.get("repeat_segment"):
            raw += (str(row["repeat_segment"]) + "\r").encode(codec) * int(row.get("times", 1))
        call = Call("MLLP", "", {}, raw)
        self.exchange = Exchange(call, None)
        self.message = self.target.line.exchange(
            raw,
            pieces=int(row.get("pieces", 1)),
            is_framed=row.get("framed", True),
            pause=float(row.get("pause", 0)),
        )
        self.exchange = Exchange(call, Answer(0, {}, self.message))
        return []

    def _receive(self, row: Json) -> list[Issue]:
        if "http" in row:
            return self._receive_call(row)
        if "document" in row:
            return self._receive_document(row)
        if self.target.outbox is None:
            raise _Missing("listen")
        prompt = row.get("prompt", {}).get(self.language, row["event"])
        self.message = self.target.outbox.take(row["event"], answer=row.get("answer", "AA"), prompt=prompt)
        self.exchange = Exchange(Call("MLLP", row["event"], {}, b""), Answer(0, {}, self.message))
        for name, path in row.get("keep", {}).items():
            values = read_fields(self.message).values(path)
            if not values:
                return [Issue("HT-CT-27", {"place": path})]
            self.values[name] = values[0]
        return []

    def _receive_call(self, row: Json) -> list[Issue]:
        """The member's request: its headers, URL and body are judged, with the status that the centre answered."""
        if self.target.door is None:
            raise _Missing("serve")
        prompt = row.get("prompt", {}).get(self.language, row["http"])
        try:
            exchange = self.target.door.take(
                row["http"], prompt=prompt, answer=int(row.get("answer", 0)),
                seconds=ABSENT_SECONDS if row.get("absent") else None,
            )  # fmt: skip
        except Unreachable:
            if row.get("absent"):
                self.answer = Answer(0, {}, b"", "")
                return []
            raise
        self.exchange = exchange
        if row.get("absent"):
            return [Issue("HT-CT-55", {"request": f"{exchange.call.method} {exchange.call.url}"[:200]})]
        status = exchange.answer.status if exchange.answer is not None else 0
        self.answer = Answer(status, exchange.call.headers, exchange.call.body, exchange.call.url)
        self._keep(row, self.answer.tree())
        return []

    def _receive_document(self, row: Json) -> list[Issue]:
        """A file that the member handed in: a shared document (CDA)."""
        if self.target.documents is None:
            raise _Missing("documents")
        for path in sorted(self.target.documents.rglob(row["document"]))[:MAX_FILES]:
            if path.is_file() and path.stat().st_size <= MAX_FILE_BYTES:
                raw = self.document = path.read_bytes()
                self.exchange = Exchange(Call("FILE", path.name, {}, b""), Answer(0, {}, raw))
                self.answer = Answer(0, {}, raw, path.name)
                return []
        raise Unreachable(f"no file {row['document']}")

    def _expect(self, row: Json) -> list[Issue]:
        return expect(row, answer=self.answer, message=self.message)

    def _validate(self, row: Json) -> list[Issue]:
        tree = self.answer.tree() if self.answer is not None else None
        if not isinstance(tree, dict):
            return [Issue("HT-CT-11", {})]
        # A member's own extensions are no fault of its resources.
        policy = Policy(unknown_extensions="allow")
        issues = validate(
            tree, level=row.get("level", "full"), profiles=row.get("profiles", ()), policy=policy
        )
        return [issue for issue in issues if issue.severity in ("error", "fatal")][:20]

    def _attest(self, row: Json) -> list[Issue]:
        shown = self.target.evidence.get(row["id"])
        if not shown:
            raise _Missing("evidence", id=row["id"])
        self.exchange = Exchange(Call("ATTEST", shown, {}, b""), None)
        return []

    def _wait(self, row: Json) -> list[Issue]:
        time.sleep(min(float(row["seconds"]), MAX_WAIT_SECONDS))
        return []

    def _fill(self, value: Any, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise InvalidInput("HT-CT-09", name="${…} ${…}")
        if isinstance(value, str):
            whole = _BLANK.fullmatch(value)
            held = self._value(whole[1]) if whole is not None else None
            if whole is not None and not isinstance(held, str):
                return self._fill(held, depth + 1)
            text = _BLANK.sub(lambda found: _text(self._value(found[1])), value)
            # A value may itself speak of another: an id of ${unique}.
            return self._fill(text, depth + 1) if text != value and _BLANK.search(text) else text
        if isinstance(value, dict):
            filled = {name: self._fill(inner, depth + 1) for name, inner in value.items()}
            return {name: inner for name, inner in filled.items() if inner is not None}
        if isinstance(value, list):
            return list(self._elements(value, depth))
        return value

    def _elements(self, value: list[Any], depth: int) -> Iterator[Any]:
        for row in value:
            filled = self._fill(row, depth + 1)
            if isinstance(row, str) and isinstance(filled, list):
                yield from filled
            elif filled is not None:
                yield filled

    def _value(self, name: str) -> Any:
        if name not in self.values:
            raise InvalidInput("HT-CT-09", name=name)
        return self.values[name]


def citizen() -> dict[str, str]:
    """Return somebody who exists nowhere: `citizen` (GB 11643-1999), her `citizen15`, `born`, as new values a test."""
    born = date(1930, 1, 1) + timedelta(days=secrets.randbelow(25_000))
    area = f"{secrets.choice(AREAS)}{secrets.randbelow(30) + 1:02d}"
    number = f"{area}{born:%Y%m%d}{secrets.randbelow(490) * 2:03d}"
    return {
        "citizen": number + check_digit(number),
        "citizen15": number[:6] + number[8:],
        "born": born.isoformat(),
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _Missing(Exception):
    """The target has no such port, or no evidence was given."""

    def __init__(self, port: str, id: str = "") -> None:
        self.issue = Issue("HT-CT-29", {"port": f"{port} {id}".strip()})


_KINDS: dict[str, Callable[[_Play, Any], list[Issue]]] = {
    "request": _Play._request,
    "send": _Play._send,
    "receive": _Play._receive,
    "upload": _Play._receive,
    "expect": _Play._expect,
    "validate": _Play._validate,
    "attest": _Play._attest,
    "wait": _Play._wait,
}


def _name(kind: str, row: Any) -> str:
    if kind == "request":
        return f"{row.get('method', 'GET')} {row['url']}"
    if kind in ("receive", "upload"):
        return str(row.get("event") or row.get("http") or row.get("document"))
    if kind == "attest":
        return str(row["id"])
    return (
        ", ".join(f"{name}: {value}" for name, value in row.items())[:120]
        if isinstance(row, dict)
        else str(row)
    )
