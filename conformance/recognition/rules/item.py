"""MR-012 same item, MR-013 method, specimen and unit, MR-014 site, side, contrast."""

import re
from decimal import Decimal

from conformance.recognition.case import Case
from conformance.recognition.record import codings, concept_text
from conformance.recognition.verdict import RuleResult, judge
from terminology.fhirjson import Json
from terminology.ucum import convert


def same_item(case: Case) -> RuleResult | None:
    if case.match.is_ambiguous:
        return judge("MR-012", "warn", "backwards", input=case.match.path)
    if not case.match.is_same:
        return judge("MR-012", "warn", input=case.match.path or case.match.relation)
    return judge("MR-012", "pass", input=case.match.path or case.match.relation)


def comparable(case: Case) -> RuleResult | None:
    """Method where the item is sensitive to it, the listed specimen, and a unit that converts."""
    if case.item is None or case.kind != "laboratory":
        return None
    unit = _unit(case)
    if unit is not None and unit.outcome == "fail":
        return unit
    if case.item.is_method_sensitive:
        method = case.result.get("method")
        if not _is_concept(method, case.item.method):
            return judge(
                "MR-013", "warn", "method", input=concept_text(method) or "—", limit=case.item.method or "—"
            )
    for specimen in case.specimens:
        if (
            case.item.specimen
            and specimen.get("type")
            and not _is_concept(specimen["type"], case.item.specimen)
        ):
            return judge(
                "MR-013", "warn", "specimen", input=concept_text(specimen["type"]), limit=case.item.specimen
            )
    return unit or judge("MR-013", "pass")


def same_site(case: Case) -> RuleResult | None:
    """Compared where the order and the result both say it; codes that carry the site differ already in MR-012."""
    order = case.question.order or {}
    wanted = order.get("bodySite") or []
    if not wanted:
        return None
    for found in _sites(case):
        for site in wanted:
            if _side(found) and _side(site) and _side(found) != _side(site):
                return judge("MR-014", "fail", input=concept_text(found), limit=concept_text(site))
            if not _overlap(found, site):
                return judge(
                    "MR-014",
                    "fail",
                    input=concept_text(found) or _codes(found),
                    limit=concept_text(site) or _codes(site),
                )
    return judge("MR-014", "pass", input=" ".join(concept_text(site) for site in _sites(case)))


def _unit(case: Case) -> RuleResult | None:
    quantity = case.result.get("valueQuantity")
    wanted = case.item.unit if case.item else ""
    if not quantity or not wanted:
        return None
    held = quantity.get("code") or quantity.get("unit")
    value = quantity.get("value")
    if not held or value is None or held == wanted:
        return None
    converted = convert(Decimal(str(value)), held, wanted)
    if converted is None:
        return judge("MR-013", "fail", "unit", input=held, limit=wanted)
    return judge(
        "MR-013", "pass", "converted", input=f"{value} {held}", limit=f"{converted.normalize():f} {wanted}"
    )


def _is_concept(concept: Json | None, wanted: str) -> bool:
    if not concept or not wanted:
        return False
    return any(
        wanted in (coding.get("code"), coding.get("display")) for coding in codings(concept)
    ) or wanted in concept_text(concept)


def _sites(case: Case) -> list[Json]:
    """Return the sites that a result says, as CodeableConcepts; a series' side joins its body site."""
    found = [case.result["bodySite"]] if isinstance(case.result.get("bodySite"), dict) else []
    for study in case.studies:
        for series in study.get("series") or ():
            own = [series[name] for name in ("bodySite", "laterality") if isinstance(series.get(name), dict)]
            if own:
                found.append({"coding": own})
    return found


_LEFT, _RIGHT = (
    re.compile(r"左|\bleft\b|7771000", re.IGNORECASE),
    re.compile(r"右|\bright\b|24028007", re.IGNORECASE),
)


def _side(concept: Json) -> str:
    words = f"{concept_text(concept)} {_codes(concept)}"
    left, right = bool(_LEFT.search(words)), bool(_RIGHT.search(words))
    return "both" if left and right else "left" if left else "right" if right else ""


def _codes(concept: Json) -> str:
    return " ".join(coding.get("code", "") for coding in codings(concept))


def _overlap(first: Json, second: Json) -> bool:
    own = {(coding.get("system"), coding.get("code")) for coding in codings(first)}
    other = {(coding.get("system"), coding.get("code")) for coding in codings(second)}
    if own & other:
        return True
    if own and other and {system for system, _ in own} & {system for system, _ in other}:
        return False
    mine, theirs = concept_text(first), concept_text(second)
    # Different vocabularies and no words: nothing shows that the sites differ.
    return not mine or not theirs or mine in theirs or theirs in mine
