"""$graphql: the reading subset of FHIR GraphQL (https://hl7.org/fhir/R4/graphql.html).

System level: `Patient(id:)`, `PatientList(…search…)`, `PatientConnection(…)`; instance level: the elements of the
resource. Both: filters on elements, `resource` of a Reference, reverse lists (`_reference:`), fragments, variables,
and the directives @include, @skip, @flatten, @first, @singleton. Mutations and @slice are answered as not supported.
"""

from typing import Any

from gateway.operations.graphql_read import Reader
from gateway.rest.body import parse_json
from gateway.rest.context import Context
from gateway.rest.negotiate import media_type
from gateway.rest.read import current
from gateway.rest.request import Request
from gateway.rest.response import Response
from terminology.fhirjson import Json, decode_resource, encode
from terminology.issues import FhirError, InvalidInput, TooCostly

MOST_CHARACTERS = 100_000
MOST_TOKENS = 5_000


async def graphql(request: Request, context: Context) -> Response:
    """Answer a query given as ?query=, as application/graphql, or as JSON with query, operationName and variables."""
    document = _document(request, context)
    text = document.get("query")
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput("HT-REST-34", operation="graphql", name="query")
    if len(text) > MOST_CHARACTERS:
        raise TooCostly("HT-REST-38", limit=MOST_CHARACTERS)
    root: Json | None = None
    if request.id is not None:
        version = await current(request, context)
        assert version.body is not None
        root = decode_resource(version.body)
    reader = Reader(request, context, document.get("variables") or {})
    operation = _operation(text, document.get("operationName"), reader)
    try:
        data = await reader.run(operation, root)
    except FhirError as error:
        return _answer({"data": None, "errors": [_error(error, request)]}, 400)
    return _answer({"data": data}, 200)


def _document(request: Request, context: Context) -> Json:
    if request.method != "POST" or not request.body:
        return {"query": request.param("query"), "operationName": request.param("operationName")}
    kind = media_type(request.headers.get("content-type", ""))
    if kind == "application/graphql":
        return {"query": request.body.decode("utf-8", errors="replace")}
    document = parse_json(request.body, context)
    if not isinstance(document, dict):
        raise InvalidInput("HT-REST-42", kind=type(document).__name__)
    if not isinstance(document.get("variables") or {}, dict):
        raise InvalidInput("HT-REST-39", detail="variables is not an object")
    return document


def _operation(text: str, name: object, reader: Reader) -> Any:
    """Parse, and return the operation to run; its fragments and variables go to the reader."""
    from graphql.error import GraphQLError
    from graphql.language import FragmentDefinitionNode, OperationDefinitionNode, OperationType, parse

    try:
        tree = parse(text, no_location=True, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        raise InvalidInput("HT-REST-39", detail=error.message) from None
    except RecursionError:
        raise TooCostly("HT-REST-38", limit=MOST_CHARACTERS) from None
    reader.fragments = {
        row.name.value: row for row in tree.definitions if isinstance(row, FragmentDefinitionNode)
    }
    found = [row for row in tree.definitions if isinstance(row, OperationDefinitionNode)]
    if name is not None:
        found = [row for row in found if row.name is not None and row.name.value == name]
    if len(found) != 1:
        raise InvalidInput("HT-REST-39", detail=f"{len(found)} operations, exactly one must be chosen")
    if found[0].operation != OperationType.QUERY:
        raise InvalidInput("HT-REST-39", detail=f"{found[0].operation.value} is not supported, only query")
    reader.declare(found[0])
    return found[0]


def _error(error: FhirError, request: Request) -> Json:
    issue = error.issues[0]
    return {"message": issue.text(request.language), "extensions": {"code": issue.code}}


def _answer(body: Json, status: int) -> Response:
    return Response(status, content=encode(body), media_type="application/json; charset=utf-8")
