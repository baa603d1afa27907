"""The members of a value set: compose evaluated as set algebra over the ordinals of its code systems.

https://hl7.org/fhir/R4/valueset.html#compositions. Nothing is rendered here: `terminology.expand` turns a page of
members into ValueSet.expansion, `terminology.system_inference` asks which systems have a code.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from terminology import value_set as compose
from terminology.canonical import join, split
from terminology.canonical_status import vurl, warning
from terminology.code_system import CodeSystem
from terminology.fhirjson import Json
from terminology.hanzi import fold
from terminology.members import Key, Keys, Members, Run, Unwanted, joined
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope
from terminology.supplement import SupplementedCodeSystem
from terminology.version_negotiation import present_versions


def evaluate(scope: Scope, value_set: Json, text: str = "") -> Members:
    """Return the members of a value set that a user's text finds (all when it is empty).

    Raises TerminologyProblem: unknown system or import, cycle, filter that cannot be run, version not allowed.
    """
    members = Members()
    compose.check_locked_date(scope, value_set)
    with scope.entering(value_set):
        if value_set.get("compose"):
            _evaluate_compose(scope, value_set, text, members)
        elif value_set.get("expansion"):
            _list_expansion(scope, value_set, text, members)
        else:
            raise TerminologyProblem(
                scope.issue("error", "invalid", "vs-invalid", "VALUESET_NO_COMPOSE", vurl(value_set))
            )
    return members


def _evaluate_compose(scope: Scope, value_set: Json, text: str, members: Members) -> None:
    parts, unwanted_parts = compose.includes(value_set), compose.excludes(value_set)
    _check_sources(scope, value_set, [*parts, *unwanted_parts], members)
    members.versions_match = _versions_match(scope, parts, unwanted_parts)
    if members.versions_match and scope.options.versions_match is None:
        members.use("versionsMatch", "true")
    unwanted = [
        found
        for number, part in enumerate(unwanted_parts)
        for found in _unwanted(scope, value_set, part, f"exclude[{number}]", members)
    ]
    runs: list[Run] = []
    for number, part in enumerate(parts):
        runs.extend(_include(scope, value_set, part, f"include[{number}]", text, members))
    for exclusion in unwanted:
        runs = [run.without(exclusion) for run in runs]
    if members.by_version:
        runs = [replace(run, shows_version=True) for run in runs]
    members.runs = joined(run for run in runs if len(run.ordinals))


def _check_sources(scope: Scope, value_set: Json, parts: list[Json], members: Members) -> None:
    """Look at every part before anything is computed: imports must exist, versions must be allowed."""
    stated: dict[str, str | None] = {}
    for part in parts:
        for canonical in compose.imports(part):
            _import(scope, value_set, canonical)
        url = part.get("system")
        if not url:
            continue
        if stated.setdefault(url, part.get("version")) != part.get("version"):
            members.by_version = True
        system = scope.code_system(url, part.get("version"))
        if system is None:
            continue
        scope.check_version(system, None)
        if system.content != "complete":
            members.use(f"used-{system.content}", join(system.url, system.version))
            members.reasons.append(
                f"This extension is based on a {system.content} of the code system {system.url}"
            )


def _versions_match(scope: Scope, parts: list[Json], unwanted: list[Json]) -> bool:
    """Say whether codes of different versions count as the same.

    Asked for, or plain: all parts name versions of one code system, and the excluded versions are none of the
    included ones (an exclusion that could otherwise never have an effect).
    """
    if scope.options.versions_match is not None:
        return scope.options.versions_match
    if not parts or not unwanted:
        return False
    everything = [*parts, *unwanted]
    if any(part.get("system") != parts[0].get("system") or not part.get("version") for part in everything):
        return False
    return not {part["version"] for part in parts} & {part["version"] for part in unwanted}


def _include(scope: Scope, value_set: Json, part: Json, path: str, text: str, members: Members) -> list[Run]:
    imported = _imports(scope, value_set, part, text, members)
    if imported or compose.listed(part) or len(part.get("filter") or ()) > 1:
        members.can_nest = False
    if not part.get("system"):
        if not imported:
            return []
        # The members are those of the first import; the others only restrict it.
        members.used.update(imported[0].used)
        members.supplements.update(imported[0].supplements)
        others = [Keys(other.runs) for other in imported[1:]]
        runs = imported[0].runs
        for keys in others:
            runs = [run.within(keys) for run in runs]
        return [replace(run, is_whole=False) for run in runs]
    system = _need_system(scope, part)
    _note_use(value_set, system, members)
    run = _select(scope, value_set, part, path, system, text)
    if run.is_ranked:
        members.can_nest = False
    for other in imported:
        run = run.within(Keys(other.runs))
    return [run]


def _select(scope: Scope, value_set: Json, part: Json, path: str, system: CodeSystem, text: str) -> Run:
    options = scope.options
    is_whole = not compose.listed(part) and not part.get("filter")
    hidden = options.active_only or compose.excludes_inactive(value_set)
    rows: dict[int, Json] = {}
    if compose.listed(part):
        for row in compose.listed(part):
            ordinal = system.locate(row.get("code") or "")
            if ordinal is not None and not (hidden and system.is_inactive(ordinal)):
                rows.setdefault(ordinal, row)
        if part.get("filter"):
            # vsd-3 forbids both; servers that meet it take what either names.
            kept = compose.select(scope, system, part, path)
            rows.update({ordinal: {} for ordinal in kept if ordinal not in rows})
        listed = [ordinal for ordinal in rows if not text or _finds(system, ordinal, rows[ordinal], text)]
        return Run(system, listed, value_set, {ordinal: row for ordinal, row in rows.items() if row})
    selection = compose.select(scope, system, part, path)
    if hidden:
        selection = selection - system.inactive()
    if options.exclude_not_for_ui and is_whole:
        selection = selection - system.abstract()
    if text:
        return Run(system, list(system.search(text, selection)), value_set, is_ranked=True)
    return Run(system, selection, value_set, is_whole=is_whole)


def _finds(system: CodeSystem, ordinal: int, row: Json, text: str) -> bool:
    """Search a listed concept: the code system's texts, or those that the value set gives it."""
    if system.search(text, system.selection([ordinal])):
        return True
    texts = [row.get("display") or "", *(item.get("value") or "" for item in row.get("designation") or ())]
    return all(any(fold(word) in fold(own) for own in texts) for word in text.split())


def _unwanted(scope: Scope, value_set: Json, part: Json, path: str, members: Members) -> list[Unwanted]:
    imported = _imports(scope, value_set, part, "", members)
    if imported or compose.listed(part) or len(part.get("filter") or ()) > 1:
        members.can_nest = False
    by_version = members.by_version and not members.versions_match
    if not part.get("system"):
        if not imported:
            return []
        runs = imported[0].runs
        for other in imported[1:]:
            runs = [run.within(Keys(other.runs)) for run in runs]
        return [Unwanted(keys=_keys(runs, by_version), by_version=by_version)]
    system = scope.code_system(part["system"], part.get("version"))
    if system is None:
        return []
    _note_use(value_set, system, members)
    is_whole = not compose.listed(part) and not part.get("filter")
    if is_whole and not imported and not members.versions_match:
        version = system.version if members.by_version and part.get("version") else None
        return [Unwanted(url=system.url, version=version, whole=True, system=system)]
    run = _select(scope, {"compose": {}}, part, path, system, "")
    for other in imported:
        run = run.within(Keys(other.runs))
    selection = run.selection
    if selection is None:
        selection = system.selection(list(run.ordinals))
    return [Unwanted(url=system.url, system=system, selection=selection, by_version=by_version)]


def _keys(runs: Iterable[Run], by_version: bool) -> frozenset[Key]:
    return frozenset(
        (run.system.url, run.system.version if by_version else None, run.system.code(ordinal))
        for run in runs
        for ordinal in run.ordinals
    )


def _imports(scope: Scope, value_set: Json, part: Json, text: str, members: Members) -> list[Members]:
    found = []
    for canonical in compose.imports(part):
        other = _import(scope, value_set, canonical)
        inner = evaluate(scope, other, text)
        status = warning(other, value_set)
        if status:
            members.use(status, vurl(other))
        members.reasons.extend(inner.reasons)
        if not canonical.startswith("#"):
            members.use("used-valueset", vurl(other))
        found.append(inner)
    return found


def _import(scope: Scope, value_set: Json, canonical: str) -> Json:
    pinned = scope.pinned(canonical)
    other = scope.value_set(pinned, source=value_set)
    if other is None:
        url, version = split(pinned)
        message_id = "VS_EXP_IMPORT_UNK_PINNED" if version else "VS_EXP_IMPORT_UNK"
        raise TerminologyProblem(scope.issue("error", "not-found", "not-found", message_id, url, version))
    return other


def _need_system(scope: Scope, part: Json) -> CodeSystem:
    system = scope.code_system(part["system"], part.get("version"))
    if system is not None:
        return system
    url, version = part["system"], scope.version_by_rules(part["system"], part.get("version"))
    known_versions = present_versions(scope, url)
    if not version:
        issue = scope.issue("error", "not-found", "not-found", "UNKNOWN_CODESYSTEM_EXP", url)
    elif not known_versions:
        issue = scope.issue(
            "error", "not-found", "not-found", "UNKNOWN_CODESYSTEM_VERSION_EXP_NONE", url, version
        )
    else:
        issue = scope.issue(
            "error", "not-found", "not-found", "UNKNOWN_CODESYSTEM_VERSION_EXP", url, version, known_versions
        )
    raise TerminologyProblem(issue, unknown_system=join(url, version))


def _note_use(value_set: Json, system: CodeSystem, members: Members) -> None:
    status = warning(system.resource, value_set)
    if status:
        members.use(status, join(system.url, system.version))
    members.use("used-codesystem", join(system.url, system.version))
    if isinstance(system, SupplementedCodeSystem):
        members.supplements.update(dict.fromkeys(system.stated_supplements))


def _list_expansion(scope: Scope, value_set: Json, text: str, members: Members) -> None:
    """A value set without compose, imported for the codes that its expansion lists."""
    members.can_nest = False
    for row in _rows(value_set["expansion"].get("contains") or ()):
        system = scope.code_system(row.get("system"), row.get("version"))
        ordinal = system.locate(row.get("code") or "") if system is not None else None
        if system is None or ordinal is None:
            continue
        if not text or _finds(system, ordinal, row, text):
            members.runs.append(Run(system, [ordinal], value_set, {ordinal: row}))


def _rows(contains: Iterable[Json]) -> Iterator[Json]:
    for row in contains:
        yield row
        yield from _rows(row.get("contains") or ())
