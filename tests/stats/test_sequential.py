"""Group-sequential bounds against multivariate normal chances."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.stats.sequential import obrien_fleming_bounds


def equal_looks(count):
    return np.arange(1, count + 1) / count


@every_row(
    ("alpha", "z"),
    [
        (0.05, [4.23, 2.89, 2.30, 1.96, 1.74]),
        (0.025, [4.877, 3.357, 2.680, 2.290, 2.031]),
        (0.01, [5.64, 3.91, 3.13, 2.68, 2.38]),
    ],
)
def test_five_looks_have_the_published_bounds(alpha, z):
    assert obrien_fleming_bounds(alpha, equal_looks(5)) == pytest.approx(z, abs=0.006)


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("fractions", [[0.5, 1.0], [0.2, 0.4, 0.6, 0.8, 1.0], [0.3, 0.35, 0.9]])
def test_chance_of_ever_crossing_is_what_was_spent(alpha, fractions):
    bounds, t = obrien_fleming_bounds(alpha, fractions), np.array(fractions)
    correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    stays = stats.multivariate_normal.cdf(
        bounds, cov=correlation, abseps=1e-7, releps=1e-7, rng=0, maxpts=10_000_000
    )
    spent = 2 * stats.norm.sf(stats.norm.isf(alpha / 2) / np.sqrt(t[-1]))
    assert 1 - stays == pytest.approx(spent, abs=2e-5)


def test_one_look_is_the_ordinary_test():
    assert obrien_fleming_bounds(0.05, [1.0]) == pytest.approx([1.6448536], abs=1e-6)


def test_an_error_that_is_no_share_is_refused_by_its_name():
    with pytest.raises(ValueError, match=r"^alpha must lie"):
        obrien_fleming_bounds(1.0, equal_looks(3))
