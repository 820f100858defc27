"""What whole groups of related cases can rule out."""

from __future__ import annotations

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_ftgate.stats.graded import GroupLosses, group_losses, joined_losses
from pytest_ftgate.stats.paired import change_interval, p_noninferior, paired_counts
from pytest_ftgate.stats.resampling import macro_difference

SIZES = st.dictionaries(st.integers(1, 60), st.integers(1, 40), min_size=1, max_size=5).map(
    lambda counts: tuple(sorted(counts.items(), reverse=True))
)
#: 40 groups of 25 cases, of which single cases change and no group breaks.
LABELS = np.repeat(np.arange(40), 25)
BEFORE, AFTER = np.ones(1000), np.ones(1000)
BEFORE[::25] = 0.0
AFTER[7::25] = 0.0


@every_row(("lost", "drop"), [(0, 0.05), (1, 0.1), (3, 0.2)])
def test_equal_groups_are_counted_by_the_binomial_distribution(lost, drop):
    found = GroupLosses(((25, 40),), lost / 40).p_value(drop)

    assert found == pytest.approx(stats.binom.cdf(lost, 40, drop))


@given(SIZES, st.floats(0.01, 0.6), st.integers(0, 2**32 - 1))
def test_no_place_of_the_loss_keeps_all_groups_more_often(sizes, drop, seed):
    each = np.repeat(*np.array(sizes).T)
    weights = np.random.default_rng(seed).exponential(size=each.size)
    chances = np.minimum(weights * drop * each.sum() / (weights @ each), 1.0)
    borne = float(chances @ each) / each.sum()

    assert np.prod(1.0 - chances) <= GroupLosses(sizes, 0.0).p_value(borne) + 1e-9


@given(SIZES, st.sampled_from([0.01, 0.05, 0.2]))
def test_the_smallest_drop_is_just_ruled_out_if_no_group_is_lost(sizes, alpha):
    losses = GroupLosses(sizes, 0.0)
    smallest = losses.smallest_drop(alpha)

    assert losses.p_value(smallest) == pytest.approx(alpha)
    assert losses.times_needed(smallest, alpha) == pytest.approx(1)


@given(SIZES, st.floats(0.0, 0.3))
def test_a_larger_drop_is_ruled_out_more_surely(sizes, lost):
    found = [GroupLosses(sizes, lost).p_value(drop) for drop in np.linspace(0.01, 0.99, 30)]

    assert np.all(np.diff(found) <= 1e-9)
    assert all(0.0 <= p <= 1.0 for p in found)


def test_groups_are_lost_if_more_than_half_regressed_and_joined_over_skills():
    changes = np.array([-1, -1, 0, 1, 1, 1, -1, 1, 0, -1, 0])
    found = group_losses(changes, np.array([0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]))

    # One group of three is lost and another one fixed; one of two lost half.
    assert found == GroupLosses(((3, 3), (2, 1)), 0.0)

    parts = [GroupLosses(((5, 2), (1, 10)), 0.25), GroupLosses(((5, 4),), 0.0)]

    assert joined_losses(parts) == GroupLosses(((5, 6), (1, 10)), pytest.approx(0.125))

    skills = [paired_counts(BEFORE, AFTER, groups=LABELS), paired_counts(BEFORE, AFTER)]

    assert macro_difference(skills).whole == GroupLosses(((25, 40), (1, 1000)), 0.0)
    assert macro_difference(skills[1:]).whole is None


def test_whole_groups_are_kept_only_as_surely_as_their_number_shows():
    found = paired_counts(BEFORE, AFTER, groups=LABELS)

    assert p_noninferior(found, 0.05) == pytest.approx(0.95**40)
    assert p_noninferior(found, 0.10) == pytest.approx(0.90**40)

    found = paired_counts(BEFORE, AFTER, groups=LABELS)
    low, high = change_interval(found, 0.9)

    assert p_noninferior(found, -low) == pytest.approx(0.05)
    assert low == pytest.approx(0.05 ** (1 / 40) - 1.0)
    assert high < 0.03


def test_a_gain_enlarges_the_loss_that_must_have_stayed_unseen():
    before = np.zeros(1000)
    after = np.where(LABELS % 2 == 0, 1.0, 0.0)
    low, _ = change_interval(paired_counts(before, after, groups=LABELS), 0.9)

    assert 0.3 < low < 0.45
