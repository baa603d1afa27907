"""One assertion of a TestScript against what came back (testscript.html#assert)."""

from collections.abc import Sequence
from typing import Any

from conformance.fhirpath import evaluate
from conformance.testing.client import Exchange, read_tree
from conformance.testing.judge import RESPONSES, compare, contains_minimum, text_of
from conformance.testing.memory import Memory
from conformance.testing.operate import FORMATS
from conformance.testing.xpath import values
from conformance.validation import validate
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

_PAGES = frozenset({"self", "first", "previous", "prev", "next", "last"})


def check(row: Json, memory: Memory) -> list[Issue]:
    """Return what is wrong; an empty list when the assertion holds. Raises InvalidInput when it cannot be judged."""
    operator, wanted = row.get("operator"), memory.fill(str(row.get("value", "")))
    if row.get("direction") == "request":
        return _one(_request(row, memory, operator, wanted))
    if "requestMethod" in row:
        return _one(_equal(_exchange(row, memory).call.method, str(row["requestMethod"]).upper(), operator))
    if "requestURL" in row:
        return _one(
            compare(_asked(_exchange(row, memory)), memory.fill(row["requestURL"]), operator or "contains")
        )
    if "response" in row or "responseCode" in row or "headerField" in row or "contentType" in row:
        return _one(_response(row, _exchange(row, memory), memory, operator, wanted))
    tree = memory.tree(row["sourceId"]) if "sourceId" in row else _answered(_exchange(row, memory))
    if "compareToSourceId" in row:
        return _one(_compared(row, tree, memory, operator))
    return _body(row, tree, memory, operator, wanted)


def _body(row: Json, tree: Any, memory: Memory, operator: str | None, wanted: str) -> list[Issue]:
    if "resource" in row:
        kind = tree.get("resourceType", "") if isinstance(tree, dict) else ""
        return _one(_equal(kind, str(row["resource"]), operator))
    if not isinstance(tree, dict):
        return [Issue("HT-CT-11", {})]
    if "minimumId" in row:
        holds = contains_minimum(tree, memory.tree(row["minimumId"]))
        return [] if holds else [Issue("HT-CT-12", {"name": str(row["minimumId"])})]
    if row.get("navigationLinks"):
        return navigation(tree)
    if "validateProfileId" in row:
        profile = memory.script.profiles.get(row["validateProfileId"])
        if profile is None:
            raise InvalidInput("HT-CT-07", name=str(row["validateProfileId"]))
        issues = validate(tree, profiles=[profile])
        return [issue for issue in issues if issue.severity in ("error", "fatal")]
    expression, path = row.get("expression"), row.get("path")
    if expression is not None:
        filled = memory.fill(expression)
        found = evaluate(filled, tree)
        # R4's operator `eval`: the expression itself is the judgement.
        if operator == "eval" or (operator is None and "value" not in row):
            return (
                [] if found == [True] else [Issue("HT-CT-13", {"expression": filled, "value": _shown(found)})]
            )
        return _one(_any(found, wanted, operator))
    if path is not None:
        rows = values(memory.fill(path), tree)
        if operator is None and "value" not in row:
            holds = bool(rows) and rows != ["false"]
            return [] if holds else [Issue("HT-CT-13", {"expression": path, "value": _shown(rows)})]
        return _one(_any(rows, wanted, operator))
    raise InvalidInput("HT-CT-14", names=", ".join(sorted(row)))


def navigation(tree: Json) -> list[Issue]:
    """Return what is wrong with the links of a page: each known and with a URL, and `next` while entries are missing."""
    links = {str(one.get("relation")): str(one.get("url", "")) for one in tree.get("link", ())}
    entries = [row for row in tree.get("entry", ()) if row.get("search", {}).get("mode", "match") == "match"]
    wrong = [name for name, url in links.items() if name in _PAGES and not url]
    if not set(links) & _PAGES:
        wrong.append("self")
    total = tree.get("total")
    if isinstance(total, int) and total > len(entries) and not set(links) & {"next", "previous", "prev"}:
        wrong.append("next")
    return [Issue("HT-CT-15", {"names": ", ".join(wrong)})] if wrong else []


def _response(
    row: Json, exchange: Exchange, memory: Memory, operator: str | None, wanted: str
) -> Issue | None:
    answer = exchange.answer
    if answer is None:
        raise InvalidInput("HT-CT-07", name=str(row.get("sourceId", "")))
    if "response" in row:
        codes = RESPONSES.get(row["response"])
        if codes is None:
            raise InvalidInput("HT-CT-14", names=str(row["response"]))
        if answer.status in codes:
            return None
        return Issue(
            "HT-CT-16", {"status": answer.status, "wanted": row["response"], "body": answer.text[:300]}
        )
    if "responseCode" in row:
        wrong = compare(str(answer.status), memory.fill(str(row["responseCode"])), operator or "in")
        if wrong is None:
            return None
        return Issue(
            "HT-CT-16", {"status": answer.status, "wanted": row["responseCode"], "body": answer.text[:300]}
        )
    if "headerField" in row:
        return compare(answer.headers.get(str(row["headerField"]).lower(), ""), wanted, operator or "equals")
    return _media(answer.headers.get("content-type", ""), str(row["contentType"]), operator)


def _request(row: Json, memory: Memory, operator: str | None, wanted: str) -> Issue | None:
    exchange = memory.requests.get(row.get("sourceId", "")) or _exchange(row, memory)
    call = exchange.call
    if "headerField" in row:
        return compare(call.headers.get(str(row["headerField"]).lower(), ""), wanted, operator or "equals")
    if "contentType" in row:
        return _media(call.headers.get("content-type", ""), str(row["contentType"]), operator)
    if "requestMethod" in row:
        return _equal(call.method, str(row["requestMethod"]).upper(), operator)
    if "requestURL" in row:
        return compare(_asked(exchange), memory.fill(row["requestURL"]), operator or "contains")
    wrong = _body(row, read_tree(call.body), memory, operator, wanted)
    return wrong[0] if wrong else None


def _exchange(row: Json, memory: Memory) -> Exchange:
    name = row.get("sourceId")
    found = memory.exchanges.get(name) or memory.requests.get(name) if name else memory.last
    if found is None:
        raise InvalidInput("HT-CT-07", name=str(name or "response"))
    return found


def _answered(exchange: Exchange) -> Any:
    return exchange.answer.tree() if exchange.answer is not None else None


def _asked(exchange: Exchange) -> str:
    return (exchange.answer.url if exchange.answer else "") or exchange.call.url


def _media(value: str, wanted: str, operator: str | None) -> Issue | None:
    full = FORMATS.get(wanted, wanted)
    return compare(
        value, full, {"equals": "contains", "notEquals": "notContains"}.get(operator or "equals", "contains")
    )


def _compared(row: Json, tree: Any, memory: Memory, operator: str | None) -> Issue | None:
    other = memory.tree(row["compareToSourceId"])
    right = _found(row.get("compareToSourceExpression"), row.get("compareToSourcePath"), other, memory)
    own_expression, own_path = row.get("expression"), row.get("path")
    if own_expression is None and own_path is None:
        own_expression, own_path = row.get("compareToSourceExpression"), row.get("compareToSourcePath")
    left = _found(own_expression, own_path, tree, memory)
    return compare(text_of(left[0]) if left else "", text_of(right[0]) if right else "", operator or "equals")


def _found(expression: str | None, path: str | None, tree: Any, memory: Memory) -> Sequence[Any]:
    if not isinstance(tree, dict):
        return []
    if expression is not None:
        return evaluate(memory.fill(expression), tree)
    return values(memory.fill(path), tree) if path is not None else []


def _any(found: Sequence[Any], wanted: str, operator: str | None) -> Issue | None:
    """Positive operators hold when one of several values does; negative ones when all do."""
    texts = [text_of(value) for value in found] or [""]
    told = [compare(text, wanted, operator or "equals") for text in texts]
    if operator in ("notEquals", "notIn", "notContains", "empty"):
        return next((one for one in told if one is not None), None)
    return None if None in told else told[0]


def _equal(value: str, wanted: str, operator: str | None) -> Issue | None:
    return compare(value, wanted, operator or "equals")


def _shown(found: Sequence[Any]) -> str:
    return ", ".join(text_of(value) for value in found)[:200] or "{}"


def _one(issue: Issue | None) -> list[Issue]:
    return [] if issue is None else [issue]
