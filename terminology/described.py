"""What a CodeSystem resource says of itself, for the providers of both engines (`terminology.code_system.CodeSystem`)."""

from collections.abc import Sequence

from terminology.concept_status import text_of
from terminology.fhirjson import Json


class Described:
    """The metadata of a code system; supplements are laid over it elsewhere."""

    resource: Json

    @property
    def url(self) -> str:
        return str(self.resource.get("url", ""))

    @property
    def version(self) -> str | None:
        return self.resource.get("version")

    @property
    def name(self) -> str:
        return str(self.resource.get("name") or self.resource.get("title") or self.url)

    @property
    def content(self) -> str:
        return str(self.resource.get("content", "complete"))

    @property
    def language(self) -> str | None:
        return self.resource.get("language")

    @property
    def value_set(self) -> str | None:
        return self.resource.get("valueSet")

    @property
    def version_algorithm(self) -> str | None:
        return version_algorithm(self.resource)

    @property
    def supplements(self) -> Sequence[str]:
        return ()

    @property
    def property_definitions(self) -> Sequence[Json]:
        return self.resource.get("property") or ()


def version_algorithm(resource: Json) -> str | None:
    """Return the code of versionAlgorithm[x]: R5's element, or its cross-version extension in R4."""
    found = resource.get("versionAlgorithmString") or (resource.get("versionAlgorithmCoding") or {}).get(
        "code"
    )
    if found:
        return str(found)
    for extension in resource.get("extension") or ():
        if str(extension.get("url", "")).endswith(".versionAlgorithm"):
            return text_of(extension)
    return None
