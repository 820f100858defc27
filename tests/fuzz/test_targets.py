"""Each target of the fuzzer takes the inputs from which it starts, and those that once broke it."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from targets import TARGETS, inputs


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_inputs_and_pieces_of_them(name):
    chance = random.Random(1)
    for data in inputs(name):
        cut = chance.randrange(len(data) + 1)
        for piece in (data, data[:cut], data[cut:]):
            TARGETS[name].run(piece)
