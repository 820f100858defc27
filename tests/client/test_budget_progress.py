"""The rate that the progress line shows is that of the last half minute."""

from __future__ import annotations

import pytest

from pytest_ftgate.client.budget import RecentRate


def finished(*at: float) -> RecentRate:
    """Return the rate of requests that finished at these seconds."""
    rate = RecentRate()
    for seconds in at:
        rate.add(seconds)
    return rate


def test_in_the_first_half_minute_the_rate_is_that_of_the_whole_run():
    rate = finished(*range(10))

    assert rate.per_second(10.0) == pytest.approx(1.0)
    assert rate.per_second(20.0) == pytest.approx(0.5)


def test_a_quick_start_is_forgotten_after_half_a_minute():
    # A hundred a second for ten seconds, then one each two seconds.
    rate = finished(*(second / 100 for second in range(1_000)), *range(10, 200, 2))

    assert rate.per_second(200.0) == pytest.approx(0.5, rel=0.05)


def test_a_run_that_stands_still_has_no_rate():
    rate = finished(1.0, 2.0, 3.0)

    assert rate.per_second(30.5) > 0
    assert rate.per_second(34.0) == 0.0


def test_nothing_finished_has_no_rate():
    assert finished().per_second(0.0) == finished().per_second(100.0) == 0.0
