"""The quality gate of a resting ECG (workflows W2): leads, rate, length, equal counts, flat lines, clipping.

Limits are a dated pack (quality.yaml). An error keeps the recording from the worklist; a warning goes with it.
"""

from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mappings.ecg.recording import Lead, Recording
from terminology.issues import Issue

if TYPE_CHECKING:
    import numpy


@dataclass(frozen=True, slots=True)
class Pack:
    """Limits in force from `effective`: rates in Hz, lengths in s, spans in µV; `clipped_part` of all samples."""

    effective: date
    leads: tuple[str, ...]
    derived: dict[str, tuple[str, ...]]
    rate_minimum_hz: float
    rate_wanted_hz: float
    seconds_minimum: float
    seconds_maximum: float
    flat_span_uv: float
    clipped_part: float
    clipped_run: int


@cache
def packs() -> tuple[Pack, ...]:
    """Return all packs, the newest first."""
    with (Path(__file__).parent / "quality.yaml").open(encoding="utf-8") as file:
        rows: list[dict[str, Any]] = yaml.safe_load(file)["packs"]
    made = [
        Pack(
            **{
                **row,
                "leads": tuple(row["leads"]),
                "derived": {lead: tuple(parts) for lead, parts in row["derived"].items()},
            }
        )
        for row in rows
    ]
    return tuple(sorted(made, key=lambda pack: pack.effective, reverse=True))


def pack_of(day: date) -> Pack:
    """Return the pack in force on a day; before the first one, the first."""
    return next((pack for pack in packs() if pack.effective <= day), packs()[-1])


def check_quality(recording: Recording, *, day: date) -> list[Issue]:
    """Return what is wrong with a recording by the pack of `day`, errors first."""
    pack = pack_of(day)
    found = [
        *_leads(recording, pack),
        *_rate(recording, pack),
        *_length(recording, pack),
        *_counts(recording),
        *_signal(recording, pack),
        *_header(recording),
    ]
    return sorted(found, key=lambda issue: issue.severity != "error")


def has_waveform(recording: Recording, *, day: date) -> bool:
    """Tell whether the samples belong into SampledData; a long recording (Holter) stays a file."""
    return recording.seconds <= pack_of(day).seconds_maximum and all(lead.rate for lead in recording.leads)


def missing_leads(labels: set[str], pack: Pack) -> list[str]:
    """Return the leads that are neither there nor follow from others."""
    return [
        lead
        for lead in pack.leads
        if lead not in labels and not set(pack.derived.get(lead, (lead,))) <= labels
    ]


def _leads(recording: Recording, pack: Pack) -> list[Issue]:
    labels = {lead.label for lead in recording.leads}
    missing = missing_leads(labels, pack)
    if not missing:
        return []
    values = {"count": len(labels), "wanted": len(pack.leads), "missing": ", ".join(missing)}
    return [Issue("HT-ECG-01", values, expression="Observation.component")]


def _rate(recording: Recording, pack: Pack) -> list[Issue]:
    rate = min((lead.rate for lead in recording.leads), default=0.0)
    if rate < pack.rate_minimum_hz:
        values = {"rate": f"{rate:g}", "minimum": f"{pack.rate_minimum_hz:g}"}
        return [Issue("HT-ECG-02", values, expression="Observation.component")]
    if rate < pack.rate_wanted_hz:
        return [Issue("HT-ECG-07", {"rate": f"{rate:g}", "wanted": f"{pack.rate_wanted_hz:g}"}, "warning")]
    return []


def _length(recording: Recording, pack: Pack) -> list[Issue]:
    seconds = recording.seconds
    values = {
        "seconds": f"{seconds:.1f}",
        "minimum": f"{pack.seconds_minimum:g}",
        "maximum": f"{pack.seconds_maximum:g}",
    }
    if seconds < pack.seconds_minimum:
        return [Issue("HT-ECG-03", values, expression="Observation.component")]
    # A long one (Holter) is kept as a file with its summary.
    return [Issue("HT-ECG-08", values, "warning")] if seconds > pack.seconds_maximum else []


def _counts(recording: Recording) -> list[Issue]:
    counts = {lead.label: len(lead.counts) for lead in recording.leads}
    if len(set(counts.values())) <= 1:
        return []
    shown = ", ".join(f"{label} {count}" for label, count in counts.items())
    return [Issue("HT-ECG-04", {"counts": shown[:200]}, expression="Observation.component")]


def _signal(recording: Recording, pack: Pack) -> list[Issue]:
    flat, clipped, unscaled = [], [], []
    for lead in recording.leads:
        if lead.factor is None:
            unscaled.append(lead.label)
        elif _is_flat(lead, pack):
            flat.append(lead.label)
        elif _is_clipped(lead.counts, pack):
            clipped.append(lead.label)
    found = []
    if unscaled:
        found.append(Issue("HT-ECG-09", {"leads": ", ".join(unscaled)}, expression="Observation.component"))
    if flat:
        found.append(Issue("HT-ECG-05", {"leads": ", ".join(flat)}, "warning"))
    if clipped:
        found.append(Issue("HT-ECG-06", {"leads": ", ".join(clipped)}, "warning"))
    return found


def _header(recording: Recording) -> list[Issue]:
    found = []
    if not recording.start:
        found.append(Issue("HT-ECG-10", {}, "warning"))
    if not recording.patient.id and not recording.order:
        found.append(Issue("HT-ECG-11", {}, "warning"))
    return found


def _is_flat(lead: Lead, pack: Pack) -> bool:
    import numpy

    values = lead.microvolts()
    known = values[numpy.isfinite(values)]
    return not len(known) or float(known.max() - known.min()) < pack.flat_span_uv


def _is_clipped(counts: "numpy.ndarray[Any, Any]", pack: Pack) -> bool:
    """Many samples at the lead's own extreme, in runs: the amplifier or the file's range was too small."""
    import numpy

    for extreme in (numpy.nanmax(counts), numpy.nanmin(counts)):
        at = counts == extreme
        if at.sum() < max(pack.clipped_run, pack.clipped_part * len(counts)):
            continue
        edges = numpy.flatnonzero(numpy.diff(numpy.concatenate(([0], at.astype(numpy.int8), [0]))))
        runs = edges[1::2] - edges[::2]
        if runs[runs >= pack.clipped_run].sum() >= pack.clipped_part * len(counts):
            return True
    return False
