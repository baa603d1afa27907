"""YAML tests: read, checked against their JSON Schema, one object a test (conformance/suites/test.schema.json)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from terminology.fhirjson import Json
from terminology.issues import InvalidInput

SUITES = Path(__file__).parent.parent / "suites"
MAX_BYTES = 2 * 1024 * 1024
# libyaml's reader is ten times as fast as the Python one.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CASE_ONLY = ("requirements", "negative")


@dataclass(frozen=True, slots=True)
class YamlTest:
    """`steps` in order, those of the file's setup first; `values`: of its row of `cases`, over the file's defaults.

    `${name}` in a text is replaced; a text that is nothing else becomes the value itself, a tree too, and null takes
    the element away. A list in a list is spliced in.
    """

    id: str
    zh: str
    en: str
    roles: tuple[str, ...]
    requirements: tuple[str, ...]
    is_negative: bool
    is_smoke: bool
    steps: tuple[Json, ...]
    values: Json
    file: str


@cache
def load_suites() -> tuple[YamlTest, ...]:
    """Return every shipped test in the order of files; ids are unique."""
    return load_tests(sorted(SUITES.glob("*.yaml")))


def load_tests(paths: Iterable[Path]) -> tuple[YamlTest, ...]:
    """Return the tests of these files; raises InvalidInput naming file and place of what is wrong."""
    found: dict[str, YamlTest] = {}
    for path in paths:
        for test in _read(path):
            if test.id in found:
                raise InvalidInput("HT-CT-30", id=test.id, name=path.name)
            found[test.id] = test
    return tuple(found.values())


def select(
    tests: Iterable[YamlTest], *, roles: Iterable[str] = (), ids: Iterable[str] = ()
) -> tuple[YamlTest, ...]:
    """Return the tests of these roles or ids; an unknown one raises InvalidInput (HT-CT-31): nothing passes unseen."""
    rows = tuple(tests)
    wanted_roles, wanted_ids = set(roles), set(ids)
    unknown = (wanted_roles - {role for row in rows for role in row.roles}) | (
        wanted_ids - {row.id for row in rows} - {name for row in rows for name in row.requirements}
    )
    if unknown:
        raise InvalidInput("HT-CT-31", name=", ".join(sorted(unknown))[:200])
    return tuple(
        row
        for row in rows
        if (not wanted_roles or wanted_roles & set(row.roles))
        and (not wanted_ids or row.id in wanted_ids or wanted_ids & set(row.requirements))
    )


def suite_hash(tests: Iterable[YamlTest]) -> str:
    """Return the SHA-256 of the tests' content: what a certificate says was run."""
    digest = sha256()
    for row in tests:
        text = json.dumps([row.id, row.steps, row.values], ensure_ascii=False, sort_keys=True, default=str)
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _read(path: Path) -> list[YamlTest]:
    if not path.is_file() or path.stat().st_size > MAX_BYTES:
        raise InvalidInput("HT-CT-32", name=path.name, place="-", detail="missing or too large")
    try:
        content = yaml.load(path.read_text("utf-8"), Loader=LOADER)  # noqa: S506  # both are safe loaders
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput("HT-CT-32", name=path.name, place="-", detail=str(error)[:200]) from None
    for problem in _schema().iter_errors(content):
        place = "/".join(str(part) for part in problem.instance_path)
        raise InvalidInput("HT-CT-32", name=path.name, place=place, detail=problem.message[:200])
    setup = tuple(content.get("setup", ()))
    rows = []
    for test in content["tests"]:
        for case in test.get("cases", [{}]):
            values = {
                **content.get("defaults", {}),
                **{name: value for name, value in case.items() if name not in CASE_ONLY},
            }
            suffix = f"-{case['id']}" if "id" in case else ""
            rows.append(
                YamlTest(
                    id=test["id"] + suffix,
                    zh=_put(test["zh"], values),
                    en=_put(test["en"], values),
                    roles=tuple(test.get("roles", content["roles"])),
                    requirements=tuple(case.get("requirements", test["requirements"])),
                    is_negative=bool(case.get("negative", test.get("negative", False))),
                    is_smoke=bool(test.get("smoke", False)),
                    steps=(*setup, *test["steps"]) if test.get("setup", True) else tuple(test["steps"]),
                    values=values,
                    file=path.name,
                )
            )
    return rows


@cache
def _schema() -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator(json.loads((SUITES / "test.schema.json").read_text("utf-8")))


def _put(text: str, values: Json) -> str:
    for name, value in values.items():
        text = text.replace("${" + name + "}", str(value)) if isinstance(value, (str, int, float)) else text
    return text
