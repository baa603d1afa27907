"""MR-005 institution, MR-006 list, MR-007 scope, MR-024 qualification, MR-026 level."""

from conformance.recognition.case import Case
from conformance.recognition.names import QUALIFIED_ITEM
from conformance.recognition.organisation import covers, effective_scope, has_licence, level_of
from conformance.recognition.record import extension, extensions
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json


def active_and_licensed(case: Case) -> RuleResult | None:
    producer = case.producer
    if producer is None:
        return judge("MR-005", "warn", input="—")
    if producer.get("active") is False:
        return judge("MR-005", "fail", input=_name(producer))
    return judge("MR-005", "pass" if has_licence(producer) else "warn", input=_name(producer))


def listed(case: Case) -> RuleResult | None:
    code = next((f"{coding.get('code')}" for coding in case.ordered), "")
    if case.listed is not None:
        return judge("MR-006", "pass", input=code, limit=case.listed[1].name)
    if case.inside:
        return judge("MR-006", "pass", "inside", input=code)
    return judge("MR-006", "fail", input=code, limit=", ".join(case.packs.names()))


def in_scope(case: Case) -> RuleResult | None:
    scope = (
        effective_scope(case.result, case.report, case.producer, case.item, inside=case.inside) or "community"
    )
    outcome = judge("MR-007", "pass", input=scope, limit=case.distance)
    return (
        outcome if covers(scope, case.distance) else judge("MR-007", "fail", input=scope, limit=case.distance)
    )


def qualified(case: Case) -> RuleResult | None:
    if case.item is None or not case.item.is_qualified_only:
        return None
    held = [
        extension({"extension": [row]}, QUALIFIED_ITEM) for row in extensions(case.producer, QUALIFIED_ITEM)
    ]
    wanted = [*case.ordered, case.item.coding, *((case.result.get("code") or {}).get("coding") or ())]
    if any(_same(coding, other) for coding in held if isinstance(coding, dict) for other in wanted):
        return judge("MR-024", "pass", input=_name(case.producer))
    return judge("MR-024", "fail", input=_name(case.producer))


def level(case: Case) -> RuleResult | None:
    if case.inside:
        return judge("MR-026", "pass")
    own, other = level_of(case.producer), level_of(case.question.requester)
    if own is None or other is None:
        return None
    if own < other and not case.packs.switch("recognise_upward"):
        return judge("MR-026", "warn", input=own, limit=other)
    return judge("MR-026", "pass", input=own, limit=other)


def _same(first: Json, second: Json) -> bool:
    return first.get("code") == second.get("code") and first.get("system") == second.get("system")


def _name(organization: Json | None) -> str:
    return (organization or {}).get("name") or (organization or {}).get("id") or "—"
