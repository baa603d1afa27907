"""Every shipped map compiles, passes the tests it carries, and is chosen for its messages."""

from pathlib import Path

import pytest

from mappings.language.active import SHIPPED, ActiveMaps, load_map
from mappings.language.trial import run_trials
from terminology.translate import Translator

TRANSLATOR = Translator()
FILES = sorted(SHIPPED.glob("*.yaml"))
# What others extend; they take no message themselves.
BASES = {"followup", "hl7v2-patient", "hl7v2-order-items"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_map_passes_its_own_tests(path: Path):
    map = load_map(path)
    assert map.name == path.stem
    assert map.document.trials or map.name in BASES
    assert [issue.text("en") for issue in run_trials(map, TRANSLATOR)] == []


def test_all_shipped_maps_become_active():
    maps = ActiveMaps(translator=TRANSLATOR)
    assert {map.name for map in maps.all()} == {path.stem for path in FILES}
    assert maps.problems == {}
    assert maps.find("hl7v2", "ORU^R01").name == "hl7v2-results"
    assert maps.find("hl7v2", "ADT^A40").name == "hl7v2-merge"
