"""`/soap/{service}`: the web service of the Chinese platforms, one operation HIPMessageServer(action, message) → string.

SOAP 1.2 and 1.1, answered in the version that asked; `?wsdl` gives the contract. What the message comes to is told by
its own acknowledgement (AA, AE, AR) inside an HTTP 200, a message that is no XML by an AR; only an envelope that can't
be read is a fault (HTTP 400).
"""

from gateway.channels.part import Part, Receive, Reply, read_body
from gateway.ingest.intake import Intake
from gateway.rest.request import Request
from terminology.issues import FhirError, InvalidInput, NotAllowed, NotFound

SERVICES = {"HIPMessageServer": "hl7v3", "RHINMessageServer": "rhin"}
XML = "text/xml; charset=utf-8"
SOAP_XML = "application/soap+xml; charset=utf-8"


class Soap(Part):
    """The ASGI application of `/soap`."""

    def __init__(self, intake: Intake, *, prefix: str = "/soap") -> None:
        super().__init__(prefix)
        self.intake = intake

    async def answer(self, request: Request, receive: Receive, peer: str) -> Reply:
        service = request.path.split("/")[0]
        if service not in SERVICES:
            raise NotFound("HT-XML-20", service=service[:40] or "-", known=", ".join(SERVICES))
        if request.method in ("GET", "HEAD"):
            return 200, wsdl(service, self._address(request, service)).encode(), {"Content-Type": XML}
        if request.method != "POST":
            raise NotAllowed(
                "HT-MSG-14", method=request.method, path=request.path[:80], allowed="GET, HEAD, POST"
            )
        raw = await read_body(request, receive, self.intake.limit)
        return await self._take(service, raw, request, peer)

    async def _take(self, service: str, raw: bytes, request: Request, peer: str) -> Reply:
        from mappings.hl7v3.answer import fault
        from mappings.hl7v3.envelope import SOAP_11, SOAP_12

        is_12 = "soap+xml" in request.headers.get("content-type", "") or SOAP_12.encode() in raw[:2000]
        space, media = (SOAP_12, SOAP_XML) if is_12 else (SOAP_11, XML)
        kind = self.intake.kinds[SERVICES[service]]
        headers = {"Content-Type": media}
        try:
            if not raw:
                raise InvalidInput("HT-XML-10", source="Envelope")
            taken = await self.intake.take(
                raw, kind=kind.name, channel="soap", peer=peer, request_id=request.request_id
            )
        except FhirError as error:
            self.intake.metrics.messages.add("soap", "reject")
            return 400, fault(error.issues, space).encode(), headers
        receipt = taken[0].receipt
        if receipt is not None:
            headers["X-Message-Id"] = str(receipt.id)
        if taken[0].admission.header.interaction is None:
            # The raw bytes are kept; a sender without a readable envelope can only be told by a fault.
            return 400, fault(taken[0].issues, space).encode(), headers
        answer = self.intake.respond(kind, taken)
        body = answer.now
        if body is None and answer.later is not None:
            body = await answer.later
        return 200, body or kind.answer(taken[0].admission.header, "accept", level="application"), headers

    def _address(self, request: Request, service: str) -> str:
        scheme = request.headers.get("x-forwarded-proto", "http")
        return f"{scheme}://{request.headers.get('host', 'localhost')}{self.prefix}/{service}"


def wsdl(service: str, address: str) -> str:
    """Return the contract: document style, literal, one operation, bound to SOAP 1.2 and 1.1."""
    from xml.sax.saxutils import quoteattr

    def binding(name: str, prefix: str) -> str:
        body = f'<{prefix}:body use="literal"/>'
        return (
            f'<wsdl:binding name="{service}{name}" type="tns:{service}PortType">'
            f'<{prefix}:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>'
            f'<wsdl:operation name="HIPMessageServer">'
            f'<{prefix}:operation soapAction="urn:hl7-org:v3:HIPMessageServer" style="document"/>'
            f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output></wsdl:operation></wsdl:binding>"
        )

    def port(name: str, prefix: str) -> str:
        return (
            f'<wsdl:port name="{service}{name}" binding="tns:{service}{name}">'
            f"<{prefix}:address location={quoteattr(address)}/></wsdl:port>"
        )

    def part(name: str, *fields: str) -> str:
        rows = "".join(f'<xsd:element name="{field}" type="xsd:string" minOccurs="0"/>' for field in fields)
        return f'<xsd:element name="{name}"><xsd:complexType><xsd:sequence>{rows}</xsd:sequence></xsd:complexType></xsd:element>'

    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<wsdl:definitions name="{service}" targetNamespace="urn:hl7-org:v3" xmlns:tns="urn:hl7-org:v3" '
        'xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        'xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">'
        '<wsdl:types><xsd:schema targetNamespace="urn:hl7-org:v3" elementFormDefault="unqualified">'
        + part("HIPMessageServer", "action", "message")
        + part("HIPMessageServerResponse", "HIPMessageServerResult")
        + "</xsd:schema></wsdl:types>"
        '<wsdl:message name="HIPMessageServerRequest"><wsdl:part name="parameters" element="tns:HIPMessageServer"/></wsdl:message>'
        '<wsdl:message name="HIPMessageServerAnswer"><wsdl:part name="parameters" element="tns:HIPMessageServerResponse"/></wsdl:message>'
        f'<wsdl:portType name="{service}PortType"><wsdl:operation name="HIPMessageServer">'
        '<wsdl:input message="tns:HIPMessageServerRequest"/><wsdl:output message="tns:HIPMessageServerAnswer"/>'
        "</wsdl:operation></wsdl:portType>"
        + binding("Soap12", "soap12")
        + binding("Soap11", "soap")
        + f'<wsdl:service name="{service}">'
        + port("Soap12", "soap12")
        + port("Soap11", "soap")
        + "</wsdl:service></wsdl:definitions>"
    )
