"""Our four import names are generic: refuse to run when another distribution owns one (docs/design.md §2)."""

import sys
from importlib.util import find_spec
from pathlib import Path

from terminology.issues import Unavailable

NAMES = ("terminology", "conformance", "mappings", "gateway")
OURS = "hutong"


def foreign_owner(folders: list[str] | None = None) -> Unavailable | None:
    """Return what is wrong when a name is imported from elsewhere, or another distribution has files in it."""
    home = Path(__file__).resolve().parent.parent.parent
    for name in NAMES:
        spec = find_spec(name)
        place = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if place != home / name:
            return Unavailable("HT-CLI-01", name=name, owner="?", path=place)
    for folder in {Path(entry) for entry in (folders or sys.path) if entry}:
        for record in folder.glob("*.dist-info/RECORD"):
            distribution = record.parent.name.removesuffix(".dist-info").partition("-")[0]
            if distribution.lower() == OURS:
                continue
            text = "\n" + record.read_text("utf-8", "replace")
            for name in NAMES:
                if f"\n{name}/" in text:
                    return Unavailable("HT-CLI-01", name=name, owner=distribution, path=folder)
    return None
