"""Where a drop lies against its limit: what fails, and what cannot be told."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples, variant_scores
from ftgate_testing.tables import every_row
from scipy import stats
from scipy.optimize import brentq

from pytest_ftgate.gates.checks import DropRule, check_drop, drop_outcome
from pytest_ftgate.gates.design import ALARM, BEYOND, Levels
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import paired_counts


def changed(n, lost, gained=0, right=None):
    """Return the scores of n cases before and after; *right* of them are right before."""
    right = n - gained if right is None else right
    before = [1.0] * right + [0.0] * (n - right)
    after = [0.0] * lost + [1.0] * (right + gained - lost) + [0.0] * (n - right - gained)
    return before, after


def compared(before, after, *, margin=0.05, levels=None, guess_rate=0.0, **columns):
    return check_drop(
        case_samples(before, "before", **columns),
        case_samples(after, "after", **columns),
        DropRule(
            against="current", margin=margin, levels=levels or Levels(), guess_rate=guess_rate
        ),
    )


# --- a shown drop -------------------------------------------------------------------------------


@every_row(
    ("lost", "outcome"), [(34, Outcome.INCONCLUSIVE), (35, Outcome.FAILED), (40, Outcome.FAILED)]
)
def test_a_shown_drop_fails_only_from_the_limit_on(lost, outcome):
    """With 5 of 1,000 cases better, 35 worse ones are a drop of 3 points, and 34 are less."""
    check = compared(*changed(1000, lost, 5), margin=0.03)

    assert check.outcome is outcome
    assert check.drop_is_shown
    chance = stats.binom(5 + lost, 0.5)
    assert check.p_fail == pytest.approx(chance.sf(lost) + chance.pmf(lost) / 2)


def test_a_real_drop_inside_the_limit_that_may_be_larger_is_inconclusive():
    check = compared(*changed(500, 20), margin=0.05)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.drop_is_shown
    assert not check.is_beyond
    assert check.low < -0.05 < check.change < check.high < 0


@every_row("shown", [True, False])
def test_a_large_drop_fails_only_if_it_is_shown(shown):
    lost, gained = (12, 2) if shown else (12, 7)
    check = compared(*changed(60, lost, gained), margin=0.05)

    assert check.change <= -0.05
    assert check.drop_is_shown is shown
    assert check.outcome is (Outcome.FAILED if shown else Outcome.INCONCLUSIVE)


# --- an interval beyond the limit ---------------------------------------------------------------


def test_an_interval_beyond_the_limit_without_enough_evidence_is_inconclusive_and_says_so():
    """Eight of twenty cases lost: a chance of .002, where 17 checks leave .0006 for each."""
    check = compared(*changed(20, 8), margin=0.15, levels=Levels(alarm=ALARM / 17, shared=17))

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.is_beyond
    assert check.high < -0.15
    assert not check.drop_is_shown
    assert check.p_fail == pytest.approx(0.5**8 / 2)


def test_a_bound_beyond_the_limit_fails_at_the_last_look_and_is_shared_from_eleven_checks_on():
    before, after = changed(100, 20)
    levels = Levels(alarm=1e-9, shared=10)

    assert compared(before, after, levels=levels).outcome is Outcome.FAILED
    assert compared(before, after, levels=replace(levels, last=False)).outcome is (
        Outcome.INCONCLUSIVE
    )

    levels = [Levels(shared=shared).beyond for shared in (1, 10, 11, 40)]

    assert levels == pytest.approx([BEYOND, BEYOND, BEYOND * 10 / 11, BEYOND / 4])


def test_a_graded_bound_beyond_the_limit_is_the_mirror_of_the_test_that_passes():
    """The mean change is -0.2; a limit at a distance of 99.5 % from it decides."""
    d = np.resize([-0.1, -0.3], 50)
    pairs = paired_counts(np.full(50, 0.5), 0.5 + d)
    distance = brentq(
        lambda x: x / math.sqrt((d.var(ddof=1) + x * (1 - x)) / 50) - stats.norm.isf(0.005),
        1e-6,
        0.5,
    )
    levels = Levels(alarm=1e-12)

    assert drop_outcome(pairs, 0.2 - distance * 1.001, levels) is Outcome.FAILED
    assert drop_outcome(pairs, 0.2 - distance * 0.999, levels) is Outcome.INCONCLUSIVE


# --- a baseline at chance -----------------------------------------------------------------------


def test_a_shown_improvement_over_a_baseline_at_chance_passes():
    check = compared(*changed(200, 0, 180, right=10), guess_rate=1 / 18)

    assert check.outcome is Outcome.PASSED
    assert check.informative
    assert check.low > 0


@every_row("gained", [0, 2])
def test_a_baseline_at_chance_without_a_shown_improvement_tells_nothing(gained):
    check = compared(*changed(200, 0, gained, right=10), guess_rate=1 / 18)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert not check.informative
    assert check.low <= 0


# --- graded scores ------------------------------------------------------------------------------


def graded(n, drop=0.0):
    rng = np.random.default_rng(3)
    before = np.clip(rng.normal(0.8, 0.1, n), 0, 1)
    return before, np.clip(before + rng.normal(-drop, 0.06, n), 0, 1)


def test_graded_scores_pass_unchanged_and_fail_with_a_drop_of_twice_the_limit():
    before, after = graded(200)
    check = compared(before, after, margin=0.03)

    assert check.outcome is Outcome.PASSED
    assert check.error == pytest.approx((after - before).std(ddof=1) / math.sqrt(200))
    assert check.discordance is None
    assert (check.fixed, check.regressed) == (
        np.count_nonzero(after > before),
        np.count_nonzero(after < before),
    )

    check = compared(*graded(200, drop=0.06), margin=0.03)

    assert check.outcome is Outcome.FAILED
    assert check.change == pytest.approx(-0.06, abs=0.01)


def test_an_inconclusive_graded_check_says_what_it_can_show_and_how_many_more_cases_it_takes():
    check = compared(*graded(20), margin=0.03)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert 0.03 < check.certifiable < 0.2
    assert check.needed > 0
    assert compared(*graded(20 + 2 * check.needed), margin=0.03).outcome is Outcome.PASSED


@every_row(("lost", "outcome"), [(0.05, Outcome.PASSED), (1.0, Outcome.FAILED)])
def test_five_copies_of_each_graded_reply_show_what_one_shows(lost, outcome):
    """A share of the replies gets one of five parts less right."""
    rng = np.random.default_rng(6)
    right = rng.integers(1, 6, 60)
    before, after = (
        variant_scores(name, [float(score) for score in parts / 5])
        for name, parts in (("b", right), ("a", right - (rng.random(60) < lost)))
    )
    once, copied = (
        check_drop(
            *(samples_from_scores(copies_of(one, count), "accuracy") for one in (before, after)),
            DropRule(against="b", margin=0.1, levels=Levels()),
        )
        for count in (1, 5)
    )

    assert copied.outcome is once.outcome is outcome
    for name in ("n", "effective", "low", "high", "p_pass", "p_fail", "error"):
        assert getattr(copied, name) == pytest.approx(getattr(once, name))


def copies_of(scores, count):
    results = {
        key: replace(result, replies=result.replies * count, scores=result.scores * count)
        for key, result in scores.results.items()
    }
    return VariantScores(scores.variant, results)


@every_row(("values", "repeats"), [([1.0, 0.0], 3), ([1.0, 0.4], 1)])
def test_only_right_or_wrong_replies_count_as_repeats(values, repeats):
    scores = copies_of(variant_scores("v", values), 3)

    assert samples_from_scores(scores, "accuracy").repeats[1] == repeats
    # A format is valid or not, however the content is graded.
    assert list(samples_from_scores(scores, "format").repeats) == [3, 3]


# --- weights and groups -------------------------------------------------------------------------


def test_the_heaviest_cases_decide_how_small_a_limit_can_be_shown():
    weights = [10.0] * 5 + [1.0] * 195
    before, after = changed(200, 2)

    assert compared(before, after, margin=0.05).outcome is Outcome.PASSED
    check = compared(before, after, margin=0.05, weights=weights)
    assert check.change == pytest.approx(-20 / 245)
    assert check.outcome is Outcome.INCONCLUSIVE

    weights = [10.0] * 5 + [1.0] * 195
    before, after = [1.0] * 200, [1.0] * 200

    outcomes = [compared(before, after, margin=m, weights=weights).outcome for m in (0.05, 0.15)]
    assert outcomes == [Outcome.INCONCLUSIVE, Outcome.PASSED]


def test_related_cases_that_are_lost_or_turn_together_count_once():
    before, after = changed(200, 20)
    alone = compared(before, after, margin=0.02)
    together = compared(before, after, margin=0.02, groups=[i // 20 for i in range(200)])

    assert alone.outcome is Outcome.FAILED
    assert together.outcome is Outcome.INCONCLUSIVE
    assert together.units == 10
    assert together.low < alone.low

    groups = [i // 2 for i in range(20)]
    before, after = [1.0] * 10 + [0.0] * 10, [0.0] * 10 + [1.0] * 10
    check = compared(before, after, groups=groups)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.notes == (note(NoteKind.WHOLE_GROUPS, n=10, limit=0.05, needed=59),)


def test_groups_that_are_enough_pass_the_limit_or_need_more_cases_alone():
    before, after = changed(600, 4)

    check = compared(before, after, margin=0.05, groups=[i // 10 for i in range(600)])

    assert check.outcome is Outcome.PASSED

    check = compared(*changed(160, 4), groups=[i // 2 for i in range(160)])

    assert (check.outcome, check.notes) == (Outcome.INCONCLUSIVE, ())
    assert check.needed > 0


def test_where_no_cases_settle_a_drop_none_are_named_and_at_an_early_look_one_is():
    check = compared(*changed(400, 20), levels=Levels(last=False))

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, 1)

    check = compared(*changed(4, 2), margin=0.9)

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, None)
