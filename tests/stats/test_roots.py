"""Roots of functions of one number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from pytest_ftgate.stats.roots import find_root

FUNCTIONS = {
    "line": (lambda x: 3.0 * x - 1.0, -5.0, 9.0),
    "cube": (lambda x: x**3 - 2.0, 0.0, 4.0),
    "flat": (lambda x: (x - 1.0) ** 9, -1.0, 4.0),
    "steep": (lambda x: math.tanh(1e6 * (x - 0.3)), 0.0, 1.0),
    "step": (lambda x: -1.0 if x < 0.7 else 1.0, 0.0, 1.0),
    "falling": (lambda x: math.exp(-x) - 1e-3, 0.0, 50.0),
    "infinite end": (lambda x: math.log(x) if x > 0.0 else -math.inf, 0.0, 3.0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_root_is_that_of_scipy(name):
    function, low, high = FUNCTIONS[name]
    calls = []

    def counted(x):
        calls.append(x)
        return function(x)

    found = find_root(counted, low, high, 1e-12)

    if name == "infinite end":
        assert found == pytest.approx(1.0, abs=1e-11)
    elif name == "flat":
        assert abs(function(found)) < 1e-30
    else:
        assert found == pytest.approx(brentq(function, low, high, xtol=1e-12), abs=1e-11)
    assert len(calls) < 120


@given(st.floats(-10, 10), st.floats(1e-3, 1e3), st.sampled_from([1.0, -1.0]), st.floats(0.01, 20))
def test_the_root_lies_within_the_tolerance(root, slope, sign, width):
    def function(x):
        return sign * math.sinh(slope / 100.0 * (x - root))

    found = find_root(function, root - width, root + 1.7 * width, 1e-10)

    assert found == pytest.approx(root, abs=1e-9)


@pytest.mark.parametrize("end", [0.0, 2.0])
def test_an_end_may_be_the_root(end):
    assert find_root(lambda x: x - end, 0.0, 2.0, 1e-12) == end


def test_without_a_change_of_sign_there_is_no_root():
    with pytest.raises(ValueError, match="the same sign at 1 and 2"):
        find_root(lambda x: x, 1.0, 2.0, 1e-12)
