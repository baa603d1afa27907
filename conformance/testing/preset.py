"""Presets of vendor products: the second hospital with the same system starts with what the first one found out.

A preset is a target file without what belongs to one site: member, addresses, secrets, evidence, waivers.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from terminology.fhirjson import Json
from terminology.issues import InvalidInput, NotFound

SHIPPED = Path(__file__).parent.parent / "presets"
OF_ONE_SITE = frozenset({"member", "evidence", "waivers", "fingerprint", "samples", "preset"})
# Of a port only how it speaks is the product's; where it stands is the site's.
OF_ONE_PORT = frozenset({"host", "base", "headers"})
NAME = re.compile(r"[\w\-.]{1,64}")


def presets(folder: Path | None = None) -> dict[str, Json]:
    """Return the shipped presets and the county's own (in `folder`) by name; an own one covers a shipped one."""
    found: dict[str, Json] = {}
    for place in (SHIPPED, folder):
        for path in sorted(place.glob("*.yaml")) if place is not None else ():
            row = yaml.safe_load(path.read_text("utf-8"))
            if not isinstance(row, dict):
                raise InvalidInput("HT-CT-34", name=path.name, detail="preset")
            found[path.stem] = row
    return found


def with_preset(given: Json, known: dict[str, Json]) -> Json:
    """Return a target file's content over its `preset`; what the file says counts. Raises NotFound HT-CT-52."""
    name = given.get("preset")
    if name is None:
        return given
    if name not in known:
        raise NotFound("HT-CT-52", kind="preset", id=str(name)[:64])
    merged: Json = _over(
        {key: value for key, value in known[str(name)].items() if key not in ("zh", "en")}, given
    )
    return merged


def to_preset(given: Json) -> tuple[str, Json]:
    """Return name and content of the preset that a target file of one site makes: vendor and product name it."""
    words = [str(given.get(name, "")).strip() for name in ("vendor", "product")]
    name = "-".join(re.sub(r"[^\w.]+", "_", word) for word in words if word)
    if not NAME.fullmatch(name):
        raise InvalidInput("HT-CT-50", name="vendor, product", detail="required")
    kept: Json = {"preset": name}
    for key, value in given.items():
        if key in OF_ONE_SITE:
            continue
        kept[key] = (
            {name: inner for name, inner in value.items() if name not in OF_ONE_PORT}
            if key in ("fhir", "mllp", "listen", "http") and isinstance(value, dict)
            else value
        )
    return name, kept


def save_preset(given: Json, folder: Path) -> Path:
    """Write the preset of a target file into the county's folder; return its path."""
    name, content = to_preset(given)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")
    return path


def _over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {
            key: _over(below.get(key), above[key]) if key in above else below[key]
            for key in {**below, **above}
        }
    return above
