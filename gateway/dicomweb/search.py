"""QIDO-RS: studies, series and instances by their attributes (PS3.18 §10.6), answered from the index."""

import asyncio
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.dicomweb.accept import accepts_json, read_accept
from gateway.dicomweb.response import Answer, json_answer
from gateway.imaging.archive import Archive, mapped
from gateway.rest.request import Request
from mappings.dicom.dictionary import keyword_of, tag_of, vr_of
from mappings.dicom.tree import name_groups, to_json
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, NotAcceptable

if TYPE_CHECKING:
    from gateway.imaging.imaging import Imaging

DEFAULT_LIMIT, MOST = 100, 5_000
MOST_READ = 500
# Attributes that the index holds: keyword → column (or expression) of its level.
STUDY = {
    "StudyInstanceUID": "s.uid", "StudyDate": "s.study_date", "StudyTime": "s.study_time", "AccessionNumber": "s.accession",
    "ReferringPhysicianName": "s.referring", "PatientName": "s.patient_name", "PatientID": "s.patient_id",
    "IssuerOfPatientID": "s.issuer", "PatientBirthDate": "s.birth_date", "PatientSex": "s.sex", "StudyID": "s.study_id",
    "StudyDescription": "s.description", "InstitutionName": "s.institution",
}  # fmt: skip
SERIES = {"Modality": "r.modality", "SeriesInstanceUID": "r.uid", "SeriesNumber": "r.number"}
SERIES_RECORD = {
    "SeriesDescription", "ProtocolName", "BodyPartExamined", "Laterality", "PerformedProcedureStepStartDate", "SeriesDate", "SeriesTime",
}  # fmt: skip
INSTANCE = {
    "SOPClassUID": "i.sop_class", "SOPInstanceUID": "i.uid", "InstanceNumber": "i.number", "Rows": "i.rows",
    "Columns": "i.columns", "NumberOfFrames": "i.frames", "AvailableTransferSyntaxUID": "i.syntax",
}  # fmt: skip
LEVELS = ("studies", "series", "instances")
_RANGE_VRS = frozenset({"DA", "TM", "DT"})
_CONTROL = frozenset({"limit", "offset", "fuzzymatching", "includefield", "accept", "charset"})


@dataclass
class Question:
    """One search. `keys`: keyword → pattern; `includes`: keywords asked for; `is_all`: everything of the object."""

    level: str
    study: str | None = None
    series: str | None = None
    keys: dict[str, str] = field(default_factory=dict)
    includes: list[str] = field(default_factory=list)
    is_all: bool = False
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    warning: str = ""


async def search(
    imaging: "Imaging", request: Request, level: str, study: str | None, series: str | None
) -> Answer:
    """Answer a search: 200 with the matches, 204 without any (PS3.18 table 10.6.3-1)."""
    if not accepts_json(read_accept(request.headers.get("accept", ""), request.param("accept"))):
        raise NotAcceptable("HT-DCM-41", value=request.headers.get("accept", "")[:80])
    question = read_question(request, level, study, series)
    archive = await asyncio.to_thread(lambda: imaging.archive)
    rows = await asyncio.to_thread(find, archive, question, request.base)
    answer = json_answer(rows[: question.limit]) if rows else Answer(204)
    if question.warning:
        answer.headers["Warning"] = f'299 hutong "{question.warning}"'
    elif len(rows) > question.limit:
        answer.headers["Warning"] = '299 hutong "There are more matches: use offset."'
    return answer


def read_question(request: Request, level: str, study: str | None, series: str | None) -> Question:
    """Return the query parameters as a question; raises InvalidInput (HT-DCM-44) with the one that cannot be."""
    found = Question(level, study, series)
    for name, value in request.params:
        if name in ("limit", "offset"):
            if not (value.isascii() and value.isdigit() and len(value) < 10):
                raise InvalidInput("HT-DCM-44", name=name, value=value[:60])
            setattr(found, name, int(value))
        elif name == "fuzzymatching":
            if value not in ("true", "false"):
                raise InvalidInput("HT-DCM-44", name=name, value=value[:60])
            if value == "true":
                found.warning = (
                    "The fuzzymatching parameter is not supported. Only literal matching has been performed."
                )
        elif name == "includefield":
            for part in value.split(","):
                if part.strip() == "all":
                    found.is_all = True
                elif part.strip():
                    found.includes.append(_keyword(part.strip(), name))
        elif name not in _CONTROL:
            found.keys[_keyword(name, name)] = value
    found.limit = min(found.limit, MOST)
    unknown = [key for key in found.keys if not _is_searchable(key, level)]
    if unknown:
        raise InvalidInput("HT-DCM-44", name=unknown[0], value=found.keys[unknown[0]][:60])
    return found


def _keyword(text: str, name: str) -> str:
    """Return the keyword of an attribute id: a keyword, or a tag in eight hexadecimal digits; of a path its last part."""
    last = text.rpartition(".")[2]
    if re.fullmatch(r"[0-9A-Fa-f]{8}", last):
        return keyword_of(int(last, 16))
    if tag_of(last) is None:
        raise InvalidInput("HT-DCM-44", name=name[:60], value=text[:60])
    return last


def _columns(level: str) -> dict[str, str]:
    found = dict(STUDY)
    if level in ("series", "instances"):
        found |= SERIES
    if level == "instances":
        found |= INSTANCE
    return found


def _is_searchable(keyword: str, level: str) -> bool:
    return (
        keyword in _columns(level)
        or keyword in ("ModalitiesInStudy", "Modality")
        or (level != "studies" and keyword in SERIES_RECORD)
    )


def find(archive: Archive, question: Question, root: str) -> list[Json]:
    """Return the matches as DICOM JSON, one more than the limit when there are more."""
    where, values = _where(question)
    tables = {
        "studies": "study s",
        "series": "series r join study s on s.uid = r.study",
        "instances": "instance i join series r on r.uid = i.series join study s on s.uid = i.study",
    }[question.level]
    columns = _columns(question.level)
    extra = {"studies": "s.uid", "series": "r.record", "instances": "i.path"}[question.level]
    order = {
        "studies": "s.study_date desc, s.study_time desc, s.uid",
        "series": "s.study_date desc, s.uid, cast(r.number as integer), r.uid",
        "instances": "s.study_date desc, s.uid, cast(r.number as integer), r.uid, cast(i.number as integer), i.uid",
    }[question.level]
    statement = f"select {', '.join(columns.values())}, {extra} from {tables} {where} order by {order} limit ? offset ?"
    found = archive.rows(statement, [*values, question.limit + 1, question.offset])
    return [
        _shown(archive, question, dict(zip(columns, row, strict=False)), row[-1], root, number)
        for number, row in enumerate(found)
    ]


def _where(question: Question) -> tuple[str, list[Any]]:
    parts, values = ["1 = 1"], list[Any]()
    columns = _columns(question.level)
    if question.study is not None:
        parts.append("s.uid = ?")
        values.append(question.study)
    if question.series is not None:
        parts.append("r.uid = ?")
        values.append(question.series)
    for keyword, pattern in question.keys.items():
        if keyword == "ModalitiesInStudy" or (keyword == "Modality" and question.level == "studies"):
            test, more = _test("m.modality", "CS", pattern)
            parts.append(f"exists (select 1 from series m where m.study = s.uid and {test})")
        elif keyword in columns:
            test, more = _test(columns[keyword], vr_of(tag_of(keyword) or 0), pattern)
            parts.append(test)
        else:
            test, more = _test(f"coalesce(json_extract(r.record, '$.{keyword}'), '')", "LO", pattern)
            parts.append(test)
        values += more
    return "where " + " and ".join(parts), values


def _test(column: str, vr: str, pattern: str) -> tuple[str, list[Any]]:
    """Return the condition of one key (PS3.4 §C.2.2.2): single, list of UIDs, wild card, range, universal."""
    if pattern in ("", "*"):
        return "1 = 1", []
    if vr in _RANGE_VRS and "-" in pattern:
        low, _, high = pattern.partition("-")
        parts, values = [f"{column} <> ''"], list[Any]()
        if low:
            parts.append(f"{column} >= ?")
            values.append(low)
        if high:
            # A bound without seconds holds for the whole minute.
            parts.append(f"{column} <= ?")
            values.append(high + "~")
        return "(" + " and ".join(parts) + ")", values
    if vr == "UI":
        wanted = [part for part in re.split(r"[\\,]", pattern) if part]
        return f"{column} in ({', '.join('?' * len(wanted))})", list[Any](wanted)
    if vr == "TM" or vr == "DA":
        return f"{column} like ?", [f"{_like(pattern)}%"]
    if vr == "PN":
        return _name_test(column, pattern)
    if "*" in pattern or "?" in pattern:
        return f"{column} like ? escape '!'", [_like(pattern, wild=True)]
    return f"{column} = ?", [pattern]


def _name_test(column: str, pattern: str) -> tuple[str, list[Any]]:
    """A name matches as a whole or in one of its writings, in any case: Zhang* finds "Zhang^San=张^三", so does 张^三."""
    wild = _like(pattern.rstrip("^"), wild=True)
    forms = [wild, f"{wild}=%", f"%={wild}", f"%={wild}=%"]
    test = " or ".join(f"rtrim({column}, '^') like ? escape '!'" for _ in forms)
    return f"({test})", list[Any](forms)


def _like(text: str, *, wild: bool = False) -> str:
    escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_") if wild else text
    return escaped.replace("*", "%").replace("?", "_") if wild else escaped


def _shown(archive: Archive, question: Question, row: Json, extra: str, root: str, number: int) -> Json:
    """Return one match: what its level always has, and what was asked for."""
    record: Json = {key: value for key, value in row.items() if value is not None}
    study = str(row["StudyInstanceUID"])
    url = f"{root}/studies/{study}"
    if question.level == "studies":
        record |= _study_counts(archive, study)
    else:
        url += f"/series/{row['SeriesInstanceUID']}"
    if question.level == "series":
        record |= {key: value for key, value in msgspec.json.decode(extra).items() if key in SERIES_RECORD}
        count = archive.rows("select count(*) from instance where series = ?", (row["SeriesInstanceUID"],))[
            0
        ][0]
        record["NumberOfSeriesRelatedInstances"] = count
    if question.level == "instances":
        url += f"/instances/{row['SOPInstanceUID']}"
    record["RetrieveURL"] = url
    record["InstanceAvailability"] = "ONLINE"
    found = _json(record)
    wanted = [key for key in question.includes if key not in record]
    if (wanted or question.is_all) and number < MOST_READ:
        found = {**_from_file(archive, question, row, extra, wanted), **found}
    return dict(sorted(found.items()))


def _study_counts(archive: Archive, study: str) -> Json:
    kinds = archive.rows(
        "select distinct modality from series where study = ? and modality <> '' order by 1", (study,)
    )
    numbers = archive.rows(
        "select (select count(*) from series where study = ?), (select count(*) from instance where study = ?)",
        (study, study),
    )
    return {
        "ModalitiesInStudy": [kind for (kind,) in kinds],
        "NumberOfStudyRelatedSeries": numbers[0][0],
        "NumberOfStudyRelatedInstances": numbers[0][1],
    }


def _from_file(archive: Archive, question: Question, row: Json, extra: str, wanted: list[str]) -> Json:
    """Return attributes that the index doesn't hold, from the object itself or the first one of its series or study."""
    if question.level == "instances":
        path = extra
    else:
        column, value = (
            ("series", row["SeriesInstanceUID"])
            if question.level == "series"
            else ("study", row["StudyInstanceUID"])
        )
        first = archive.rows(
            f"select path from instance where {column} = ? order by received, uid limit 1", (value,)
        )
        if not first:
            return {}
        path = first[0][0]
    try:
        with mapped(archive.folder / path) as instance:
            whole = to_json(instance.elements, instance.charset, is_little=instance.encoding.is_little)
    except (FhirError, OSError):
        return {}
    if question.is_all:
        # Long values are for retrieval.
        return {tag: value for tag, value in whole.items() if "InlineBinary" not in value}
    tags = {f"{tag:08X}" for key in wanted if (tag := tag_of(key)) is not None}
    return {tag: value for tag, value in whole.items() if tag in tags}


def _json(record: Json) -> Json:
    found: Json = {}
    for keyword, value in record.items():
        tag = tag_of(keyword)
        if tag is None:
            continue
        vr = vr_of(tag)
        values = value if isinstance(value, list) else [value]
        if vr == "PN":
            values = [name_groups(str(part)) for part in values if part]
        elif vr in ("IS", "US", "UL", "SS", "SL"):
            values = [int(part) for part in values if str(part).lstrip("-").isdigit()]
        values = [part for part in values if part not in ("", None, {})]
        found[f"{tag:08X}"] = {"vr": vr, "Value": values} if values else {"vr": vr}
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return found
