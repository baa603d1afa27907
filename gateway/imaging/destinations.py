"""Archives that objects are passed on to: `orthanc=dicom://ORTHANC@10.0.0.5:4242, pacs=https://pacs.example/dicom-web`."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from terminology.issues import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class Destination:
    """`kind` dicom: `title` at host and port. stow: `url` is the DICOMweb root."""

    name: str
    kind: str
    url: str
    title: str = ""
    host: str = ""
    port: int = 0

    @property
    def shown(self) -> str:
        """The address without a password in it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.username + '@' if parts.username else ''}{parts.hostname}:{parts.port or ''}{parts.path}".rstrip(
            ":"
        )


def read_destinations(text: str) -> tuple[Destination, ...]:
    """Return the destinations of a setting, in order; raises InvalidInput (HT-DCM-28) for what is none."""
    found: dict[str, Destination] = {}
    for part in (piece.strip() for piece in text.split(",")):
        if not part:
            continue
        name, _, url = part.partition("=")
        destination = _read(name.strip(), url.strip())
        if destination is None or destination.name in found:
            raise InvalidInput("HT-DCM-28", value=part[:120])
        found[destination.name] = destination
    return tuple(found.values())


def _read(name: str, url: str) -> Destination | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not _NAME.fullmatch(name) or not parts.hostname:
        return None
    if parts.scheme == "dicom" and parts.username and port:
        return Destination(name, "dicom", url, parts.username, parts.hostname, port)
    if parts.scheme in ("http", "https"):
        return Destination(name, "stow", url.rstrip("/"), host=parts.hostname, port=port or 0)
    return None
