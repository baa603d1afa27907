"""A small runner of FHIR TestScripts (https://hl7.org/fhir/R4/testscript.html) for the REST server's own tests.

It knows what the scripts in tests/data/testscripts use. The conformance engine for members is another thing.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from conformance.fhirpath import evaluate
from conformance.formats.xml import to_json, to_xml
from gateway.rest.example import minimal
from terminology.fhirjson import encode
from terminology.issues import FhirError

Json = dict[str, Any]
Send = Callable[[str, str, str | bytes | None, dict[str, str]], httpx.Response]

CODES = {
    "okay": range(200, 300),
    "created": range(201, 202),
    "noContent": range(204, 205),
    "notModified": range(304, 305),
    "bad": range(400, 401),
    "forbidden": range(403, 404),
    "notFound": range(404, 405),
    "methodNotAllowed": range(405, 406),
    "conflict": range(409, 410),
    "gone": range(410, 411),
    "preconditionFailed": range(412, 413),
    "unprocessable": range(422, 423),
}
METHODS = {
    "create": "POST",
    "update": "PUT",
    "delete": "DELETE",
    "patch": "PATCH",
    "batch": "POST",
    "transaction": "POST",
}
FORMATS = {"json": "application/fhir+json", "xml": "application/fhir+xml"}
FAKES = "http://ignixa.io/testscript/fhirfakes"
ANY_OF = "http://ignixa.io/testscript/assertionAnyOfGroup"


@dataclass
class Verdict:
    """Of one test: what failed, and what only warned. A setup that fails fails the test."""

    name: str
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Answer:
    status: int
    headers: httpx.Headers
    text: str
    tree: Any
    request_url: str


class Player:
    """Plays one script."""

    def __init__(self, path: Path, send: Send, inputs: dict[str, str] | None = None) -> None:
        self.inputs = inputs or {}
        self.script: Json = json.loads(path.read_text("utf-8"))
        self.send = send
        self.fixtures = {
            row["id"]: self._fixture(row["resource"], path.parent) for row in self.script.get("fixture", ())
        }
        self.answers: dict[str, Answer] = {}
        self.last: Answer | None = None
        self.run_id = uuid.uuid4().hex[:8]

    def play(self) -> list[Verdict]:
        setup = Verdict("setup")
        self._actions(self.script.get("setup", {}).get("action", ()), setup)
        verdicts = []
        for test in self.script["test"]:
            verdict = Verdict(test["name"], list(setup.failures))
            self._actions(test["action"], verdict)
            verdicts.append(verdict)
        self._actions(self.script.get("teardown", {}).get("action", ()), Verdict("teardown"))
        return verdicts

    def _fixture(self, resource: Json, folder: Path) -> Json:
        fakes = [row["valueCode"] for row in resource.get("extension", ()) if row["url"] == FAKES]
        if fakes and "resourceType" not in resource:
            return minimal(fakes[0])
        if "reference" in resource and "resourceType" not in resource:
            found: Json = json.loads((folder / resource["reference"]).read_text("utf-8"))
            return found
        return resource

    def _actions(self, actions: Any, verdict: Verdict) -> None:
        groups: dict[str, list[bool]] = {}
        for action in actions:
            if "operation" in action:
                self._operate(action["operation"])
                continue
            told = self._assert(action["assert"])
            row = action["assert"]
            group = next(
                (one["valueString"] for one in row.get("extension", ()) if one["url"] == ANY_OF), None
            )
            if group is not None:
                groups.setdefault(group, []).append(told is None)
            elif told is not None:
                (verdict.warnings if row.get("warningOnly") else verdict.failures).append(
                    f"{row.get('description', '')}: {told}"
                )
        verdict.failures += [f"none of {name} holds" for name, held in groups.items() if not any(held)]

    def _operate(self, row: Json) -> None:
        code = row.get("type", {}).get("code", "read")
        method = row.get("method", METHODS.get(code, "GET")).upper()
        headers = {one["field"].lower(): self._fill(one["value"]) for one in row.get("requestHeader", ())}
        kind = row.get("contentType", "json")
        body: str | bytes | None = None
        source = row.get("sourceId")
        if source is not None and method in ("POST", "PUT", "PATCH"):
            tree = self.answers[source].tree if source in self.answers else self.fixtures[source]
            text = self._fill(encode(tree).decode())
            body = to_xml(json.loads(text, parse_float=Decimal)) if kind == "xml" else text
            headers.setdefault("content-type", FORMATS.get(kind, kind))
        headers.setdefault("accept", FORMATS.get(row.get("accept", "json"), row.get("accept", "json")))
        response = self.send(method, self._url(row, code), body, headers)
        answer = Answer(
            response.status_code, response.headers, response.text, _tree(response), str(response.request.url)
        )
        self.last = answer
        if row.get("responseId"):
            self.answers[row["responseId"]] = answer

    def _url(self, row: Json, code: str) -> str:
        if "url" in row:
            return self._fill(row["url"] + row.get("params", ""))
        if "targetId" in row:
            target = self._tree_of(row["targetId"])
            suffix = "/_history" if code == "history" else ""
            if code == "vread":
                suffix = f"/_history/{target['meta']['versionId']}"
            return f"{target['resourceType']}/{target['id']}{suffix}"
        path = row.get("resource", "")
        params = self._fill(row.get("params", ""))
        if not params and code in ("update", "delete", "read", "patch") and "sourceId" in row:
            params = f"/{self._tree_of(row['sourceId']).get('id', '')}"
        if code == "history" and "_history" not in params:
            params += "/_history"
        return f"{path}{params}"

    def _tree_of(self, name: str) -> Json:
        found: Json = self.answers[name].tree if name in self.answers else self.fixtures[name]
        return found

    def _fill(self, text: str) -> str:
        return re.sub(r"\$\{([^}]+)\}", lambda found: self._variable(found[1]), text)

    def _variable(self, name: str) -> str:
        if name == "runId":
            return self.run_id
        if name in self.inputs:
            return self.inputs[name]
        row = next((one for one in self.script.get("variable", ()) if one["name"] == name), {})
        source = row.get("sourceId")
        answer = self.answers.get(source) if source else self.last
        if "headerField" in row and answer is not None:
            return str(answer.headers.get(row["headerField"], ""))
        tree = answer.tree if answer is not None else self.fixtures.get(source or "")
        for key in ("expression", "path"):
            if key in row and tree is not None:
                # An XPath of two names is the only kind that the scripts use for variables.
                found = (
                    evaluate(row[key].replace("/", "."), tree) if key == "path" else evaluate(row[key], tree)
                )
                if found:
                    return _text(found[0])
        return str(row.get("defaultValue", ""))

    def _assert(self, row: Json) -> str | None:
        """Return what is wrong, None when the assertion holds."""
        answer = self.answers.get(row["sourceId"]) if "sourceId" in row else self.last
        if answer is None:
            return f"no answer {row.get('sourceId')}"
        operator, wanted = row.get("operator"), self._fill(str(row.get("value", "")))
        if "response" in row:
            return (
                None
                if answer.status in CODES[row["response"]]
                else f"status {answer.status}: {answer.text[:300]}"
            )
        if "responseCode" in row:
            return _compare(str(answer.status), row["responseCode"], operator or "in")
        if "resource" in row:
            kind = answer.tree.get("resourceType") if isinstance(answer.tree, dict) else None
            return None if kind == row["resource"] else f"is a {kind}"
        if "contentType" in row:
            kind = answer.headers.get("content-type", "")
            return None if FORMATS.get(row["contentType"], row["contentType"]) in kind else f"is {kind}"
        if "headerField" in row:
            if row.get("direction") == "request":
                return None
            return _compare(answer.headers.get(row["headerField"], ""), wanted, operator or "equals")
        if "requestURL" in row:
            return _compare(answer.request_url, row["requestURL"], operator or "contains")
        if "compareToSourceId" in row:
            return self._compare_to_source(row, answer, operator)
        if "minimumId" in row:
            return (
                None
                if _contains(answer.tree, self._tree_of(row["minimumId"]))
                else "lacks what the minimum has"
            )
        if "navigationLinks" in row:
            return (
                None
                if {one["relation"] for one in answer.tree.get("link", ())} & {"self", "first"}
                else "no links"
            )
        if "validateProfileId" in row:
            return None
        expression = row.get("expression") or row.get("path")
        if expression is None:
            return f"cannot judge {sorted(row)}"
        if answer.tree is None:
            return "no resource"
        if expression.startswith("fhir:"):
            # XPath on XML; the same script says it in FHIRPath too.
            return None
        try:
            found = evaluate(self._fill(expression), answer.tree)
        except FhirError as error:
            return str(error)
        if operator is None and "value" not in row:
            return None if found == [True] else f"{expression} is {found!r}"
        return _compare(_text(found[0]) if found else "", wanted, operator or "equals")

    def _compare_to_source(self, row: Json, answer: Answer, operator: str | None) -> str | None:
        expression = row.get("compareToSourceExpression") or row.get("compareToSourcePath") or ""
        if expression.startswith(("fhir:", "/")):
            return None
        left = evaluate(row.get("expression") or expression, answer.tree)
        right = evaluate(expression, self._tree_of(row["compareToSourceId"]))
        return _compare(
            _text(left[0]) if left else "", _text(right[0]) if right else "", operator or "equals"
        )


def _tree(response: httpx.Response) -> Any:
    text = response.text
    if text[:1] in ("{", "["):
        return json.loads(text, parse_float=Decimal)
    return to_json(response.content) if text.startswith("<") else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _compare(value: str, wanted: str, operator: str) -> str | None:
    holds = {
        "equals": value == wanted,
        "notEquals": value != wanted,
        "contains": wanted in value,
        "notContains": wanted not in value,
        "notEmpty": value != "",
        "empty": value == "",
        "in": value in wanted.split(","),
        "greaterThan": value.isdigit() and wanted.isdigit() and int(value) > int(wanted),
    }[operator]
    return None if holds else f"{value!r} is not {operator} {wanted!r}"


def _contains(whole: Any, part: Any) -> bool:
    """Tell whether everything in `part` is in `whole` (testscript.html: minimumId); server-owned elements aside."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in ("id", "meta", "text") or _contains(whole.get(name), value)
            for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(_contains(item, one) for item in whole) for one in part)
    return bool(whole == part)
