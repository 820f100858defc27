"""What is left of what was there: published intervals, edges, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_ftgate.stats.resampling import SkillSample, retention_ratio


def sample(both, fixed, regressed, neither, weight=1.0):
    before = [1.0] * both + [0.0] * fixed + [1.0] * regressed + [0.0] * neither
    after = [1.0] * (both + fixed) + [0.0] * (regressed + neither)
    return SkillSample(np.array(before), np.array(after), float(len(before)), weight)


def test_the_interval_is_the_published_one():
    # Cavo et al. (2012), complete response before and after consolidation therapy, as printed by
    # the R package contingencytables: MOVER Wilson score, 0.8667 (0.7592 to 0.9866).
    found = retention_ratio([sample(59, 6, 16, 80)], 0.95)

    assert found == pytest.approx((0.8667, 0.7592, 0.9866), abs=5e-5)


def test_a_skill_lost_entirely_has_an_upper_bound():
    share, low, high = retention_ratio([sample(0, 0, 30, 30)], 0.95)

    assert (share, low) == (0, 0)
    assert 0.1 < high < 0.2


def test_what_was_hardly_or_never_there_bounds_nothing():
    assert retention_ratio([sample(0, 3, 0, 30)], 0.95) is None

    _, low, _ = retention_ratio([sample(1, 0, 0, 9)], 0.95)

    assert low == 0

    with pytest.raises(ValueError, match="a sample with a weight"):
        retention_ratio([sample(1, 1, 1, 1, weight=0.0)], 0.95)


def test_skills_are_put_together_by_their_weights_and_bound_it_closer():
    whole, regressed = sample(30, 0, 0, 30), sample(0, 0, 30, 30)

    assert retention_ratio([whole, regressed], 0.95)[0] == 0.5
    assert retention_ratio([whole._replace(weight=3.0), regressed], 0.95)[0] == 0.75

    one = sample(20, 2, 8, 30)
    (_, low, high), (_, close_low, close_high) = (retention_ratio([one] * n, 0.95) for n in (1, 10))

    assert low < close_low < close_high < high


@pytest.mark.parametrize(
    ("skills", "cases", "kept"), [(1, 67, 0.7), (18, 14, 0.9), (18, 14, 0.3), (18, 67, 0.8)]
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(skills, cases, kept):
    rng = np.random.default_rng(7)
    rates = np.linspace(0.2, 0.6, skills)[:, None]
    truth = float(np.mean(rates * kept + (1 - rates) * 0.02) / np.mean(rates))
    held = 0
    for _ in range(150):
        before = rng.random((skills, cases)) < rates
        after = rng.random((skills, cases)) < np.where(before, kept, 0.02)
        parts = [SkillSample(b * 1.0, a * 1.0, cases) for b, a in zip(before, after, strict=True)]
        _, low, high = retention_ratio(parts, 0.95)
        held += low <= truth <= high

    assert 0.90 <= held / 150 <= 0.99
