"""STOW-RS to another archive (PS3.18 §10.5): one object a request, streamed from its file."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.imaging.destinations import Destination
from gateway.imaging.forward import CHUNK, SECONDS, Outcome, Row

OUT_OF_RESOURCES = 0xA700


def send(destination: Destination, rows: Sequence[Row]) -> Iterator[Outcome]:
    """Yield what became of each object; the first that must wait ends it."""
    import httpx

    with httpx.Client(timeout=SECONDS, follow_redirects=False) as client:
        for row in rows:
            if not row.path.is_file():
                yield Outcome("parked", "the object is no longer in the folder")
                continue
            boundary = secrets.token_hex(16)
            kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
            headers = {"Content-Type": kind, "Accept": "application/dicom+json"}
            try:
                answer = client.post(
                    f"{destination.url}/studies", content=_body(row.path, boundary), headers=headers
                )
            except httpx.HTTPError as error:
                yield Outcome("retry", str(error) or type(error).__name__)
                return
            outcome = _outcome(answer.status_code, answer.content)
            yield outcome
            if outcome.state == "retry":
                return


def _body(path: Path, boundary: str) -> Iterator[bytes]:
    yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
    yield f"\r\n--{boundary}--\r\n".encode()


def _outcome(status: int, content: bytes) -> Outcome:
    if status == 200:
        return Outcome("sent")
    reason = _reason(content)
    if status == 202 and reason is None:
        return Outcome("sent")
    if (
        status >= 500
        or status in (408, 425, 429)
        or (reason is not None and reason & 0xFF00 == OUT_OF_RESOURCES)
    ):
        return Outcome("retry", f"HTTP {status}")
    return Outcome("parked", f"HTTP {status}" + (f" reason {reason:04X}" if reason is not None else ""))


def _reason(content: bytes) -> int | None:
    """Return the failure reason (0008,1197) of a store response, None when nothing failed or it isn't told."""
    import msgspec

    try:
        rows = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None
    row = rows[0] if isinstance(rows, list) and rows else rows
    if not isinstance(row, dict):
        return None
    for failed in (row.get("00081198") or {}).get("Value", ()):
        values = (failed.get("00081197") or {}).get("Value") if isinstance(failed, dict) else None
        return int(values[0]) if values else 0
    return None
