"""docs/mapping.md: its examples compile, and it names every converter of the language and every key."""

import re
from pathlib import Path

import pytest

from mappings.language.active import compile_map, try_map
from mappings.language.document import _RESOURCE_KEYS, Document, extend, read_document
from mappings.language.expression import parse_expression
from mappings.language.sources.resource_path import FACTS
from mappings.language.sources.segments import SegmentSource
from mappings.outbound.parts import _PART_KEYS, _TARGET_KEYS
from terminology.translate import Translator

PAGE = (Path(__file__).parent.parent.parent / "docs" / "mapping.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def documents() -> dict[str, Document]:
    found: dict[str, Document] = {}
    for number, text in enumerate(EXAMPLES):
        document = read_document(text.encode(), file=f"example {number + 1}")
        found[document.name] = extend(found[document.extends], document) if document.extends else document
    return found


@pytest.mark.parametrize("name", documents())
def test_examples_compile_and_pass_their_tests(name: str) -> None:
    map = compile_map(documents()[name])
    assert map.document.trials
    assert try_map(map, Translator()) == []


def test_expressions_of_the_table_are_in_the_grammar() -> None:
    table = PAGE.partition("## Elements")[2].partition("Conditions:")[0]
    found = re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", table, re.MULTILINE)
    expressions = [part.replace("\\|", "|") for row in found for part in re.findall(r"`([^`]+)`", row)]
    source = SegmentSource(next(iter(documents().values())), traced=False)
    assert len(expressions) > 12
    for text in expressions:
        parse_expression(text, source.read_path)


def test_every_key_and_own_converter_is_described() -> None:
    own = re.findall(
        r'^@converter\(\s*"(\w+)"',
        (Path(__file__).parent.parent.parent / "mappings/language/values.py").read_text(),
        re.MULTILINE,
    )
    assert len(own) > 10
    back = Path(__file__).parent.parent.parent / "mappings/outbound/types"
    written = [
        name
        for path in back.glob("*.py")
        for name in re.findall(r'^@converter\(\s*"(\w+)"', path.read_text(), re.MULTILINE)
    ]
    assert len(written) > 15
    keys = [*_RESOURCE_KEYS, *_PART_KEYS, *_TARGET_KEYS, *FACTS]
    missing = [name for name in [*own, *written, *keys] if f"`{name}" not in PAGE and f"`${name}" not in PAGE]
    assert missing == []
