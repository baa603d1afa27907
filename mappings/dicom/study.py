"""The record that maps read: one object with what is known of its whole study."""

from collections.abc import Sequence

from mappings.dicom.read import Instance
from terminology.fhirjson import Json

SERIES = (
    "SeriesInstanceUID", "SeriesNumber", "Modality", "SeriesDescription", "ProtocolName", "BodyPartExamined", "Laterality",
    "SeriesDate", "SeriesTime", "PerformingPhysicianName", "OperatorsName",
)  # fmt: skip
INSTANCE = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ContentLabel")
# ImagingStudy.series.instance is optional; a list of thousands helps nobody (profile hutong-imaging-study, ht-img-4).
MOST_LISTED = 500


def series_row(record: Json) -> Json:
    """Return what an object says of its series."""
    return {name: record[name] for name in SERIES if record.get(name) not in (None, "", [])}


def instance_row(record: Json) -> Json:
    return {name: record[name] for name in INSTANCE if record.get(name) not in (None, "", [])}


def alone(instance: Instance) -> Json:
    """Return the record of an object of whose study nothing else is known."""
    record = {**instance.record, "TransferSyntaxUID": instance.transfer_syntax}
    own = {**series_row(record), "NumberOfSeriesRelatedInstances": 1, "Instances": [instance_row(record)]}
    return with_study(record, [own])


def with_study(
    record: Json, series: Sequence[Json], *, status: str = "", root: str = "", issuer: str = ""
) -> Json:
    """Return the record with its study: `series` with their counts and instances, in order.

    `root`: where the objects are served; `issuer`: who gave a PatientID that names no issuer.
    """
    counted = [int(row.get("NumberOfSeriesRelatedInstances", 0)) for row in series]
    shown = list(series)
    if sum(len(row.get("Instances", ())) for row in series) > MOST_LISTED:
        shown = [{name: value for name, value in row.items() if name != "Instances"} for row in series]
    kinds = dict.fromkeys(str(row["Modality"]) for row in series if row.get("Modality"))
    more: Json = {
        "Series": shown,
        "Modalities": [{"Modality": kind} for kind in kinds],
        "NumberOfStudyRelatedSeries": len(series),
        "NumberOfStudyRelatedInstances": sum(counted),
        "StudyStatus": status,
        "DicomwebRoot": root,
    }
    if issuer and not record.get("IssuerOfPatientID"):
        more["IssuerOfPatientID"] = issuer
    return {**record, **{name: value for name, value in more.items() if value not in ("", [])}}
