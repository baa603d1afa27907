"""An ECG file → resources by the active maps of format `ecg`, the findings of the quality gate with them."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from mappings.ecg.quality import check_quality
from mappings.ecg.read import read_recording
from mappings.ecg.record import to_record
from mappings.ecg.recording import Recording
from mappings.language.active import ActiveMaps
from mappings.language.converters import Sender
from mappings.language.result import Result
from terminology.issues import Issue

# A machine that names no institution: its patient numbers are a space of their own.
NAMELESS = "ecg"


@dataclass(frozen=True, slots=True)
class Examined:
    """A recording with its file and what the quality gate says of it."""

    raw: bytes
    recording: Recording
    issues: tuple[Issue, ...]

    @property
    def errors(self) -> tuple[Issue, ...]:
        return tuple(issue for issue in self.issues if issue.severity == "error")


def examine(raw: bytes, *, adapter: str = "ecg") -> Examined:
    """Read a file and look at its quality; raises what `read_recording` raises."""
    recording = read_recording(raw, adapter=adapter)
    return Examined(raw, recording, tuple(check_quality(recording, day=day_of(recording))))


def convert_ecg(
    examined: Examined, maps: ActiveMaps, *, map: str = "", waveform: bool = False, explain: bool = False
) -> Result:
    """Return the resources of a recording; with `waveform` its Observation holds the samples of every lead.

    `map`: its name; "" takes the most particular one for "model|institution" (docs/mapping.md, Overlays).
    """
    recording = examined.recording
    record = to_record(
        recording, examined.raw, day=day_of(recording), waveform=waveform, issues=examined.issues
    )
    sender = _sender(maps.sender, recording.machine.institution or NAMELESS)
    machine = recording.machine
    chosen = maps.get(map) if map else maps.find("ecg", recording.format, machine.model, machine.institution)
    result = chosen.convert(record, sender, maps.translator, explain=explain)
    _secure(result)
    result.issues = [*examined.issues, *result.issues]
    result.kind, result.control_id = recording.title, recording.id
    result.is_guessed = recording.repaired
    return result


def _secure(result: Result) -> None:
    """Who may see the document may see its bytes (binary.html#security-context)."""
    document = next((entry.reference for entry in result.entries if entry.type == "DocumentReference"), None)
    for entry in result.entries:
        if entry.type == "Binary" and document is not None:
            entry.resource = {**entry.resource, "securityContext": {"reference": document}}


def day_of(recording: Recording) -> date:
    """Return the day of the recording, the last of all days when it isn't told: then the newest pack counts."""
    text = recording.start[:8]
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return date.max


@lru_cache(maxsize=1_000)
def _sender_of(
    name: str, zone: str, fallback: str | None, systems: tuple[tuple[str, str], ...], facility: str
) -> Sender:
    return Sender(name=name, facility=facility, zone=zone, fallback_charset=fallback, systems=dict(systems))


def _sender(sender: Sender, institution: str) -> Sender:
    """Return the sender as the same object each time: compiled maps are bound to it."""
    if sender.facility:
        return sender
    systems = tuple(sorted(sender.systems.items()))
    return _sender_of(sender.name, sender.zone, sender.fallback_charset, systems, institution)
