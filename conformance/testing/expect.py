"""What a step of a YAML test expects of the last answer: status, header, FHIRPath, HL7 path, outcome, text."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from conformance.fhirpath import evaluate
from conformance.testing.client import Answer
from conformance.testing.hl7 import Fields, read_fields
from conformance.testing.judge import text_of
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

# What only the inside of a program says; an answer that carries it tells a stranger too much.
_TRACES = (
    "Traceback (most recent call last)",
    "\tat java.",
    "\n   at System.",
    "NullPointerException",
    "ORA-",
)


ANSWERED = frozenset(
    {"status", "header", "fhirpath", "outcome", "clean", "url", "parameter", "xpath", "text"}
)


def expect(row: Json, *, answer: Answer | None, message: bytes | None) -> list[Issue]:
    """Return what is wrong; raises InvalidInput when there is nothing to judge."""
    found: list[Issue] = []
    if "hl7" in row or "charset" in row:
        if message is None:
            raise InvalidInput("HT-CT-22")
        found += _message(row, read_fields(message))
    if ANSWERED & set(row):
        if answer is None:
            raise InvalidInput("HT-CT-22")
        found += _answer(row, answer)
    return found


def _answer(row: Json, answer: Answer) -> list[Issue]:
    found: list[Issue] = []
    if "status" in row and not _is_status(answer.status, row["status"]):
        wanted = row["status"] if not isinstance(row["status"], list) else ", ".join(map(str, row["status"]))
        found.append(
            Issue("HT-CT-16", {"status": answer.status, "wanted": wanted, "body": answer.text[:200]})
        )
    if "header" in row:
        value = answer.headers.get(str(row["header"]).lower(), "")
        found += _value(f"header {row['header']}", [value] if value else [], row)
    if row.get("url"):
        found += _value("URL", [answer.url], row)
    if "parameter" in row:
        found += _value(f"parameter {row['parameter']}", parameter(answer, str(row["parameter"])), row)
    if "xpath" in row:
        found += _value(row["xpath"], document_values(row["xpath"], answer.body), row)
    if row.get("text"):
        found += _value("body", [answer.text], row)
    if row.get("outcome"):
        found += _outcome(answer.tree())
    if row.get("clean") and any(trace in answer.text for trace in _TRACES):
        found.append(Issue("HT-CT-23", {}))
    if "fhirpath" in row:
        tree = answer.tree()
        if not isinstance(tree, dict):
            return [*found, Issue("HT-CT-11", {})]
        values = evaluate(row["fhirpath"], tree)
        if {"equals", "matches", "in", "exists"} & set(row) and not {"header", "url", "parameter"} & set(row):
            found += _value(row["fhirpath"], [text_of(value) for value in values], row)
        elif values != [True]:
            shown = ", ".join(text_of(value) for value in values)[:200] or "{}"
            found.append(Issue("HT-CT-13", {"expression": row["fhirpath"], "value": shown}))
    return found


def parameter(answer: Answer, name: str) -> list[str]:
    """Return a parameter of a request, from its URL or from its Parameters body."""
    query = parse_qs(urlsplit(answer.url).query, keep_blank_values=True)
    found = list(query.get(name, ()))
    tree = answer.tree()
    for row in tree.get("parameter", ()) if isinstance(tree, dict) else ():
        if row.get("name") == name:
            value = next((row[key] for key in row if key.startswith("value")), row.get("resource"))
            found.append(str(value.get("code", value)) if isinstance(value, dict) else text_of(value))
    return found


def document_values(path: str, body: bytes) -> list[str]:
    """Return what an XPath finds in a document; `v3:` is HL7's namespace. Raises InvalidInput for what is no XML.

    No DTD, no entities, no network, and no deeper or larger tree than libxml2's own limits.
    """
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root: Any = etree.fromstring(body, parser)
        if root.getroottree().docinfo.doctype:
            raise InvalidInput("HT-CT-56", detail="DOCTYPE")
        found: Any = root.getroottree().xpath(path, namespaces=DOCUMENT_NAMESPACES)
    except etree.XPathError as error:
        raise InvalidInput("HT-CT-06", path=path, detail=str(error)[:200]) from None
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidInput("HT-CT-56", detail=str(error)[:200]) from None
    if not isinstance(found, list):
        return [text_of(found) if not isinstance(found, float) else f"{found:g}"]
    return [
        text
        for row in found
        if (text := str(row) if isinstance(row, str) else "".join(row.itertext()).strip() or row.tag)
    ]


DOCUMENT_NAMESPACES = {
    "v3": "urn:hl7-org:v3",
    "soap": "http://www.w3.org/2003/05/soap-envelope",
    "soap11": "http://schemas.xmlsoap.org/soap/envelope/",
    "wsdl": "http://schemas.xmlsoap.org/wsdl/",
}


def _outcome(tree: Any) -> list[Issue]:
    is_one = isinstance(tree, dict) and tree.get("resourceType") == "OperationOutcome"
    told = (
        [row for row in tree.get("issue", ()) if row.get("severity") in ("error", "fatal")] if is_one else []
    )
    says = any(row.get("diagnostics") or row.get("details") for row in told)
    return [] if told and says else [Issue("HT-CT-24", {})]


def _message(row: Json, fields: Fields) -> list[Issue]:
    if row.get("charset"):
        return [Issue("HT-CT-25", {"detail": fields.charset_error})] if fields.charset_error else []
    return _value(row["hl7"], fields.values(row["hl7"]), row)


def _value(place: str, values: Sequence[str], row: Json) -> list[Issue]:
    """All values have to be right; none at all is wrong unless absence is what is expected."""
    if row.get("exists") is False:
        return [Issue("HT-CT-26", {"place": place, "value": values[0][:80], "wanted": "∅"})] if values else []
    if not values:
        return [] if row.get("optional") else [Issue("HT-CT-27", {"place": place})]
    for value in values:
        wanted = None
        if "equals" in row and value != str(row["equals"]):
            wanted = str(row["equals"])
        elif "matches" in row and not re.fullmatch(str(row["matches"]), value, re.DOTALL):
            wanted = f"/{row['matches']}/"
        elif "in" in row and value not in [str(one) for one in row["in"]]:
            wanted = " | ".join(str(one) for one in row["in"])
        elif "check" in row and not CHECKS[row["check"]](value):
            wanted = str(row["check"])
        if wanted is not None:
            return [Issue("HT-CT-26", {"place": place, "value": value[:80], "wanted": wanted[:120]})]
    return []


def _is_status(status: int, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_is_status(status, one) for one in wanted)
    if isinstance(wanted, str) and wanted.endswith("xx"):
        return str(status)[0] == wanted[0]
    return status == int(wanted)


def is_citizen_id(value: str) -> bool:
    """The 18-character citizen number: date inside and check character (GB 11643-1999 §4)."""
    from datetime import date

    if not re.fullmatch(r"\d{17}[\dXx]", value):
        return False
    try:
        date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return False
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(value, weights, strict=False))
    return "10X98765432"[total % 11] == value[17].upper()


def is_timestamp(value: str) -> bool:
    """A DTM of HL7 v2 (2.A.22) that is a real calendar date."""
    from datetime import datetime

    found = re.fullmatch(r"(\d{4,14})(?:\.\d{1,4})?([+-]\d{4})?", value)
    if found is None or len(found[1]) % 2:
        return False
    filled = found[1] + "0101000000"[len(found[1]) - 4 :]
    try:
        datetime.strptime(filled, "%Y%m%d%H%M%S")
    except ValueError:
        return False
    return True


def is_past(value: str) -> bool:
    """A timestamp whose day is not after today."""
    from datetime import datetime

    return is_timestamp(value) and value[:8] <= datetime.now().astimezone().strftime("%Y%m%d")


CHECKS = {"citizen-id": is_citizen_id, "past": is_past, "timestamp": is_timestamp}
