"""What is to be measured in this sample? IHE LAW (LAB-27, LAB-28) and the two ways of Mindray analysers.

LAW: the analyser asks with QBP^Q11, hears RSP^K11, and then gets the orders as OML^O33. Mindray's own messages follow
its interface manuals for chemistry (QRY^Q02) and haematology (ORM^O01 with ORC-1 RF), as far as they are known.
"""

from collections.abc import Sequence

from gateway.questions.reply import NOTHING, OK, Question, Reply, Segment, accepted, acknowledged
from gateway.questions.samples import name_of, number_of, specimen_of, test_of
from terminology.fhirjson import Json
from terminology.issues import InvalidInput

SEX = {"male": "M", "female": "F", "other": "O"}
WORD_SEX = {"male": "男", "female": "女"}


async def work_order_steps(question: Question) -> Sequence[Reply]:
    """QBP^Q11 → RSP^K11 and, when there is work, OML^O33 with the orders of the specimen in QPD-3."""
    number = question.get("QPD-3.1")
    if not number:
        raise InvalidInput("HT-ASK-01", source="QPD-3", field="QPD-3")
    found = await specimen_of(number, question.store)
    answer = Reply(
        "RSP^K11^RSP_K11",
        [accepted(question), acknowledged(question, OK if found else NOTHING), question.echo("QPD")],
        version="2.5.1",
    )
    if found is None:
        return [answer]
    specimen, orders, patient = found
    work = question.segments("out-hl7v2-work-order", specimen, [*orders, patient])
    return [answer, Reply("OML^O33^OML_O33", work, version="2.5.1")]


async def sample_request(question: Question) -> Sequence[Reply]:
    """QRY^Q02 → QCK^Q02 and DSR^Q03: the sample's patient and tests as numbered display lines (DSP)."""
    number = question.get("QRD-8.1")
    found = await specimen_of(number, question.store) if number else None
    status: Segment = ("QAK", {"QAK-1": "SR", "QAK-2": OK if found else NOTHING})
    check = Reply("QCK^Q02", [accepted(question), ("ERR", {"ERR-1": "0"}), status])
    if found is None:
        return [check]
    specimen, orders, patient = found
    lines = [
        ("DSP", {"DSP-1": str(place), "DSP-3": text})
        for place, text in _display(number, specimen, orders, patient)
    ]
    head = [accepted(question), ("ERR", {"ERR-1": "0"}), status, question.echo("QRD"), question.echo("QRF")]
    return [check, Reply("DSR^Q03", [*head, *lines, ("DSC", {"DSC-1": ""})])]


async def worklist_request(question: Question) -> Sequence[Reply]:
    """ORM^O01 with ORC-1 RF → ORR^O02: the sample's patient and tests as PID, ORC, OBR and OBX."""
    number = question.get("ORC-3.1") or question.get("ORC-2.1")
    found = await specimen_of(number, question.store) if number else None
    if found is None:
        return [Reply("ORR^O02", [("MSA", {"MSA-1": "AR", "MSA-2": question.get("MSH-10")})])]
    specimen, orders, patient = found
    born = str(patient.get("birthDate", "")).replace("-", "")
    person: Segment = (
        "PID",
        {
            "PID-1": "1",
            "PID-3": (number_of(patient), "", "", "", "MR"),
            "PID-5": ("", name_of(patient)),
            "PID-7": born,
            "PID-8": WORD_SEX.get(patient.get("gender", ""), ""),
        },
    )
    rows: list[Segment] = [("ORC", {"ORC-1": "AF", "ORC-2": number})]
    for place, order in enumerate(orders, 1):
        code, display = test_of(order)
        taken = _digits((specimen.get("collection") or {}).get("collectedDateTime"))
        rows.append(("OBR", {"OBR-1": str(place), "OBR-2": number, "OBR-4": (code, display), "OBR-6": taken}))
    return [Reply("ORR^O02", [accepted(question), person, ("PV1", {"PV1-1": "1"}), *rows])]


def _display(number: str, specimen: Json, orders: Sequence[Json], patient: Json) -> list[tuple[int, str]]:
    """Lines 1–28 are the sample's, from 29 on one a test."""
    is_urgent = any(order.get("priority") in ("stat", "asap", "urgent") for order in orders)
    texts = {
        1: number_of(patient),
        3: name_of(patient),
        4: str(patient.get("birthDate", "")).replace("-", "")
        + ("000000" if patient.get("birthDate") else ""),
        5: SEX.get(patient.get("gender", ""), "U"),
        21: number,
        22: "",
        23: _digits((specimen.get("collection") or {}).get("collectedDateTime")),
        24: "Y" if is_urgent else "N",
        26: str((specimen.get("type") or {}).get("text", "")),
    }
    lines = [(place, texts.get(place, "")) for place in range(1, 29)]
    return [*lines, *((29 + at, "^".join((*test_of(order), "", ""))) for at, order in enumerate(orders))]


def _digits(moment: object) -> str:
    return "".join(part for part in str(moment or "")[:19] if part.isdigit())
