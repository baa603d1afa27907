"""Questionnaire.item.enableWhen: is a question asked at all? (https://hl7.org/fhir/R4/questionnaire.html#enableWhen)"""

from typing import Any

from conformance.validation.comparison import compare, matches_pattern
from conformance.validation.run import Run
from terminology.fhirjson import Json


def is_enabled(question: Json, response: Json, run: Run) -> bool:
    """Tell whether the response's answers enable a question; without conditions it always is."""
    rows = question.get("enableWhen")
    conditions = [row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict)]
    if not conditions:
        return True
    known = run.memory.get(("answers", id(response)))
    if known is None:
        known = run.memory["answers", id(response)] = _answers(response)
    results = [_holds(row, known.get(row.get("question"), [])) for row in conditions]
    return all(results) if question.get("enableBehavior") == "all" else any(results)


def _answers(response: Json) -> dict[Any, list[Any]]:
    """All answers by linkId, wherever in the response they stand."""
    found: dict[Any, list[Any]] = {}
    open_: list[Json] = [response]
    while open_:
        holder = open_.pop()
        for item in holder.get("item") or () if isinstance(holder.get("item"), list) else ():
            if not isinstance(item, dict):
                continue
            open_.append(item)
            for answer in item.get("answer") or () if isinstance(item.get("answer"), list) else ():
                if isinstance(answer, dict):
                    open_.append(answer)
                    value = value_of(answer, "value")
                    if value is not None:
                        found.setdefault(item.get("linkId"), []).append(value)
    return found


def value_of(holder: Json, stem: str) -> Any:
    """Return the value of a choice element, whatever its type."""
    return next((value for name, value in holder.items() if name.startswith(stem) and name != stem), None)


def _holds(condition: Json, answers: list[Any]) -> bool:
    operator, wanted = condition.get("operator"), value_of(condition, "answer")
    if operator == "exists":
        return bool(answers) == (wanted is not False)
    if operator == "!=":
        return bool(answers) and not any(_same(value, wanted) for value in answers)
    if operator == "=":
        return any(_same(value, wanted) for value in answers)
    orders = [compare(value, wanted) for value in answers]
    tests = {">": (1,), "<": (-1,), ">=": (0, 1), "<=": (0, -1)}.get(str(operator), ())
    return any(order in tests for order in orders if order is not None)


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and "code" in wanted and isinstance(value, dict):
        return value.get("code") == wanted["code"] and (
            "system" not in wanted or value.get("system") == wanted["system"]
        )
    if isinstance(wanted, dict):
        order = compare(value, wanted)
        return order == 0 if order is not None else matches_pattern(value, wanted)
    return bool(value == wanted)
