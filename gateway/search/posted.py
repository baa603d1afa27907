"""Search parameters that users post as SearchParameter resources: when they take effect, and what stops them.

https://hl7.org/fhir/R4/searchparameter.html
"""

from conformance.definitions import SearchParameter, resource_types
from conformance.definitions.parameters import Component
from gateway.search.parameters import KINDS, Parameters
from gateway.search.path import read_path, split_union
from gateway.store.protocol import Delete, Put
from terminology.fhirjson import Json
from terminology.issues import InvalidResource


class Posted:
    """Keeps the parameters in force in step with the SearchParameter resources of a store."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._urls: dict[str, str] = {}

    def note(self, change: Put | Delete) -> SearchParameter | None:
        """Take a committed change into account; return the definition when a parameter now waits for its reindex."""
        if isinstance(change, Delete):
            if change.type == "SearchParameter" and change.id in self._urls:
                self._parameters.remove(self._urls.pop(change.id))
            return None
        resource = change.resource
        if resource["resourceType"] != "SearchParameter":
            return None
        self._forget(resource["id"])
        if resource.get("status") != "active":
            return None
        try:
            definition = to_definition(resource)
        except InvalidResource:
            return None
        self._urls[resource["id"]] = definition.url
        if definition.url in _known(self._parameters, definition):
            return None
        self._parameters.add(definition, is_ready=False)
        return definition

    def _forget(self, id: str) -> None:
        if id in self._urls:
            self._parameters.remove(self._urls.pop(id))

    def waiting(self) -> list[SearchParameter]:
        return self._parameters.waiting()


def _known(parameters: Parameters, definition: SearchParameter) -> frozenset[str]:
    """The URLs that the type already has: posting a core parameter again changes nothing."""
    return frozenset(
        p.url
        for base in definition.base
        for p in (parameters.get(base, definition.code),)
        if p is not None and p.url not in parameters.custom()
    )


def to_definition(resource: Json) -> SearchParameter:
    """Return the parameter that a SearchParameter resource defines; raises InvalidResource when it cannot work."""
    url = str(resource.get("url") or "")
    bases = [base for base in resource.get("base") or () if isinstance(base, str)]
    known = resource_types() | {"Resource", "DomainResource"}
    detail = ""
    expression = resource.get("expression")
    kind = resource.get("type")
    if not url or not isinstance(resource.get("code"), str) or not bases or not {*bases} <= known:
        detail = "url, code, base"
    elif kind not in (*KINDS, "composite") or kind in ("special", "pinyin"):
        detail = f"type {kind}"
    elif not isinstance(expression, str) or not expression or len(expression) > 4000:
        detail = "expression"
    elif kind != "composite":
        for path in map(read_path, split_union(expression)):
            if path.steps is None:
                detail = detail or _engine_problem(path.text)
    if detail:
        raise InvalidResource("HT-SEARCH-40", url=url[:200] or "?", detail=detail[:200])
    return SearchParameter(
        url=url,
        name=str(resource.get("name") or resource["code"]),
        code=resource["code"],
        type=str(kind),
        base=bases,
        expression=str(expression),
        target=[str(t) for t in resource.get("target") or ()],
        component=[
            Component(definition=str(c.get("definition")), expression=str(c.get("expression")))
            for c in resource.get("component") or ()
        ],
    )


def _engine_problem(expression: str) -> str:
    """Return why the FHIRPath engine refuses an expression, "" when it doesn't."""
    from conformance.fhirpath import compile as compile_path
    from terminology.issues import FhirError

    try:
        compile_path(expression)
    except FhirError as error:
        return error.issues[0].text("en")
    return ""
