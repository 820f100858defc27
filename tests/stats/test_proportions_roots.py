"""Roots are those of SciPy."""

from __future__ import annotations

import math

import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from pytest_ftgate.stats.proportions import find_root


@every_row(
    ("function", "low", "high"),
    [
        (math.cos, 0.0, 3.0),
        (lambda x: x**3 - 2.0 * x - 5.0, 2.0, 3.0),
        (lambda x: x**3 - 0.001, -1.0, 4.0),
        (lambda x: math.exp(x) - 1e-9, -60.0, 1.0),
        (lambda x: math.copysign(1.0, x - 0.3), 0.0, 1.0),
    ],
)
def test_a_root_is_that_of_brent(function, low, high):
    root = find_root(function, low, high, xtol=1e-12)

    assert root == pytest.approx(brentq(function, low, high, xtol=1e-12), abs=2e-12)
    assert find_root(function, high, low, xtol=1e-12) == pytest.approx(root, abs=2e-12)


@given(root=st.floats(-1, 1), steepness=st.floats(0.01, 50), bend=st.floats(0, 5))
def test_the_root_of_any_rising_curve_is_found(root, steepness, bend):
    def curve(x):
        return math.tanh(steepness * (x - root)) + bend * (x - root) ** 3

    assert find_root(curve, -2.0, 2.0, xtol=1e-9) == pytest.approx(root, abs=2e-9)


def test_an_end_may_be_the_root_and_without_a_change_of_sign_there_is_none():
    assert find_root(lambda x: x, 0.0, 1.0, xtol=1e-9) == 0.0
    assert find_root(lambda x: x - 1.0, 0.0, 1.0, xtol=1e-9) == 1.0

    with pytest.raises(ValueError, match="no root between 1 and 2: the signs there are the same"):
        find_root(lambda x: x, 1, 2, xtol=1e-9)


def test_few_points_of_a_smooth_curve_are_needed():
    points = []

    def curve(x):
        points.append(x)
        return math.exp(x) - 2.0

    find_root(curve, -5.0, 5.0, xtol=1e-12)

    assert len(points) < 15
