"""Patient/[id]/$recognize: which earlier results may stand in for what is ordered now, and why (docs/recognition.md)."""

from conformance.recognition import Answer, Question, Record, read_question, recognize
from conformance.recognition.pack import PackLibrary, load_packs
from conformance.recognition.parameters import to_parameters
from gateway.recognition.evidence import Evidence, gather
from gateway.rest.body import read_resource
from gateway.rest.context import Context
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput


async def recognize_items(request: Request, context: Context) -> Response:
    """Answer POST `Patient/[id]/$recognize`; 404 without the patient, 400 with all problems of the parameters."""
    version = await current(request, context)
    assert version.body is not None
    parameters = read_resource(request, context) if request.body else {"resourceType": "Parameters"}
    if parameters["resourceType"] != "Parameters":
        raise InvalidInput("HT-REST-32", type=parameters["resourceType"], operation="recognize")
    return Response(200, await answer(decode_resource(version.body), parameters, context))


async def answer(patient: Json, parameters: Json, context: Context) -> Json:
    """Return the Parameters that `$recognize` gives for a stored patient."""
    _, found, _ = await judge(patient, parameters, context)
    return to_parameters(found)


async def judge(patient: Json, parameters: Json, context: Context) -> tuple[Question, Answer, Record]:
    """Return the question that the parameters ask, its answer, and what was looked at."""
    evidence = Evidence(context)
    await evidence.read([f"Patient/{patient['id']}"])
    await evidence.follow(await evidence.read(_named(parameters)))
    orders = [
        row["resource"] for row in parameters.get("parameter") or () if isinstance(row.get("resource"), dict)
    ]
    await evidence.follow(orders)
    question = read_question(parameters, patient=patient, record=evidence.record(), now=context.clock())
    packs = library(context).at(question.at)
    maps = await gather(evidence, question, packs)
    record = evidence.record()
    return question, recognize(question, record, packs, maps), record


def library(context: Context) -> PackLibrary:
    """Return the packs that the server was started with, else the built-in ones."""
    return context.packs or load_packs()


def _named(parameters: Json) -> list[str]:
    found = []
    for row in parameters.get("parameter") or ():
        reference = (row.get("valueReference") or {}).get("reference") or row.get("valueString")
        if isinstance(reference, str) and "/" in reference:
            found.append(reference)
    return found
