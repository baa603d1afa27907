"""The texts of a concept in all languages, and which of them is shown or accepted as its display."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from terminology.fhirjson import Json
from terminology.languages import Depth, Language, Languages

STANDARDS_STATUS = "http://hl7.org/fhir/StructureDefinition/structuredefinition-standards-status"

DISPLAY_USE: Json = {
    "system": "http://terminology.hl7.org/CodeSystem/hl7TermMaintInfra",
    "code": "preferredForLanguage",
    "display": "Preferred For Language",
}
_DISPLAY_USES = {
    (DISPLAY_USE["system"], DISPLAY_USE["code"]),
    ("http://snomed.info/sct", "900000000000548007"),  # Preferred
}
_PREFERRED_USES = {*_DISPLAY_USES, ("http://snomed.info/sct", "900000000000013009")}  # Synonym

# Extensions of a designation that an expansion repeats.
_KEPT = {
    "http://hl7.org/fhir/StructureDefinition/coding-sctdescid",
    "http://hl7.org/fhir/StructureDefinition/rendering-style",
    "http://hl7.org/fhir/StructureDefinition/rendering-xhtml",
    "http://hl7.org/fhir/StructureDefinition/codesystem-alternate",
    STANDARDS_STATUS,
}

Difference = Literal["none", "whitespace", "other"]


@dataclass(frozen=True)
class Designation:
    """One text. `source`: canonical of the supplement that gave it; `status`: its standards status."""

    value: str
    language: Language | None = None
    use: Json | None = None
    status: str = "active"
    extensions: tuple[Json, ...] = ()
    source: str | None = None

    @property
    def is_active(self) -> bool:
        return self.status not in ("withdrawn", "inactive")

    @property
    def is_display(self) -> bool:
        return self.use is None or (self.use.get("system"), self.use.get("code")) in _DISPLAY_USES

    @property
    def is_preferred(self) -> bool:
        return self.use is None or (self.use.get("system"), self.use.get("code")) in _PREFERRED_USES

    def as_json(self) -> Json:
        """Return it as ValueSet.expansion.contains.designation."""
        kept = [extension for extension in self.extensions if extension.get("url") in _KEPT]
        parts: Json = {"extension": kept} if kept else {}
        if self.language:
            parts["language"] = self.language.tag
        if self.use:
            parts["use"] = self.use
        parts["value"] = self.value
        return parts


@dataclass
class Designations:
    """All designations of one concept, in the order in which the code system, supplements and value set give them."""

    items: list[Designation] = field(default_factory=list)

    def __iter__(self) -> Iterator[Designation]:
        return iter(self.items)

    def preferred(self, languages: Languages | None) -> Designation | None:
        """Return the designation to show for the asked languages; None when none fits."""
        if not self.items:
            return None
        if languages is None:
            return self._without_language()
        depths: tuple[Depth, ...] = ("full", "region", "language")
        for language in languages:
            if language.weight <= 0:
                continue
            for is_active in (True, False):
                for depth in depths:
                    found = self._of_language(language, depth, is_active)
                    if found:
                        return found
        return next((item for item in self.items if item.language is None and item.is_display), None)

    def _without_language(self) -> Designation:
        active = [item for item in self.items if item.is_active]
        for items in (active, self.items):
            found = next((item for item in items if item.is_preferred), None)
            if found:
                return found
        return self.items[0]

    def _of_language(self, language: Language, depth: Depth, is_active: bool) -> Designation | None:
        fitting = [
            item
            for item in self.items
            if (language.tag == "*" or (item.language and language.matches(item.language, depth)))
            and (item.is_active or not is_active)
        ]
        preferred = next((item for item in fitting if item.is_preferred), None)
        display = next((item for item in fitting if item.is_display), None)
        return preferred or display or next(iter(fitting), None)

    def difference(
        self,
        display: str,
        languages: Languages | None,
        *,
        default: Language | None = None,
        is_active: bool = False,
    ) -> Difference:
        """Say how a display differs from every designation of the languages; case never counts."""
        fitting = [
            item.value
            for item in self.items
            if (languages is None or languages.match(item.language, default))
            and (item.is_active or not is_active)
        ]
        if any(value.lower() == display.lower() for value in fitting):
            return "none"
        plain = " ".join(display.lower().split())
        return "whitespace" if any(" ".join(value.lower().split()) == plain for value in fitting) else "other"

    def count(self, languages: Languages | None, *, displays_only: bool) -> int:
        """Return how many designations the languages have, at the closest depth that has any."""
        depths: tuple[Depth, ...] = ("full", "region", "language")
        for depth in depths:
            found = sum(
                (item.is_display or not displays_only) and _fits(languages, item.language, depth)
                for item in self.items
            )
            if found:
                return found
        return 0

    def present(self, languages: Languages | None, *, displays_only: bool, word: str = "or") -> str:
        """List the displays of the languages, or all when there are none: "'A' (en), 'B' (de) or 'C'"."""
        shown = [item for item in self.items if item.is_display or not displays_only]
        fitting = [item for item in shown if _fits(languages, item.language, "language")] or shown
        texts = [f"'{item.value}'" + (f" ({item.language.tag})" if item.language else "") for item in fitting]
        return join_words(texts, word)

    def active_displays(self) -> list[str]:
        """Return the displays that are in force, each once."""
        return list(dict.fromkeys(item.value for item in self.items if item.is_active and item.is_display))

    def status(self, display: str) -> str:
        return next((item.status for item in self.items if item.value == display), "")


def join_words(texts: list[str], word: str) -> str:
    """Join as a list for people: "a, b or c"."""
    if len(texts) < 2:
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {word} {texts[-1]}"


def _fits(languages: Languages | None, stated: Language | None, depth: Depth) -> bool:
    if languages is None or stated is None:
        return True
    return any(entry.weight > 0 and entry.matches(stated, depth) for entry in languages)
