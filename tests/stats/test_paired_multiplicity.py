"""Holm's adjusted p-values against statsmodels, and what adjusting must preserve."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from pytest_ftgate.stats.paired import holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@examples(0.05)
@given(P_VALUES)
def test_adjusted_values_agree_with_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@given(P_VALUES, st.randoms(use_true_random=False))
def test_order_of_tests_changes_nothing(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    assert list(holm([p[i] for i in order])) == pytest.approx(list(holm(p)[order]))


@given(P_VALUES)
def test_adjusting_only_raises_and_keeps_the_ranks(p):
    adjusted = holm(p)
    assert np.all(adjusted >= np.array(p) - 1e-12)
    assert np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)


def test_no_tests_need_no_adjusting():
    assert holm([]).shape == (0,)


@every_row("p", [[1.1], [-0.1], [float("nan")], [[0.1]]])
def test_what_is_no_p_value_is_refused(p):
    with pytest.raises(ValueError, match=r"^p-values"):
        holm(p)


@every_row("values", [[0.5, 1.5], [-0.1], [[0.5]]])
def test_p_values_that_are_no_probabilities_are_refused(values):
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        holm(values)
