"""What is there has its page, and what a page links to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\((?!https?:|#|/)([^)#\s]+)")
OURS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE_SPAN = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)


def links(page: Path) -> list[str]:
    """Return the relative links of a page, without what only looks like one in code."""
    return LINK.findall(CODE_SPAN.sub("", page.read_text("utf-8")))


@pytest.mark.parametrize("page", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not (page.parent / link).exists()]
    assert broken == []


def test_every_page_is_linked_from_another() -> None:
    linked = {(page.parent / link).resolve() for page in OURS for link in links(page) if link.endswith(".md")}
    pages = {page.resolve() for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked) == []


def test_the_index_names_every_folder_of_pages() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    for folder in sorted(path for path in (ROOT / "docs").iterdir() if path.is_dir()):
        assert f"({folder.name}/" in index, folder.name


def test_the_readme_commands_exist() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for script in set(re.findall(r"scripts/[a-z_]+", text)):
        assert (ROOT / script).is_file(), script
