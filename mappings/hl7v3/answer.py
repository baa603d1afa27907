"""Answers in the form of the question: MCCI and the interaction's own answer, XDS-style responses, SOAP around both.

HL7 v3 transmission infrastructure: acknowledgement typeCode AA (done), AE (wrong content), AR (not taken). Each problem
is an acknowledgementDetail: its code, its text in Chinese and English, how to fix it, and where in the message.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from mappings.hl7v3.actions import Action
from mappings.hl7v3.envelope import SOAP_11, Interaction
from mappings.hl7v3.write import HEAD, V3, XSI, ii, tag, text, value
from terminology.issues import Issue

Verdict = Literal["accept", "error", "reject"]

CODES: dict[Verdict, str] = {"accept": "AA", "error": "AE", "reject": "AR"}
GENERAL = "MCCI_IN000002UV01"
MESSAGE_ROOT = "2.16.156.10011.0"
INTERACTION_ROOT = "2.16.840.1.113883.1.6"
RECEIVER_ROOT, SENDER_ROOT = "2.16.156.10011.0.1.1", "2.16.156.10011.0.1.2"
DONE = "处理成功 (done)"
MOST_DETAILS = 20


def acknowledge(
    heard: Interaction | None,
    action: Action | None,
    verdict: Verdict,
    *,
    id: str,
    now: datetime,
    issues: Sequence[Issue] = (),
    note: str = "",
    body: str = "",
) -> str:
    """Return the answer to a message; `heard` None: it could not be read. `body`: XML that the answer carries.

    `note` is told when there are no issues; `id`: of the answer.
    """
    root = GENERAL if action is None else action.accept if verdict == "accept" else action.refuse
    if action is not None and action.envelope in ("document", "rhin"):
        return _response(root, action.envelope, heard, verdict, id, now, issues, note, body)
    acknowledgement = tag(
        "acknowledgement",
        {"typeCode": CODES[verdict]},
        tag("targetMessage", None, ii("id", *heard.id)) if heard is not None and any(heard.id) else "",
        *(_detail(issue) for issue in issues[:MOST_DETAILS]),
        "" if issues else tag("acknowledgementDetail", None, value("text", note or DONE)),
    )
    content = [
        ii("id", MESSAGE_ROOT, id),
        value("creationTime", now.strftime("%Y%m%d%H%M%S")),
        ii("interactionId", INTERACTION_ROOT, root),
        tag("processingCode", {"code": "P"}),
        tag("processingModeCode", {"code": "T"}),
        tag("acceptAckCode", {"code": "NE"}),
        _device("receiver", "RCV", heard.sender if heard else ("", ""), RECEIVER_ROOT),
        _device("sender", "SND", heard.receiver if heard else ("", ""), SENDER_ROOT),
        acknowledgement,
        body,
    ]
    return HEAD + tag(root, {"xmlns": V3, "xmlns:xsi": XSI, "ITSVersion": "XML_1.0"}, *content)


def _response(
    root: str,
    form: str,
    heard: Interaction | None,
    verdict: Verdict,
    id: str,
    now: datetime,
    issues: Sequence[Issue],
    note: str,
    body: str,
) -> str:
    """The answers of the document services and of the regional platform: status, ids, payload, detail."""
    prefix = "rhin:" if form == "rhin" else ""
    said = "; ".join(_said(issue) for issue in issues[:MOST_DETAILS]) or note or DONE
    target = heard.id if heard is not None else ("", "")
    content = [
        ii(f"{prefix}Id" if not prefix else "rhin:id", MESSAGE_ROOT, id),
        ii(f"{prefix}TargetId" if not prefix else "rhin:targetId", *target) if any(target) else "",
        value("rhin:creationTime", now.strftime("%Y%m%d%H%M%S")) if prefix else "",
        body,
        *(_error(issue, prefix) for issue in issues[:MOST_DETAILS]),
        tag("Detail", None, text(said)) if not prefix else value("rhin:text", said),
    ]
    spaces = {"xmlns:rhin": RHIN} if prefix else {"xmlns": V3}
    name = f"{prefix}{root}"
    return HEAD + tag(name, {**spaces, "xmlns:xsi": XSI, "status": CODES[verdict]}, *content)


RHIN = "urn:rhin"
"""Namespace of the answers of the regional platform; what senders declare differs, so requests are read by names."""


def _detail(issue: Issue) -> str:
    return tag(
        "acknowledgementDetail",
        {"typeCode": "W" if issue.severity in ("warning", "information") else "E"},
        tag("code", {"code": issue.code}),
        value("text", _said(issue)),
        value("location", issue.source),
    )


def _error(issue: Issue, prefix: str) -> str:
    name = f"{prefix}error" if prefix else "Error"
    return tag(name, {"code": issue.code, "location": issue.source, "text": issue.text("zh")})


def _said(issue: Issue) -> str:
    zh, en = issue.text("zh"), issue.text("en")
    fix = f"{issue.fix('zh')} / {issue.fix('en')}"
    return f"{zh} / {en} [{fix}]"


def _device(name: str, kind: str, id: tuple[str, str], root: str) -> str:
    found = tag("item", {"root": id[0] or root, "extension": id[1] or "HUTONG"})
    return tag(
        name,
        {"typeCode": kind},
        tag("device", {"classCode": "DEV", "determinerCode": "INSTANCE"}, tag("id", None, found)),
    )


def in_soap(answer: str, heard: Interaction | None) -> str:
    """Return the answer in an envelope of the version that the question came in."""
    space = heard.soap if heard is not None and heard.soap else SOAP_11
    operation = (heard.operation if heard is not None else "") or "HIPMessageServer"
    result = tag(f"{operation}Result", None, text(answer))
    response = tag(f"{operation}Response", {"xmlns": V3}, result)
    return HEAD + tag("soap:Envelope", {"xmlns:soap": space}, tag("soap:Body", None, response))


def fault(issues: Sequence[Issue], space: str) -> str:
    """Return a SOAP fault: the envelope itself could not be read."""
    said = "; ".join(_said(issue) for issue in issues)
    codes = tag("codes", None, *(tag("code", {"value": issue.code}) for issue in issues))
    if space == SOAP_11:
        inner = tag(
            "soap:Fault",
            None,
            "<faultcode>soap:Client</faultcode>",
            f"<faultstring>{text(said)}</faultstring>",
            f"<detail>{codes}</detail>",
        )
    else:
        inner = tag(
            "soap:Fault",
            None,
            "<soap:Code><soap:Value>soap:Sender</soap:Value></soap:Code>",
            f'<soap:Reason><soap:Text xml:lang="zh">{text(said)}</soap:Text></soap:Reason>',
            f"<soap:Detail>{codes}</soap:Detail>",
        )
    return HEAD + tag("soap:Envelope", {"xmlns:soap": space}, tag("soap:Body", None, inner))
