"""Each target of the fuzzer takes the inputs from which it starts, and those that once broke it."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from targets import SUFFIXES, TARGETS, inputs


@every_row("name", TARGETS)
def test_a_target_takes_its_inputs_and_pieces_of_them(name):
    chance = random.Random(1)
    for data in inputs(name):
        cut = chance.randrange(len(data) + 1)
        for piece in (data, data[:cut], data[cut:]):
            TARGETS[name].run(piece)


INPUTS = {name: [*inputs(name)] for name in TARGETS}


@pytest.mark.parametrize("name", TARGETS)
@given(drawn=st.data())
def test_a_target_takes_an_input_in_which_anything_stands(name, drawn):
    data = drawn.draw(st.sampled_from(INPUTS[name]))
    start = drawn.draw(st.integers(0, len(data)))
    end = drawn.draw(st.integers(start, min(len(data), start + 20)))
    words = st.sampled_from(["", *TARGETS[name].words])
    put = drawn.draw(st.binary(max_size=8) | (words | st.text(max_size=8)).map(str.encode))

    TARGETS[name].run(data[:start] + put + data[end:])


#: Values that no tool writes where they are put.
ODD = (None, 1, "x", [], {}, [1], {"a": 1}, True, 1.5, [None], [[]], [{}], -1, "")


def places(value, at=()):
    """Yield the place of each value in *value*."""
    if at:
        yield at
    items = value.items() if isinstance(value, dict) else ()
    for key, member in enumerate(value) if isinstance(value, list) else items:
        yield from places(member, (*at, key))


def changed(value, chance):
    """Return *value* with one of its values left out, or replaced by an odd one."""
    copy = json.loads(json.dumps(value))
    found = [*places(copy)]
    *above, last = chance.choice(found) if found else (None,)
    holder = copy
    for key in above:
        holder = holder[key]
    if found and chance.random() < 0.4:
        del holder[last]
    elif found:
        holder[last] = chance.choice(ODD)
    return copy


def test_a_file_with_odd_values_is_read_or_an_error():
    chance = random.Random(1)
    seeds = [*TARGETS["foreign"].seeds()]
    texts = {SUFFIXES[data[0]]: [] for data in seeds}
    for data in seeds:
        texts[SUFFIXES[data[0]]].append(data[1:])
    documents = [json.loads(text) for text in texts[".json"]]
    rows = [json.loads(line) for text in texts[".jsonl"] for line in text.splitlines()[:3]]
    for _ in range(100):
        document = changed(chance.choice(documents), chance)
        TARGETS["foreign"].run(b"\0" + json.dumps(document).encode())
        pair = [changed(chance.choice(rows), chance) for _ in range(2)]
        TARGETS["foreign"].run(b"\x01" + "\n".join(map(json.dumps, pair)).encode())
