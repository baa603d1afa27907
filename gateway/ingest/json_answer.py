"""The answer to what has no acknowledgement of its own (files, rows): what was done and why, in JSON."""

from collections.abc import Sequence
from typing import Any

from gateway.ingest.kind import Level, Verdict
from gateway.journal.detail import issue_row
from terminology.fhirjson import encode
from terminology.issues import FhirError, Issue


class JsonAnswer:
    """The answering half of a kind (gateway/ingest/kind.py): each message is answered once, when it is kept."""

    media_type = "application/json; charset=utf-8"

    def wants(self, header: Any, level: Level, verdict: Verdict) -> bool:
        return level == "original"

    def answer(
        self, header: Any, verdict: Verdict, *, level: Level, issues: Sequence[Issue] = (), text: str = ""
    ) -> bytes:
        return encode({"answer": verdict, "text": text, "issues": [issue_row(issue) for issue in issues]})

    def join(self, answers: Sequence[bytes], header: Any) -> bytes:
        return answers[0] if len(answers) == 1 else b"[" + b",\n".join(answers) + b"]"

    def refuse(self, raw: bytes, error: FhirError) -> bytes | None:
        return self.answer(None, "reject", level="original", issues=error.issues)
