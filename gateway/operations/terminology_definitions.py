"""OperationDefinitions of terminology operations that FHIR R4 does not define itself."""

from terminology.fhirjson import Json

_BASE = "https://hutong.health/fhir/OperationDefinition/"


def _parameter(
    name: str, use: str, kind: str, maximum: str = "1", *, minimum: int = 0, text: str = ""
) -> Json:
    return {"name": name, "use": use, "min": minimum, "max": maximum, "documentation": text, "type": kind}


def _definition(code: str, title: str, text: str, parameters: list[Json], **where: object) -> Json:
    return {
        "resourceType": "OperationDefinition",
        "id": code,
        "url": _BASE + code,
        "version": "1.0.0",
        "name": title.replace(" ", ""),
        "title": title,
        "status": "active",
        "kind": "operation",
        "description": text,
        "affectsState": False,
        "code": code,
        "system": False,
        "type": False,
        "instance": False,
        **where,
        "parameter": parameters,
    }


BATCH_VALIDATE_CODE = _definition(
    "batch-validate-code",
    "Batch Validate Code",
    "一次校验多个代码。 Many $validate-code requests in one; each gets its own answer or OperationOutcome.",
    [
        _parameter("validation", "in", "Parameters", "*", minimum=1, text="The inputs of one $validate-code"),
        _parameter("tx-resource", "in", "Resource", "*", text="Resources that all validations use"),
        _parameter("url", "in", "uri", text="Value set of all validations that name none"),
        _parameter(
            "validation", "out", "Resource", "*", minimum=1, text="Answers in the order of the inputs"
        ),
    ],
    type=True,
    resource=["ValueSet", "CodeSystem"],
)

VERSIONS = _definition(
    "versions",
    "Versions",
    "根路径:本服务器的 FHIR 版本;CodeSystem 与 ValueSet:某个 canonical 的已有版本。 "
    "At the root the FHIR versions of this server; of CodeSystem and ValueSet the versions of a canonical that are here.",
    [
        _parameter("url", "in", "uri", text="Canonical of the code system or value set"),
        _parameter("version", "out", "code", "*", text="A version"),
        _parameter("default", "out", "code", text="The version that is answered when none is asked for"),
    ],
    system=True,
    type=True,
    resource=["CodeSystem", "ValueSet"],
)

TERMINOLOGY_CAPABILITIES = _definition(
    "terminology-capabilities",
    "Terminology Capabilities",
    "与 /metadata?mode=terminology 相同。 The same as /metadata?mode=terminology.",
    [_parameter("return", "out", "TerminologyCapabilities", minimum=1, text="The statement")],
    system=True,
)

RELATED = _definition(
    "related",
    "Related",
    "比较两个值集:相同、包含、被包含、交叠、不相交。 How the codes of one value set lie to those of another.",
    [
        _parameter("url", "in", "uri", text="This value set; or valueSet, or the instance"),
        _parameter("valueSet", "in", "ValueSet", text="This value set itself"),
        _parameter("otherUrl", "in", "uri", text="The other value set; or otherValueSet"),
        _parameter("otherValueSet", "in", "ValueSet", text="The other value set itself"),
        _parameter("count", "in", "integer", text="Codes of the difference that are listed, at most 100"),
        _parameter(
            "relationship",
            "out",
            "code",
            minimum=1,
            text="same, superset, subset, overlapping, disjoint or empty",
        ),
        _parameter("only-this", "out", "Coding", "*", text="A code that the other value set has not"),
        _parameter("only-other", "out", "Coding", "*", text="A code that this value set has not"),
    ],
    type=True,
    instance=True,
    resource=["ValueSet"],
)
