"""`hutong recognize PATIENT`: which earlier results may be recognised for ordered items, rule by rule."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from gateway.cli import FINDINGS, OK
from gateway.cli.fhir import ask, refused
from gateway.cli.serve import AsJson, Config, Data
from gateway.cli.speech import language, print_json, say, styled, table
from gateway.lock import holder
from gateway.settings import Settings, load_settings
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

COLOURS = {
    "recognise": "green",
    "ask": "yellow",
    "repeat": "red",
    "pass": "dim",
    "warn": "yellow",
    "fail": "red",
    "block": "red",
}
WORDS = {"recognise": "可互认", "ask": "请医师判断", "repeat": "需重做"}

Patient = Annotated[str, typer.Argument(help=say("患者 id。", "Id of the patient."))]
Items = Annotated[
    list[str] | None,
    typer.Option(
        "--item", help=say("所开项目 system|code，可多次。", "Ordered item as system|code; may repeat.")
    ),
]
Order = Annotated[
    str | None, typer.Option(help=say("申请单 ServiceRequest/id。", "The order, ServiceRequest/id."))
]
Requester = Annotated[
    str | None, typer.Option(help=say("开单机构 Organization/id。", "Who orders, Organization/id."))
]
Encounter = Annotated[
    str | None, typer.Option(help=say("就诊 Encounter/id。", "The encounter, Encounter/id."))
]
At = Annotated[
    str | None,
    typer.Option(
        help=say("判断的时间，带时区；默认现在。", "The time to judge at, with zone; now by default.")
    ),
]
Purpose = Annotated[
    str,
    typer.Option(
        help=say(
            "用途：treatment judicial disability sick-leave labour-arbitration。",
            "Purpose: treatment judicial disability sick-leave labour-arbitration.",
        )
    ),
]
PacksFolder = Annotated[
    Path | None, typer.Option("--packs", help=say("互认规则包目录。", "Folder of recognition packs."))
]


def recognize(
    patient: Patient,
    item: Items = None,
    order: Order = None,
    requester: Requester = None,
    encounter: Encounter = None,
    at: At = None,
    purpose: Purpose = "treatment",
    packs: PacksFolder = None,
    data: Data = None,
    config: Config = None,
    as_json: AsJson = False,
) -> int:
    """0: something can be recognised or asked; 1: everything has to be repeated."""
    settings = load_settings(os.environ, file=config, data=data)
    patient = patient.removeprefix("Patient/")
    parameters = _parameters(item or [], order, requester, encounter, at, purpose)
    running = holder(settings.data)
    if running and running.get("url") and packs is None:
        status, answer = ask(settings, "POST", f"Patient/{quote(patient, safe='')}/$recognize", parameters)
        if status != 200:
            return refused(answer, as_json)
    else:
        answer = asyncio.run(_here(settings, patient, parameters, packs))
    if as_json:
        print_json(answer)
    else:
        _show(answer)
    return OK if _values(answer, "decision")[0] != "repeat" else FINDINGS


def _parameters(
    items: list[str],
    order: str | None,
    requester: str | None,
    encounter: str | None,
    at: str | None,
    purpose: str,
) -> Json:
    rows: list[Json] = []
    for text in items:
        system, bar, code = text.rpartition("|")
        if not bar:
            raise InvalidInput("HT-CLI-19", detail=f"--item {text}: system|code", command="recognize")
        rows.append({"name": "item", "valueCoding": {"system": system, "code": code}})
    for name, reference in (("order", order), ("requester", requester), ("encounter", encounter)):
        if reference:
            rows.append({"name": name, "valueReference": {"reference": reference}})
    if at:
        rows.append({"name": "at", "valueDateTime": at})
    return {"resourceType": "Parameters", "parameter": [*rows, {"name": "purpose", "valueCode": purpose}]}


async def _here(settings: Settings, patient: str, parameters: Json, packs: Path | None) -> Json:
    """Judge over the store of the data folder while no gateway runs (or with packs that are being tried)."""
    from conformance.recognition import load_packs
    from gateway.assembly.store import open_store
    from gateway.operations.recognize import answer
    from gateway.operations.registry import ROWS, Operations
    from gateway.rest.context import Context
    from gateway.rest.respond_async import Jobs
    from terminology.fhirjson import decode_resource

    store = await open_store(settings)
    try:
        version = await store.read("Patient", patient)
        if version is None or version.body is None:
            raise NotFound("HT-REST-01", type="Patient", id=patient)
        context = Context(
            store=store, operations=Operations(ROWS), jobs=Jobs(), packs=load_packs(packs or settings.packs)
        )
        return await answer(decode_resource(version.body), parameters, context)
    finally:
        await store.close()


def _show(answer: Json) -> None:
    decision = _values(answer, "decision")[0]
    print(styled(say(WORDS[decision], decision), COLOURS[decision]))
    for parts in (row["part"] for row in answer["parameter"] if row["name"] == "candidate"):
        held = {part["name"]: part for part in parts if part["name"] != "rule"}
        verdict = held["decision"]["valueCode"]
        until = held.get("validUntil", {}).get("valueDateTime", "—")
        print(
            f"\n{held['result']['valueReference']['reference']}  {styled(say(WORDS[verdict], verdict), COLOURS[verdict])}  {say('有效至', 'valid until')} {until}"
        )
        rules = [{part["name"]: part for part in row["part"]} for row in parts if row["name"] == "rule"]
        print(
            table(
                [
                    [f"  {rule['id']['valueCode']}", rule["outcome"]["valueCode"], _message(rule["message"])]
                    for rule in rules
                ]
            )
        )
    missing = _values(answer, "missing")
    if missing:
        names = ", ".join(coding.get("display") or coding["code"] for coding in missing)
        print("\n" + say(f"仍需开单：{names}", f"Still to order: {names}"))
    if True in _values(answer, "bypass"):
        print(say("急诊：不等待互认判断。", "Emergency: nobody waits for recognition."))


def _message(part: Json) -> str:
    if language() == "zh":
        return str(part["valueString"])
    translations = [
        inner["valueString"]
        for outer in part["_valueString"]["extension"]
        for inner in outer["extension"]
        if inner["url"] == "content"
    ]
    return str(translations[0])


def _values(answer: Json, name: str) -> list[Any]:
    return [
        next(row[key] for key in row if key.startswith("value"))
        for row in answer["parameter"]
        if row["name"] == name
    ]
