"""Each mutant that counts as equal has a reason, and a function that is still there."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from pathlib import Path

EQUAL = Path(__file__).with_name("equal.txt").read_text("utf-8")


def test_each_mutant_that_counts_as_equal_has_its_function_and_its_reason():
    lines = [line for line in EQUAL.splitlines() if line and not line.startswith("#")]
    mutants = [line for line in lines if not line.startswith(" ")]

    for mutant in mutants:
        place, change = mutant.split(": ", 1)
        module, function = place.split()
        assert callable(attrgetter(function)(import_module(f"pytest_ftgate.{module}")))
        assert " -> " in change
        assert lines[lines.index(mutant) + 1 :][:1], mutant
        assert lines[lines.index(mutant) + 1].startswith("  "), mutant
