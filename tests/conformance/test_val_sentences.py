"""Every HT-VAL and HT-FMT code that the validator reports is worded, and every wording is used."""

import re
from pathlib import Path

from terminology.issues import sentences

ROOT = Path(__file__).parent.parent.parent
FOLDERS = (
    ROOT / "conformance" / "formats",
    ROOT / "conformance" / "validation",
    ROOT / "gateway" / "cli",
    ROOT / "gateway" / "operations",
)


def test_codes_and_sentences_are_the_same_set() -> None:
    text = "".join(file.read_text() for folder in FOLDERS for file in folder.rglob("*.py"))
    used = set(re.findall(r'"(HT-(?:VAL|FMT)-\d+)"', text))
    worded = set(sentences("val")) | set(sentences("fmt"))
    assert used - worded == set()
    assert worded - used == set()


def test_both_languages_ask_for_the_same_blanks() -> None:
    for code, row in (sentences("val") | sentences("fmt")).items():
        zh, en = (
            set(re.findall(r"(?<!\{)\{(\w+)\}", text)) for text in (row.zh + row.fix_zh, row.en + row.fix_en)
        )
        assert zh == en, code
