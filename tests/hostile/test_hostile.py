"""Hostile inputs: every reader, safe mode and the reports end within bounds, and as they say.

Each file beside this one is an input: what it attacks, how it is made, and what each reader of it
must answer. `ftgate_testing/hostile.py` has the readers, and what holds for all of them.
"""

from __future__ import annotations

import sys

import pytest
from ftgate_testing.bounded import copying
from ftgate_testing.hostile import INPUTS, READERS, SECRETS, problems, write_files

CELLS = [
    pytest.param(reader, name, id=f"{reader}-{name}".replace(" ", "_"))
    for name, one in INPUTS.items()
    for reader in one.gets
]


@pytest.fixture(scope="module")
def copier():
    with copying() as running:
        yield running


@pytest.mark.skipif(sys.platform != "linux", reason="needs bounds of memory and processes")
@pytest.mark.parametrize(("reader", "name"), CELLS)
def test_a_hostile_input_gets_what_its_file_says(copier, tmp_path, reader, name):
    given, (first, *_) = INPUTS[name], INPUTS[name].files
    folder = tmp_path / "root"
    folder.mkdir()
    write_files(folder, {**READERS[reader].files(first), **given.files})

    ended = copier.run(folder, [*READERS[reader].command(first), *given.asks], SECRETS)

    assert [*problems(given.gets[reader], ended, folder)] == [], ended.printed[-3000:]


def test_every_reader_is_attacked():
    assert {reader for one in INPUTS.values() for reader in one.gets} == {*READERS}
