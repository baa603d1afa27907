"""What a script knows while it runs: fixtures, answers, and the variables that read them (testscript.html#variable)."""

import re
import secrets
import string
import uuid
from datetime import datetime
from typing import Any

from conformance.fhirpath import evaluate
from conformance.testing.client import Exchange, read_tree
from conformance.testing.judge import text_of
from conformance.testing.script import Script
from conformance.testing.xpath import values
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

_VARIABLE = re.compile(r"\$\{([^}]{1,200})\}")
_RANDOM = re.compile(r"(C|D|CD)([1-9]\d?)")
_LOCATION = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?/?$")


class Memory:
    """`inputs`: values that a person is asked for before the script runs (variable.hint)."""

    def __init__(self, script: Script, inputs: dict[str, str] | None = None) -> None:
        self.script, self.inputs = script, inputs or {}
        self.exchanges: dict[str, Exchange] = {}
        self.requests: dict[str, Exchange] = {}
        self.places: dict[str, tuple[str, str, str]] = {}
        self.last: Exchange | None = None
        self.run_id = uuid.uuid4().hex[:8]
        self._made_up: dict[str, str] = {}
        self._filling: set[str] = set()
        self.variables = {str(row.get("name")): row for row in script.resource.get("variable", ())}

    def keep(self, row: Json, exchange: Exchange) -> None:
        """Remember an exchange under the names that the operation gives it."""
        self.last = exchange
        if row.get("responseId"):
            self.exchanges[row["responseId"]] = exchange
        if row.get("requestId"):
            self.requests[row["requestId"]] = exchange
        source = row.get("sourceId")
        location = exchange.answer.headers.get("location", "") if exchange.answer else ""
        if source and (found := _LOCATION.search(location)):
            self.places[source] = (found[1], found[2], found[3] or "")

    def tree(self, name: str) -> Any:
        """Return the resource of an answer, a request or a fixture; raises InvalidInput for an unknown name."""
        exchange = self.exchanges.get(name)
        if exchange is not None:
            return exchange.answer.tree() if exchange.answer else None
        if name in self.requests:
            return read_tree(self.requests[name].call.body)
        if name in self.script.fixtures:
            return self.script.fixtures[name].resource
        raise InvalidInput("HT-CT-07", name=name)

    def place(self, name: str) -> tuple[str, str, str]:
        """Return type, id and version of what `name` stands for on the server."""
        exchange = self.exchanges.get(name)
        if exchange is not None and exchange.answer is not None:
            location = exchange.answer.headers.get("location", "")
            if found := _LOCATION.search(location):
                return found[1], found[2], found[3] or ""
        if name in self.places:
            return self.places[name]
        tree = self.tree(name)
        if not isinstance(tree, dict) or "id" not in tree:
            raise InvalidInput("HT-CT-07", name=name)
        return (
            str(tree.get("resourceType", "")),
            str(tree["id"]),
            str(tree.get("meta", {}).get("versionId", "")),
        )

    def fill(self, text: str) -> str:
        """Put the values of variables in; raises InvalidInput for one that has no value."""
        return _VARIABLE.sub(lambda found: self.variable(found[1]), text)

    def variable(self, name: str) -> str:
        if name in self.inputs:
            return self.inputs[name]
        if name == "runId" and name not in self.variables:
            return self.run_id
        if name not in self.variables and (made := self._made(name)) is not None:
            return made
        row = self.variables.get(name)
        if row is None:
            raise InvalidInput("HT-CT-09", name=name)
        found = self._found(row)
        if found is None and row.get("defaultValue") is not None:
            if name in self._filling:
                raise InvalidInput("HT-CT-09", name=name)
            self._filling.add(name)
            found = self.fill(str(row["defaultValue"]))
            self._filling.discard(name)
        if found is None:
            raise InvalidInput("HT-CT-09", name=name)
        return str(found)

    def _made(self, name: str) -> str | None:
        """Return a value that test systems make up: ${UUID}, ${CURRENTDATE}, ${C6} letters, ${D4} digits, ${CD8} both.

        One name is one value as long as the script runs, so what was created can be compared with what comes back.
        """
        if name not in self._made_up:
            found = _RANDOM.fullmatch(name)
            now = datetime.now().astimezone()
            words = {
                "UUID": str(uuid.uuid4()),
                "CURRENTDATE": now.date().isoformat(),
                "CURRENTTIME": now.strftime("%H:%M:%S"),
                "CURRENTDATETIME": now.isoformat(timespec="seconds"),
            }
            if found is not None:
                letters = {"C": string.ascii_letters, "D": string.digits}.get(
                    found[1], string.ascii_letters + string.digits
                )
                words[name] = "".join(secrets.choice(letters) for _ in range(int(found[2])))
            if name not in words:
                return None
            self._made_up[name] = words[name]
        return self._made_up[name]

    def _found(self, row: Json) -> str | None:
        source = row.get("sourceId")
        if "headerField" in row:
            name = str(row["headerField"]).lower()
            if source and source not in self.exchanges and source in self.requests:
                return self.requests[source].call.headers.get(name)
            exchange = self.exchanges.get(source) if source else self.last
            if exchange is None or exchange.answer is None:
                return None
            return exchange.answer.headers.get(str(row["headerField"]).lower())
        if "expression" not in row and "path" not in row:
            return None
        tree = self._source(source)
        if not isinstance(tree, dict):
            return None
        if "expression" in row:
            found = evaluate(self.fill(row["expression"]), tree)
            return text_of(found[0]) if found else None
        rows = values(self.fill(row["path"]), tree)
        return rows[0] if rows else None

    def _source(self, source: str | None) -> Any:
        if source:
            # A response that has not come yet gives no value; a name that nobody gives is checked by whoever loads.
            return (
                self.tree(source)
                if source in {*self.exchanges, *self.requests, *self.script.fixtures}
                else None
            )
        return self.last.answer.tree() if self.last is not None and self.last.answer is not None else None
