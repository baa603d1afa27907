"""ValueSet/$expand: the codes of a value set, as a page or as a tree.

https://hl7.org/fhir/R4/valueset-operation-expand.html. `total` is always exact.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

from terminology.canonical_status import vurl, warning
from terminology.contains import Renderer
from terminology.expansion import evaluate
from terminology.fhirjson import Json
from terminology.members import Key, Member, Members
from terminology.outcome import TerminologyProblem
from terminology.scope import Scope

UNCLOSED = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed"
UNCLOSED_REASON = "http://hl7.org/fhir/StructureDefinition/valueset-unclosed-reason"

# What a definition says about itself; left out unless includeDefinition asks for it.
_DEFINITION = (
    "purpose", "compose", "description", "contact", "copyright", "publisher", "extension", "text", "contained",
    "useContext", "jurisdiction",
)  # fmt: skip


def expand(scope: Scope, value_set: Json, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Json:
    """Return the value set with its expansion.

    Raises TerminologyProblem: too many codes for one page, and whatever `terminology.expansion.evaluate` raises.
    """
    options = scope.options
    options.see_value_set(value_set)
    scope.require_supplements(value_set)
    members = evaluate(scope, value_set, options.filter)
    scope.check_supplements()
    answer = {name: value for name, value in value_set.items() if name != "id"}
    if not options.include_definition:
        for name in _DEFINITION:
            answer.pop(name, None)
    expansion: Json = {"identifier": f"urn:uuid:{uuid4()}", "timestamp": _instant(now())}
    answer["expansion"] = expansion
    renderer = Renderer(options)
    contains = _contains(scope, value_set, members, renderer)
    extensions = [*_unclosed(members), *renderer.declarations()]
    if extensions:
        expansion["extension"] = extensions
    expansion["total"] = len(members)
    if options.offset is not None:
        expansion["offset"] = options.offset
    parameters = _parameters(scope, value_set, members, renderer)
    if parameters:
        expansion["parameter"] = parameters
    if contains:
        expansion["contains"] = contains
    return answer


def _contains(scope: Scope, value_set: Json, members: Members, renderer: Renderer) -> list[Json]:
    options = scope.options
    total = len(members)
    offset, count = options.offset or 0, options.count
    page = total if count is None else min(count, max(0, total - offset))
    if page > scope.limit:
        raise TerminologyProblem(
            scope.issue("error", "too-costly", "", "VALUESET_TOO_COSTLY", vurl(value_set), f">{scope.limit}")
        )
    # Asked late: `can_nest` also depends on whether a code came up twice, which `total` found out.
    may_nest = members.can_nest and not options.exclude_nested and not offset
    if may_nest and (count is None or count > total):
        return _tree(members, renderer)
    return [renderer.row(member) for member in members.page(offset, page)]


def _tree(members: Members, renderer: Renderer) -> list[Json]:
    """Nest each member under its parent; a member whose parents are not members stands at the top.

    When a whole code system was meant, a member hangs under its next ancestor that is one.
    """
    rows: dict[Key, Json] = {}
    places: list[tuple[Member, Key]] = []
    for member in members:
        key = members.key(member)
        rows[key] = renderer.row(member)
        places.append((member, key))
    is_whole = bool(members.runs) and all(run.is_whole for run in members.runs)
    if any(len(member.system.parents(member.ordinal)) > 1 for member, _ in places) and is_whole:
        return list(rows.values())
    top: list[Json] = []
    for member, key in places:
        parent = _parent(members, member, rows, is_whole)
        if parent is None:
            top.append(rows[key])
        else:
            parent.setdefault("contains", []).append(rows[key])
    if _count(top) == len(rows):
        return top
    # A cycle of parents hangs on nothing; as a list it can still be shown.
    for row in rows.values():
        row.pop("contains", None)
    return list(rows.values())


def _count(rows: list[Json]) -> int:
    return sum(1 + _count(row.get("contains", [])) for row in rows)


def _parent(members: Members, member: Member, rows: dict[Key, Json], is_whole: bool) -> Json | None:
    ordinal, seen = member.ordinal, {member.ordinal}
    while True:
        parents = member.system.parents(ordinal)
        if not parents or parents[0] in seen:
            return None
        ordinal = parents[0]
        seen.add(ordinal)
        found = rows.get(members.key(Member(member.system, ordinal, None, member.value_set)))
        if found is not None or not is_whole:
            return found


def _unclosed(members: Members) -> list[Json]:
    if not members.reasons:
        return []
    return [
        {"url": UNCLOSED, "valueBoolean": True},
        *({"url": UNCLOSED_REASON, "valueString": reason} for reason in dict.fromkeys(members.reasons)),
    ]


def _parameters(scope: Scope, value_set: Json, members: Members, renderer: Renderer) -> list[Json]:
    """Return what the expansion depended on: the asked parameters, then what was used and decided."""
    options = scope.options
    rows: list[Json] = []
    if options.filter:
        rows.append({"name": "filter", "valueString": options.filter})
    if options.languages:
        rows.append({"name": "displayLanguage", "valueCode": options.languages.as_parameter()})
    rows.extend({"name": "designation", "valueString": wanted} for wanted in options.designations)
    for name, flag in (
        ("excludeNested", options.exclude_nested),
        ("versionsMatch", options.versions_match or None),
        ("activeOnly", options.active_only),
        ("includeDesignations", options.include_designations),
        ("includeDefinition", options.include_definition),
        ("excludeNotForUI", options.exclude_not_for_ui),
        ("excludePostCoordinated", options.exclude_post_coordinated),
    ):
        if flag is not None:
            rows.append({"name": name, "valueBoolean": flag})
    status = warning(value_set, value_set)
    if status:
        rows.append({"name": status, "valueUri": vurl(value_set)})
    if options.offset is not None:
        rows.append({"name": "offset", "valueInteger": options.offset})
    if options.count is not None:
        rows.append({"name": "count", "valueInteger": options.count})
    for name, value in members.used:
        rows.append(
            {"name": name, "valueBoolean": True}
            if name == "versionsMatch"
            else {"name": name, "valueUri": value}
        )
    for canonical in dict.fromkeys([*members.supplements, *renderer.supplements]):
        rows.append({"name": "used-supplement", "valueUri": canonical})
    rows.extend(
        {"name": name, "valueUri": canonical}
        for name, canonical in scope.found_rules
        if canonical != vurl(value_set)
    )
    return rows


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
