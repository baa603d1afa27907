"""The examples of docs/search say what the server does."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "spec"))
from search import answer, fill

from gateway.search import Parameters
from gateway.store.memory import MemoryStore
from terminology.issues import sentences

DOCS = Path(__file__).parent.parent / "docs" / "search"
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]*) \|$", re.M)


@pytest.fixture(scope="module")
def store() -> MemoryStore:
    found = MemoryStore(Parameters())
    asyncio.run(fill(found))
    return found


EXAMPLES = [
    # A bar inside a table cell is escaped for Markdown.
    (path.stem, asked.replace("\\|", "|"), expected.strip())
    for path in sorted(DOCS.glob("*.md"))
    for asked, expected in ROW.findall(path.read_text("utf-8"))
    if "?" in asked
]


@pytest.mark.parametrize(("page", "asked", "expected"), EXAMPLES)
def test_example(page: str, asked: str, expected: str, store: MemoryStore) -> None:
    assert asyncio.run(answer(store, asked, ordered=" > " in expected)) == expected


def test_every_search_page_has_examples() -> None:
    pages = {path.stem for path in DOCS.glob("*.md")} - {"custom"}
    assert pages == {page for page, _, _ in EXAMPLES}


def test_every_named_code_is_worded() -> None:
    named = {
        code for path in DOCS.glob("*.md") for code in re.findall(r"HT-SEARCH-\d\d", path.read_text("utf-8"))
    }
    assert named <= sentences("search").keys()
    assert len(named) > 25
