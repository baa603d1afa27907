"""The search parameters in force: those of R4, Hutong's own, and those posted as SearchParameter resources.

A parameter is resolved once a type: which paths of that type hold its values, and as what kind of rows. The same
paths drive the extraction (https://hl7.org/fhir/R4/searchparameter-registry.html).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, cast

from conformance.definitions import Child, SearchParameter, search_parameters
from conformance.definitions import parameters as _definitions
from gateway.search import text
from gateway.search.extract import Options, emitter
from gateway.search.path import Path, Walk, applies, element_types, read_path, split_union, walkers
from gateway.search.reference import IDENTIFIER
from gateway.search.token import OF_TYPE
from gateway.search.values import Index
from terminology.fhirjson import Json
from terminology.issues import FhirError

RowKind = Literal["token", "string", "date", "quantity"]
KINDS: dict[str, RowKind] = {
    "token": "token",
    "uri": "token",
    "reference": "token",
    "string": "string",
    "pinyin": "string",
    "date": "date",
    "quantity": "quantity",
    "number": "quantity",
    "special": "quantity",
}

PINYIN = "https://hutong.health/fhir/SearchParameter/pinyin"
PINYIN_BASES = {
    "Patient": "Patient.name",
    "Practitioner": "Practitioner.name",
    "Person": "Person.name",
    "RelatedPerson": "RelatedPerson.name",
    "Organization": "Organization.name",
    "Location": "Location.name",
}

OWN: dict[str, tuple[SearchParameter, ...]] = {
    "Task": (
        SearchParameter(
            "https://hutong.health/fhir/SearchParameter/Task-due",
            "due",
            "due",
            "date",
            ["Task"],
            "Task.restriction.period.end",
            description="When the task must be done (restriction.period.end)",
        ),
    )
}
"""Parameters of the county that R4 lacks, by type."""

# search.html: what these control or find is no element of the resource.
BUILT_IN = frozenset(
    ("_id", "_lastUpdated", "_text", "_content", "_filter", "_query", "_list", "_has", "_type")
)


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a composite in one context; `is_tied`: it must lie in the same repetition as the others."""

    parameter: "Parameter"
    is_tied: bool


@dataclass(frozen=True, slots=True)
class Parameter:
    """A search parameter of one resource type. `type` is the FHIR search type, `kind` the kind of its rows.

    `paths` name its index rows, `targets` the types that a reference may lead to (none: any), `elements` the FHIR
    types that the paths end in, `alternatives` the contexts of a composite, each a row of parts.
    """

    code: str
    type: str
    url: str
    paths: tuple[str, ...] = ()
    kind: RowKind = "token"
    targets: tuple[str, ...] = ()
    elements: frozenset[str] = frozenset()
    alternatives: tuple[tuple[Part, ...], ...] = ()
    is_ready: bool = True


@dataclass(slots=True)
class _Type:
    """What is compiled for one resource type."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    walks: dict[str, list[Walk]] = field(default_factory=dict)
    generic: list[Callable[[Json, Index], None]] = field(default_factory=list)
    paths: set[tuple[str, str]] = field(default_factory=set)


class Parameters:
    """The parameters of a running server; compiled a resource type at a time, on first use."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.revision = 0
        self._types: dict[str, _Type] = {}
        self._custom: dict[str, SearchParameter] = {}
        self._pending: set[str] = set()

    def of(self, resource_type: str) -> dict[str, Parameter]:
        """Return the parameters of a type by code. `_id` and the like are here too, without paths."""
        return self._compiled(resource_type).parameters

    def get(self, resource_type: str, code: str) -> Parameter | None:
        return self.of(resource_type).get(code)

    def add(self, definition: SearchParameter, *, is_ready: bool) -> None:
        """Put a posted parameter in force (or replace it by its URL); it finds old resources once they are reindexed."""
        self._custom[definition.url] = definition
        (self._pending.discard if is_ready else self._pending.add)(definition.url)
        self._types.clear()
        self.revision += 1

    def remove(self, url: str) -> None:
        if self._custom.pop(url, None) is not None:
            self._types.clear()
            self.revision += 1

    def custom(self) -> dict[str, SearchParameter]:
        """Return the posted parameters by URL."""
        return dict(self._custom)

    def waiting(self) -> list[SearchParameter]:
        """Return the posted parameters that old resources are not indexed for yet."""
        return [row for url, row in self._custom.items() if url in self._pending]

    def reference_paths(self, resource_type: str) -> frozenset[str]:
        """Return the paths of all reference parameters of a type (`_include=Type:*`)."""
        found = (p for p in self.of(resource_type).values() if p.type == "reference")
        return frozenset(path for p in found for path in p.paths)

    @staticmethod
    def paths_of(parameter: Parameter) -> frozenset[str]:
        """Return all paths whose rows a parameter needs, those of its components and modifiers too."""
        own = [f"{path}{suffix}" for path in parameter.paths for suffix in ("", OF_TYPE, IDENTIFIER)]
        parts = [part.parameter for row in parameter.alternatives for part in row]
        return frozenset(own).union(*(Parameters.paths_of(part) for part in parts))

    def extract(self, resource: Json) -> Index:
        """Return all index values of a resource, each once."""
        compiled = self._compiled(resource["resourceType"])
        index = Index()
        walks = compiled.walks
        for name, value in resource.items():
            for walk in walks.get(name, ()):
                walk(value, 0, index)
        for run in compiled.generic:
            run(resource, index)
        if len(index.tokens) > 1:
            index.tokens = list(dict.fromkeys(index.tokens))
        if len(index.strings) > 1:
            index.strings = list(dict.fromkeys(index.strings))
        index.narrative = text.narrative(resource)
        index.content = text.content(resource)
        return index

    def _compiled(self, resource_type: str) -> _Type:
        found = self._types.get(resource_type)
        if found is None:
            found = self._types[resource_type] = self._compile(resource_type)
        return found

    def _compile(self, resource_type: str) -> _Type:
        compiled = _Type()
        rows = dict(search_parameters(resource_type))
        rows.update((definition.code, definition) for definition in OWN.get(resource_type, ()))
        for definition in self._custom.values():
            if (
                resource_type in definition.base
                or "Resource" in definition.base
                or "DomainResource" in definition.base
            ):
                rows[definition.code] = definition
        for definition in rows.values():
            if definition.code in BUILT_IN:
                compiled.parameters[definition.code] = Parameter(
                    definition.code, definition.type, definition.url
                )
            elif definition.type == "composite":
                continue
            elif definition.expression:
                self._add(compiled, resource_type, definition)
        for definition in rows.values():
            if definition.type == "composite":
                alternatives = self._composite(compiled, resource_type, definition)
                if alternatives:
                    compiled.parameters[definition.code] = Parameter(
                        definition.code, "composite", definition.url, alternatives=alternatives
                    )
        if resource_type in PINYIN_BASES:
            paths = self._paths(compiled, resource_type, PINYIN_BASES[resource_type], "pinyin")
            compiled.parameters["pinyin"] = Parameter(
                "pinyin", "string", PINYIN, _names(paths, ":pinyin"), "string"
            )
        # R4 defines `phonetic` without saying how it sounds; for Chinese names it is the pinyin.
        if "phonetic" in compiled.parameters and "pinyin" in compiled.parameters:
            spoken, pinyin = compiled.parameters["phonetic"], compiled.parameters["pinyin"]
            compiled.parameters["phonetic"] = Parameter(
                "phonetic", "string", spoken.url, (*spoken.paths, *pinyin.paths), "string"
            )
        return compiled

    def _add(self, compiled: _Type, resource_type: str, definition: SearchParameter) -> None:
        paths = self._paths(compiled, resource_type, definition.expression, definition.type)
        if not paths:
            return
        named = tuple(dict.fromkeys(path.target for path in paths if path.target))
        compiled.parameters[definition.code] = Parameter(
            definition.code,
            definition.type,
            definition.url,
            _names(paths),
            KINDS[definition.type],
            named or tuple(definition.target),
            frozenset(kind for path in paths for kind in element_types(path, resource_type)),
            is_ready=definition.url not in self._pending,
        )

    def _paths(self, compiled: _Type, resource_type: str, expression: str, kind: str) -> list[Path]:
        """Return the members of an expression that apply to the type, and make sure that they are extracted."""
        found = [path for path in map(read_path, split_union(expression)) if applies(path, resource_type)]
        for path in found:
            self._extract_path(compiled, resource_type, path, kind)
        return found

    def _extract_path(self, compiled: _Type, resource_type: str, path: Path, kind: str) -> None:
        rows = "number" if kind == "quantity" else kind
        if (rows, path.text) in compiled.paths:
            return
        compiled.paths.add((rows, path.text))
        name = f"{path.text}:pinyin" if kind == "pinyin" else path.text

        def leaf(child: Child) -> Any:
            return emitter(kind, name, child, self.options)

        if path.steps is None:
            compiled.generic.append(_engine(path.text, resource_type, kind, self.options))
            return
        for prop, walk in walkers(path, resource_type, leaf).items():
            compiled.walks.setdefault(prop, []).append(walk)

    def _composite(
        self, compiled: _Type, resource_type: str, definition: SearchParameter
    ) -> tuple[tuple[Part, ...], ...]:
        by_url = _by_url() | self._custom
        alternatives = []
        for context in split_union(definition.expression):
            if context.partition(".")[0] != resource_type:
                continue
            parts = []
            for component in definition.component:
                base = by_url.get(component.definition.partition("|")[0])
                if base is None:
                    return ()
                at_root = component.expression.startswith("%resource.")
                members = [
                    (resource_type + "." + member.removeprefix("%resource."))
                    if at_root
                    else f"{context}.{member}"
                    for member in split_union(component.expression)
                ]
                paths = self._paths(compiled, resource_type, " | ".join(members), base.type)
                elements = frozenset(kind for path in paths for kind in element_types(path, resource_type))
                parameter = Parameter(
                    base.code,
                    base.type,
                    base.url,
                    _names(paths),
                    KINDS[base.type],
                    tuple(base.target),
                    elements,
                )
                parts.append(Part(parameter, "." in context and not at_root))
            alternatives.append(tuple(parts))
        return tuple(alternatives)


def _names(paths: list[Path], suffix: str = "") -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.text + suffix for path in paths))


def _engine(
    expression: str, resource_type: str, kind: str, options: Options
) -> Callable[[Json, Index], None]:
    """Extraction by the FHIRPath engine, for the few expressions that are not straight paths."""
    from conformance.definitions import structure
    from conformance.fhirpath import compile as compile_path

    run = compile_path(expression, resource_type, strict=False).typed
    base = structure("Resource")
    assert base is not None
    element = base.elements[0]
    emitters: dict[str, Any] = {}

    def extract(resource: Json, index: Index) -> None:
        try:
            found = run(resource)
        except FhirError:
            # One resource that an expression cannot be evaluated on is not found by it; it is stored all the same.
            return
        for value, type_name in found:
            name = type_name.rpartition(".")[2]
            name = SYSTEM_TYPES.get(name, name)
            if name not in emitters:
                emitters[name] = emitter(kind, expression, Child("value", element, name, name), options)
            if emitters[name] is not None:
                emitters[name](value, 0, index)

    return extract


SYSTEM_TYPES = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
}


@cache
def _by_url() -> dict[str, SearchParameter]:
    return {row.url: row for rows in cast(Any, _definitions)._by_base().values() for row in rows.values()}
