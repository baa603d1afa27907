"""MeasureReport against its Measure (https://hl7.org/fhir/R4/measurereport.html): groups, populations, stratifiers, score."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from conformance.validation.path import Path
from conformance.validation.run import Node, Run, objects
from terminology.fhirjson import Json

_SCORING = "http://terminology.hl7.org/CodeSystem/measure-scoring"
Pair = tuple[Json, Json, Path]


def check_measure_report(node: Node, run: Run) -> None:
    canonical = node.text("measure")
    measure = run.registry.find("Measure", canonical) if canonical is not None else None
    if measure is None:
        if canonical is not None:
            run.report("HT-VAL-200", node.path, "warning", url=canonical[:200])
        return
    kind = node.text("type") or ""
    scoring = next((row.get("code") for row in _codings(measure.get("scoring"))), None)
    for group, defined, path in _matched(_rows(measure, "group"), node.value, "group", node.path, run):
        _check_score(group, path, scoring, kind, run)
        for population, _, where in _matched(_rows(defined, "population"), group, "population", path, run):
            if kind != "data-collection" and "count" not in population:
                run.report("HT-VAL-201", where)
            if kind == "subject-list" and "subjectResults" not in population:
                run.report("HT-VAL-202", where)
        for stratifier, _, where in _matched(_rows(defined, "stratifier"), group, "stratifier", path, run):
            for stratum, place in objects(stratifier, "stratum", where):
                if "measureScore" in stratum:
                    _check_score(stratum, place, scoring, kind, run)


def _rows(holder: Json, name: str) -> list[Json]:
    items = holder.get(name)
    return [row for row in (items if isinstance(items, list) else ()) if isinstance(row, dict)]


def _codings(concept: Any) -> Iterator[Json]:
    rows = concept.get("coding") if isinstance(concept, dict) else None
    yield from (row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict))


def _keys(row: Json) -> set[tuple[Any, Any]]:
    """The codes of a group or population, or of an R4 stratifier whose report has them as a list."""
    code = row.get("code")
    concepts = code if isinstance(code, list) else [code]
    found = {(one.get("system"), one.get("code")) for concept in concepts for one in _codings(concept)}
    return found | {
        (None, concept["text"]) for concept in concepts if isinstance(concept, dict) and "text" in concept
    }


def _matched(defined: list[Json], report: Json, name: str, path: Path, run: Run) -> Iterator[Pair]:
    """Yield (reported, defined, place); tell what cannot be matched and what is missing."""
    given = list(objects(report, name, path))
    if len(defined) == 1 and len(given) == 1 and (not _keys(given[0][0]) or not _keys(defined[0])):
        yield given[0][0], defined[0], given[0][1]
        return
    seen: list[Json] = []
    for row, where in given:
        keys = _keys(row)
        if not keys:
            run.report("HT-VAL-203", where, name=name)
            continue
        match = next((one for one in defined if _keys(one) & keys), None)
        if match is None:
            run.report("HT-VAL-204", where, name=name)
        elif any(match is one for one in seen):
            run.report("HT-VAL-205", where, name=name)
        else:
            seen.append(match)
            yield row, match, where
    for one in defined:
        if not any(one is row for row in seen):
            shown = ", ".join(str(code) for _, code in sorted(_keys(one), key=str)) or str(one.get("id", "–"))
            run.report("HT-VAL-206", path, name=name, code=shown)


def _check_score(group: Json, path: Path, scoring: Any, kind: str, run: Run) -> None:
    score = group.get("measureScore")
    where = Path(path, "measureScore")
    if score is None:
        if scoring is not None and scoring != "cohort" and kind != "data-collection":
            run.report("HT-VAL-207", path, scoring=scoring)
        return
    if scoring == "cohort" or kind == "data-collection":
        run.report("HT-VAL-208", where, reason=scoring if scoring == "cohort" else kind)
        return
    rule = _SCORES.get(str(scoring))
    value = score.get("value") if isinstance(score, dict) else None
    if rule is not None and isinstance(value, int | Decimal) and not rule(value):
        run.report("HT-VAL-209", where, value=str(value), scoring=scoring)


_SCORES: dict[str, Callable[[int | Decimal], bool]] = {"proportion": lambda value: 0 <= value <= 1}
