"""The house's import direction: terminology ← conformance ← mappings ← gateway (docs/design.md §2)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HOUSE = ("terminology", "conformance", "mappings", "gateway")
SOURCES = [path for package in HOUSE for path in sorted((ROOT / package).rglob("*.py"))]


def imported_packages(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add((node.module or "").partition(".")[0])
    return found & set(HOUSE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_only_upwards(path: Path) -> None:
    own = HOUSE.index(path.relative_to(ROOT).parts[0])
    above = {name for name in imported_packages(path) if HOUSE.index(name) > own}
    assert not above, f"{path.relative_to(ROOT)} imports {above}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_r5_models_by_accident(path: Path) -> None:
    """fhir.resources without .R4B is R5 (docs/design.md, decision 1)."""
    text = path.read_text()
    assert "from fhir.resources import" not in text
    assert "fhir.resources." not in text.replace("fhir.resources.R4B", "")


def test_no_wells() -> None:
    names = {path.stem for path in SOURCES}
    assert not names & {"utils", "helpers", "common", "manager"}
