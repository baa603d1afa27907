"""A document's bytes → resources: the one function for every way in (HTTP, platform registration, folder, preview)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mappings.cda.documents import identify
from mappings.language.result import Result
from mappings.xml.parse import XmlMessage, parse
from mappings.xml.tree import Element

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

_CUSTODIAN = ("custodian", "assignedCustodian", "representedCustodianOrganization")


@dataclass(frozen=True, slots=True)
class Received:
    """A document that was read. `application`, `facility`: who sends it, for sender patterns: "software|organisation"."""

    message: XmlMessage
    application: str
    facility: str

    @property
    def source(self) -> str:
        return f"{self.application}|{self.facility}"

    @property
    def title(self) -> str:
        """The type's code and title: "C0007 检验报告"."""
        found, title = identify(self.message.root), self.message.root.first("title")
        if found is not None:
            return f"{found.type.code} {found.type.title_zh}"
        return (title.own_text() if title is not None else "")[:60] or "CDA"

    @property
    def keys(self) -> tuple[str, ...]:
        """What orders documents: the patient's first number, else the document's."""
        role = self.message.root.down("recordTarget", "patientRole")
        patient = role.first("patient") if role is not None else None
        holders = [holder for holder in (patient, role, self.message.root) if holder is not None]
        numbers = (id.get("extension") for holder in holders for id in holder.all("id"))
        first = next(filter(None, numbers), "")
        return (first,) if first else ()

    def find(self, maps: "ActiveMaps") -> None:
        """Raise UnmappableMessage when no map takes the document (HT-CDA-03), or it has no patient or two (-01, -02)."""
        maps.find_xml(self.message, self.application, self.facility)

    def convert(self, maps: "ActiveMaps", *, explain: bool = False) -> Result:
        return maps.run_xml(
            self.message, application=self.application, facility=self.facility, explain=explain
        )


def receive(raw: bytes, *, fallback: str | None = None) -> Received:
    """Return the document of `raw`; raises MalformedMessage and TooLarge (HT-XML-…): no XML, or not of bounded size."""
    return received(parse(raw, fallback=fallback))


def received(message: XmlMessage) -> Received:
    """Return the document of a message that is parsed already."""
    return Received(message, *sender_of(message.root))


def convert_document(
    raw: bytes, maps: "ActiveMaps", *, fallback: str | None = None, explain: bool = False
) -> Result:
    """Return what a shared document becomes: Composition, DocumentReference and Binary with the bytes as sent, and
    everything that its header and body say. Raises as `receive` and `Received.find`."""
    return receive(raw, fallback=fallback).convert(maps, explain=explain)


def sender_of(root: Element) -> tuple[str, str]:
    """Return the software that wrote a document and the number, else the name, of the organisation that keeps it."""
    device = root.down("author", "assignedAuthor", "assignedAuthoringDevice", "softwareName")
    custodian = root.down(*_CUSTODIAN)
    if custodian is None:
        return (device.own_text() if device is not None else ""), ""
    id, name = custodian.first("id"), custodian.first("name")
    number = id.get("extension") if id is not None else ""
    facility = number or (name.own_text() if name is not None else "")
    return (device.own_text() if device is not None else ""), facility
