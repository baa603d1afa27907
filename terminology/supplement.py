"""CodeSystem supplements: designations, properties and extensions laid over a code system of either engine.

https://hl7.org/fhir/R4/codesystem.html#supplements. A supplement never adds or removes a code.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from terminology.canonical import join, split
from terminology.code_system import CodeSystem, Filter, Selection
from terminology.concept_status import text_of
from terminology.designations import Designations
from terminology.fhirjson import Json
from terminology.memory import ConceptIndex, read_designations
from terminology.text_search import TextIndex
from terminology.versions import matches

SUPPLEMENT_TYPE = "http://hl7.org/fhir/StructureDefinition/codesystem-supplement-type"
VALUE_SET_SUPPLEMENT = "http://hl7.org/fhir/StructureDefinition/valueset-supplement"

# Above it, text search uses the engine's own index and leaves the supplements' texts out.
MAX_SEARCHED = 2_000


def is_language_pack(resource: Json) -> bool:
    """Say whether a supplement brings translations, which count without being asked for."""
    return any(
        extension.get("url") == SUPPLEMENT_TYPE and text_of(extension) == "lang-pack"
        for extension in resource.get("extension") or ()
    )


def supplements_it(resource: Json, url: str, version: str | None) -> bool:
    """Say whether a resource is a supplement of a version of a code system."""
    target = resource.get("supplements")
    if resource.get("content") != "supplement" or not isinstance(target, str):
        return False
    target_url, target_version = split(target)
    return target_url == url and (not target_version or not version or matches(target_version, version))


class SupplementedCodeSystem:
    """A code system with its supplements; what supplements cannot change goes to `base`."""

    def __init__(self, base: CodeSystem, indexes: Sequence[ConceptIndex]) -> None:
        self.base = base
        self._indexes = tuple(indexes)
        self.url = base.url
        self.version = base.version
        self.name = base.name
        self.content = base.content
        self.language = base.language
        self.value_set = base.value_set
        self.is_case_sensitive = base.is_case_sensitive
        self.has_hierarchy = base.has_hierarchy
        self.version_algorithm = base.version_algorithm
        self.resource = base.resource
        self.locate = base.locate
        self.code = base.code
        self.display = base.display
        self.definition = base.definition
        self.status = base.status
        self.is_abstract = base.is_abstract
        self.is_inactive = base.is_inactive
        self.is_deprecated = base.is_deprecated
        self.parents = base.parents
        self.children = base.children
        self.is_descendant = base.is_descendant
        self.all = base.all
        self.inactive = base.inactive
        self.abstract = base.abstract
        self.selection = base.selection

    def __len__(self) -> int:
        return len(self.base)

    def select(self, filter: Filter) -> Selection:
        return self.base.select(filter)

    @cached_property
    def supplements(self) -> Sequence[str]:
        return [join(index.url, index.version) for index in self._indexes]

    @cached_property
    def stated_supplements(self) -> Sequence[str]:
        """The supplements that somebody asked for: all but the language packs."""
        return [
            join(index.url, index.version) for index in self._indexes if not is_language_pack(index.resource)
        ]

    @cached_property
    def property_definitions(self) -> Sequence[Json]:
        rows = list(self.base.property_definitions)
        for index in self._indexes:
            rows.extend(index.resource.get("property") or ())
        return rows

    def designations(self, ordinal: int) -> Designations:
        found = list(self.base.designations(ordinal))
        for index, concept in self._concepts(ordinal):
            found.extend(read_designations(concept, index.language, join(index.url, index.version)))
        return Designations(found)

    def properties(self, ordinal: int) -> Sequence[Json]:
        rows = list(self.base.properties(ordinal))
        for _, concept in self._concepts(ordinal):
            rows.extend(concept.get("property") or ())
        return rows

    def extensions(self, ordinal: int) -> Sequence[Json]:
        rows = list(self.base.extensions(ordinal))
        for _, concept in self._concepts(ordinal):
            rows.extend(concept.get("extension") or ())
        return rows

    def search(self, text: str, within: Selection | None = None) -> Sequence[int]:
        if len(self.base) > MAX_SEARCHED:
            return self.base.search(text, within)
        return TextIndex(self).search(text, self.all() if within is None else within)

    def _concepts(self, ordinal: int) -> Iterator[tuple[ConceptIndex, Json]]:
        code = self.base.code(ordinal)
        for index in self._indexes:
            other = index.locate(code)
            if other is not None:
                yield index, index.concepts[other]
