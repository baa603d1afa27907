"""How an expansion or a validation is to be done: the parameters that $expand, $validate-code and $lookup share.

A value set can carry some of them itself (valueset-expansion-parameter); what the request says wins.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from terminology.canonical import split
from terminology.concept_status import value_of
from terminology.fhirjson import Json
from terminology.inputs import Inputs
from terminology.issues import InvalidInput, Language
from terminology.languages import InvalidLanguage, Languages, parse_header
from terminology.outcome import TerminologyProblem, tx_issue

EXPANSION_PARAMETER = (
    "http://hl7.org/fhir/StructureDefinition/valueset-expansion-parameter",
    "http://hl7.org/fhir/tools/StructureDefinition/valueset-expansion-parameter",
)

MAX_FILTER = 1_000
CHINA = timezone(timedelta(hours=8))

Mode = Literal["default", "check", "override"]

# Parameter name → (mode, whether it is about value sets).
_RULES: dict[str, Mode] = {
    "system-version": "default",
    "check-system-version": "check",
    "force-system-version": "override",
    "default-valueset-version": "default",
    "check-valueset-version": "check",
    "force-valueset-version": "override",
}
_FLAGS = {
    "activeOnly": "active_only",
    "excludeNested": "exclude_nested",
    "excludeNotForUI": "exclude_not_for_ui",
    "excludePostCoordinated": "exclude_post_coordinated",
    "includeDesignations": "include_designations",
    "includeDefinition": "include_definition",
    "lenient-display-validation": "is_display_lenient",
    "valueset-membership-only": "membership_only",
    "versionsMatch": "versions_match",
    "inferSystem": "infer_system",
}


@dataclass(frozen=True)
class VersionRule:
    """One version parameter: `name` as given, the canonical it is about and the version (or pattern) it names."""

    name: str
    mode: Mode
    url: str
    version: str


@dataclass
class Options:
    """Flags are None when nobody set them; `languages` decide displays, `message_language` the sentences.

    `on`: the day whose catalogues answer (parameter `date`); None is today."""

    active_only: bool | None = None
    exclude_nested: bool | None = None
    exclude_not_for_ui: bool | None = None
    exclude_post_coordinated: bool | None = None
    include_designations: bool | None = None
    include_definition: bool | None = None
    is_display_lenient: bool | None = None
    membership_only: bool | None = None
    versions_match: bool | None = None
    infer_system: bool | None = None
    allows_abstract: bool = True
    count: int | None = None
    offset: int | None = None
    filter: str = ""
    on: date | None = None
    display_languages: Languages | None = None
    http_languages: Languages | None = None
    designations: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    supplements: list[str] = field(default_factory=list)
    rules: list[VersionRule] = field(default_factory=list)
    message_language: Language = "en"
    is_validating: bool = False

    @property
    def languages(self) -> Languages | None:
        """The languages of displays: displayLanguage, else Accept-Language, else those of the value set."""
        return self.display_languages or self.http_languages

    @property
    def language_summary(self) -> str:
        return self.languages.as_text() if self.languages else "--"

    def see_value_set(self, value_set: Json) -> None:
        """Take what a value set says of its own expansion, where the request is silent."""
        compose = value_set.get("compose") or {}
        for extension in compose.get("extension") or ():
            if extension.get("url") not in EXPANSION_PARAMETER:
                continue
            parts = {
                part.get("url"): part for part in extension.get("extension") or () if isinstance(part, dict)
            }
            if "name" in parts and "value" in parts:
                self._see(str(value_of(parts["name"])), value_of(parts["value"]))
        if self.http_languages is None and value_set.get("language"):
            self.http_languages = self._languages(value_set["language"])

    def _see(self, name: str, value: object) -> None:
        if name == "displayLanguage" and self.display_languages is None and isinstance(value, str):
            self.display_languages = self._languages(value)
        elif name in _FLAGS and getattr(self, _FLAGS[name]) is None:
            setattr(self, _FLAGS[name], value in (True, "true"))
        elif name == "property" and isinstance(value, str):
            self._add(self.properties, value)
        elif name == "designation" and isinstance(value, str):
            self._add(self.designations, value)
        elif name == "useSupplement" and isinstance(value, str):
            self._add(self.supplements, value)
        elif name in _RULES and isinstance(value, str):
            self._rule(name, value)

    @staticmethod
    def _add(values: list[str], value: str) -> None:
        if value not in values:
            values.append(value)

    def _rule(self, name: str, canonical: str) -> None:
        url, version = split(canonical)
        if not version:
            raise InvalidInput(
                "HT-TX-03", name=name, type="canonical with a version (url|version)", value=canonical
            )
        rule = VersionRule(name, _RULES[name], url, version)
        if rule not in self.rules:
            self.rules.append(rule)

    def _languages(self, text: str) -> Languages:
        try:
            return parse_header(text, with_rest=not self.is_validating)
        except InvalidLanguage:
            raise TerminologyProblem(
                tx_issue(
                    "error", "processing", "invalid-display", "INVALID_DISPLAY_NAME", text,
                    language=self.message_language,
                ),
                status=400,
            ) from None  # fmt: skip


def read_options(
    inputs: Inputs, *, accept_language: str | None, message_language: Language, is_validating: bool
) -> Options:
    """Return the options of a request; raises InvalidInput or TerminologyProblem for what cannot be read."""
    options = Options(is_validating=is_validating, message_language=message_language)
    for name, attribute in _FLAGS.items():
        setattr(options, attribute, inputs.boolean(name))
    options.allows_abstract = inputs.boolean("abstract") is not False
    options.count = inputs.integer("count")
    options.offset = inputs.integer("offset")
    options.filter = inputs.text("filter") or ""
    options.on = _day(inputs.text("date"))
    if len(options.filter) > MAX_FILTER:
        raise InvalidInput("HT-TX-05", name="filter", length=len(options.filter), limit=MAX_FILTER)
    if accept_language:
        options.http_languages = _lenient(accept_language, options)
    display_language = inputs.text("displayLanguage")
    if display_language:
        options.display_languages = options._languages(display_language)
    for name in ("property", "designation", "useSupplement", *_RULES):
        for value in inputs.texts(name):
            options._see(name, value)
    if inputs.has("exclude-system"):
        raise InvalidInput("HT-TX-08", name="exclude-system")
    return options


def _day(text: str | None) -> date | None:
    """Return the day of a FHIR dateTime: its day in China; the first day of a month or year."""
    if text is None:
        return None
    try:
        if "T" in text:
            # A "+" that was not escaped in a URL arrives as a space.
            moment = datetime.fromisoformat(text.replace(" ", "+"))
            return (moment.astimezone(CHINA) if moment.tzinfo else moment).date()
        return date.fromisoformat(text + "-01" * (2 - text.count("-")))
    except ValueError:
        raise InvalidInput("HT-TX-03", name="date", type="dateTime", value=text[:80]) from None


def _lenient(header: str, options: Options) -> Languages | None:
    """Accept-Language comes from browsers and libraries: what cannot be read says nothing."""
    try:
        return parse_header(header, with_rest=not options.is_validating)
    except InvalidLanguage:
        return None
