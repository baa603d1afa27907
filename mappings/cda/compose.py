"""A report, prescription, referral, consultation or visit as the Composition of its shared document (WS/T 483, WS/T 500).

Resources that never were a document become one: which type, which sections, who wrote and keeps it. The Composition and
the data elements that only the document has (转诊原因, 转入医疗机构名称 …) are made for the writing and stored nowhere.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mappings.cda.documents import CODE_SYSTEM, document_types
from mappings.datatypes.cda import DATA_ELEMENTS
from terminology.fhirjson import Json

ORDER_CATEGORY = "https://hutong.health/fhir/CodeSystem/order-category"
_LOINC = "http://loinc.org"
_ROLE = "https://hutong.health/fhir/StructureDefinition/signature-role"
_TECHNICIAN = "https://hutong.health/fhir/StructureDefinition/technician"
_LABORATORY = frozenset(
    {"LAB", "lab", "CH", "HM", "MB", "SR", "IMM", "BLB", "TX", "MYC", "PAR", "VR", "laboratory"}
)
_IDS = "urn:oid:2.16.156.10011.1."
_SECTIONS = {
    "diagnosis": ("29548-5", "Diagnosis"),
    "studies": ("30954-2", "STUDIES SUMMARY"),
    "medication": ("10160-0", "HISTORY OF MEDICATION USE"),
    "procedures": ("47519-4", "HISTORY OF PROCEDURES"),
    "vital signs": ("8716-3", "VITAL SIGNS"),
    "findings": ("29545-1", "PHYSICAL EXAMINATION"),
}


@dataclass
class Composed:
    """`composition` and the resources around it; those that differ from the stored ones stand in their place."""

    composition: Json
    around: list[Json] = field(default_factory=list)


class _Around:
    """What is known around the focus, by reference."""

    def __init__(self, resources: Iterable[Json]) -> None:
        self.known = {f"{one['resourceType']}/{one.get('id', '')}": one for one in resources}

    def get(self, reference: Any) -> Json | None:
        text = reference.get("reference") if isinstance(reference, Mapping) else None
        return self.known.get("/".join(str(text).split("/")[-2:])) if text else None

    def all(self, *types: str) -> list[Json]:
        return [one for one in self.known.values() if one["resourceType"] in types]


def compose(focus: Json, around: Iterable[Json]) -> Composed | None:
    """Return the document of a focus resource; None for what none of the standards has a document for."""
    known = _Around([focus, *around])
    make = _MAKERS.get(str(focus.get("resourceType")))
    return make(focus, known) if make is not None else None


def _report(focus: Json, known: _Around) -> Composed | None:
    codes = {row.get("code") for concept in focus.get("category", ()) for row in concept.get("coding", ())}
    orders = [one for row in focus.get("basedOn", ()) if (one := known.get(row)) is not None]
    if "consult" in codes:
        return _consultation(orders[0] if orders else focus, known, focus)
    is_laboratory = bool(codes & _LABORATORY) or any(
        "laboratory" in _codes(one.get("category"))
        for row in focus.get("result", ())
        if (one := known.get(row))
    )
    code, kind = ("C0007", "lab") if is_laboratory else ("C0006", "imaging")
    category = [
        {"coding": [{"system": ORDER_CATEGORY, "code": kind if codes.isdisjoint({"ecg", "EC"}) else "ecg"}]},
        *(
            [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "LAB"}]}]
            if is_laboratory
            else ()
        ),
    ]
    others = [
        row for row in focus.get("category", ()) if not codes_of(row) & {"LAB", "lab", "imaging", "ecg"}
    ]
    known.known[_reference(focus)["reference"]] = {**focus, "category": [*others, *category]}
    conditions = _conditions(
        [ref for order in orders for ref in order.get("reasonReference", ())], focus, known
    )
    sections = [
        _section("diagnosis", conditions),
        _section("studies", list(focus.get("result", ()))),
        _named("检验报告" if is_laboratory else "检查报告", [_reference(focus)]),
    ]
    readers = [row for row in focus.get("resultsInterpreter", ()) if _is_person(row)]
    writers = [row for row in focus.get("performer", ()) if _is_person(row)] or readers
    signers = [("legal", "审核医师", row) for row in readers[:1]]
    technicians = [
        row["valueReference"] for row in focus.get("extension", ()) if row.get("url") == _TECHNICIAN
    ]
    signers += [("professional", "检验技师" if is_laboratory else "检查技师", row) for row in technicians]
    return _composed(
        focus, code, sections, known, authors=writers[:1], signers=signers, time=focus.get("issued")
    )


def _referral(focus: Json, known: _Around) -> Composed | None:
    codes = _codes(focus.get("category"))
    if "consult" in codes:
        report = next(
            (one for one in known.all("DiagnosticReport") if _refers(one.get("basedOn"), focus)), None
        )
        return _consultation(focus, known, report)
    if "referral" not in codes and "3457005" not in _codes([focus.get("code", {})]):
        return None
    said = [
        ("DE06.00.177.00", "转诊原因", text) for row in focus.get("reasonCode", ()) if (text := _name(row))
    ]
    said += [("DE06.00.175.00", "转诊记录", row["text"]) for row in focus.get("note", ()) if row.get("text")]
    for word, row in (
        ("转出", focus.get("requester")),
        ("转入", next(iter(focus.get("performer", ())), None)),
    ):
        said += _unit(word, row, known)
    made = [_finding(*row, focus) for row in said]
    if focus.get("authoredOn"):
        made.append(_finding("DE06.00.176.00", "转诊日期", "", focus, time=str(focus["authoredOn"])[:10]))
    info = [row for row in focus.get("supportingInfo", ()) if known.get(row) is not None]
    drugs = [row for row in info if str(row.get("reference", "")).startswith("Medication")]
    sections = [
        _section("diagnosis", _conditions(focus.get("reasonReference", ()), focus, known)),
        _section(
            "studies", [row for row in info if str(row.get("reference", "")).startswith("Observation/")]
        ),
        _section("medication", drugs),
        _named("转诊建议", [_reference(one) for one in made]),
    ]
    known.known.update({_reference(one)["reference"]: one for one in made})
    authors = [row for row in [focus.get("requester")] if row and _is_person(row)]
    return _composed(focus, "HSDC00.04", sections, known, authors=authors, time=focus.get("authoredOn"))


def _consultation(request: Json, known: _Around, report: Json | None) -> Composed | None:
    is_order = request["resourceType"] == "ServiceRequest"
    if report is not None:
        category = [*report.get("category", ()), {"coding": [{"system": ORDER_CATEGORY, "code": "consult"}]}]
        known.known[_reference(report)["reference"]] = {**report, "category": category}
    sections = [
        _section("diagnosis", _conditions(request.get("reasonReference", ()), request, known)),
        _named("会诊原因", [_reference(request)] if is_order else []),
        _named("会诊意见", [_reference(report)] if report is not None else []),
    ]
    readers = [row for row in (report or {}).get("resultsInterpreter", ()) if _is_person(row)]
    asker = [row for row in [request.get("requester")] if row and _is_person(row)]
    signers = [("professional", "会诊申请医师", row) for row in asker]
    signers += [("professional", "会诊医师", row) for row in readers[:1]]
    time = (report or request).get("issued") or request.get("authoredOn")
    return _composed(
        report or request, "C0045", sections, known, authors=readers[:1] or asker, signers=signers, time=time
    )


def _prescription(focus: Json, known: _Around) -> Composed | None:
    group = focus.get("groupIdentifier")
    drugs = [
        one
        for one in known.all("MedicationRequest")
        if one is focus or (group and one.get("groupIdentifier") == group)
    ]
    reasons = [ref for one in drugs for ref in one.get("reasonReference", ())]
    sections = [
        _section("diagnosis", _conditions(reasons, focus, known)),
        _section("medication", [_reference(one) for one in drugs]),
    ]
    authors = [row for row in [focus.get("requester")] if row and _is_person(row)]
    return _composed(focus, "C0004", sections, known, authors=authors, time=focus.get("authoredOn"))


def _visit(focus: Json, known: _Around) -> Composed | None:
    is_inpatient = (focus.get("class") or {}).get("code") in ("IMP", "ACUTE", "NONAC")
    findings = known.all("Observation")
    vital = [one for one in findings if "vital-signs" in _codes(one.get("category"))]
    studies = [
        one for one in findings if _codes(one.get("category")) & {"laboratory", "imaging", "procedure"}
    ]
    others = [one for one in findings if one not in vital and one not in studies]
    drugs = known.all("MedicationRequest", "MedicationStatement")
    sections = [
        _section("vital signs", [_reference(one) for one in vital]),
        _section("findings", [_reference(one) for one in others]),
        _section("studies", [_reference(one) for one in studies]),
        *_visit_diagnoses(focus, known, is_inpatient=is_inpatient),
        _section("medication", [_reference(one) for one in drugs]),
        _section("procedures", [_reference(one) for one in known.all("Procedure")]),
    ]
    people = [
        row["individual"] for row in focus.get("participant", ()) if _is_person(row.get("individual") or {})
    ]
    code = "HSDC00.02" if is_inpatient else "HSDC00.01"
    time = (focus.get("period") or {}).get("end") or (focus.get("period") or {}).get("start")
    return _composed(
        {**focus, "encounter": _reference(focus)}, code, sections, known, authors=people[:1], time=time
    )


def _visit_diagnoses(focus: Json, known: _Around, *, is_inpatient: bool) -> Iterator[Json]:
    rows = [row for row in focus.get("diagnosis", ()) if known.get(row.get("condition")) is not None]
    named = {str(row["condition"]["reference"]) for row in rows}
    others = [one for one in known.all("Condition") if _reference(one)["reference"] not in named]
    if not is_inpatient:
        yield _section(
            "diagnosis", [*(row["condition"] for row in rows), *(_reference(one) for one in others)]
        )
        return
    admission = [row["condition"] for row in rows if "AD" in codes_of(row.get("use") or {})]
    discharge = [row["condition"] for row in rows if "AD" not in codes_of(row.get("use") or {})]
    yield _coded("46241-6", "HOSPITAL ADMISSION DX", admission)
    yield _coded("11535-2", "HOSPITAL DISCHARGE DX", [*discharge, *(_reference(one) for one in others)])


def _composed(
    focus: Json,
    code: str,
    sections: list[Json],
    known: _Around,
    *,
    authors: list[Json],
    signers: Iterable[tuple[str, str, Json]] = (),
    time: Any = None,
) -> Composed:
    kind = next(one for one in document_types() if one.code == code)
    date = time or focus.get("issued") or focus.get("effectiveDateTime") or focus.get("authoredOn")
    number = next(
        (row["value"] for row in focus.get("identifier", ()) if row.get("value")), focus.get("id", "")
    )
    attesters = [{"mode": "personal", "time": date, "party": row} for row in authors]
    attesters += [
        {"extension": [{"url": _ROLE, "valueString": role}], "mode": mode, "time": date, "party": row}
        for mode, role, row in signers
    ]
    made: Json = {
        "resourceType": "Composition",
        "id": f"document-{focus.get('id', '')}",
        "identifier": {"system": f"{_IDS}1", "value": f"{code}-{number}"},
        "status": "final",
        "type": {
            "coding": [{"system": f"urn:oid:{CODE_SYSTEM}", "code": code, "display": kind.title_zh}],
            "text": kind.title_zh,
        },
        "subject": focus.get("subject") or focus.get("patient"),
        "encounter": focus.get("encounter"),
        "date": date,
        "author": authors,
        "title": kind.title_zh,
        "confidentiality": "N",
        "attester": [{name: part for name, part in row.items() if part} for row in attesters],
        "custodian": _custodian(focus, known),
        "section": [row for row in sections if row.get("entry")],
    }
    return Composed({name: part for name, part in made.items() if part}, list(known.known.values()))


def _custodian(focus: Json, known: _Around) -> Json | None:
    """The organisation that answers for the resource: who performed it, who asked for it, where the visit was."""
    visit = known.get(focus.get("encounter"))
    rows = [
        *_rows(focus.get("performer")),
        *_rows(focus.get("serviceProvider")),
        *_rows(focus.get("requester")),
    ]
    if focus["resourceType"] in ("MedicationRequest", "ServiceRequest"):
        rows = [*_rows(focus.get("requester")), *_rows((visit or {}).get("serviceProvider"))]
    rows += _rows((visit or {}).get("serviceProvider"))
    for row in rows:
        found = known.get(row.get("actor") or row)
        if found is not None and found["resourceType"] == "PractitionerRole":
            found = known.get(found.get("organization"))
        if found is not None and found["resourceType"] == "Organization":
            above = known.get(found.get("partOf")) if "dept" in _codes(found.get("type")) else None
            return _reference(above or found)
    return None


def _unit(word: str, row: Any, known: _Around) -> list[tuple[str, str, str]]:
    """The data elements of the unit that refers or receives: name, code, department."""
    found = known.get(row)
    if found is not None and found["resourceType"] == "PractitionerRole":
        found = known.get(found.get("organization"))
    if found is None or found["resourceType"] != "Organization":
        return []
    above = known.get(found.get("partOf")) if "dept" in _codes(found.get("type")) else None
    hospital = above or found
    code = next((str(one["value"]) for one in hospital.get("identifier", ()) if one.get("value")), "")
    said = [
        ("DE08.10.013.00", f"{word}医疗机构名称", str(hospital.get("name") or "")),
        ("DE08.10.052.00", f"{word}医疗机构代码", code),
    ]
    if above is not None:
        said.append(("DE08.10.026.00", f"{word}医疗机构科室名称", str(found.get("name") or "")))
    return [one for one in said if one[2]]


def _finding(element: str, name: str, text: str, focus: Json, *, time: str = "") -> Json:
    value = {"valueDateTime": time} if time else {"valueString": text}
    return {
        "resourceType": "Observation",
        "id": f"{element}-{name}-{focus.get('id', '')}",
        "status": "final",
        "code": {"coding": [{"system": DATA_ELEMENTS, "code": element, "display": name}], "text": name},
        "subject": focus.get("subject"),
        **value,
    }


def _conditions(references: Iterable[Json], focus: Json, known: _Around) -> list[Json]:
    """The reasons of the order, else the diagnoses of the visit."""
    found = [
        row
        for row in references
        if (one := known.get(row)) is not None and one["resourceType"] == "Condition"
    ]
    visit = known.get(focus.get("encounter")) or {}
    others = [
        row["condition"] for row in visit.get("diagnosis", ()) if known.get(row.get("condition")) is not None
    ]
    return list({row["reference"]: row for row in found or others}.values())


def _section(name: str, entries: list[Json]) -> Json:
    return _coded(*_SECTIONS[name], entries)


def _coded(code: str, title: str, entries: list[Json]) -> Json:
    coding = {"system": _LOINC, "code": code, "display": title}
    return {"title": title, "code": {"coding": [coding], "text": title}, "entry": entries}


def _named(title: str, entries: list[Json]) -> Json:
    return {"title": title, "code": {"text": title}, "entry": entries}


def _reference(resource: Json) -> Json:
    return {"reference": f"{resource['resourceType']}/{resource.get('id', '')}"}


def _rows(value: Any) -> list[Json]:
    return [value] if isinstance(value, dict) else [row for row in value or () if isinstance(row, dict)]


def _refers(references: Any, resource: Json) -> bool:
    wanted = _reference(resource)["reference"]
    return any(str(row.get("reference", "")).endswith(wanted) for row in _rows(references))


def _is_person(reference: Json) -> bool:
    return "Practitioner/" in str(reference.get("reference", ""))


def _name(concept: Json) -> str:
    rows = concept.get("coding", ())
    return str(concept.get("text") or next((row["display"] for row in rows if row.get("display")), ""))


def codes_of(concept: Json) -> set[str]:
    """Return the codes of a concept."""
    return {str(row.get("code")) for row in concept.get("coding", ())}


def _codes(concepts: Any) -> set[str]:
    return {code for concept in _rows(concepts) for code in codes_of(concept)}


_MAKERS = {
    "DiagnosticReport": _report,
    "ServiceRequest": _referral,
    "MedicationRequest": _prescription,
    "Encounter": _visit,
}
