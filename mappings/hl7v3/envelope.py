"""Who sent which message: the message itself, or the SOAP envelope around it (HIPMessageServer(action, message)).

The message is a text in the envelope, escaped or as CDATA, or XML as it is; it may declare any charset, which is that
of the text no more. SOAP 1.1 and 1.2 are read by local names.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mappings.language.sources.xml_path import read, walk
from mappings.xml.parse import XmlMessage, parse
from mappings.xml.tree import Element
from terminology.issues import FhirError, Issue, MalformedMessage

SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
_ACTIONS = ("action", "input1", "arg0", "Action")
_MESSAGES = ("message", "input2", "arg1", "Message", "payload")


@dataclass(frozen=True, slots=True)
class Interaction:
    """One message of a platform. `soap`: namespace of its envelope, "" without; `operation`: element in the Body.

    `id`: root and extension of the message; `sender`, `receiver`: of the devices.
    """

    message: XmlMessage
    action: str = ""
    soap: str = ""
    operation: str = ""

    @property
    def root(self) -> Element:
        return self.message.root

    @property
    def id(self) -> tuple[str, str]:
        return identifier(self.root.first("id") or self.root.first("Id") or self.root.first("ID"))

    @property
    def sender(self) -> tuple[str, str]:
        return device(self.root, "sender")

    @property
    def receiver(self) -> tuple[str, str]:
        return device(self.root, "receiver")

    @property
    def source(self) -> str:
        """Who sends: application | facility, as for HL7 v2; the extension of the device, or its root."""
        root, extension = self.sender
        organization = first_text(
            self.root,
            "sender/device/asAgent/representedOrganization/id/item/@extension",
            "sender/device/asAgent/representedOrganization/id/@extension",
            "sender/device/asLocatedEntity/location/id/@extension",
            "Organization/@id",
        )
        return f"{extension or root}|{organization}" if extension or root or organization else ""


class UnreadableMessage(MalformedMessage):
    """The envelope says what is asked, the message in it is no XML: `interaction` knows action and envelope only."""

    def __init__(self, issues: Sequence[Issue], interaction: Interaction) -> None:
        super().__init__(issues)
        self.interaction = interaction


def read_interaction(raw: bytes, *, fallback: str | None = None) -> Interaction:
    """Return the message of `raw`. Raises MalformedMessage (HT-XML-…): not XML, or an envelope without message.

    Raises UnreadableMessage when only the message in a readable envelope is at fault.
    """
    outer = parse(raw, fallback=fallback)
    if outer.root.name != "Envelope":
        return Interaction(outer)
    body = outer.root.first("Body")
    operation = body.children[0] if body is not None and body.children else None
    if operation is None:
        raise MalformedMessage("HT-XML-10", source="Envelope/Body")
    namespace = outer.namespace if outer.namespace in (SOAP_11, SOAP_12) else SOAP_12
    action = next((found.content() for name in _ACTIONS if (found := operation.first(name)) is not None), "")
    holder = next((found for name in _MESSAGES if (found := operation.first(name)) is not None), None)
    if holder is None and not _is_wrapper(operation):
        # Document style without a wrapper: the message itself is the body.
        inner = XmlMessage(_alone(operation), outer.decoded, "", outer.issues)
        return Interaction(inner, action, namespace)
    if holder is None:
        raise MalformedMessage("HT-XML-10", source=f"Envelope/Body/{operation.name}/message")
    if holder.children:
        inner = XmlMessage(_alone(holder.children[0]), outer.decoded, "", outer.issues)
    else:
        try:
            inner = _inner(holder.content(), outer)
        except FhirError as error:
            if any(issue.code == "HT-XML-10" for issue in error.issues):
                raise
            nothing = XmlMessage(Element("", {}, None), outer.decoded, "", outer.issues)
            known = Interaction(nothing, action, namespace, operation.name)
            raise UnreadableMessage(error.issues, known) from error
    return Interaction(inner, action, namespace, operation.name)


def _inner(text: str, outer: XmlMessage) -> XmlMessage:
    text = text.strip()
    if text.startswith("<![CDATA[") and text.endswith("]]>"):
        # Escaped once more than it should be.
        text = text[9:-3].strip()
    if not text:
        raise MalformedMessage("HT-XML-10", source="Envelope/Body/message")
    # The text is decoded already: a declaration of GBK inside is that of the sender's file.
    found = parse(b"\xef\xbb\xbf" + text.encode())
    return XmlMessage(found.root, outer.decoded, found.namespace, (*outer.issues, *found.issues))


def _is_wrapper(operation: Element) -> bool:
    return operation.name.casefold().startswith("hipmessage") or not operation.children


def _alone(element: Element) -> Element:
    element.parent = None
    return element


def identifier(element: Element | None) -> tuple[str, str]:
    """Return root and extension of an II or of the first item of a set."""
    if element is None:
        return "", ""
    item = element.first("item") or element
    return item.get("root"), item.get("extension")


def device(root: Element, side: str) -> tuple[str, str]:
    """Return the identifier of the device of `sender` or `receiver`."""
    return identifier(root.down(side, "device", "id"))


def first_text(root: Element, *paths: str) -> str:
    """Return the first text or attribute that one of the paths finds."""
    for text in paths:
        found = read(text, 0)
        assert found is not None
        path = found[0]
        for element in walk(root, path.steps):
            value = element.get(path.leaf) if path.leaf else element.own_text()
            if value:
                return value
    return ""
