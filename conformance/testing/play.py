"""Playing a TestScript: setup, each test, teardown (testscript.html#setup).

A setup that fails leaves the tests without their ground: they are not evaluated. The teardown runs whatever happened
and judges nothing.
"""

import time
from collections.abc import Sequence

from conformance.testing.assertion import check
from conformance.testing.client import Call as Request
from conformance.testing.client import Client, Exchange, Unreachable
from conformance.testing.memory import Memory
from conformance.testing.operate import FORMATS, to_call
from conformance.testing.result import Result, Step, worst
from conformance.testing.script import ANY_OF, Fixture, Script, extension
from terminology.fhirjson import Json, encode
from terminology.issues import FhirError, Issue

MAX_ACTIONS = 20_000


class Player:
    """Plays one script over a client. `inputs`: the values that a person gives to the script's variables."""

    def __init__(self, script: Script, client: Client, *, inputs: dict[str, str] | None = None) -> None:
        self.script, self.client = script, client
        self.memory = Memory(script, inputs)
        self.setup: list[Step] = []
        self.teardown: list[Step] = []
        self._left = MAX_ACTIONS

    def play(self) -> list[Result]:
        """Return one result a test of the script."""
        resource = self.script.resource
        self.setup = [*self._create_fixtures(), *self._actions(resource.get("setup", {}).get("action", ()))]
        ground = worst([step.state for step in self.setup if not step.warns])
        results = []
        for number, test in enumerate(resource.get("test", ()), 1):
            name = str(test.get("name") or f"test {number}")
            started = time.perf_counter()
            if self.setup and ground in ("fail", "error", "not-evaluated"):
                reason = Issue("HT-CT-17", {"state": ground})
                causes = [issue for step in self.setup if not step.warns for issue in step.issues]
                steps = [Step("setup", "setup", "not-evaluated", (reason, *causes[:3]))]
            else:
                steps = self._actions(test.get("action", ()))
            result = Result(f"{self.script.name}/{name}", name, name, steps)
            result.seconds = time.perf_counter() - started
            results.append(result)
        self.teardown = [
            *self._actions(resource.get("teardown", {}).get("action", ())),
            *self._delete_fixtures(),
        ]
        return results

    def _create_fixtures(self) -> list[Step]:
        """testscript.html: autocreate. A fixture with an id keeps it where the server lets it."""
        return [self._create(row) for row in self.script.fixtures.values() if row.autocreate]

    def _create(self, fixture: Fixture) -> Step:
        tree = fixture.resource
        kind, id = tree.get("resourceType", ""), tree.get("id")
        try:
            body = self.memory.fill(encode(tree).decode()).encode()
            headers = {"content-type": FORMATS["json"], "accept": FORMATS["json"]}
            tries = [Request("PUT", f"{kind}/{id}", headers, body)] if id else []
            tries.append(Request("POST", kind, headers, body))
            for call in tries:
                answer = self.client.send(call)
                exchange = Exchange(call, answer)
                if answer.status < 300:
                    self.memory.keep({"sourceId": fixture.id}, exchange)
                    self.memory.places.setdefault(fixture.id, (kind, str(id or ""), ""))
                    return Step("operation", f"autocreate {fixture.id}", "pass", exchange=exchange)
            wrong = Issue(
                "HT-CT-16", {"status": answer.status, "wanted": "created", "body": answer.text[:300]}
            )
            return Step("operation", f"autocreate {fixture.id}", "fail", (wrong,), exchange=exchange)
        except Unreachable as error:
            return Step("operation", f"autocreate {fixture.id}", "not-evaluated", (_unreachable(error),))
        except FhirError as error:
            return Step("operation", f"autocreate {fixture.id}", "error", error.issues)

    def _delete_fixtures(self) -> list[Step]:
        steps = []
        for row in self.script.fixtures.values():
            if row.autodelete and row.id in self.memory.places:
                kind, id, _ = self.memory.places[row.id]
                operation = {"type": {"code": "delete"}, "url": f"{kind}/{id}"}
                steps.append(self._operate(operation))
        return steps

    def _actions(self, actions: Sequence[Json]) -> list[Step]:
        steps: list[Step] = []
        groups: dict[str, list[Step]] = {}
        for action in actions:
            self._left -= 1
            if self._left < 0:
                steps.append(Step("assert", "", "error", (Issue("HT-CT-18", {"limit": MAX_ACTIONS}),)))
                break
            if "operation" in action:
                steps.append(self._operate(action["operation"]))
                continue
            row = action.get("assert", {})
            step = self._assert(row)
            group = extension(row, ANY_OF)
            if group is None:
                steps.append(step)
            else:
                groups.setdefault(str(group), []).append(step)
        return [*steps, *(_group(name, rows) for name, rows in groups.items())]

    def _operate(self, row: Json) -> Step:
        memory = self.memory
        name = str(row.get("label") or row.get("description") or row.get("type", {}).get("code", ""))
        call: Request | None = None
        try:
            call = to_call(row, fill=memory.fill, source=memory.tree, place=memory.place)
            exchange = Exchange(call, self.client.send(call))
        except Unreachable as error:
            kept = Exchange(call, None) if call is not None else None
            memory.last = kept
            return Step("operation", name, "not-evaluated", (_unreachable(error),), exchange=kept)
        except FhirError as error:
            memory.last = None
            return Step("operation", name, "error", error.issues)
        memory.keep(row, exchange)
        return Step("operation", name, "pass", exchange=exchange)

    def _assert(self, row: Json) -> Step:
        name = str(row.get("label") or row.get("description") or ", ".join(sorted(row)))
        warns = row.get("warningOnly") is True
        try:
            wrong = check(row, self.memory)
        except FhirError as error:
            return Step("assert", name, "error", error.issues, warns=warns)
        return Step("assert", name, "fail" if wrong else "pass", tuple(wrong), warns=warns)


def _group(name: str, rows: Sequence[Step]) -> Step:
    if any(row.state == "pass" for row in rows):
        return Step("assert", name, "pass")
    return Step("assert", name, "fail", tuple(issue for row in rows for issue in row.issues))


def _unreachable(error: Unreachable) -> Issue:
    return Issue("HT-CT-19", {"detail": str(error)[:200]})
