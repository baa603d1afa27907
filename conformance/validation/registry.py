"""The definitions that a validation may use beside those of R4: profiles, extensions, value sets, questionnaires, measures.

Filled from single resources, files, folders and packages (`.tgz`), at any time; what is built from them is built when
first needed.
"""

import io
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conformance import profiles
from conformance.definitions import profile as core_profile
from conformance.definitions import structure
from conformance.formats.json import parse
from conformance.validation.codes import CoreTerminology
from conformance.validation.profile_rule import Profile, Rule
from conformance.validation.profile_tree import from_core, from_snapshot, lay_over, leave_to_base
from terminology.fhirjson import Json
from terminology.issues import FhirError, InvalidInput, Issue, TooLarge

MAX_PACKAGE_FILES = 20_000
MAX_PACKAGE_BYTES = 512 * 1024 * 1024
_BASE = "http://hl7.org/fhir/StructureDefinition/"
# A chain of profiles longer than this is a circle that changes its names.
_MAX_CHAIN = 30


class ProfileRegistry:
    """Definitions by type and canonical URL; the newest added wins where two have the same URL and version."""

    def __init__(self) -> None:
        self._resources: dict[tuple[str, str], list[Json]] = {}
        self._profiles: dict[str, Profile | None] = {}
        self.terminology = CoreTerminology(self.find)

    def add(self, resource: Json) -> bool:
        """Take a resource that has a canonical URL (or a type and id); False when it has neither."""
        kind, url, identifier = resource.get("resourceType"), resource.get("url"), resource.get("id")
        if not isinstance(kind, str):
            return False
        keys = [
            key
            for key in (url, f"{kind}/{identifier}" if isinstance(identifier, str) else None)
            if isinstance(key, str)
        ]
        for key in keys:
            rows = self._resources.setdefault((kind, key), [])
            rows[:] = [row for row in rows if row.get("version") != resource.get("version")]
            rows.insert(0, resource)
        # What was built may rest on what is replaced now.
        self._forget()
        return bool(keys)

    def remove(self, kind: str, url: str) -> None:
        """Forget a definition, for one that was deleted."""
        self._resources.pop((kind, url), None)
        self._forget()

    def _forget(self) -> None:
        self._profiles.clear()
        self.terminology.forget()

    def load(self, path: Path) -> list[Issue]:
        """Load a resource file, every file of a folder, or a package; return what could not be read.

        A broken file in a package is told and passed over. Raises InvalidInput HT-VAL-95 when `path` is nothing of these.
        """
        problems: list[Issue] = []
        for name, body in _files(path):
            try:
                self._load_one(name, body)
            except FhirError as error:
                problems.extend(
                    Issue("HT-VAL-96", {"file": name, "problem": row.text("en")}, "warning", None, row.source)
                    for row in error.issues
                )
        return problems

    def _load_one(self, name: str, body: bytes) -> None:
        from conformance.formats.xml import to_json

        resource = to_json(body) if name.endswith(".xml") else parse(body)
        if resource.get("resourceType") == "Bundle":
            for row in resource.get("entry", ()):
                if isinstance(row, dict) and isinstance(row.get("resource"), dict):
                    self.add(row["resource"])
        self.add(resource)

    def find(self, kind: str, canonical: str) -> Json | None:
        """Return the definition of that type and canonical; with |version that version, or any when it is not here."""
        url, _, version = canonical.partition("|")
        rows = self._resources.get((kind, url))
        if not rows:
            # The county profiles are built in; one that was loaded or posted under the same URL comes before.
            return profiles.find(kind, canonical)
        if version:
            for row in rows:
                stated = str(row.get("version", ""))
                if stated == version or stated.startswith(version + "."):
                    return row
        return rows[0]

    def is_supplement(self, system: str) -> bool:
        found = self.find("CodeSystem", system)
        return found is not None and ("supplements" in found or found.get("content") == "supplement")

    def global_profiles(self, type_name: str) -> list[str]:
        """Return the profiles that loaded implementation guides put on every resource of a type."""
        guides = {
            id(rows[0]): rows[0]
            for (kind, _), rows in self._resources.items()
            if kind == "ImplementationGuide"
        }
        return [
            str(row["profile"])
            for guide in guides.values()
            for row in guide.get("global", ())
            if isinstance(row, dict) and row.get("type") == type_name and "profile" in row
        ]

    def profile(self, canonical: str) -> Profile | None:
        """Return a profile or extension; None when nobody defined it. Its `problems` tell what is wrong with it."""
        if canonical not in self._profiles:
            self._profiles[canonical] = self._build(canonical, ())
        return self._profiles[canonical]

    def profile_of(self, resource: Json) -> Profile:
        """Return the tree of a StructureDefinition that need not be registered."""
        return self._from_resource(resource, (), use_snapshot=False)

    def _build(self, canonical: str, chain: tuple[str, ...]) -> Profile | None:
        resource = self.find("StructureDefinition", canonical)
        if resource is not None:
            return self._from_resource(resource, chain, use_snapshot=True)
        url = canonical.partition("|")[0]
        row = core_profile(url) or (structure(url.removeprefix(_BASE)) if url.startswith(_BASE) else None)
        return _core(row.url) if row is not None else None

    def _from_resource(self, resource: Json, chain: tuple[str, ...], *, use_snapshot: bool) -> Profile:
        url = str(resource.get("url", ""))
        snapshot = resource.get("snapshot")
        if use_snapshot and isinstance(snapshot, dict) and snapshot.get("element"):
            return from_snapshot(resource)
        base_url = str(resource.get("baseDefinition") or "")
        kind = str(resource.get("type", ""))
        fallback = structure(kind)
        base: Profile | None = None
        problem: tuple[str, dict[str, str]] | None = None
        if base_url.partition("|")[0] in (*chain, url) or len(chain) > _MAX_CHAIN:
            problem = ("HT-VAL-143", {"url": url, "base": base_url})
        else:
            base = self._build(base_url, (*chain, url))
            if base is None:
                problem = ("HT-VAL-144", {"url": url, "base": base_url})
        if base is None:
            base = (
                from_core(fallback)
                if fallback is not None
                else Profile(base_url, kind, kind, Rule(kind, kind))
            )
        found = lay_over(base, resource, self._expand)
        # What the base type demands is checked with the type already.
        leave_to_base(found.root, fallback)
        found.problems = [*base.problems, *([problem] if problem else []), *found.problems]
        return found

    def _expand(self, rule: Rule) -> Rule | None:
        """Return the tree of the data type of a rule, for differentials that reach into it."""
        if len(rule.types) != 1 and not rule.content_reference:
            return None
        if rule.content_reference:
            name, _, rest = rule.content_reference.partition(".")
            row = structure(name)
            root: Rule | None = from_core(row).root if row is not None else None
            for step in rest.split("."):
                root = root.children.get(step) if root is not None else None
            return root
        row = structure(rule.types[0].code)
        return from_core(row).root if row is not None else None


@cache
def _core(url: str) -> Profile:
    """A profile or type of the core package, built once for all registries."""
    row = core_profile(url) or structure(url.removeprefix(_BASE))
    assert row is not None
    return from_core(row)


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix in (".json", ".xml"):
                yield str(file.relative_to(path)), file.read_bytes()
    elif path.suffix in (".tgz", ".gz", ".tar"):
        yield from read_package(path.read_bytes())
    elif path.is_file():
        yield path.name, path.read_bytes()
    else:
        raise InvalidInput("HT-VAL-95", path=path.name)


def read_package(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the resource files of an FHIR package (https://hl7.org/fhir/packages), read in memory, never unpacked.

    Raises InvalidInput HT-VAL-95 when it is no archive, TooLarge HT-VAL-97.
    """
    count = total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            for member in archive:
                name = member.name
                if (
                    not member.isfile()
                    or not name.endswith(".json")
                    or name.rpartition("/")[2] in ("package.json", ".index.json")
                ):
                    continue
                if "/example" in name or name.endswith(".schema.json") or name.startswith("package/other/"):
                    continue
                count, total = count + 1, total + member.size
                if count > MAX_PACKAGE_FILES or total > MAX_PACKAGE_BYTES:
                    raise TooLarge("HT-VAL-97", files=MAX_PACKAGE_FILES, megabytes=MAX_PACKAGE_BYTES >> 20)
                if (file := archive.extractfile(member)) is not None:
                    yield name, file.read()
    except (tarfile.TarError, EOFError, OSError) as problem:
        raise InvalidInput("HT-VAL-95", path=str(problem)[:80]) from None
