"""Rows of tests/spec/http/*.yaml: one case an interaction, named by section of https://hl7.org/fhir/R4/http.html.

A case has `given` (resources that are put first) and `steps`, or one step written in the case itself:
`send` (METHOD path), `headers`, `body` (tree or text); then what is expected: `status`, `code` (of the first issue),
`codes` (all, sorted), `header` (a regular expression each; null: absent), `json` (path: value; null: absent;
"path#": number of items; "path~": regular expression). `wait`: ask again while the answer is 202. `save` keeps values for later steps as <name>.
"""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.gateway.server import Server

FOLDER = Path(__file__).parent / "http"
STEP = ("send", "headers", "body", "status", "code", "codes", "header", "json", "save", "text", "wait")
INDEX = re.compile(r"([^\[\]]+)|\[(-?\d+)\]")


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    given: list[dict[str, Any]]
    steps: list[dict[str, Any]]


def load_cases() -> list[Case]:
    cases: list[Case] = []
    for path in sorted(FOLDER.glob("*.yaml")):
        for row in yaml.safe_load(path.read_text("utf-8")):
            steps = row.get("steps") or [{key: row[key] for key in STEP if key in row}]
            unknown = set(row) - {"section", "case", "given", "steps", *STEP}
            assert not unknown, (row["case"], unknown)
            cases.append(Case(f"{row['section']}: {row['case']}", row.get("given", []), steps))
    return cases


def run(case: Case, server: Server) -> None:
    """Play a case against a fresh server; AssertionError tells which step failed and how."""
    saved: dict[str, str] = {}
    for resource in case.given:
        answer = server.request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)
        assert answer.status_code in (200, 201), answer.text
    for number, step in enumerate(case.steps):
        unknown = set(step) - set(STEP)
        assert not unknown, unknown
        check(fill(step, saved), server, saved, f"step {number + 1}: {step['send']}")


def check(step: dict[str, Any], server: Server, saved: dict[str, str], place: str) -> None:
    method, _, path = step["send"].partition(" ")
    answer = server.request(method, path, step.get("body"), **step.get("headers", {}))
    for _ in range(50 if step.get("wait") else 0):
        if answer.status_code != 202:
            break
        server.run(asyncio.sleep(0.05))
        answer = server.request(method, path, step.get("body"), **step.get("headers", {}))
    told = f"{place} → {answer.status_code} {dict(answer.headers)} {answer.text[:1500]}"
    assert answer.status_code == step["status"], told
    for name, pattern in step.get("header", {}).items():
        value = answer.headers.get(name)
        if pattern is None:
            assert value is None, f"{name}: {value!r}; {told}"
        else:
            assert value is not None, f"no {name}; {told}"
            assert re.fullmatch(pattern, value), f"{name}: {value!r}; {told}"
    if "text" in step:
        assert re.search(step["text"], answer.text), told
    tree = answer.json() if answer.text[:1] in ("{", "[") else None
    if "code" in step or "codes" in step:
        assert tree is not None, told
        assert tree["resourceType"] == "OperationOutcome", told
        codes = [issue["details"]["coding"][0]["code"] for issue in tree["issue"]]
        if "code" in step:
            assert codes[0] == step["code"], told
        if "codes" in step:
            assert sorted(codes) == sorted(step["codes"]), told
    for where, wanted in step.get("json", {}).items():
        if where.endswith("#"):
            items = find(tree, where[:-1])
            assert len(items or ()) == wanted, f"{where} is {len(items or ())}; {told}"
        elif where.endswith("~"):
            assert re.search(wanted, str(find(tree, where[:-1]))), (
                f"{where} is {find(tree, where[:-1])!r}; {told}"
            )
        else:
            assert find(tree, where) == wanted, f"{where} is {find(tree, where)!r}; {told}"
    for name, where in step.get("save", {}).items():
        saved[name] = str(answer.headers[where[7:]] if where.startswith("header:") else find(tree, where))


def find(tree: Any, path: str) -> Any:
    """Return what lies at "entry[0].resource.id"; None when it isn't there."""
    for name, index in INDEX.findall(path):
        for part in name.split(".") if name else [""]:
            if part:
                tree = tree.get(part) if isinstance(tree, dict) else None
        if index:
            tree = (
                tree[int(index)] if isinstance(tree, list) and -len(tree) <= int(index) < len(tree) else None
            )
    return tree


def fill(node: Any, saved: dict[str, str]) -> Any:
    if isinstance(node, str):
        return re.sub(r"<(\w+)>", lambda found: saved.get(found[1], found[0]), node)
    if isinstance(node, dict):
        return {key: fill(value, saved) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(item, saved) for item in node]
    return node
