"""What the index says of studies: their series and instances as maps read them, and the list for people."""

from typing import Any

import msgspec

from gateway.imaging.archive import Archive, mapped
from mappings.dicom.study import MOST_LISTED, with_study
from terminology.fhirjson import Json
from terminology.issues import FhirError

COLUMNS = (
    "uid", "patient_id", "issuer", "patient_name", "birth_date", "sex", "study_date", "study_time", "accession",
    "study_id", "description", "referring", "institution", "source", "received", "changed", "revision", "kept",
    "is_available", "expected", "reference", "subject", "order_reference", "linked_by", "due", "attempts", "problem",
)  # fmt: skip


def study_row(archive: Archive, uid: str) -> Json | None:
    found = archive.rows(f"select {', '.join(COLUMNS)} from study where uid = ?", (uid,))
    return dict(zip(COLUMNS, found[0], strict=True)) if found else None


def due_studies(archive: Archive, moment: int, *, limit: int = 50) -> list[str]:
    """Return the studies whose resources are behind, or whose quiet time is over, longest waiting first."""
    statement = "select uid from study where due > 0 and due <= ? order by due limit ?"
    return [uid for (uid,) in archive.rows(statement, (moment, limit))]


def series_rows(archive: Archive, study: str) -> list[Json]:
    """Return the series of a study by number, each with its counts and, up to a bound, its instances."""
    rows = archive.rows(
        """select s.record, s.uid, (select count(*) from instance i where i.series = s.uid) from series s
          where s.study = ? order by cast(s.number as integer), s.uid""",
        (study,),
    )
    total = sum(count for _, _, count in rows)
    found: list[Json] = []
    for record, uid, count in rows:
        row: Json = {**msgspec.json.decode(record), "NumberOfSeriesRelatedInstances": count}
        if total <= MOST_LISTED:
            row["Instances"] = instances_of(archive, uid)
        if count:
            found.append(row)
    return found


def instances_of(archive: Archive, series: str) -> list[Json]:
    rows = archive.rows(
        "select uid, sop_class, number, title from instance where series = ? order by cast(number as integer), uid limit ?",
        (series, MOST_LISTED),
    )
    names = ("SOPInstanceUID", "SOPClassUID", "InstanceNumber", "ContentLabel")
    return [{name: value for name, value in zip(names, row, strict=True) if value} for row in rows]


def study_record(
    archive: Archive, study: str, *, status: str, root: str, issuer: str
) -> tuple[Json, Any] | None:
    """Return the record of a study, read from its first object, and that object's charset; None when none is left."""
    rows = archive.rows("select path from instance where study = ? order by received, uid limit 5", (study,))
    for (path,) in rows:
        try:
            with mapped(archive.folder / path) as instance:
                record, charset = dict(instance.record), instance.charset
        except (FhirError, OSError):
            # A file that somebody removed; the next one of the study tells the same.
            continue
        series = series_rows(archive, study)
        return with_study(record, series, status=status, root=root, issuer=issuer), charset
    return None


def step_counts(archive: Archive, study: str) -> int | None:
    """Return how many instances the modality reported for a study in completed steps (MPPS), None when it reported none."""
    rows = archive.rows("select record from step where study = ? and status = 'COMPLETED'", (study,))
    counts = [count for (text,) in rows if (count := reported(msgspec.json.decode(text)))]
    return sum(counts) if counts else None


def reported(step: Json) -> int:
    """Return the number of objects that a performed step lists (PerformedSeriesSequence)."""
    series = [row for row in step.get("PerformedSeriesSequence", ()) if isinstance(row, dict)]
    names = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
    return sum(
        len(row.get(name, ())) for row in series for name in names if isinstance(row.get(name, ()), list)
    )


# Objects that say more than that they are there: structured reports and ECG waveforms (PS3.4 §B.5).
REPORTS = ("1.2.840.10008.5.1.4.1.1.88.%", "1.2.840.10008.5.1.4.1.1.9.1.%")


def reports_of(archive: Archive, study: str, order: str) -> list[tuple[str, str]]:
    """Return (UID, path) of the reports and ECGs of a study that were not mapped yet with this order, oldest first."""
    return archive.rows(
        "select uid, path from instance where study = ? and (sop_class like ? or sop_class like ?) and mapped <> ?"
        " order by received, uid limit 200",
        (study, *REPORTS, order or "-"),
    )


def note_mapped(archive: Archive, uid: str, order: str) -> None:
    with archive.writing() as connection:
        connection.execute("update instance set mapped = ? where uid = ?", (order or "-", uid))


def finish(archive: Archive, study: str, revision: int, values: Json, *, due: int) -> None:
    """Note that the resources of a study are up to `revision`; what came in between keeps its own due time."""
    names = [*values, "kept"]
    sets = ", ".join(f"{name} = ?" for name in names)
    with archive.writing() as connection:
        connection.execute(
            f"update study set {sets}, due = case when revision = ? then ? else due end where uid = ?",
            (*values.values(), revision, revision, due, study),
        )


def postpone(archive: Archive, study: str, problem: str, *, due: int) -> None:
    with archive.writing() as connection:
        connection.execute(
            "update study set attempts = attempts + 1, problem = ?, due = ? where uid = ?",
            (problem[:500], due, study),
        )


def touch(archive: Archive, study: str, moment: int) -> None:
    """Have the resources of a study written again."""
    with archive.writing() as connection:
        connection.execute("update study set revision = revision + 1, due = ? where uid = ?", (moment, study))
