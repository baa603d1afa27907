"""A destination: who is told of what, in which form, over which channel (docs/operations/destinations.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

CHANNELS = ("mllp", "http", "soap", "folder")
ACKNOWLEDGEMENTS = ("application", "accept", "both", "none")
TOPICS = (
    "task-requested",
    "task-status",
    "report-final",
    "report-corrected",
    "critical-value",
    "referral-status",
    "careplan-due",
    "patient-result",
    "emergency",
    "recognition",
    "catalogue-scheduled",
    "catalogue-in-force",
    "member-status",
    "patient-changed",
    "encounter-changed",
    "document-final",
)


@dataclass(frozen=True, slots=True)
class Retrying:
    """When a delivery is tried again: after `first` seconds, doubled each time up to `longest`, for `hours` in all.

    `refusals`: how often a message that the receiver refuses is sent before a person must look at it.
    """

    first: float = 2.0
    longest: float = 600.0
    hours: float = 72.0
    refusals: int = 5

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row."""
        return float(min(self.longest, self.first * 2 ** min(max(0, failures - 1), 40)))


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca`: whose certificates are trusted (the system's when empty); `cert`, `key`: what we show for mutual TLS."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """What a receiver's answer must say beside its status: `path` in its JSON or XML, one of `values`."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One receiver. `maps`: topic → map that runs back; `organizations`: for whom ("*": everybody).

    `is_ordered`: one line for everything, else one line for each key (order or patient); `parallel`: how many lines
    are sent at once. `sender`, `receiver`: application and facility of MSH-3…6; `systems`: his names of namespaces.
    """

    name: str
    channel: str
    maps: Mapping[str, str]
    address: str
    organizations: tuple[str, ...] = ("*",)
    charset: str = "UTF-8"
    ack: str = "application"
    is_ordered: bool = False
    parallel: int = 1
    sender: tuple[str, str] = ("HUTONG", "")
    receiver: tuple[str, str] = ("", "")
    zone: str = ""
    systems: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 30.0
    retry: Retrying = Retrying()
    tls: Tls | None = None
    success: Success | None = None
    action: str = ""
    operation: str = "HIPMessageServer"
    namespace: str = "urn:hl7-org:v3"
    soap_version: str = "1.2"
    method: str = "POST"
    processing: str = "P"
    is_paused: bool = False

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(self.maps)
