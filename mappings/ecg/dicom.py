"""An ECG that comes as a DICOM object is both: a study of images-to-be-found, and an ECG with its measurements."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mappings.dicom import Instance
from mappings.language.result import Entry, Result
from terminology.issues import Issue, Unavailable

if TYPE_CHECKING:
    from mappings.language.active import ActiveMaps

# 12-lead, general, ambulatory and general 32-bit ECG waveform storage (PS3.4 annex B).
CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.9.1.{number}" for number in (1, 2, 3, 4))


def is_electrocardiogram(instance: Instance) -> bool:
    return instance.sop_class in CLASSES


def refusal_of(raw: bytes) -> Sequence[Issue]:
    """Return why the quality gate refuses the ECG in a DICOM file; raises what reading it raises.

    Where the extra `ecg` isn't installed the object is a study like any other.
    """
    from mappings.ecg.convert import examine

    try:
        return examine(raw, adapter="dicom").errors
    except Unavailable:
        return ()


def with_electrocardiogram(
    study: Result, raw: bytes, maps: "ActiveMaps", *, waveform: bool = False, explain: bool = False
) -> Result:
    """Return the resources of the study with those of the ECG, which speak of the study's patient."""
    from mappings.ecg.convert import convert_ecg, examine

    try:
        examined = examine(raw, adapter="dicom")
    except Unavailable:
        return study
    ecg = convert_ecg(examined, maps, waveform=waveform, explain=explain)
    made = [entry.reference for entry in ecg.entries]
    patients = [[entry for entry in result.entries if entry.type == "Patient"] for result in (study, ecg)]
    if patients[0] and patients[1]:
        ecg = ecg.rename({patients[1][0].reference: patients[0][0].reference})
        ecg.entries = [entry for entry in ecg.entries if entry.type != "Patient"]
    known = {entry.reference for entry in study.entries}
    more: list[Entry] = [entry for entry in ecg.entries if entry.reference not in known]
    trace = None
    if study.trace is not None:
        places = {entry.reference: number for number, entry in enumerate(more, len(study.entries))}
        trace = [
            *study.trace,
            *(
                leaf._replace(entry=places[reference])
                for leaf in ecg.trace or ()
                if (reference := made[leaf.entry]) in places
            ),
        ]
    return replace(
        study,
        entries=[*study.entries, *more],
        issues=[*study.issues, *ecg.issues],
        unmapped=[*study.unmapped, *ecg.unmapped],
        trace=trace,
    )
