"""The object folder: one file an instance, on the disk before anybody hears "stored"; never a pixel decoded.

An object that comes again with the same data set is the same. One with other content under its UID, or of another
patient than its study's, is kept aside for a person; what is filed already stays as it is.
"""

import errno
import mmap
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b, sha1
from pathlib import Path
from typing import Any, Literal

import apsw
import msgspec

from gateway.imaging.schema import connect
from mappings.dicom import Instance, read_instance
from mappings.dicom.elements import Element, Span
from mappings.dicom.read import head_of, require_uids
from mappings.dicom.study import instance_row, series_row
from terminology.fhirjson import Json
from terminology.issues import MalformedMessage, TooLarge, Unavailable, UnmappableMessage

CHUNK = 1024 * 1024
# Objects of a study come in a row; what is known of it is written again at most this often while they come.
SETTLE_MS = 2_000
Outcome = Literal["new", "same", "conflict", "other-patient"]

STUDY = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName", "InstitutionName",
)  # fmt: skip
INSERT_STUDY = """insert into study (uid, patient_id, issuer, patient_name, birth_date, sex, study_date, study_time,
  accession, study_id, description, referring, institution, source, received, changed, due)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
INSERT_INSTANCE = """insert into instance (uid, study, series, sop_class, syntax, number, title, rows, columns, frames,
  size, digest, path, received, source) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent an object: `source` names the device ("CT01@10.0.0.7"), `channel` the way it took."""

    channel: str
    source: str


@dataclass(frozen=True, slots=True)
class Filed:
    """What became of an object."""

    outcome: Outcome
    uid: str
    study: str
    series: str
    sop_class: str
    path: Path


class Archive:
    """Objects and index under one folder. All methods may be called from any thread.

    `limit`: bytes of one object; `destinations`: names of the archives that get every new object; `notice`: told of every change of a study.
    """

    def __init__(
        self,
        folder: Path,
        *,
        min_free_mib: int = 0,
        limit: int = 1 << 40,
        destinations: Sequence[str] = (),
        notice: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.min_free, self.limit = folder, min_free_mib * 1024 * 1024, limit
        self.destinations, self.notice = tuple(destinations), notice
        self.objects, self.inbox, self.aside = (folder / name for name in ("objects", "inbox", "aside"))
        for path in (self.objects, self.inbox, self.aside):
            path.mkdir(parents=True, exist_ok=True)
        for left in self.inbox.iterdir():
            # What a crash left half received was never acknowledged.
            left.unlink(missing_ok=True)
        self.lock = threading.RLock()
        self.connection = connect(folder, writing=True)

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    @contextmanager
    def writing(self) -> Iterator[apsw.Connection]:
        """One transaction of the index."""
        with self.lock, self.connection:
            yield self.connection

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.lock:
            return list(self.connection.execute(statement, tuple(values)))

    def require_space(self) -> None:
        """Raise Unavailable (HT-DCM-20) when the disk is as good as full."""
        if self.min_free:
            disk = os.statvfs(self.folder)
            if disk.f_bavail * disk.f_frsize < self.min_free:
                raise Unavailable("HT-DCM-20", detail=f"< {self.min_free // (1024 * 1024)} MiB")

    def new_path(self) -> Path:
        """Return a name in the inbox, for a body that is being received."""
        return self.inbox / f"{time.time_ns():x}-{os.urandom(4).hex()}.part"

    def file_bytes(self, raw: bytes, origin: Origin) -> Filed:
        path = self.new_path()
        try:
            path.write_bytes(raw)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise no_space(error) from None
        return self.file(path, origin)

    def file(self, path: Path, origin: Origin, *, is_forced: bool = False) -> Filed:
        """Take a received file; it is gone from `path` when this returns or raises.

        Raises MalformedMessage, TooLarge (nothing filed) or Unavailable (no room). `is_forced`: a person decided that
        it belongs where its UIDs say.
        """
        try:
            self.require_space()
            if path.stat().st_dev != self.inbox.stat().st_dev:
                path = Path(shutil.move(path, self.new_path()))
            if path.stat().st_size > self.limit:
                raise TooLarge("HT-DCM-06", what="bytes", limit=self.limit)
            path = whole(path, self.new_path)
            with mapped(path) as instance:
                require_uids(instance)
                return self._file(path, instance, origin, is_forced=is_forced)
        except OSError as error:
            raise no_space(error) from None
        finally:
            path.unlink(missing_ok=True)

    def _file(self, path: Path, instance: Instance, origin: Origin, *, is_forced: bool) -> Filed:
        digest = digest_of(instance)
        filed = self._path(instance)
        with self.lock:
            known = self.connection.execute(
                "select digest, path from instance where uid = ?", (instance.uid,)
            ).fetchone()
            if known is not None and bytes(known[0]) == digest and (self.folder / known[1]).is_file():
                return self._said("same", instance, self.folder / known[1])
            problem = None if is_forced else self._problem(instance, known)
            if problem is not None:
                return self._put_aside(path, instance, digest, origin, *problem)
            move(path, filed)
            with self.connection:
                self._index(instance, digest, filed, origin)
        self.notice()
        return self._said("new", instance, filed)

    def check_patient(self, instance: Instance) -> None:
        """Raise UnmappableMessage (HT-DCM-21) when the study of an object is somebody else's."""
        with self.lock:
            problem = self._problem(instance, None)
        if problem is not None:
            raise UnmappableMessage("HT-DCM-21", source="(0010,0020)", study=instance.study, uid=instance.uid)

    def _problem(self, instance: Instance, known: Any) -> tuple[Outcome, str] | None:
        if known is not None:
            return "conflict", ""
        row = self.connection.execute(
            "select patient_id, issuer, patient_name, birth_date from study where uid = ?", (instance.study,)
        ).fetchone()
        if row is not None:
            own = _study_values(instance.record)
            if is_other_patient((own[0], own[1], own[2], own[3]), row):
                return "other-patient", f"{row[0]} {row[2]} ≠ {own[0]} {own[2]}"[:300]
        return None

    def _put_aside(
        self, path: Path, instance: Instance, digest: bytes, origin: Origin, outcome: Outcome, detail: str
    ) -> Filed:
        target = self.aside / f"{instance.uid}-{digest.hex()[:12]}.dcm"
        move(path, target)
        with self.connection:
            self.connection.execute(
                """insert or ignore into aside (uid, study, reason, detail, path, digest, received, source)
                  values (?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    instance.uid,
                    instance.study,
                    outcome,
                    detail,
                    self._relative(target),
                    digest,
                    now(),
                    origin.source,
                ),
            )
        return self._said(outcome, instance, target)

    def _index(self, instance: Instance, digest: bytes, path: Path, origin: Origin) -> None:
        record, moment, connection = instance.record, now(), self.connection
        known = connection.execute("select 1 from study where uid = ?", (instance.study,)).fetchone()
        if known is None:
            values = _study_values(record)
            connection.execute(INSERT_STUDY, (instance.study, *values, origin.source, moment, moment, moment))
        else:
            connection.execute(
                "update study set changed = ?, revision = revision + 1, due = case when due > 0 then min(due, ?) else ? end where uid = ?",
                (moment, moment + SETTLE_MS, moment + SETTLE_MS, instance.study),
            )
        connection.execute(
            "insert or ignore into series values (?, ?, ?, ?, ?)",
            (instance.series, instance.study, instance.modality, str(record.get("SeriesNumber", "")), _json(series_row(record))),
        )  # fmt: skip
        connection.execute("delete from instance where uid = ?", (instance.uid,))
        row = instance_row(record)
        connection.execute(
            INSERT_INSTANCE,
            (
                instance.uid, instance.study, instance.series, instance.sop_class, instance.transfer_syntax,
                str(row.get("InstanceNumber", "")), str(row.get("ContentLabel", "")), _whole(record.get("Rows")),
                _whole(record.get("Columns")), _whole(record.get("NumberOfFrames")), path.stat().st_size, digest,
                self._relative(path), moment, origin.source,
            ),
        )  # fmt: skip
        connection.executemany(
            "insert or ignore into forward (destination, uid, study, queued) values (?, ?, ?, ?)",
            [(name, instance.uid, instance.study, moment) for name in self.destinations],
        )

    def _path(self, instance: Instance) -> Path:
        folder = sha1(instance.study.encode(), usedforsecurity=False).hexdigest()[:2]
        return self.objects / folder / instance.study / f"{instance.uid}.dcm"

    def _relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _said(self, outcome: Outcome, instance: Instance, path: Path) -> Filed:
        return Filed(outcome, instance.uid, instance.study, instance.series, instance.sop_class, path)


@contextmanager
def mapped(path: Path) -> Iterator[Instance]:
    """The instance of a file, its bytes mapped and not read; only valid inside the block."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise MalformedMessage("HT-DCM-01", found="-")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
            yield read_instance(buffer)


def whole(path: Path, new_path: Callable[[], Path]) -> Path:
    """Return a file with preamble and meta information: `path` itself, or a new file for a bare data set."""
    with path.open("rb") as file:
        file.seek(128)
        if file.read(4) == b"DICM":
            return path
    with mapped(path) as instance:
        require_uids(instance)
        made = new_path()
        with made.open("wb") as target, path.open("rb") as source:
            target.write(head_of(instance))
            source.seek(instance.start)
            shutil.copyfileobj(source, target, CHUNK)
    path.unlink()
    return made


def digest_of(instance: Instance) -> bytes:
    """Return the hash of what an object says: tags and values, so that explicit and implicit VR, lengths given or not,
    and the file meta information of another way make no difference."""
    found = blake2b(digest_size=16)
    _hash_into(found, instance.elements, instance.buffer)
    return found.digest()


def _hash_into(found: Any, elements: Sequence[Element], buffer: Any) -> None:
    for element in elements:
        if not element.tag & 0xFFFF or element.tag >> 16 == 2:
            continue
        value = element.value
        found.update(element.tag.to_bytes(4))
        if isinstance(value, bytes):
            found.update(len(value).to_bytes(8) + value)
        elif isinstance(value, Span):
            found.update(value.length.to_bytes(8))
            for at in range(value.offset, value.offset + value.length, CHUNK):
                found.update(buffer[at : min(at + CHUNK, value.offset + value.length)])
        else:
            for item in value:
                found.update(b"item")
                _hash_into(found, item, buffer)
            found.update(b"end")


def linked(path: Path, target: Path) -> None:
    """Give a file a second name, or a copy where names can't be shared."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)


def synced(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def move(path: Path, target: Path) -> None:
    """Give a file its place so that it survives a power cut there.

    Journaling file systems (ext4, xfs, btrfs) write a rename before or with the file that is synced after it, so one
    wait is enough for bytes and name; only a new folder is waited for by itself.
    """
    is_new = not target.parent.is_dir()
    if is_new:
        target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)
    synced(target)
    if is_new:
        synced(target.parent)
        synced(target.parent.parent)


def no_space(error: OSError) -> Unavailable:
    detail = error.strerror or str(error)
    return Unavailable(
        "HT-DCM-20", detail="ENOSPC" if error.errno in (errno.ENOSPC, errno.EDQUOT) else detail
    )


def is_other_patient(one: Sequence[str], other: Sequence[str]) -> bool:
    """Tell whether two (PatientID, issuer, name, birth date) are surely two people.

    A number decides when both have one and nobody says that they are counted by different issuers; names are written
    in many ways, so a name tells people apart only together with the birth date.
    """
    if one[0] and other[0] and (one[1] == other[1] or not (one[1] and other[1])) and one[0] != other[0]:
        return True
    is_named_otherwise = bool(one[2] and other[2]) and not set(_writings(one[2])) & set(_writings(other[2]))
    return is_named_otherwise and bool(one[3] and other[3]) and one[3] != other[3]


def _writings(name: str) -> list[str]:
    return [text for group in name.split("=") if (text := group.replace("^", "").replace(" ", "").casefold())]


def now() -> int:
    return time.time_ns() // 1_000_000


def _study_values(record: Json) -> list[str]:
    return [_text(record.get(name)) for name in STUDY]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\\".join(str(part) for part in value if not isinstance(part, dict))
    return "" if value is None else str(value)


def _whole(value: Any) -> int | None:
    text = _text(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()
