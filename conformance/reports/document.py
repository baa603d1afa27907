"""A run as one JSON document, the form that is kept, sent and compared; issues carry both languages."""

from hashlib import sha256
from typing import Any

from conformance.reports.mask import SECRET_HEADERS, Policy, mask, shown
from conformance.testing.client import Exchange
from conformance.testing.result import STATES, Result, Run, Step
from terminology.fhirjson import Json
from terminology.issues import Issue

# Evidence is shown up to here; its SHA-256 is of the whole.
SHOWN_BYTES = 8 * 1024


def to_document(run: Run, *, masking: Policy = "standard") -> Json:
    """Return the run as JSON. The evidence is masked, and chained: each hash covers the one before."""
    chain = ""
    results = []
    for result in run.results:
        row, chain = _result(result, chain, masking)
        results.append(row)
    return {
        "format": "hutong-run/1",
        "id": run.id,
        "target": run.target,
        "roles": list(run.roles),
        "started": run.started,
        "suite_hash": run.suite_hash,
        "counts": {state: run.count(state) for state in STATES if run.count(state)},
        "results": results,
        "evidence_hash": chain,
    }


def from_document(document: Json) -> Run:
    """Return the run of a document without its evidence, as verdicts need it; raises KeyError or TypeError for others."""
    results = []
    for row in document["results"]:
        steps = [
            Step(step["kind"], step["name"], step["state"], warns=step.get("warns", False))
            for step in row["steps"]
        ]
        results.append(
            Result(
                row["id"],
                row["zh"],
                row["en"],
                steps,
                tuple(row["requirements"]),
                tuple(row["roles"]),
                bool(row["negative"]),
                float(row["seconds"]),
            )
        )
    return Run(
        document["id"], document["target"], document["started"], results, document["suite_hash"],
        tuple(document["roles"]),
    )  # fmt: skip


def told(issue: Issue) -> Json:
    return {
        "code": issue.code,
        "zh": mask(issue.text("zh")),
        "en": mask(issue.text("en")),
        "fix_zh": issue.fix("zh"),
        "fix_en": issue.fix("en"),
    }


def _result(result: Result, chain: str, masking: Policy) -> tuple[Json, str]:
    steps = []
    for step in result.steps:
        row: dict[str, Any] = {"kind": step.kind, "name": mask(step.name), "state": step.state}
        if step.warns:
            row["warns"] = True
        if step.issues:
            row["issues"] = [told(issue) for issue in step.issues]
        if step.exchange is not None:
            row["evidence"], chain = _evidence(step.exchange, chain, masking)
        steps.append(row)
    told_row = {
        "id": result.id,
        "zh": result.zh,
        "en": result.en,
        "state": result.state,
        "negative": result.is_negative,
        "requirements": list(result.requirements),
        "roles": list(result.roles),
        "seconds": round(result.seconds, 4),
        "steps": steps,
    }
    return told_row, chain


def _evidence(exchange: Exchange, chain: str, masking: Policy) -> tuple[Json, str]:
    call, answer = exchange.call, exchange.answer
    body = answer.body if answer is not None else b""
    digest = sha256(chain.encode() + call.url.encode() + call.body + body).hexdigest()
    row: Json = {
        "method": call.method,
        "url": mask(call.url),
        "request": shown(call.body, SHOWN_BYTES, masking),
        "response": shown(body, SHOWN_BYTES, masking),
        "sha256": digest,
    }
    if answer is not None:
        row["status"] = answer.status
        row["headers"] = {
            name: "***" if name in SECRET_HEADERS else mask(value) for name, value in answer.headers.items()
        }
    return row, digest
