"""The HTTP senders: a body as it is, within a SOAP envelope, or as the notification of a subscription."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.outbound.answer import ANSWER_LIMIT, read_ack, read_soap, read_status
from gateway.outbound.delivery import Letter, Verdict
from gateway.outbound.destination import Destination, Success, Tls
from gateway.outbound.mllp import client_context
from mappings.outbound.xml import write_xml

if TYPE_CHECKING:
    import httpx

_SOAP = {
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
}


class HttpSender:
    """One receiver over HTTP. Redirects are not followed: a message goes where the operator said."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._client = _client(destination.tls, destination.timeout)

    async def send(self, letter: Letter) -> Verdict:
        destination = self._destination
        headers = {
            "Content-Type": letter.media,
            "X-Delivery-Id": letter.control_id,
            "Idempotency-Key": letter.control_id,
            "X-Topic": letter.topic,
            **destination.headers,
        }
        found = await exchange(self._client, destination.method, destination.address, letter.body, headers)
        if isinstance(found, Verdict):
            return found
        status, body, answered = found
        verdict = read_status(status, body, answered, destination.success)
        is_ack = verdict.outcome == "accepted" and destination.ack != "none" and body[:3] == b"MSH"
        if is_ack and destination.success is None:
            # HL7 v2 over HTTP: the acknowledgement is the body.
            return read_ack(body, letter.control_id) or Verdict(
                "refused", "order", "another message's ACK", body
            )
        return verdict

    async def close(self) -> None:
        await self._client.aclose()


class SoapSender:
    """`HIPMessageServer(action, message)` and its like: the message as text within a SOAP 1.2 (or 1.1) envelope."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._client = _client(destination.tls, destination.timeout)

    async def send(self, letter: Letter) -> Verdict:
        destination = self._destination
        version = destination.soap_version
        body = soap_envelope(
            letter.body.decode(letter.codec, "replace"),
            action=destination.action or letter.topic,
            operation=destination.operation,
            namespace=destination.namespace,
            version=version,
        )
        action = destination.action or destination.operation
        media = (
            f'application/soap+xml; charset=utf-8; action="{action}"'
            if version == "1.2"
            else "text/xml; charset=utf-8"
        )
        headers = {"Content-Type": media, "X-Delivery-Id": letter.control_id, **destination.headers}
        if version == "1.1":
            headers["SOAPAction"] = f'"{action}"'
        found = await exchange(self._client, "POST", destination.address, body, headers)
        if isinstance(found, Verdict):
            return found
        status, answer, answered = found
        return read_soap(status, answer, answered, destination.success)

    async def close(self) -> None:
        await self._client.aclose()


class HookSender:
    """The endpoint of a rest-hook Subscription; `channel.header` lines are sent with every notification."""

    def __init__(
        self, url: str, headers: Mapping[str, str], timeout: float, success: Success | None = None
    ) -> None:
        self._url, self._headers, self._success = url, headers, success
        self._client = _client(None, timeout)

    async def send(self, letter: Letter) -> Verdict:
        headers = {"Content-Type": letter.media, "X-Delivery-Id": letter.control_id, **self._headers}
        found = await exchange(self._client, "POST", self._url, letter.body, headers)
        if isinstance(found, Verdict):
            return found
        status, body, answered = found
        return read_status(status, body, answered, self._success)

    async def close(self) -> None:
        await self._client.aclose()


def soap_envelope(
    message: str, *, action: str, operation: str, namespace: str, version: str = "1.2"
) -> bytes:
    """Return the envelope of one call with its two arguments."""
    call = {"@xmlns": namespace, "action": action, "message": message}
    return write_xml("soap:Envelope", {"soap:Body": {operation: call}}, namespaces={"soap": _SOAP[version]})


async def exchange(
    client: "httpx.AsyncClient", method: str, url: str, body: bytes, headers: Mapping[str, str]
) -> Verdict | tuple[int, bytes, Any]:
    """Return status, the first `ANSWER_LIMIT` bytes of the answer and its headers; a Verdict when nobody answers."""
    import httpx

    try:
        async with client.stream(method, url, content=body, headers=dict(headers)) as response:
            parts: list[bytes] = []
            size = 0
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > ANSWER_LIMIT:
                    break
            return response.status_code, b"".join(parts)[:ANSWER_LIMIT], response.headers
    except httpx.TimeoutException:
        return Verdict("unreachable", "timeout", f"no answer within {client.timeout.read:g} s")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Verdict("unreachable", "connection", f"{type(error).__name__} {error}"[:300])


def _client(tls: Tls | None, timeout: float) -> "httpx.AsyncClient":
    import httpx

    verify: Any = client_context(tls) if tls is not None else True
    return httpx.AsyncClient(
        verify=verify,
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=8, max_keepalive_connections=8),
    )
