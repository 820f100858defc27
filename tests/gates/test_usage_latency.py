from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from columns import case, suite
from scipy import stats

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.usage import (
    ReplyTimes,
    evaluate_latency,
    measure_latency,
    quantile_interval,
    reply_times,
)
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.suite.gate_kinds import LatencyGate

MOST = LatencyGate(line=1, max_p95_ms=1000.0)
HALF = LatencyGate(line=1, max_p50_ms=1000.0)
RISE = LatencyGate(line=1, max_rise=0.2)


def took(
    seconds: Sequence[float], variant: str = "new", *, kept: int = 0, missing: int = 0
) -> ReplyTimes:
    """Return the times of so many cases, *kept* more being in the cache and *missing* nowhere."""
    own = {f"c{i}": (one,) for i, one in enumerate(seconds)}
    return ReplyTimes(
        variant=variant,
        seconds=own,
        groups={key: key for key in own},
        replies=len(own) + kept,
        missing=("gone",) * missing,
    )


def drawn(median: float, n: int = 200) -> list[float]:
    return [float(one) for one in np.random.default_rng(3).lognormal(np.log(median), 0.3, n)]


def evaluated(gate, mine, baseline=None):
    return evaluate_latency(suite(gate), gate, mine, baseline, 16)


@pytest.mark.parametrize(
    ("median", "outcome"),
    [(0.4, Outcome.PASSED), (0.62, Outcome.INCONCLUSIVE), (1.2, Outcome.FAILED)],
)
def test_a_limit_is_held_inconclusive_or_broken_by_where_the_whole_interval_lies(median, outcome):
    assert evaluated(MOST, took(drawn(median))).outcome is outcome


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("n", [6, 72, 200, 1001])
def test_the_interval_is_the_exact_binomial_one(share, n):
    values = np.random.default_rng(n).exponential(1.0, n)

    _, *bounds = quantile_interval(values, share, n)

    wanted = stats.quantile_test(values, p=share).confidence_interval(0.95)
    ends = [None if np.isnan(one) else one for one in (wanted.low, wanted.high)]
    assert bounds == pytest.approx(ends)


@pytest.mark.parametrize(("n", "bounded"), [(71, False), (72, True)])
def test_so_many_cases_bound_the_slowest_twentieth_from_above(n, bounded):
    _, _, high = quantile_interval(np.arange(n, dtype=float), 0.95, n)

    assert (high is not None) is bounded


def test_repeats_of_a_case_make_no_interval_narrower():
    values = np.array(drawn(0.5, 100))

    once, thrice = (quantile_interval(np.repeat(values, k), 0.5, 100) for k in (1, 3))

    assert once == thrice


@pytest.mark.parametrize(("factor", "outcome"), [(1.05, Outcome.PASSED), (1.5, Outcome.FAILED)])
def test_a_rise_is_the_median_of_what_each_case_rose_by(factor, outcome):
    before = drawn(0.5)

    verdict = evaluated(RISE, took([one * factor for one in before]), took(before, "current"))

    assert verdict.outcome is outcome
    assert verdict.check.rise == pytest.approx(factor - 1)


def test_replies_from_the_cache_are_not_measured_and_block_nothing():
    verdict = evaluated(MOST, took([], kept=100))

    assert (verdict.outcome, verdict.checks) == (Outcome.PASSED, ())
    assert headline(verdict) == (
        "not measured: 0 of 100 replies of new were requested in this run, and 72 cases are needed"
    )


def test_a_few_new_replies_beside_kept_ones_are_not_measured_either():
    verdict = evaluated(MOST, took([9.0] * 71, kept=100))

    assert headline(verdict).startswith("not measured: 71 of 171")


def test_a_limit_is_held_by_what_was_measured_and_says_what_was_not():
    verdict = evaluated(MOST, took(drawn(0.4), kept=100))

    assert verdict.outcome is Outcome.PASSED
    assert "100 of 300 replies were not requested in this run" in verdict.notes


def test_a_rise_against_a_kept_baseline_is_not_measured():
    verdict = evaluated(RISE, took(drawn(0.5)), took([], "current", kept=200))

    assert verdict.outcome is Outcome.PASSED
    assert headline(verdict).startswith("not measured: 0 of 200 replies of current")


def test_the_limit_is_held_though_the_baseline_was_kept():
    gate = LatencyGate(line=1, max_p95_ms=100.0, max_rise=0.1)

    verdict = evaluated(gate, took(drawn(0.5)), took([], "current", kept=200))

    assert verdict.outcome is Outcome.FAILED
    assert any("replies of current were not requested" in note for note in verdict.notes)


def test_missing_replies_leave_it_inconclusive():
    verdict = evaluated(MOST, took(drawn(0.4), missing=20))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no reply to 20 requests; first: gone" in verdict.notes


def test_it_is_said_how_many_requests_were_in_flight():
    assert (
        "measured with up to 16 requests in flight at once" in evaluated(HALF, took(drawn(1))).notes
    )


def test_what_another_worker_asked_is_not_told_a_number_of_this_one():
    verdict = evaluate_latency(suite(HALF), HALF, took(drawn(0.5)), None, 0)

    assert verdict.notes == ("measured by another worker of this run",)


def test_without_a_reply_nothing_is_said_of_requests_in_flight():
    notes = evaluated(HALF, took([], missing=9)).notes

    assert notes == ("no reply to 9 requests; first: gone",)


def test_an_ungated_variant_is_told_its_times_where_they_were_measured():
    (beside,) = measure_latency(suite(HALF), HALF, took([0.1] * 90 + [0.8] * 10))

    assert headline(beside) == "p50 100 ms, p95 800 ms"
    assert list(measure_latency(suite(HALF), HALF, took([], kept=9))) == []


def test_a_rise_against_a_baseline_named_p95_is_a_rise_of_the_median():
    verdict = evaluated(RISE, took(drawn(0.9)), took(drawn(0.4), "p95"))

    assert verdict.check.kind is CheckKind.BASELINE
    assert headline(verdict).startswith("half of the replies take")


def test_only_replies_of_this_run_have_a_latency(call):
    made = [CaseRequest(case(name), 0, call(name, provider="x", model="m")) for name in "abc"]
    kept, fresh, lost = (one.fingerprint for one in made)
    replies = {kept: Reply(text="x"), fresh: Reply(text="y"), lost: FtgateError("timed out")}

    times = reply_times("new", made, replies, {fresh: Reply(text="y", seconds=0.5)})

    assert (times.replies, times.measured, times.units) == (2, 1, 1)
    assert times.missing == ("timed out",)


def test_a_quantile_of_nothing_has_no_bounds():
    assert quantile_interval(np.array([]), 0.5, 0) == (0.0, None, None)


def test_replies_that_were_all_cached_say_nothing_of_who_measured_them():
    verdict = evaluated(MOST, took([], kept=100))

    assert not [note for note in verdict.notes if note.startswith("measured")]
