"""docs/profiles is what scripts/build_profile_docs writes, and each profile has its page."""

import re
from pathlib import Path

from profile_cases import all_ids
from profile_pages import pages

DOCS = Path(__file__).parent.parent.parent / "docs" / "profiles"


def test_pages_are_current() -> None:
    written = pages()
    assert {path.name for path in DOCS.iterdir()} == set(written)
    stale = [name for name, text in written.items() if (DOCS / name).read_text("utf-8") != text]
    assert stale == [], "run scripts/build_profile_docs"


def test_each_profile_has_a_page_that_the_index_names() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    for identity in all_ids():
        assert f"({identity}.md)" in index


def test_links_lead_somewhere() -> None:
    written = pages()
    for name, text in written.items():
        for target, anchor in re.findall(r"\]\((?!https?:)([\w.-]*\.md)?(?:#([\w-]+))?\)", text):
            page = written[target or name]
            assert not anchor or f'<a id="{anchor}"></a>' in page, (name, target, anchor)
