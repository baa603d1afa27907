"""The card of an infectious disease (传染病报告卡) as a Composition. Pure."""

from datetime import datetime
from typing import Any

from gateway.care.record import id_of
from gateway.workflow.draft import reference_of
from terminology.fhirjson import Json

TYPE = {"coding": [{"system": "https://hutong.health/fhir/CodeSystem/card-type", "code": "infectious-disease-card"}], "text": "传染病报告卡"}  # fmt: skip
MUST: tuple[tuple[str, str, str], ...] = (
    ("Patient.name", "姓名", "the name"),
    ("Patient.identifier", "有效证件号", "an identity number"),
    ("Patient.gender", "性别", "the sex"),
    ("Patient.birthDate", "出生日期", "the date of birth"),
    ("Patient.address", "现住址", "the address"),
    ("Patient.telecom", "联系电话", "a telephone number"),
)


def lacking(patient: Json) -> list[tuple[str, str, str]]:
    """Return path, zh and en of everything that the card must tell and the patient's record doesn't."""
    return [row for row in MUST if not patient.get(row[0].partition(".")[2])]


def to_card(task: Json, patient: Json, case: Json, *, practitioner: Json, onset: str, now: datetime) -> Json:
    """Return the card; the sections are the person, the disease, and the finding it rests on."""
    subject, focus = task["for"], task["focus"]
    disease = task.get("reasonCode") or {}
    began = onset or str(case.get("onsetDateTime") or case.get("effectiveDateTime") or "")[:10]
    person = "；".join(
        f"{zh}：{_text(patient[path.partition('.')[2]])}"
        for path, zh, _ in MUST
        if path != "Patient.identifier"
    )
    told = f"病名：{disease.get('text', '')}；发病日期：{began or '不详'}"
    card: Json = {
        "resourceType": "Composition",
        "id": id_of("card", str(task["id"])),
        "meta": task["meta"] if (task.get("meta") or {}).get("security") else None,
        "status": "final",
        "type": TYPE,
        "subject": subject,
        "date": now.isoformat(timespec="seconds"),
        "author": [practitioner],
        "title": "中华人民共和国传染病报告卡",
        "confidentiality": "R" if (task.get("meta") or {}).get("security") else "N",
        "section": [
            _section("患者", person, [reference_of(subject)]),
            _section("疾病", told, [reference_of(focus)], code=disease),
        ],
    }
    if card["meta"] is not None:
        card["meta"] = {"security": card["meta"]["security"]}
    return {name: value for name, value in card.items() if value is not None}


def _section(title: str, text: str, entries: list[str], code: Json | None = None) -> Json:
    words = text.replace("&", "&amp;").replace("<", "&lt;")
    section: Json = {
        "title": title,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{words}</div>'},
        "entry": [{"reference": row} for row in entries],
    }
    return section | ({"code": code} if code else {})


def _text(value: Any) -> str:
    """Return a value of the patient in words: a name's or address's text, a number."""
    if isinstance(value, list):
        row = value[0]
        return str(row.get("text") or row.get("value") or " ".join(map(str, row.get("line", ()))))
    return str(value)
