"""HL7 v2.8 §2.7 (mappings/hl7v2/escapes.py); rows in tests/spec/hl7v2_escapes.yaml."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mappings.hl7v2 import STANDARD, Delimiters
from mappings.hl7v2.escapes import escape, unescape

ROWS: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent.parent / "spec" / "hl7v2_escapes.yaml").read_text(encoding="utf-8")
)
OTHER = Delimiters("$", "%", "*", "?", "@")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["raw"])
def test_unescape(row: dict[str, Any]) -> None:
    assert unescape(row["raw"]) == row["text"]


@given(TEXTS, st.sampled_from([STANDARD, OTHER]), st.sampled_from(["utf-8", "gb18030", "ascii", "latin-1"]))
def test_what_is_escaped_comes_back(text: str, delimiters: Delimiters, codec: str) -> None:
    written = escape(text, delimiters, codec=codec)
    assert unescape(written, delimiters) == text
    assert not set(written) & {delimiters.field, delimiters.component, delimiters.subcomponent, "\r", "\n"}
    written.encode(codec)


@given(st.text("\\FSTREXHN.brsp0129AF^&~|C28M4", max_size=40))
def test_any_soup_has_a_text(soup: str) -> None:
    assert isinstance(unescape(soup), str)
