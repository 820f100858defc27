"""The error rates that the drop checks of a suite share."""

from __future__ import annotations

import pytest
from ftgate_testing.score_columns import suite

from pytest_ftgate.gates.design import Levels, shared_levels
from pytest_ftgate.suite.gate_kinds import CostGate, RateGate

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05)
FORMAT = RateGate(kind="format", line=8, max_drop=0.05)


def test_a_suite_without_a_drop_check_keeps_the_whole_alarm_level():
    assert shared_levels(suite(CostGate(line=1, max_rise=0.1))) == Levels()


def test_the_baseline_is_compared_with_what_was_accepted_alone():
    asked = []

    def count(variant, gate):
        asked.append((variant, gate))
        return {"accuracy": 2, "format": 0}[gate]

    found = shared_levels(suite(ACCURACY, FORMAT, variants=("current", "new", "old")), count)

    # Both other variants: against the baseline, and their two records of accuracy.
    assert (found.shared, found.alarm) == (2 + 2 * (1 + 2) + 2 * 1, pytest.approx(0.001))
    assert (found.miss, found.last) == (0.05, True)
    gates = [(name, gate) for name in ("current", "new", "old") for gate in ("accuracy", "format")]
    assert asked == gates
