"""What a receiver's answer means: HL7 v2 acknowledgements, HTTP statuses, envelopes of JSON, XML and SOAP.

HL7 v2.4 §2.9.3 (original and enhanced mode), table 0008; https://www.rfc-editor.org/rfc/rfc9110#name-status-codes;
SOAP 1.2 part 1 §5.4 (faults).
"""

from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import msgspec

from gateway.outbound.delivery import Verdict
from gateway.outbound.destination import Success
from mappings.hl7v2 import parse
from terminology.issues import FhirError

ANSWER_LIMIT = 1_000_000
# The receiver can't take it now, whatever the message is (RFC 9110; 425 and 429 of RFC 8470, RFC 6585).
_LATER = frozenset({408, 425, 429, 502, 503, 504})


def read_ack(raw: bytes, control_id: str) -> Verdict | None:
    """Return what an HL7 v2 acknowledgement says of the message `control_id`; None when it is about another one."""
    try:
        message = parse(raw)
    except FhirError as error:
        return Verdict(
            "unreachable", "?", f"the answer is no acknowledgement: {error}"[:300], raw[:ANSWER_LIMIT]
        )
    code = (message.get("MSA-1") or "").upper()
    about = message.get("MSA-2") or ""
    if about and about != control_id:
        return None
    said = (
        message.get("MSA-3") or message.get("ERR-8") or message.get("ERR-7") or message.get("ERR-3.2") or ""
    )
    where = message.get("ERR-2") or message.get("ERR-1") or ""
    reason = " ".join(part for part in (said, f"({where})" if where else "") if part)[:300]
    if code in ("AA", "CA"):
        return Verdict("accepted", code, reason, raw)
    if code in ("AE", "AR", "CE", "CR"):
        return Verdict("refused", code, reason, raw)
    return Verdict("refused", code or "?", "MSA-1 is none of AA AE AR CA CE CR", raw)


def read_status(status: int, body: bytes, headers: Any, success: Success | None) -> Verdict:
    """Return what an HTTP answer says: its status, then what its body must say where the destination tells that."""
    code = str(status)
    if status in _LATER:
        return Verdict("unreachable", code, _short(body), body, retry_after(headers.get("retry-after")))
    if not 200 <= status < 300:
        return Verdict("refused", code, _short(body), body)
    if success is None:
        return Verdict("accepted", code, "", body)
    found = value_at(body, success.path)
    if found is not None and found in success.values:
        return Verdict("accepted", found, "", body)
    return Verdict("refused", found or code, _short(body), body)


def value_at(body: bytes, path: str) -> str | None:
    """Return the text at `a.b[2].c` of a JSON or XML body (attributes as @name); None when it isn't there."""
    start = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        try:
            return _in_json(msgspec.json.decode(body), path)
        except msgspec.DecodeError:
            return None
    return _in_xml(body, path) if start[:1] == b"<" else None


def _in_json(value: Any, path: str) -> str | None:
    for step in path.split("."):
        name, _, index = step.partition("[")
        value = value.get(name) if isinstance(value, dict) else None
        number = index.rstrip("]")
        if number.isdigit() and isinstance(value, list):
            value = value[int(number) - 1] if 0 < int(number) <= len(value) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None


def _in_xml(body: bytes, path: str) -> str | None:
    element = parse_xml(body)
    for step in path.split("."):
        if element is None:
            return None
        if step.startswith("@"):
            found = element.get(step[1:])
            return str(found) if found is not None else None
        element = next((one for one in element.iter() if _name(one) == step), None)
    text = "".join(element.itertext()).strip() if element is not None else ""
    return text or None


def parse_xml(body: bytes | str) -> Any:
    """Return the root element of XML without DTD, entities or network; None when it isn't XML."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body.encode() if isinstance(body, str) else body, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    info: Any = root.getroottree().docinfo
    return None if info.doctype else root


def read_soap(status: int, body: bytes, headers: Any, success: Success | None) -> Verdict:
    """Return what a SOAP answer says: a fault, or the platform's answer within (acknowledgement/@typeCode AA, AE, AR)."""
    root = parse_xml(body)
    fault = next((one for one in root.iter() if _name(one) == "Fault"), None) if root is not None else None
    if fault is not None:
        said = " ".join("".join(fault.itertext()).split())[:300]
        code = next(
            (
                text
                for one in fault.iter()
                if _name(one) in ("Value", "faultcode") and (text := (one.text or "").strip())
            ),
            "",
        ).rpartition(":")[2]
        return Verdict("refused", f"Fault {code}".strip(), said, body)
    if not 200 <= status < 300:
        return read_status(status, body, headers, None)
    if root is None:
        return Verdict("refused", str(status), "the answer is no XML", body)
    inner = _inner(root)
    if success is not None:
        found = value_at(inner, success.path)
        outcome = "accepted" if found in success.values else "refused"
        return Verdict(outcome, found or str(status), "" if outcome == "accepted" else _short(inner), body)  # type: ignore[arg-type]  # one of two
    answer = parse_xml(inner)
    if answer is not None:
        row = next((one for one in answer.iter() if _name(one) == "acknowledgement"), None)
        code = str(row.get("typeCode") or "") if row is not None else ""
        if code in ("AE", "AR", "CE", "CR"):
            return Verdict("refused", code, _short(inner), body)
        if code:
            return Verdict("accepted", code, "", body)
    return Verdict("accepted", str(status), "", body)


def _inner(root: Any) -> bytes:
    """Return what stands in the answer's body as text: the message that the operation returns."""
    body = next((one for one in root.iter() if _name(one) == "Body"), root)
    texts = [text for one in body.iter() if (text := (one.text or "").strip())]
    longest = max(texts, key=len, default="")
    return longest.encode()


def _name(element: Any) -> str:
    return str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""


def _short(body: bytes) -> str:
    for codec in ("utf-8", "gb18030"):
        try:
            return " ".join(body[:1200].decode(codec).split())[:300]
        except UnicodeDecodeError:
            continue
    return ""


def retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header: a number, or a date."""
    if not text:
        return None
    if text.strip().isdigit():
        return float(min(int(text), 86_400))
    try:
        return max(0.0, min(parsedate_to_datetime(text).timestamp() - time(), 86_400.0))
    except (TypeError, ValueError):
        return None
