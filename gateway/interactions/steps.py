"""How far a request has come, told by a platform or by an answer RRI: the step moves the Task that coordinates the request.

The maps give a Task entry named `step` whose focus is the request by its number. The sender knows neither our Task nor
where it stands, so the request is found by its number and its Task walks the allowed way to the state that was told,
one transition after the other (workflows §1.3); what the machine refuses is the message's error.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from gateway.ingest.lookup import Lookup
from gateway.search import parse
from gateway.store.protocol import Commit, Put, Store
from mappings.language.result import Entry, Result
from terminology.fhirjson import Json, decode_resource
from terminology.issues import UnmappableMessage

STEP = "step"
# The forward transitions of workflows §1.3; the machine itself decides who may do them.
FORWARD: Mapping[str, tuple[str, ...]] = {
    "draft": ("requested",),
    "requested": ("received", "accepted", "rejected", "cancelled"),
    "received": ("accepted", "rejected", "cancelled"),
    "accepted": ("in-progress", "cancelled"),
    "in-progress": ("on-hold", "completed", "failed"),
    "on-hold": ("in-progress", "failed"),
}
# A state that lies behind the one that is reached says nothing new.
ORDER = ("draft", "requested", "received", "accepted", "in-progress")
ELEMENTS = ("statusReason", "businessStatus", "lastModified")
MOST = 20


async def moved(result: Result, store: Store) -> Result:
    """Return the result with its steps applied to the Tasks of the store: everything but the last transition is done.

    Raises UnmappableMessage (HT-XML-18) when no request has the number, or it has no Task.
    """
    steps = [entry for entry in result.entries if entry.type == "Task" and entry.rule.name == STEP]
    if not steps:
        return result
    lookup = Lookup(store)
    requests = {entry.reference: entry for entry in result.entries if entry.type == "ServiceRequest"}
    asked_for = {step.resource["focus"]["reference"] for step in steps}
    entries = [entry for entry in result.entries if entry not in steps and entry.reference not in asked_for]
    for step in steps:
        asked = requests[step.resource["focus"]["reference"]]
        task = await _task_of(asked, lookup, store)
        moved_to = await _walked(task, step, store)
        if moved_to is not None:
            entries.append(Entry(moved_to, step.rule, step.recency))
    return replace(result, entries=entries)


async def _task_of(request: Entry, lookup: Lookup, store: Store) -> Json:
    number = next((row["value"] for row in request.resource.get("identifier", ())), "-")
    found = await lookup.identified("ServiceRequest", request.match) if request.match else []
    if not found:
        # Another platform writes the number without its root.
        params = [("identifier", number), ("_count", str(MOST))]
        page = await store.search(
            parse("ServiceRequest", params, strict=True, parameters=store.parameters, max_count=MOST)
        )
        found = list(page.matches) if len(page.matches) == 1 else []
    if not found:
        raise UnmappableMessage("HT-XML-18", source="id", number=number)
    params = [("focus", f"ServiceRequest/{found[0].id}"), ("_sort", "-_lastUpdated"), ("_count", str(MOST))]
    page = await store.search(parse("Task", params, strict=True, parameters=store.parameters, max_count=MOST))
    tasks = [decode_resource(version.body) for version in page.matches if version.body is not None]
    codes = ("fulfill", "referral", "route-order")
    own = [task for task in tasks if _code(task) in codes and not task.get("partOf")]
    if not own:
        raise UnmappableMessage("HT-XML-18", source="id", number=number)
    return own[0]


async def _walked(task: Json, step: Entry, store: Store) -> Json | None:
    """Return the Task as the last transition leaves it, None when it says nothing new."""
    wanted, here = step.resource["status"], task["status"]
    told = {name: step.resource[name] for name in ELEMENTS if name in step.resource}
    if wanted != here and wanted in ORDER and here in ORDER and ORDER.index(wanted) < ORDER.index(here):
        return None
    if wanted == here:
        return {**_bare(task), **told} if told.get("businessStatus") else None
    way = _way(here, wanted)
    version = int(task["meta"]["versionId"])
    current = _bare(task)
    for between in way[:-1]:
        current = {**current, "status": between}
        written = await store.commit(Commit([Put(current, expected=version)]))
        version = next((one.version for one in written if one is not None), version + 1)
    return {**current, **told, "status": wanted}


def _way(here: str, wanted: str) -> list[str]:
    """Return the states from `here` to `wanted`; without a way the wanted one, for the machine to refuse."""
    ways: deque[list[str]] = deque([[here]])
    seen = {here}
    while ways:
        way = ways.popleft()
        if way[-1] == wanted:
            return way[1:]
        for following in FORWARD.get(way[-1], ()):
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return [wanted]


def _code(task: Json) -> str:
    return str(next((row.get("code", "") for row in (task.get("code") or {}).get("coding", ())), ""))


def _bare(task: Json) -> Json:
    return {name: value for name, value in task.items() if name != "meta"}
