"""Everything one terminology request sees: the library, its own tx-resources, its options and its version rules."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from terminology import versions
from terminology.canonical import join, split
from terminology.code_system import CodeSystem
from terminology.concept_status import text_of
from terminology.fhirjson import Json
from terminology.implicit import implicit_value_set
from terminology.library import Library, ResourceLibrary, best, chosen_supplements
from terminology.options import Options, VersionRule
from terminology.outcome import Findings, TerminologyProblem, TxIssue, tx_issue
from terminology.supplement import VALUE_SET_SUPPLEMENT, SupplementedCodeSystem

# Value sets that import each other deeper than this are a mistake or an attack.
MAX_IMPORTS = 100


@dataclass
class Scope:
    """The request's view. `found_rules`: version parameters that decided something ("name", "url|version").

    `required_supplements`: what the request and its value set ask for; `used_supplements`: which of them were found.
    """

    library: Library
    options: Options
    own: ResourceLibrary = field(default_factory=ResourceLibrary)
    found_rules: list[tuple[str, str]] = field(default_factory=list)
    required_supplements: list[str] = field(default_factory=list)
    used_supplements: set[str] = field(default_factory=set)
    limit: int = 1_000
    _chain: list[str] = field(default_factory=list)
    _found: dict[tuple[str, str | None], CodeSystem | None] = field(default_factory=dict)

    def issue(
        self,
        severity: str,
        type: str,
        kind: str,
        message_id: str,
        *values: object,
        path: str | None = None,
        shown_id: str | None = None,
    ) -> TxIssue:
        """Return an issue in the language of the request's messages."""
        return tx_issue(
            severity,  # type: ignore[arg-type]  # the callers write it out
            type,
            kind,
            message_id,
            *values,
            path=path,
            language=self.options.message_language,
            shown_id=shown_id,
        )

    def code_system(
        self, url: str | None, version: str | None, *, by_rules: bool = True
    ) -> CodeSystem | None:
        """Return a code system with the supplements in use; the request's own resources come first.

        `by_rules`: the version parameters may name or replace the version.
        """
        if not url:
            return None
        if by_rules:
            version = self.version_by_rules(url, version)
        if version is None and self.options.on is not None and not self.own.all("CodeSystem", url):
            version = self.library.version_on(url, self.options.on)
        if (url, version) not in self._found:
            self._found[url, version] = self._find(url, version)
        system = self._found[url, version]
        if system is None:
            return None
        indexes = [*self.library.supplements(url, system.version), *self.own.supplements(url, system.version)]
        chosen = chosen_supplements(indexes, self.required_supplements)
        if not chosen:
            return system
        supplemented = SupplementedCodeSystem(system, chosen)
        self._note_supplements(supplemented.supplements)
        return supplemented

    def _find(self, url: str, version: str | None) -> CodeSystem | None:
        own = best(self.own.all("CodeSystem", url), version)
        if own is not None and own.get("content") == "complete":
            return self.own.open(own)
        system = self.library.code_system(url, version)
        if system is None and own is not None and own.get("content") == "fragment":
            return self.own.open(own)
        return system

    def is_supplement(self, url: str, version: str | None) -> Json | None:
        """Return the supplement that somebody uses as if it were a code system."""
        known = self.own.code_system_resource(url, version) or self.library.code_system_resource(url, version)
        return known if known is not None and known.get("content") == "supplement" else None

    def code_system_versions(self, url: str) -> list[str]:
        return sorted({*self.own.code_system_versions(url), *self.library.code_system_versions(url)})

    def _note_supplements(self, canonicals: Iterable[str]) -> None:
        for canonical in canonicals:
            for wanted in self.required_supplements:
                if wanted in (canonical, split(canonical)[0]):
                    self.used_supplements.add(wanted)

    def require_supplements(self, value_set: Json) -> None:
        """Take the supplements that the request and a value set ask for."""
        wanted = [*self.options.supplements]
        wanted.extend(
            text_of(extension)
            for extension in value_set.get("extension") or ()
            if extension.get("url") == VALUE_SET_SUPPLEMENT
        )
        self.required_supplements.extend(name for name in wanted if name not in self.required_supplements)

    def check_supplements(self) -> None:
        """Raise when a required supplement was found on none of the code systems used."""
        missing = [name for name in self.required_supplements if name not in self.used_supplements]
        if missing:
            message_id = f"VALUESET_SUPPLEMENT_MISSING_{'one' if len(missing) == 1 else 'other'}"
            raise TerminologyProblem(
                self.issue(
                    "error", "not-found", "not-found", message_id, len(missing), ",".join(missing),
                    shown_id="VALUESET_SUPPLEMENT_MISSING",
                )
            )  # fmt: skip

    def version_by_rules(self, url: str | None, version: str | None) -> str | None:
        """Return the version that the version parameters make of a stated one.

        force-system-version replaces it; system-version fills it in, then check-system-version.
        """
        rules = [rule for rule in self.options.rules if rule.url == url]
        if not rules:
            return version
        chosen = version
        forced = [rule for rule in rules if rule.mode == "override"]
        if forced:
            self._one_version(forced, "SYSTEM_VERSION_MULTIPLE_OVERRIDE")
            chosen = forced[0].version
            self._see_rule(forced[0].name, url, chosen)
        if not chosen:
            defaults = [rule for rule in rules if rule.mode == "default"]
            if defaults:
                self._one_version(defaults, "SYSTEM_VERSION_MULTIPLE_DEFAULT")
                chosen = defaults[0].version
                self._see_rule(defaults[0].name, url, chosen)
        if not chosen:
            checks = [rule for rule in rules if rule.mode == "check"]
            if checks:
                chosen = checks[0].version
                self._see_rule(checks[0].name, url, chosen)
        return chosen

    def _one_version(self, rules: list[VersionRule], message_id: str) -> None:
        versions_named = list(dict.fromkeys(rule.version for rule in rules))
        if len(versions_named) > 1:
            raise TerminologyProblem(
                self.issue(
                    "error", "exception", "version-error", message_id, rules[0].url, *versions_named[:2]
                ),
                status=400,
            )

    def _see_rule(self, name: str, url: str | None, version: str | None) -> None:
        found = (name, f"{url}|{version}")
        if found not in self.found_rules:
            self.found_rules.append(found)

    def check_version(self, system: CodeSystem, findings: Findings | None, path: str | None = None) -> None:
        """Hold a code system against check-system-version: an issue, or a problem when there is nowhere to put one."""
        for rule in self.options.rules:
            if rule.url != system.url or rule.mode != "check":
                continue
            if versions.matches(rule.version, system.version, system.version_algorithm):
                continue
            issue = self.issue(
                "error", "exception", "version-error", "VALUESET_VERSION_CHECK", system.url, system.version,
                rule.version, path=path,
            )  # fmt: skip
            if findings is None:
                raise TerminologyProblem(issue, status=400)
            findings.add_new(issue)

    def value_set(
        self, canonical: str, version: str | None = None, source: Json | None = None
    ) -> Json | None:
        """Return a value set by canonical; "#id" is one contained in `source`."""
        if canonical.startswith("#"):
            contained = (source or {}).get("contained") or ()
            return next(
                (
                    row
                    for row in contained
                    if row.get("id") == canonical[1:] and row.get("resourceType") == "ValueSet"
                ),
                None,
            )
        url, stated = split(canonical)
        version = version or stated
        return (
            self.own.value_set(url, version)
            or self.library.value_set(url, version)
            or implicit_value_set(self, url, version)
        )

    def pinned(self, canonical: str) -> str:
        """Return an imported canonical with the version that the version parameters give it."""
        url, version = split(canonical)
        return canonical if version else join(url, self.version_by_rules(url, None))

    @contextmanager
    def entering(self, value_set: Json) -> Iterator[None]:
        """Note that a value set is being evaluated; raises when it is already (a cycle of imports)."""
        key = join(value_set.get("url") or "", value_set.get("version")) if value_set.get("url") else ""
        if (key and key in self._chain) or len(self._chain) >= MAX_IMPORTS:
            pathway = f"[{', '.join([*self._chain, key])}]"
            raise TerminologyProblem(
                self.issue("error", "processing", "vs-invalid", "VALUESET_CIRCULAR_REFERENCE", key, pathway)
            )
        self._chain.append(key)
        try:
            yield
        finally:
            self._chain.pop()
