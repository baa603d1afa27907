"""Task/[id]/$acknowledge, Task/[id]/$confirm-critical, Communication/$critical-register (docs/workflow/critical-values.md)."""

from typing import Any

from gateway.critical.alert import output, outputs
from gateway.critical.detect import detect
from gateway.critical.raise_alert import has_confirmed, release
from gateway.critical.register import COLUMNS, register
from gateway.critical.repeat_back import differs
from gateway.operations.parameters import Inputs, read_inputs
from gateway.operations.task_version import decoded, enforced, of_request, retrying
from gateway.rest.context import Context
from gateway.rest.request import Request
from gateway.rest.response import Response, version_headers
from gateway.store.protocol import Commit, Put, Version
from gateway.workflow.actor import acting
from gateway.workflow.draft import codes_of, reference_of
from terminology.fhirjson import Json, decode_resource
from terminology.issues import BusinessRule, InvalidInput, Issue

WAY = ("requested", "received", "accepted", "in-progress")


async def acknowledge(request: Request, context: Context) -> Response:
    """Open (no input), read back (`repeatBack`), handle (`action`); the Task as it is then."""
    inputs = read_inputs(request, context)
    said, action = inputs.one("repeatBack"), inputs.one("action")

    async def attempt() -> Response:
        version = await of_request(request, context)
        task = _about_critical(decoded(version), "acknowledge-critical")
        communication = await _communication(task, context)
        known = outputs(task)
        if said is not None:
            wrong = await _differs(str(said), communication, context)
            if wrong is not None:
                raise BusinessRule([wrong])
        elif action is not None and "repeat-back" not in known:
            raise BusinessRule([Issue("HT-CV-04", {}, expression="Task.output")])
        now = _now(context)
        if task.get("status") == "requested":
            version = await _step(task, {"status": "received"}, [("received-at", now)], context)
            task = decoded(version)
        if said is not None and task.get("status") == "received":
            who = _person(inputs)
            rows = [
                ("repeat-back", str(said)),
                ("acknowledged-at", now),
                *([("acknowledged-by", who)] if who else []),
            ]
            version = await _step(task, {"status": "accepted"}, rows, context)
            version = await _step(decoded(version), {"status": "in-progress"}, [], context)
            task = decoded(version)
        if action is not None and task.get("status") == "in-progress":
            version = await _complete(task, communication, str(action), now, inputs, context)
        return _shown(version)

    return await retrying(attempt)


async def confirm(request: Request, context: Context) -> Response:
    """The second look: with it the value is told. One person alone may only at night, twice."""
    inputs = read_inputs(request, context)
    who = _person(inputs)
    if who is None:
        raise InvalidInput(
            "HT-WF-40", name="practitioner", expression="Parameters.parameter.where(name='practitioner')"
        )

    async def attempt() -> Response:
        version = await of_request(request, context)
        task = _about_critical(decoded(version), "confirm-critical")
        if task.get("status") not in WAY:
            raise BusinessRule(
                [Issue("HT-CV-06", {"status": str(task.get("status"))}, expression="Task.status")]
            )
        packs, now = enforced(context).packs(), context.clock()
        local = now.astimezone(enforced(context).clock().tzinfo)
        person = reference_of(who)
        is_enough, is_refused = has_confirmed(task, person, now=local, rules=packs.rules("critical-values"))
        if is_refused:
            raise BusinessRule(
                [Issue("HT-CV-05", {}, expression="Parameters.parameter.where(name='practitioner')")]
            )
        rows: list[tuple[str, Any]] = [
            ("confirmed-by", who),
            ("confirmed-at", local.isoformat(timespec="seconds")),
        ]
        while task.get("status") != "in-progress":
            following = WAY[WAY.index(str(task["status"])) + 1]
            owner = {} if task.get("owner") else {"owner": who}
            version = await _step(
                task, {"status": following, **owner}, rows if following == "in-progress" else [], context
            )
            rows = [] if following == "in-progress" else rows
            task = decoded(version)
        if rows:
            version = await _step(task, {}, rows, context)
            task = decoded(version)
        if not is_enough:
            return _shown(version)
        communication = await _communication(task, context)
        done = Put({**task, "status": "completed"}, expected=version.version)
        number = int(communication["meta"]["versionId"])
        await release(communication, context.store, packs, now=local, expected=number, more=(done,))
        ended = await context.store.read("Task", task["id"])
        assert ended is not None
        return _shown(ended)

    return await retrying(attempt)


async def critical_register(request: Request, context: Context) -> Response:
    """The register as hospitals keep it on paper, and its rates; `as=csv` a sheet."""
    inputs = read_inputs(request, context)
    found = await register(
        context.store,
        start=str(inputs.one("start") or ""),
        end=str(inputs.one("end") or ""),
        organization=str(inputs.one("organization") or ""),
        minutes=enforced(context).packs().rules("critical-values")["minutes"],
        now=context.clock(),
    )
    if inputs.one("as") == "csv":
        return Response(200, content=found.csv(), media_type="text/csv; charset=utf-8")
    parameter: list[Json] = [
        {"name": "total", "valueInteger": len(found.rows)},
        *({"name": name, "valueDecimal": value} for name, value in found.rates.items()),
        *(
            {
                "name": "row",
                "part": [{"name": name, "valueString": row[name]} for name in COLUMNS if row[name]],
            }
            for row in found.rows
        ),
    ]
    return Response(200, {"resourceType": "Parameters", "parameter": parameter})


def _about_critical(task: Json, code: str) -> Json:
    if code not in codes_of(task.get("code")):
        raise BusinessRule([Issue("HT-CV-07", {"code": code}, expression="Task.code")])
    return task


async def _differs(said: str, communication: Json, context: Context) -> Issue | None:
    """Compare with the result as it is now: a corrected value is the one to be read back."""
    about = reference_of(next(iter(communication.get("about") or ()), None))
    type, _, id = about.partition("/")
    version = await context.store.read(type, id) if id else None
    observation = decode_resource(version.body) if version is not None and version.body is not None else {}
    wanted = detect(observation, enforced(context).packs().rules("critical-values"))
    if wanted is None:
        raise BusinessRule([Issue("HT-CV-08", {"reference": about}, expression="Task.focus")])
    return differs(said, wanted)


async def _complete(
    task: Json, communication: Json, action: str, now: str, inputs: Inputs, context: Context
) -> Version:
    """What was done ends it: Task, Communication and Flag in one commit."""
    if not action.strip():
        raise BusinessRule([Issue("HT-CV-09", {}, expression="Parameters.parameter.where(name='action')")])
    who = _person(inputs)
    rows = [("action", action), ("handled-at", now), *([("handled-by", who)] if who else [])]
    wanted = _with(task, {"status": "completed"}, rows)
    changes = [Put(wanted, expected=int(task["meta"]["versionId"]))]
    if communication.get("status") == "in-progress":
        ended = {**communication, "status": "completed", "received": now}
        changes.append(Put(ended, expected=int(communication["meta"]["versionId"])))
    flag = await context.store.read("Flag", f"flag-{communication['id']}"[:64])
    if flag is not None and flag.body is not None:
        body = decode_resource(flag.body)
        inactive = {**body, "status": "inactive", "period": {**body.get("period", {}), "end": now}}
        changes.append(Put(inactive, expected=flag.version))
    written = await context.store.commit(Commit(changes))
    assert written[0] is not None
    return written[0]


async def _step(task: Json, change: Json, rows: list[tuple[str, Any]], context: Context) -> Version:
    wanted = _with(task, change, rows)
    written = await context.store.commit(Commit([Put(wanted, expected=int(task["meta"]["versionId"]))]))
    assert written[0] is not None
    return written[0]


def _with(task: Json, change: Json, rows: list[tuple[str, Any]]) -> Json:
    wanted = {**task, **change}
    if rows:
        wanted["output"] = [*(task.get("output") or ()), *(output(name, value) for name, value in rows)]
    return wanted


async def _communication(task: Json, context: Context) -> Json:
    type, _, id = reference_of(task.get("focus")).partition("/")
    version = await context.store.read(type, id) if type == "Communication" and id else None
    if version is None or version.body is None:
        raise BusinessRule(
            [Issue("HT-CV-08", {"reference": reference_of(task.get("focus"))}, expression="Task.focus")]
        )
    return decode_resource(version.body)


def _person(inputs: Inputs) -> Json | None:
    given = inputs.one("practitioner")
    if isinstance(given, dict) and given.get("reference"):
        return {"reference": reference_of(given)}
    caller = acting().practitioner
    return {"reference": caller} if caller else None


def _now(context: Context) -> str:
    return enforced(context).clock().isoformat(timespec="seconds")


def _shown(version: Version) -> Response:
    return Response(200, decode_resource(version.body or b"{}"), headers=version_headers(version))
