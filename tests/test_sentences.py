"""Every code that is used is worded, every worded code is used, and both languages say the same.

docs/design.md §4: a code has one wording in Chinese and English, with how to fix it.
"""

import re
from pathlib import Path
from string import Formatter

import pytest

from terminology.issues import SENTENCES, Sentence, sentences

ROOT = Path(__file__).parent.parent
PACKAGES = ("terminology", "conformance", "mappings", "gateway")
CODE = re.compile(r"HT-[A-Z0-9]+-\d+")

AREAS = sorted(path.stem for path in SENTENCES.glob("*.toml"))
WORDED = {code: sentence for area in AREAS for code, sentence in sentences(area).items()}


def used_codes() -> set[str]:
    files = (
        path
        for package in PACKAGES
        for kind in ("*.py", "*.toml", "*.yaml")
        for path in (ROOT / package).rglob(kind)
        if SENTENCES not in path.parents
    )
    return {code for path in files for code in CODE.findall(path.read_text("utf-8"))}


def blanks(text: str) -> set[str]:
    """Return the names of the blanks; `expected_zh` and `expected_en` are one value in two languages."""
    names = (name for _, name, _, _ in Formatter().parse(text) if name is not None)
    return {re.sub(r"_(zh|en)$", "", name) for name in names}


def test_every_used_code_is_worded() -> None:
    assert sorted(used_codes() - WORDED.keys()) == []


def test_every_worded_code_is_used() -> None:
    assert sorted(WORDED.keys() - used_codes()) == []


@pytest.mark.parametrize("area", AREAS)
def test_a_code_stands_in_the_file_of_its_area(area: str) -> None:
    assert [code for code in sentences(area) if not re.fullmatch(rf"HT-{area.upper()}-\d+", code)] == []


@pytest.mark.parametrize("code", sorted(WORDED))
class TestWording:
    def test_nothing_is_empty(self, code: str) -> None:
        said: Sentence = WORDED[code]
        assert all(text.strip() for text in (said.type, said.zh, said.en, said.fix_zh, said.fix_en))

    def test_both_languages_fill_the_same_blanks(self, code: str) -> None:
        said: Sentence = WORDED[code]
        assert blanks(said.zh) == blanks(said.en)
        assert blanks(said.fix_zh) == blanks(said.fix_en)
