"""Studies without an order, and objects that were put aside: nothing is lost, and a person decides.

A study leaves the list when an order with its number comes, when a person links it, or when it is dismissed with a
reason; it stays an ImagingStudy and can be fetched all the while.
"""

from gateway.imaging.archive import Archive, Filed, Origin, now
from terminology.fhirjson import Json
from terminology.issues import BusinessRule, NotFound, UnmappableMessage

REASONS = {
    "no-number": ("影像中没有检查号", "the objects carry no accession number"),
    "no-order": ("没有这个检查号的申请", "no order has this number"),
    "several-orders": ("多张申请有这个号码", "several orders have this number"),
    "other-patient": (
        "申请单的患者与影像的患者不同",
        "the patient of the order is not the patient of the images",
    ),
}


def add(archive: Archive, study: str, reason: str, detail: str) -> None:
    """Put a study on the list; one that was dismissed stays dismissed."""
    with archive.writing() as connection:
        connection.execute(
            """insert into orphan (study, reason, detail, since, looked) values (?, ?, ?, ?, ?)
              on conflict do update set reason = excluded.reason, detail = excluded.detail, looked = excluded.looked,
              state = case state when 'dismissed' then state else 'open' end""",
            (study, reason, detail[:500], now(), now()),
        )


def found(archive: Archive, study: str) -> None:
    """Take a study off the list: its order is there. Who linked it stays written."""
    with archive.writing() as connection:
        connection.execute(
            "update orphan set state = 'linked', decided = coalesce(decided, ?) where study = ? and state <> 'linked'",
            (now(), study),
        )


def to_look_at(archive: Archive, before: int, *, limit: int = 20) -> list[str]:
    """Return the orphans that nobody has compared with the orders since a moment."""
    statement = "select study from orphan where state = 'open' and looked < ? order by looked limit ?"
    return [uid for (uid,) in archive.rows(statement, (before, limit))]


def looked(archive: Archive, study: str) -> None:
    with archive.writing() as connection:
        connection.execute("update orphan set looked = ? where study = ?", (now(), study))


def link(archive: Archive, study: str, order: str, *, by: str, note: str = "") -> None:
    """Note that a study belongs to an order; the next turn writes it so. Raises NotFound (HT-DCM-23)."""
    require(archive, study)
    with archive.writing() as connection:
        connection.execute(
            """update study set order_reference = ?, linked_by = ?, revision = revision + 1, due = ? where uid = ?""",
            (order, by, now(), study),
        )
        connection.execute(
            """insert into orphan (study, reason, detail, since, looked, state, decided, decided_by, note)
              values (?, 'no-number', '', ?, ?, 'linked', ?, ?, ?)
              on conflict do update set state = 'linked', decided = excluded.decided, decided_by = excluded.decided_by,
              note = excluded.note""",
            (study, now(), now(), now(), by, note[:500]),
        )
    archive.notice()


def dismiss(archive: Archive, study: str, *, by: str, note: str) -> None:
    """Take a study off the list without an order. Raises NotFound, BusinessRule without a reason (HT-DCM-24)."""
    require(archive, study)
    if not note.strip():
        raise BusinessRule("HT-DCM-24", study=study)
    with archive.writing() as connection:
        connection.execute(
            """insert into orphan (study, reason, detail, since, looked, state, decided, decided_by, note)
              values (?, 'no-number', '', ?, ?, 'dismissed', ?, ?, ?)
              on conflict do update set state = 'dismissed', decided = excluded.decided, decided_by = excluded.decided_by,
              note = excluded.note""",
            (study, now(), now(), now(), by, note[:500]),
        )


def require(archive: Archive, study: str) -> None:
    if not archive.rows("select 1 from study where uid = ?", (study,)):
        raise NotFound("HT-DCM-23", study=study[:64])


def listing(archive: Archive, *, state: str = "open", limit: int = 50, offset: int = 0) -> list[Json]:
    """Return the orphans, oldest first, with what identifies their patient and study."""
    rows = archive.rows(
        """select o.study, o.reason, o.detail, o.since, o.state, o.decided, o.decided_by, o.note, s.patient_id, s.patient_name,
            s.birth_date, s.sex, s.study_date, s.study_time, s.accession, s.description, s.institution, s.source, s.reference,
            s.order_reference, (select count(*) from instance i where i.study = s.uid),
            (select group_concat(distinct modality) from series r where r.study = s.uid)
          from orphan o join study s on s.uid = o.study where o.state = ? order by o.since, o.study limit ? offset ?""",
        (state, limit, offset),
    )
    names = (
        "study", "reason", "detail", "since", "state", "decided", "decided_by", "note", "patient_id", "patient_name",
        "birth_date", "sex", "study_date", "study_time", "accession", "description", "institution", "source", "imaging_study",
        "order", "instances", "modalities",
    )  # fmt: skip
    return [_said(dict(zip(names, row, strict=True))) for row in rows]


def _said(row: Json) -> Json:
    zh, en = REASONS.get(row["reason"], (row["reason"], row["reason"]))
    return {name: value for name, value in row.items() if value not in ("", None)} | {
        "reason_zh": zh,
        "reason_en": en,
    }


def asides(archive: Archive, *, state: str = "open", limit: int = 50) -> list[Json]:
    """Return the objects that were kept aside: the same UID with other content, or another patient than the study's."""
    names = ("id", "uid", "study", "reason", "detail", "received", "source", "state")
    rows = archive.rows(
        f"select {', '.join(names)} from aside where state = ? order by id limit ?",
        (state, limit),
    )
    return [dict(zip(names, row, strict=True)) for row in rows]


def decide_aside(archive: Archive, id: int, *, accept: bool) -> Json:
    """File an object that was put aside in the place of what is there, or leave it for good. Raises NotFound."""
    rows = archive.rows("select path, source from aside where id = ? and state = 'open'", (id,))
    if not rows:
        raise NotFound("HT-DCM-25", id=id)
    path, source = rows[0]
    if accept:
        copy = archive.new_path()
        copy.write_bytes((archive.folder / path).read_bytes())
        archive.file(copy, Origin("aside", source), is_forced=True)
    with archive.writing() as connection:
        connection.execute(
            "update aside set state = ? where id = ?", ("accepted" if accept else "discarded", id)
        )
    return {"id": id, "state": "accepted" if accept else "discarded"}


def other_patient(filed: Filed) -> UnmappableMessage:
    """What the sender of an object of another patient hears; its bytes are kept aside."""
    return UnmappableMessage("HT-DCM-21", source="(0010,0020)", study=filed.study, uid=filed.uid)
