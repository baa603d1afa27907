"""capabilities: what this server can do, generated from what it has (https://hl7.org/fhir/R4/http.html#capabilities).

Nothing is listed by hand: resource types and parameters come from the definitions and the search registry,
operations from theirs, so the statement can't claim what isn't there.
"""

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from conformance.definitions import compartment, resource_types
from conformance.definitions.parameters import SearchParameter, search_parameters
from conformance.profiles import profiles_of
from gateway.operations.registry import Level, Operation
from gateway.rest.context import Context
from gateway.rest.outcomes import CANONICAL
from gateway.rest.request import Request
from gateway.rest.response import Response
from gateway.search.parameters import OWN
from terminology.fhirjson import Json, encode
from terminology.issues import InvalidInput

INTERACTIONS = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
SYSTEM_INTERACTIONS = ("transaction", "batch", "search-system", "history-system")
FORMATS = ("application/fhir+json", "application/fhir+xml", "json", "xml")
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/fhir+json",
    "application/fhir+xml",
)
COMPARTMENTS = ("Patient", "Encounter", "RelatedPerson", "Practitioner", "Device")

# What terminology clients ask before they use a server (https://hl7.org/fhir/uv/tx-ecosystem/).
FEATURE = "http://hl7.org/fhir/uv/application-feature/StructureDefinition/feature"
TX_TESTS = "1.9.0"
FEATURES: list[Json] = [
    {
        "url": FEATURE,
        "extension": [
            {"url": "definition", "valueCanonical": f"http://hl7.org/fhir/uv/{definition}"},
            {"url": "value", **value},
        ],
    }
    for definition, value in (
        ("tx-tests/FeatureDefinition/test-version", {"valueCode": TX_TESTS}),
        ("tx-ecosystem/FeatureDefinition/CodeSystemAsParameter", {"valueBoolean": True}),
    )
]

DESCRIPTION = (
    "县域医共体互联互通网关。检索中不带时区的日期按 +08:00 理解;未知的检索参数默认忽略并在 OperationOutcome 中列出,"
    "Prefer: handling=strict 时拒绝。 FHIR gateway of a county medical community. Dates without an offset are read as "
    "+08:00; unknown search parameters are ignored and reported, or refused under Prefer: handling=strict."
)


async def capabilities(request: Request, context: Context) -> Response:
    """Return the CapabilityStatement; `mode` full (also normative: R4 marks no own subset) or terminology."""
    mode = request.param("mode") or "full"
    if mode == "terminology":
        operation = context.operations.find("system", "", "terminology-capabilities")
        if operation is not None:
            return await operation.call(request, context)
    if mode not in ("full", "normative"):
        raise InvalidInput(
            "HT-REST-15",
            name="mode",
            value=mode[:40],
            expected_zh="full 或 normative",
            expected_en="full or normative",
        )
    return Response(200, stored=_statement(request.base, context, context.parameters.revision))


@lru_cache(maxsize=8)
def _statement(base: str, context: Context, revision: int) -> bytes:  # noqa: ARG001  # the revision is the cache's key
    return encode(statement(base, context))


def statement(base: str, context: Context) -> Json:
    """Return the CapabilityStatement of the server at `base`."""
    return {
        "resourceType": "CapabilityStatement",
        "id": "hutong",
        "url": f"{base}/metadata",
        "version": software_version(),
        "name": "Hutong",
        "title": "互通 Hutong FHIR R4",
        "status": "active",
        "date": context.started.isoformat(timespec="seconds"),
        "description": DESCRIPTION,
        "kind": "instance",
        "extension": FEATURES,
        "instantiates": ["http://hl7.org/fhir/CapabilityStatement/terminology-server"],
        "software": {
            "name": "Hutong 互通",
            "version": software_version(),
            "releaseDate": context.started.isoformat(timespec="seconds"),
        },
        "implementation": {"description": "互通 Hutong", "url": base},
        "fhirVersion": "4.0.1",
        "format": list(FORMATS),
        "patchFormat": list(PATCHES),
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(name, context) for name in sorted(resource_types())],
                "interaction": [{"code": code} for code in SYSTEM_INTERACTIONS],
                "searchParam": _parameters("Resource"),
                "operation": _operations(context, "system", ""),
                "compartment": [
                    f"http://hl7.org/fhir/CompartmentDefinition/{code.lower()}"
                    for code in COMPARTMENTS
                    if compartment(code)
                ],
            }
        ],
    }


def software_version() -> str:
    try:
        return version("hutong")
    except PackageNotFoundError:
        return "0"


def _topics(name: str) -> Json:
    """What can be subscribed to, as the Subscriptions Backport tells it on Subscription."""
    if name != "Subscription":
        return {}
    from gateway.outbound.destination import TOPICS
    from gateway.outbound.hook import TOPIC_BASE

    url = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
    return {"extension": [{"url": url, "valueCanonical": f"{TOPIC_BASE}{topic}"} for topic in TOPICS]}


def _resource(name: str, context: Context) -> Json:
    row: Json = {
        "type": name,
        "profile": f"http://hl7.org/fhir/StructureDefinition/{name}",
        "interaction": [{"code": code} for code in INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "multiple",
        **_topics(name),
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": ["*", *_includes(name, context)],
        "searchRevInclude": ["*"],
        "searchParam": _type_parameters(name, context),
    }
    if supported := profiles_of(name):
        row["supportedProfile"] = list(supported)
    operations = _operations(context, "type", name) + [
        one for one in _operations(context, "instance", name) if one not in _operations(context, "type", name)
    ]
    if operations:
        row["operation"] = operations
    # Types without search parameters: an empty array is no value (json.html).
    return {key: value for key, value in row.items() if value != []}


def _includes(name: str, context: Context) -> list[str]:
    return sorted(
        f"{name}:{code}" for code, row in context.parameters.of(name).items() if row.type == "reference"
    )


def _type_parameters(name: str, context: Context) -> list[Json]:
    """The parameters that really find something here: those that the search registry compiled for the type."""
    shared = search_parameters("Resource")
    described = (
        search_parameters(name)
        | {row.code: row for row in OWN.get(name, ())}
        | {row.code: row for row in context.parameters.custom().values()}
    )
    found: list[Json] = []
    for code, row in sorted(context.parameters.of(name).items()):
        if code in shared or code.startswith("_"):
            continue
        entry: Json = {"name": code, "type": row.type}
        if row.url.startswith("http"):
            entry["definition"] = row.url
        text = described[code].description if code in described else ""
        if text:
            entry["documentation"] = text[:500]
        found.append(entry)
    return found


def _parameters(name: str) -> list[Json]:
    rows: dict[str, SearchParameter] = search_parameters(name)
    return [{"name": row.code, "definition": row.url, "type": row.type} for row in rows.values()]


def _operations(context: Context, level: Level, name: str) -> list[Json]:
    rows: list[Json] = []
    for code in context.operations.names(level, name):
        operation = context.operations.find(level, name, code)
        if operation is not None:
            rows.append({"name": code, "definition": definition_url(operation)})
    return rows


def definition_url(operation: Operation) -> str:
    """Return the canonical URL of an operation's definition."""
    return str(operation.resource.get("url") or f"{CANONICAL}/OperationDefinition/{operation.name}")
