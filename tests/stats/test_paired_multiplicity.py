"""Adjusted p-values against statsmodels, and what adjusting must preserve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from pytest_ftgate.stats.paired import (
    benjamini_hochberg,
    benjamini_yekutieli,
    bonferroni,
    hochberg,
    holm,
)

STEADY = settings(deadline=None, derandomize=True)

METHODS = {
    "bonferroni": bonferroni,
    "holm": holm,
    "simes-hochberg": hochberg,
    "fdr_bh": benjamini_hochberg,
    "fdr_by": benjamini_yekutieli,
}
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@settings(STEADY)
@given(P_VALUES, st.sampled_from(sorted(METHODS)))
def test_adjusted_values_agree_with_statsmodels(p, name):
    expected = multipletests(p, method=name)[1]
    assert METHODS[name](p) == pytest.approx(expected, abs=1e-12)


@settings(STEADY)
@given(P_VALUES, st.sampled_from(sorted(METHODS)), st.randoms(use_true_random=False))
def test_order_of_tests_changes_nothing(p, name, random):
    order = list(range(len(p)))
    random.shuffle(order)
    shuffled = METHODS[name]([p[i] for i in order])
    assert list(shuffled) == pytest.approx(list(METHODS[name](p)[order]))


@settings(STEADY)
@given(P_VALUES, st.sampled_from(sorted(METHODS)))
def test_adjusting_only_raises_and_keeps_the_ranks(p, name):
    adjusted = METHODS[name](p)
    assert np.all(adjusted >= np.array(p) - 1e-12)
    assert np.all(adjusted <= 1)
    assert np.all(np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0)


@settings(STEADY)
@given(P_VALUES)
def test_methods_are_ordered_by_strictness(p):
    assert np.all(hochberg(p) <= holm(p) + 1e-12)
    assert np.all(holm(p) <= bonferroni(p) + 1e-12)
    assert np.all(benjamini_hochberg(p) <= hochberg(p) + 1e-12)
    assert np.all(benjamini_hochberg(p) <= benjamini_yekutieli(p) + 1e-12)


@pytest.mark.parametrize("method", METHODS.values())
def test_no_tests_need_no_adjusting(method):
    assert method([]).shape == (0,)


@pytest.mark.parametrize("p", [[1.1], [-0.1], [float("nan")], [[0.1]]])
@pytest.mark.parametrize("method", METHODS.values())
def test_what_is_no_p_value_is_refused(method, p):
    with pytest.raises(ValueError, match="p-values"):
        method(p)
