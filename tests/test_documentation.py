"""What is there has its page, and what a page links to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\((?!https?:|#|/)([^)#\s]+)")
OURS = [ROOT / "README.md", ROOT / "docs" / "README.md", *sorted((ROOT / "docs" / "operations").glob("*.md"))]


@pytest.mark.parametrize("page", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert broken == []


def test_the_index_names_every_folder_of_pages() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for folder in sorted(path for path in (ROOT / "docs").iterdir() if path.is_dir()):
        assert f"({folder.name}/" in index, folder.name


def test_the_readme_commands_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for script in set(re.findall(r"scripts/[a-z_]+", text)):
        assert (ROOT / script).is_file(), script
