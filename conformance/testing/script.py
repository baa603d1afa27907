"""A TestScript as the engine needs it: read from JSON or XML, its fixtures found beside it or inside it.

https://hl7.org/fhir/R4/testscript.html
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.testing.client import read_tree
from terminology.fhirjson import Json
from terminology.issues import InvalidInput, Issue

MAX_BYTES = 8 * 1024 * 1024
MAX_FOLDERS = 4
"""How far above a script its collection may begin."""
# A test system may fake a fixture of a type: ignixa-lab's generator extension names the type.
FAKES = "http://ignixa.io/testscript/fhirfakes"
# Assertions of one group hold together when one of them does.
ANY_OF = "http://ignixa.io/testscript/assertionAnyOfGroup"
KNOWN_EXTENSIONS = frozenset({FAKES, ANY_OF})

Fake = Callable[[str], Json]


@dataclass(frozen=True, slots=True)
class Fixture:
    id: str
    resource: Any
    autocreate: bool = False
    autodelete: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """`fixtures` by id; `profiles`: canonical URL by id; `notices`: what the engine leaves aside."""

    name: str
    resource: Json
    fixtures: dict[str, Fixture] = field(default_factory=dict)
    profiles: dict[str, str] = field(default_factory=dict)
    notices: tuple[Issue, ...] = ()


def load_script(path: Path, *, fake: Fake | None = None) -> Script:
    """Return the script at `path`; raises InvalidInput when it, or one of its fixtures, cannot be read."""
    resource = _read(path, path.name)
    if not isinstance(resource, dict) or resource.get("resourceType") != "TestScript":
        raise InvalidInput("HT-CT-01", name=path.name)
    contained = {f"#{row.get('id')}": row for row in resource.get("contained", ())}
    fixtures = {}
    for row in resource.get("fixture", ()):
        given = row.get("resource", {})
        fixtures[row["id"]] = Fixture(
            row["id"],
            _fixture(given, path, contained, fake),
            autocreate=row.get("autocreate") is True,
            autodelete=row.get("autodelete") is True,
        )
    profiles = {
        row["id"]: str(row.get("reference", "")) for row in resource.get("profile", ()) if row.get("id")
    }
    return Script(path.name, resource, fixtures, profiles, tuple(_notices(resource, path.name)))


def extension(row: Json, url: str) -> Any:
    """Return the value of an extension of `row`, None when it isn't there."""
    for one in row.get("extension", ()):
        if one.get("url") == url:
            return next((value for name, value in one.items() if name.startswith("value")), None)
    return None


def _fixture(given: Json, path: Path, contained: dict[str, Json], fake: Fake | None) -> Any:
    if "resourceType" in given:
        return given
    kind = extension(given, FAKES)
    if kind is not None and fake is not None:
        return fake(kind)
    if "reference" not in given and kind is None:
        # An inline body that is no resource, as tests of bad input send it.
        return given
    reference = given.get("reference")
    if not isinstance(reference, str):
        raise InvalidInput("HT-CT-02", name=path.name, reference=str(reference))
    if reference.startswith("#"):
        if reference not in contained:
            raise InvalidInput("HT-CT-02", name=path.name, reference=reference)
        return contained[reference]
    if "://" in reference or (file := _file(path, reference)) is None:
        raise InvalidInput("HT-CT-02", name=path.name, reference=reference)
    return _read(file, reference)


def _file(path: Path, reference: str) -> Path | None:
    """Return the file of a relative reference: beside the script, in a `fixtures` folder, or above in the collection.

    Collections write paths from the script, from their `fixtures` folder or from their root, and not always the ending.
    """
    plain = reference.replace("\\", "/").lstrip("/")
    for folder in (path.parent, *path.parents[1 : MAX_FOLDERS + 1]):
        for place in (folder / plain, folder / "fixtures" / plain, folder / "_reference" / plain):
            for file in (place, place.with_name(f"{place.name}.json"), place.with_name(f"{place.name}.xml")):
                if file.is_file():
                    return file
    return None


def _read(path: Path, name: str) -> Any:
    if not path.is_file():
        raise InvalidInput("HT-CT-02", name=name, reference=str(path.name))
    if path.stat().st_size > MAX_BYTES:
        raise InvalidInput("HT-CT-03", name=name, limit=MAX_BYTES)
    tree = read_tree(path.read_bytes())
    if tree is None:
        raise InvalidInput("HT-CT-04", name=name)
    return tree


def _notices(resource: Json, name: str) -> Iterator[Issue]:
    """What is in the script and has no effect here: rules and rule sets (DSTU2 and Touchstone), unknown extensions."""
    found = set(_names(resource))
    for word in sorted(found & {"rule", "ruleset"}):
        yield Issue("HT-CT-05", {"name": name, "what": word}, "information")
    urls = {word for word in found if word.startswith("http")} - KNOWN_EXTENSIONS
    for url in sorted(urls):
        yield Issue("HT-CT-05", {"name": name, "what": url}, "information")


def _names(value: Any) -> Iterator[str]:
    """The names of rules and the URLs of extensions anywhere in the script itself, not in its fixtures."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("rule", "ruleset"):
                yield name
            elif name in ("extension", "modifierExtension") and isinstance(inner, list):
                for row in inner:
                    url = str(row.get("url", ""))
                    yield name.removesuffix("extension") + url
                    if url.rpartition("/")[2] in ("testscript-rule", "testscript-ruleset"):
                        yield url.rpartition("-")[2]
            elif name not in ("contained",):
                yield from _names(inner)
    elif isinstance(value, list):
        for row in value:
            yield from _names(row)
