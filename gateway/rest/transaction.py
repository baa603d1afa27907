"""transaction: all entries or none (https://hl7.org/fhir/R4/http.html#transaction).

The plan is made first (identities, references, conditions), then everything is one commit. The conditions are
guarded: when a parallel write changes what they matched, the whole plan is made again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.rest.admit import problems as problems_of
from gateway.rest.attachments import with_attachments
from gateway.rest.batch import answer, perform
from gateway.rest.body import check_identity
from gateway.rest.bundle import Entry, at_entry, read_entry
from gateway.rest.conditional import Found, deciding, expected_of, expected_version, search_criteria
from gateway.rest.context import Context
from gateway.rest.patch import patched
from gateway.rest.references import conditional_references, full_reference, may_be_conditional, rewrite
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.rest.route import match
from gateway.rest.written import written
from gateway.store.protocol import Commit, Delete, Guard, GuardFailed, Put, Version
from terminology.fhirjson import Json
from terminology.issues import (
    FhirError,
    InvalidInput,
    InvalidResource,
    Issue,
    NotFound,
    PreconditionFailed,
    VersionConflict,
)


@dataclass(slots=True)
class Step:
    """What becomes of one writing entry: `identity` is "Patient/1"; `change` None when nothing is written.

    `existing` is what is there now: the match of a condition, or the resource that is replaced.
    """

    entry: Entry
    type: str
    id: str
    existing: Version | None = None
    change: Put | Delete | None = None
    expected: int | None = None

    @property
    def identity(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(slots=True)
class Plan:
    """Steps in the order of the Bundle, guards of all conditions, and where each fullUrl has gone."""

    steps: list[Step] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    targets: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, str] = field(default_factory=dict)
    size: int = 0
    has_conditional_references: bool = True


class Problems:
    """Collects the problems of all entries, so that one answer tells them all."""

    def __init__(self) -> None:
        self._issues: list[Issue] = []
        self._kind: type[FhirError] = InvalidInput

    def add(self, error: FhirError) -> None:
        if not self._issues:
            self._kind = type(error)
        self._issues.extend(error.issues)

    def check(self) -> None:
        """Raise what was collected, as the class of the first problem."""
        if self._issues:
            raise self._kind(self._issues)


async def transaction(rows: list[Any], request: Request, context: Context) -> Response:
    """Commit all entries at once and answer each; raises with every problem, each named by its entry."""
    problems = Problems()
    entries: list[Entry] = []
    for number, row in enumerate(rows):
        try:
            entry = read_entry(row, number, request)
            _check_route(entry, context)
            entries.append(entry)
        except FhirError as error:
            problems.add(error)
    problems.check()

    async def decide() -> list[Json]:
        plan = Plan(size=len(request.body), has_conditional_references=may_be_conditional(request.body))
        await _plan(plan, [entry for entry in entries if _writes(entry)], context)
        await _check_reads([entry for entry in entries if not _writes(entry)], plan, context)
        return await _commit(plan, len(entries), context)

    answers = await deciding(decide, context)
    for entry in entries:
        if not _writes(entry):
            answers[entry.number] = answer(await perform(entry, context), entry)
    return Response(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": answers})


def _writes(entry: Entry) -> bool:
    return (
        entry.request.method not in ("GET", "HEAD")
        and entry.request.operation is None
        and not _searches(entry)
    )


def _searches(entry: Entry) -> bool:
    return entry.request.path.endswith("_search")


def _check_route(entry: Entry, context: Context) -> None:
    """Raise when the entry's URL is no interaction that a transaction can hold."""
    nested = entry.request
    try:
        if nested.path == "" and nested.method == "POST":
            raise InvalidInput("HT-REST-98")
        match(nested, context)
        operation = nested.operation
        if operation is not None and operation.affects_state:
            # An operation commits by itself; inside a transaction it couldn't be undone.
            raise InvalidInput("HT-REST-89", name=operation.name)
        if nested.method in ("POST", "PUT") and operation is None and not _searches(entry):
            assert nested.resource is not None
            assert nested.type is not None
            check_identity(nested.resource, type=nested.type, id=nested.id)
    except FhirError as error:
        raise at_entry(error, entry) from None


async def _plan(plan: Plan, entries: list[Entry], context: Context) -> None:
    problems = Problems()
    for entry in entries:
        try:
            plan.steps.append(await _step(entry, plan, context))
        except FhirError as error:
            problems.add(at_entry(error, entry))
    problems.check()
    _check_overlap(plan)
    for step in plan.steps:
        if step.entry.full_url and step.entry.request.method != "DELETE":
            plan.targets[step.entry.full_url] = step.identity
    if plan.has_conditional_references:
        await _conditional_references(plan, context, problems)
    problems.check()
    for step in plan.steps:
        try:
            _change(step, plan, context)
        except FhirError as error:
            problems.add(at_entry(error, step.entry))
    problems.check()


async def _step(entry: Entry, plan: Plan, context: Context) -> Step:
    """Find out which resource an entry is about."""
    nested = entry.request
    method = nested.method
    assert nested.type is not None
    if method == "POST":
        criteria = nested.headers.get("if-none-exist")
        if criteria is None:
            return Step(entry, nested.type, context.new_id(), expected=0)
        found = await _search(nested.type, criteria, plan, context)
        step = Step(entry, nested.type, context.new_id(), expected=0)
        if found.matches:
            step.existing = found.one()
            step.id = step.existing.id
        plan.conditions[f"{nested.type}?{criteria.partition('?')[2] or criteria}"] = step.identity
        return step
    if nested.id is not None:
        current = await context.store.read(nested.type, nested.id)
        expected = await _expected(nested, current, context)
        return Step(entry, nested.type, nested.id, current, expected=expected)
    found = await _search(nested.type, nested.query, plan, context)
    if method == "DELETE":
        one = found.one() if found.matches else None
        return Step(entry, nested.type, one.id if one else "", one, expected=one.version if one else None)
    current = found.one() if found.matches else None
    if current is None and method == "PATCH":
        raise NotFound("HT-REST-67", criteria=nested.query[:200])
    id = current.id if current else context.new_id()
    given = (nested.resource or {}).get("id")
    if method == "PUT" and given is not None:
        if current is not None and given != id:
            raise InvalidInput("HT-REST-48", body=str(given)[:64], url=id, expression=f"{nested.type}.id")
        id = given
        if current is None:
            holder = await context.store.read(nested.type, id)
            if holder is not None and holder.body is not None:
                raise VersionConflict("HT-REST-68", type=nested.type, id=id)
    plan.conditions[f"{nested.type}?{nested.query}"] = f"{nested.type}/{id}"
    return Step(entry, nested.type, id, current, expected=await _expected(nested, current, context))


async def _expected(nested: Request, current: Version | None, context: Context) -> int | None:
    if nested.method == "PUT" and nested.resource is not None:
        return await expected_of(nested, current, nested.resource, context)
    return expected_version(nested, current)


async def _search(type: str, criteria: str, plan: Plan, context: Context) -> Found:
    found = await search_criteria(type, criteria, context)
    plan.guards.append(found.guard)
    return found


def _check_overlap(plan: Plan) -> None:
    """http.html#trules: when two entries mean the same resource the transaction SHALL fail."""
    seen: dict[str, Step] = {}
    for step in plan.steps:
        if not step.id:
            continue
        first = seen.setdefault(step.identity, step)
        both_create = (
            "if-none-exist" in step.entry.request.headers and "if-none-exist" in first.entry.request.headers
        )
        if first is not step and not (both_create and step.existing is not None):
            raise InvalidInput(
                "HT-REST-87", identity=step.identity, first=first.entry.number, expression=step.entry.place
            )
    urls: dict[str, Step] = {}
    for step in plan.steps:
        if not step.entry.full_url:
            continue
        twin = urls.setdefault(step.entry.full_url, step)
        # bundle.html: fullUrl is unique, except for versions of the same resource.
        if twin is not step and twin.identity != step.identity:
            raise InvalidInput(
                "HT-REST-88",
                url=step.entry.full_url[:200],
                first=twin.entry.number,
                expression=step.entry.place,
            )


async def _conditional_references(plan: Plan, context: Context, problems: Problems) -> None:
    """http.html#trules: a conditional reference has exactly one match, or the transaction fails."""
    for step in plan.steps:
        resource = step.entry.request.resource
        if resource is None:
            continue
        for text in conditional_references(resource):
            if text in plan.conditions:
                continue
            type, _, criteria = text.partition("?")
            try:
                found = await _search(type, criteria, plan, context)
                if not found.matches:
                    raise PreconditionFailed("HT-REST-69", reference=text[:200])
                plan.conditions[text] = f"{type}/{found.one().id}"
            except FhirError as error:
                problems.add(at_entry(error, step.entry))


def _change(step: Step, plan: Plan, context: Context) -> None:
    """Decide what is written for a step."""
    nested = step.entry.request
    if nested.method == "DELETE":
        if step.existing is not None and step.existing.body is not None:
            step.change = Delete(step.type, step.id, step.expected)
        return
    if nested.method == "PATCH":
        if step.existing is None or step.existing.body is None:
            raise NotFound("HT-REST-01", type=step.type, id=step.id)
        resource = patched(step.existing, nested, context)
        if context.workflow is not None and "if-match" not in nested.headers:
            context.workflow.check_match(resource, step.existing)
        step.change = Put(
            rewrite(resource, _replacement(plan, step.entry.full_url)), expected=step.existing.version
        )
        return
    if nested.method == "POST" and step.existing is not None:
        return
    assert nested.resource is not None
    resource = rewrite({**nested.resource, "id": step.id}, _replacement(plan, step.entry.full_url))
    issues = problems_of(resource, context)
    if issues:
        raise InvalidResource(issues)
    step.change = Put(resource, expected=step.expected, method="POST" if nested.method == "POST" else "PUT")


def _replacement(plan: Plan, full_url: str) -> Callable[[str], str | None]:
    targets, conditions = plan.targets, plan.conditions

    def replacement(link: str) -> str | None:
        found = targets.get(link)
        if found is not None:
            return found
        if "?" in link:
            return conditions.get(link)
        meant = full_reference(link, full_url)
        return targets.get(meant) if meant is not None else None

    return replacement


async def _check_reads(entries: list[Entry], plan: Plan, context: Context) -> None:
    """Fail before anything is written when a read of the transaction would fail after it."""
    problems = Problems()
    removed = {step.identity for step in plan.steps if isinstance(step.change, Delete)}
    present = {step.identity for step in plan.steps if isinstance(step.change, Put)}
    for entry in entries:
        nested = entry.request
        if nested.operation is not None or nested.id is None or nested.compartment or nested.version:
            continue
        identity = f"{nested.type}/{nested.id}"
        current = await context.store.read(nested.type or "", nested.id)
        if identity in removed or (identity not in present and (current is None or current.body is None)):
            problems.add(at_entry(NotFound("HT-REST-01", type=nested.type, id=nested.id), entry))
    problems.check()


async def _commit(plan: Plan, count: int, context: Context) -> list[Json]:
    """Write the plan and return the answers by entry number."""
    order = sorted(
        (step for step in plan.steps if step.change is not None),
        key=lambda step: (not isinstance(step.change, Delete), step.entry.request.method != "POST"),
    )
    changes: list[Put | Delete] = [step.change for step in order if step.change is not None]
    for place, change in enumerate(list(changes)):
        if isinstance(change, Put):
            changes[place], *binaries = with_attachments(change, context, size=plan.size)
            changes.extend(binaries)
    versions: dict[int, Version | None] = {}
    if changes:
        try:
            stored = await context.store.commit(Commit(changes, guards=plan.guards))
        except VersionConflict:
            for step in order:
                if "if-match" in step.entry.request.headers:
                    tag = step.entry.request.headers["if-match"]
                    current = await context.store.read(step.type, step.id)
                    if current is None or current.version != step.expected:
                        number = current.version if current else 0
                        error = PreconditionFailed("HT-REST-61", value=tag[:80], version=number)
                        raise at_entry(error, step.entry) from None
            raise GuardFailed from None
        versions = {step.entry.number: version for step, version in zip(order, stored, strict=False)}
    answers: list[Json] = [{} for _ in range(count)]
    for step in plan.steps:
        answers[step.entry.number] = _answer(step, versions.get(step.entry.number), context)
    return answers


def _answer(step: Step, version: Version | None, context: Context) -> Json:
    nested = step.entry.request
    if nested.method == "DELETE":
        headers = {"ETag": f'W/"{version.version}"'} if version else {}
        return answer(Response(204, headers=headers), step.entry)
    shown = version or step.existing
    assert shown is not None
    is_new = version is not None and (step.existing is None or step.existing.body is None)
    return answer(written(shown, nested, context, is_new=is_new), step.entry)
