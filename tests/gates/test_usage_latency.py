from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case, suite
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.figures import ReplyTimes, quantile_interval, reply_times
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.usage import evaluate_latency, measure_latency
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
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
        variant=variant, seconds=own, groups={key: key for key in own}, replies=len(own) + kept,
        missing=("gone",) * missing,
    )  # fmt: skip


def drawn(median: float, n: int = 200) -> list[float]:
    return [float(one) for one in np.random.default_rng(3).lognormal(np.log(median), 0.3, n)]


def evaluated(gate, mine, baseline=None):
    return evaluate_latency(suite(gate), gate, mine, baseline, 16)


@every_row("share", [0.5, 0.95])
@every_row("n", [6, 71, 72, 200, 1001])
def test_the_interval_is_the_exact_binomial_one(share, n):
    values = np.random.default_rng(n).exponential(1.0, n)

    _, *bounds = quantile_interval(values, share, n)

    wanted = stats.quantile_test(values, p=share).confidence_interval(0.95)
    ends = [None if np.isnan(one) else one for one in (wanted.low, wanted.high)]
    assert bounds == pytest.approx(ends)


def test_repeats_of_a_case_make_no_interval_narrower():
    values = np.array(drawn(0.5, 100))

    once, thrice = (quantile_interval(np.repeat(values, k), 0.5, 100) for k in (1, 3))

    assert once == thrice


def test_replies_from_the_cache_are_not_measured_and_block_nothing():
    verdict = evaluated(MOST, took([], kept=100))

    assert (verdict.outcome, verdict.checks) == (Outcome.PASSED, ())
    values = {"variant": "new", "requested": 0, "replies": 100, "needed": 72, "again": False}
    assert verdict.statement == Statement(StatementKind.NOT_MEASURED, values)
    assert verdict.notes == ()

    verdict = evaluated(MOST, took([9.0] * 71, kept=100))

    values = {"variant": "new", "requested": 71, "replies": 171, "needed": 72, "again": False}
    step = NextStep(StepKind.REQUEST_TO_MEASURE, {**values, "suite": "suite.ftgate.yaml"})
    assert verdict == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="latency", variant="new", outcome=Outcome.PASSED,
        statement=Statement(StatementKind.NOT_MEASURED, values), measured=False, next=(step,),
        gated=False,
    )  # fmt: skip


def test_as_many_cases_as_a_limit_needs_are_measured_and_fewer_conclude_nothing():
    assert evaluated(MOST, took([9.0] * 72, kept=100)).outcome is Outcome.FAILED

    verdict = evaluated(MOST, took([0.1] * 71))

    assert (verdict.outcome, verdict.check.high, verdict.next) == (Outcome.INCONCLUSIVE, None, ())


@every_row("missing", [0, 15])
def test_a_limit_is_held_by_what_was_measured_and_kept_replies_are_not_missing(missing):
    verdict = evaluated(MOST, took(drawn(0.4), kept=100, missing=missing))

    assert verdict.outcome is Outcome.PASSED
    assert note(NoteKind.NOT_REQUESTED, n=100, of=300) in verdict.notes


@every_row(("shared", "is_measured"), [(5, False), (6, True)])
def test_a_rise_takes_six_cases_that_both_sides_measured(shared, is_measured):
    theirs = took(drawn(0.5, shared), "current", kept=200 - shared)

    assert evaluated(RISE, took(drawn(0.5)), theirs).measured is is_measured


def test_of_related_cases_a_rise_takes_six_groups():
    mine, theirs = took(drawn(0.5)), took(drawn(0.5, 10), "current", kept=190)
    groups = {key: "ab"[i % 2] if i < 10 else key for i, key in enumerate(mine.groups)}

    assert not evaluated(RISE, replace(mine, groups=groups), theirs).measured


def test_the_baseline_has_nothing_to_rise_from_and_a_kept_one_nothing_to_compare():
    verdict = evaluated(RISE, took(drawn(0.5), "current"))

    assert (verdict.outcome, verdict.checks, verdict.measured) == (Outcome.PASSED, (), True)
    assert verdict.statement == Statement(StatementKind.NOT_GATED, {"key": "baseline"})
    assert not verdict.gated
    assert verdict.notes == (note(NoteKind.IN_FLIGHT, n=16),)

    verdict = evaluated(RISE, took(drawn(0.5)), took([], "current", kept=200))

    values = {"variant": "current", "requested": 0, "replies": 200, "needed": 6, "again": False}
    assert (verdict.variant, verdict.outcome) == ("new", Outcome.PASSED)
    assert verdict.statement == Statement(StatementKind.NOT_MEASURED, values)


def test_the_limit_is_held_though_the_baseline_was_kept():
    gate = LatencyGate(line=1, max_p95_ms=100.0, max_rise=0.1)

    verdict = evaluated(gate, took(drawn(0.5)), took([], "current", kept=200))

    assert verdict.outcome is Outcome.FAILED
    assert [check.kind for check in verdict.checks] == [CheckKind.P95]
    kept, in_flight = verdict.notes
    assert kept == note(NoteKind.BASELINE_NOT_REQUESTED, n=200, of=200, baseline="current")
    assert in_flight == note(NoteKind.IN_FLIGHT, n=16)


@every_row(("missing", "outcome"), [(10, Outcome.PASSED), (11, Outcome.INCONCLUSIVE)])
def test_above_five_in_a_hundred_missing_replies_leave_it_inconclusive(missing, outcome):
    verdict = evaluated(MOST, took(drawn(0.4, 200 - missing), missing=missing))

    assert (verdict.outcome, verdict.check.missing) == (outcome, missing)
    assert verdict.notes == (
        note(NoteKind.NO_TIME, n=missing, first="gone"),
        note(NoteKind.IN_FLIGHT, n=16),
    )


@every_row(
    ("times", "in_flight", "told"),
    [
        (took(drawn(1)), 0, note(NoteKind.OTHER_WORKER)),
        (took([], missing=9), 7, note(NoteKind.NO_TIME, n=9, first="gone")),
    ],
)
def test_it_is_said_how_many_requests_were_in_flight_here_if_there_were_replies(
    times, in_flight, told
):
    assert evaluate_latency(suite(HALF), HALF, times, None, in_flight).notes == (told,)


def test_an_ungated_variant_is_told_its_times_where_they_were_measured():
    (beside,) = measure_latency(suite(HALF), HALF, took([0.1] * 90 + [0.8] * 10))

    measured = replace(
        bounded(CheckKind.P95, 100, 0.0), after=800.0, low=100.0, high=800.0,
        outcome=Outcome.PASSED,
    )  # fmt: skip
    assert beside == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="latency", variant="new", outcome=Outcome.PASSED,
        statement=Statement(StatementKind.UNGATED, {"p50": 100.0}), gated=False, checks=(measured,),
    )  # fmt: skip
    assert headline(beside) == "p50 100 ms, p95 800 ms"
    assert list(measure_latency(suite(HALF), HALF, took([], kept=9))) == []


def test_a_rise_is_one_of_the_median_and_a_number_even_from_no_time():
    verdict = evaluated(RISE, took([1.0] * 9), took([0.0] * 9, "p95"))

    assert (verdict.check.kind, verdict.check.against) == (CheckKind.BASELINE, "p95")
    # A nanosecond stands for no time.
    assert (verdict.outcome, verdict.check.before) == (Outcome.FAILED, 0.0)
    assert verdict.check.rise == pytest.approx(1e12)


def test_only_replies_of_this_run_have_a_latency(call):
    related = [replace(case(name), group="g") for name in ("c", "d")]
    made = [
        CaseRequest(one, 0, call(one.id, provider="x", model="m"))
        for one in (case("a"), case("b"), *related, case("e"))
    ]
    again = CaseRequest(case("b"), 1, call("b again", provider="x", model="m"))
    kept, *fresh, lost = (one.fingerprint for one in made)
    fresh.append(again.fingerprint)
    requested = {key: Reply(text="y", seconds=i / 2) for i, key in enumerate(fresh, 1)}
    replies = {kept: Reply(text="x"), **requested, lost: FtgateError("timed out")}

    times = reply_times("new", [*made, again], replies, requested)

    assert times.seconds == {"b": [0.5, 2.0], "c": [1.0], "d": [1.5]}
    assert (times.variant, times.replies, times.missing) == ("new", 5, ("timed out",))
    assert (times.measured, times.units) == (4, 2)


# The whole result ----------------------------------------------------------------------------


def bounded(kind: CheckKind, n: int, limit: float) -> Check:
    """Return what every limit on *n* latencies has in common."""
    return Check(
        kind=kind, outcome=Outcome.FAILED, limit=limit, n=n, after=0.0, effective=n, unit="ms",
        method="order",
    )  # fmt: skip


def test_two_broken_limits_are_reported_with_their_figures_and_the_limits_that_hold():
    gate = LatencyGate(line=1, max_p50_ms=32.0, max_p95_ms=60.0)
    values = np.arange(1, 101) + 0.25

    verdict = evaluated(gate, took(values / 1000))

    wanted = []
    for kind, share, limit, value in (
        (CheckKind.P50, 0.5, 32.0, 50.25),
        (CheckKind.P95, 0.95, 60.0, 95.25),
    ):
        exact = stats.quantile_test(values, p=share).confidence_interval(0.95)
        low, high, after = (pytest.approx(float(one)) for one in (exact.low, exact.high, value))
        wanted.append(replace(bounded(kind, 100, limit), after=after, low=low, high=high))
    raised = {"setting": "max_p50_ms: 62, max_p95_ms: 101", "where": "suite.ftgate.yaml:1"}
    assert verdict == Verdict(
        suite="suite.ftgate.yaml", line=1, gate="latency", variant="new", outcome=Outcome.FAILED,
        statement=Statement(StatementKind.USAGE), checks=tuple(wanted),
        notes=(note(NoteKind.IN_FLIGHT, n=16),),
        next=(NextStep(StepKind.LOWER_USAGE), NextStep(StepKind.SET_LIMIT, raised)),
    )  # fmt: skip


def test_a_rise_is_reported_with_the_medians_of_the_cases_that_both_sides_measured():
    mine = took([1.5, 3.0, 4.5, 6.0, 7.5, 9.0, 99.0], missing=1)
    theirs = took([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "current", kept=9)
    # Each case took so long on average, over two replies.
    twice = {key: (seconds / 2, 1.5 * seconds) for key, (seconds,) in theirs.seconds.items()}

    (check,) = evaluated(RISE, replace(mine, replies=20), replace(theirs, seconds=twice)).checks

    assert check == replace(
        bounded(CheckKind.BASELINE, 6, 0.2), against="current",
        before=3000.0, after=4500.0, rise=pytest.approx(0.5),
        low=pytest.approx(0.5), high=pytest.approx(0.5), missing=1,
    )  # fmt: skip


def test_a_quantile_is_a_value_whatever_their_order_and_of_nothing_unbounded():
    values = np.array([5.0, 1.0, 4.0, 2.0, 3.0, 6.0])

    assert quantile_interval(values, 0.5, 6) == (3.0, 1.0, 6.0)

    assert quantile_interval(np.array([]), 0.5, 0) == (0.0, None, None)
