"""Mutated messages are mapped or refused, never anything else; `scripts/fuzz_v2` runs 100,000 of them."""

import pytest

from mappings.language.active import ActiveMaps
from tests.mappings import fuzz


@pytest.mark.parametrize("seed", [1, 2])
def test_a_thousand_mutated_messages(seed: int) -> None:
    mapped, refused = fuzz.run(1000, seed, ActiveMaps(fuzz.MAPS, shipped=None))
    assert mapped + refused == 1000
    assert mapped > 300
