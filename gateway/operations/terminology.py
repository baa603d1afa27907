"""The terminology operations over HTTP: inputs from URL and body, answers and outcomes as the ecosystem knows them.

https://hl7.org/fhir/R4/terminology-service.html. What they compute is in `terminology.service`.
"""

import weakref
from collections.abc import Callable

from gateway.operations.parameters import NOT_PARAMETERS
from gateway.operations.terminology_library import TerminologyLibrary
from gateway.rest.body import read_resource
from gateway.rest.context import Context
from gateway.rest.request import Request, language
from gateway.rest.response import Response
from terminology.capabilities import terminology_capabilities
from terminology.fhirjson import Json, decode_resource
from terminology.issues import InvalidInput, Language, NotFound
from terminology.outcome import TerminologyProblem
from terminology.service import MAX_EXPANSION, Call, Terminology
from terminology.shapes import check_shape

CACHE_ID = "x-cache-id"
THRESHOLD = "x-too-costly-threshold"

# The parameter that a bare resource as body stands for (operations.html#request).
_BODY = {"ValueSet": "valueSet", "CodeSystem": "codeSystem", "ConceptMap": "conceptMap"}

_libraries: weakref.WeakKeyDictionary[Context, TerminologyLibrary] = weakref.WeakKeyDictionary()

Operation = Callable[[Terminology, Json, Call], Json]


async def expand(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.expand)


async def validate_code(request: Request, context: Context) -> Response:
    """ValueSet/$validate-code and CodeSystem/$validate-code."""
    of_system = request.type == "CodeSystem"
    operation = (
        Terminology.validate_code_in_code_system if of_system else Terminology.validate_code_in_value_set
    )
    return await _answer(request, context, operation)


async def batch_validate_code(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.batch_validate_code)


async def lookup(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.lookup)


async def subsumes(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.subsumes)


async def find_matches(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.find_matches)


async def related(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.related)


async def translate(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.translate)


async def closure(request: Request, context: Context) -> Response:
    return await _answer(request, context, Terminology.closure)


async def versions(request: Request, context: Context) -> Response:
    """At the root: the FHIR versions of this server; of CodeSystem or ValueSet: the versions of a canonical."""
    if request.type in ("CodeSystem", "ValueSet"):
        return await _answer(request, context, Terminology.versions)
    rows = [{"name": "version", "valueCode": "4.0"}, {"name": "default", "valueCode": "4.0"}]
    return Response(resource={"resourceType": "Parameters", "parameter": rows})


async def capabilities(request: Request, context: Context) -> Response:
    """GET /metadata?mode=terminology (https://hl7.org/fhir/R4/terminologycapabilities.html)."""
    from gateway.rest.capabilities import software_version

    library = library_of(context)
    terminology = await library.current()
    statement = terminology_capabilities(
        terminology.library, url=f"{request.base}/metadata", version=software_version(), date=context.started
    )
    return Response(resource=statement)


def library_of(context: Context) -> TerminologyLibrary:
    """Return the context's terminology; one that asks the store each time when the application brought none."""
    if isinstance(context.terminology, TerminologyLibrary):
        return context.terminology
    library = _libraries.get(context)
    if library is None:
        library = _libraries[context] = TerminologyLibrary(context.store)
    return library


async def _answer(request: Request, context: Context, operation: Operation) -> Response:
    library = library_of(context)
    terminology = await library.current()
    call = Call(
        accept_language=request.headers.get("accept-language"),
        message_language=_message_language(request),
        resource=await _instance(request, context, library) if request.id else None,
        cache_id=request.headers.get(CACHE_ID),
        limit=_limit(request),
    )
    try:
        return Response(resource=operation(terminology, _parameters(request, context), call))
    except TerminologyProblem as problem:
        return Response(problem.status, problem.outcome())


def _parameters(request: Request, context: Context) -> Json:
    """Return the inputs of URL and body as one Parameters resource."""
    rows: list[Json] = [
        {"name": name, "valueString": text} for name, text in request.params if name not in NOT_PARAMETERS
    ]
    if request.method == "POST" and (request.body or request.resource is not None):
        body = read_resource(request, context)
        kind = body["resourceType"]
        if kind in _BODY:
            rows.append({"name": _BODY[kind], "resource": body})
        elif kind != "Parameters":
            raise InvalidInput("HT-TX-10", type=kind)
        elif not rows:
            return body
        else:
            given = body.get("parameter", [])
            if not isinstance(given, list):
                raise InvalidInput(
                    "HT-TX-04", path="Parameters.parameter", expected="a list of named parameters"
                )
            rows.extend(given)
    return {"resourceType": "Parameters", "parameter": rows}


async def _instance(request: Request, context: Context, library: TerminologyLibrary) -> Json:
    """Return the resource that an instance-level operation is called on."""
    kind, identity = str(request.type), str(request.id)
    held = library.stored.by_id(kind, identity)
    if held is not None:
        return held
    version = await context.store.read(kind, identity)
    if version is not None and version.body is not None:
        resource = decode_resource(version.body)
        check_shape(resource, f"{kind}/{identity}")
        return resource
    shipped = library.shipped(kind, identity) if version is None else None
    if shipped is None:
        raise NotFound("HT-REST-01", type=kind, id=identity)
    return shipped


def _message_language(request: Request) -> Language:
    """Terminology clients are programs: sentences are English unless Chinese is asked for."""
    header = request.headers.get("accept-language", "")
    return "zh" if "zh" in header.lower() and language(header) == "zh" else "en"


def _limit(request: Request) -> int:
    """A client may lower the number of codes from which an expansion is refused, never raise it."""
    given = request.headers.get(THRESHOLD, "")
    return (
        min(int(given), MAX_EXPANSION)
        if given.isascii() and given.isdigit() and len(given) < 9
        else MAX_EXPANSION
    )
