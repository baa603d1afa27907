"""QuestionnaireResponse against its Questionnaire (https://hl7.org/fhir/R4/questionnaireresponse.html#link).

Items and their order, what is required and enabled, the number and type of answers. What an answer's value may be is in
answers.py.
"""

from dataclasses import dataclass
from typing import Any

from conformance.validation.answers import check_answer
from conformance.validation.enabled import is_enabled
from conformance.validation.path import Path
from conformance.validation.run import Node, Run, Scope, objects
from terminology.fhirjson import Json


@dataclass(frozen=True)
class Form:
    """A response being checked: its questionnaire and the state that decides how strict to be."""

    questionnaire: Json
    response: Json
    scope: Scope
    run: Run
    in_progress: bool

    def report(self, code: str, path: Path, **values: Any) -> None:
        self.run.report(code, path, "error", **values)


def check_response(node: Node, run: Run) -> None:
    canonical = node.text("questionnaire")
    if canonical is None:
        run.report("HT-VAL-150", node.path, "information")
        return
    found = (
        node.scope.contained.get(canonical[1:])
        if canonical.startswith("#")
        else run.registry.find("Questionnaire", canonical)
    )
    if found is None:
        run.report("HT-VAL-151", node.path, "warning", url=canonical[:200])
        return
    if found.get("resourceType") != "Questionnaire":
        return
    status = node.text("status")
    form = Form(found, node.value, node.scope, run, in_progress=status == "in-progress")
    _check_items(form, rows_of(found), node.value, node.path, 0)


def rows_of(holder: Json) -> list[Json]:
    items = holder.get("item")
    return [row for row in (items if isinstance(items, list) else ()) if isinstance(row, dict)]


def _check_items(form: Form, questions: list[Json], holder: Json, path: Path, depth: int) -> None:
    """Check the items of one level against the questions of that level."""
    if depth > 60:
        return
    order = {question.get("linkId"): place for place, question in enumerate(questions)}
    given: dict[Any, list[tuple[Json, Path]]] = {}
    latest = -1
    for item, where in objects(holder, "item", path):
        link = item.get("linkId")
        if link is None:
            continue
        place = order.get(link)
        if place is None:
            code = "HT-VAL-153" if _exists(link, form.questionnaire) else "HT-VAL-152"
            form.report(code, where, link=link)
            continue
        if place < latest:
            form.report("HT-VAL-154", where, link=link)
        latest = max(latest, place)
        given.setdefault(link, []).append((item, where))
    for question in questions:
        _check_question(form, question, given.get(question.get("linkId"), []), path, depth)


def _exists(link: Any, questionnaire: Json) -> bool:
    open_ = rows_of(questionnaire)
    while open_:
        row = open_.pop()
        if row.get("linkId") == link:
            return True
        open_.extend(rows_of(row))
    return False


def _check_question(
    form: Form, question: Json, items: list[tuple[Json, Path]], path: Path, depth: int
) -> None:
    link, kind = question.get("linkId"), question.get("type")
    is_on = is_enabled(question, form.response, form.run)
    if not items:
        if question.get("required") is True and is_on and kind != "display":
            form.run.report("HT-VAL-155", path, "warning" if form.in_progress else "error", link=link)
        return
    if not is_on:
        for item, where in items:
            if "answer" in item or "item" in item:
                form.report("HT-VAL-156", where, link=link)
        return
    if len(items) > 1 and not (kind == "group" and question.get("repeats") is True):
        form.report("HT-VAL-157", items[1][1], link=link)
    for item, where in items:
        _check_item(form, question, item, where, depth)


def _check_item(form: Form, question: Json, item: Json, path: Path, depth: int) -> None:
    link, kind, text = question.get("linkId"), question.get("type"), item.get("text")
    if isinstance(text, str) and text != question.get("text"):
        form.report("HT-VAL-158", path, link=link)
    answers = list(objects(item, "answer", path))
    if kind in ("group", "display", "question"):
        for _, where in answers[:1]:
            form.report("HT-VAL-159", where.parent or where, kind=kind)
    elif question.get("required") is True and not answers:
        form.run.report("HT-VAL-155", path, "warning" if form.in_progress else "error", link=link)
    if len(answers) > 1 and question.get("repeats") is not True and kind not in ("group", "display"):
        form.report("HT-VAL-160", answers[1][1], link=link)
    if kind == "display":
        if rows_of(item):
            form.report("HT-VAL-161", path, link=link)
        return
    for answer, where in answers:
        if kind not in ("group", "question"):
            check_answer(question, answer, where, form.questionnaire, form.scope, form.run)
        _check_items(form, rows_of(question), answer, where, depth + 1)
    if kind in ("group", "question"):
        _check_items(form, rows_of(question), item, path, depth + 1)
    elif rows_of(item):
        form.report("HT-VAL-162", path, link=link, kind=kind)
