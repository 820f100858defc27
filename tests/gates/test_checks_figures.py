"""Each figure of a check is the one of its rule, and each limit holds up to its very edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pytest_ftgate.gates.checks import (
    ROUNDING,
    chance_flip_rate,
    check_drop,
    check_minimum,
    check_point,
    highest_minimum,
    pair_samples,
    sample_rate,
)
from pytest_ftgate.gates.levels import CONFIDENCE, POWER, Levels
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.paired import p_drop, p_noninferior
from pytest_ftgate.stats.power import minimum_cases_needed, point_rule_pass_probability
from pytest_ftgate.stats.rates import p_misses, p_reaches, score_interval

LEVELS = Levels(miss=0.02, alarm=0.004, shared=3)


def side(right: int, wrong: int, missing: int = 0, name: str = "a") -> Samples:
    return samples([1.0] * right + [0.0] * wrong + [None] * missing, name)


def samples(values, name: str = "a") -> Samples:
    return samples_from_cases(
        {f"c{i}": CaseSample(value, 1, f"{name}{i}") for i, value in enumerate(values)}
    )


def drop(before, after, *, margin=0.05, levels=LEVELS) -> Check:
    first, second = samples(before, "b"), samples(after, "a")
    return check_drop(first, second, against="current", margin=margin, levels=levels)


def point(**fields) -> Check:
    given = {"kind": CheckKind.MINIMUM, "outcome": Outcome.INCONCLUSIVE, "limit": 0.5, "n": 40}
    return Check(**given | {"effective": 40, "after": 0.45} | fields)


# Minimums ---------------------------------------------------------------------------------------


def test_a_minimum_check_holds_the_figures_of_its_rule():
    found = side(165, 35)
    rate = sample_rate(found)

    check = check_minimum(found, minimum=0.8, levels=LEVELS)

    assert (check.n, check.effective, check.units, check.error) == (200, 200, None, None)
    assert (check.low, check.high) == score_interval(rate, CONFIDENCE)
    assert (check.p_pass, check.p_fail) == (p_reaches(rate, 0.8), p_misses(rate, 0.8))
    assert (check.miss, check.alarm) == (LEVELS.miss, LEVELS.alarm)
    assert check.needed == minimum_cases_needed(0.8, 0.825, POWER, LEVELS.miss) - 200
    assert check.note == ""


def test_a_minimum_of_nothing_is_held_without_a_probability():
    check = check_minimum(side(0, 50), minimum=0.0)

    assert (check.outcome, check.p_pass, check.p_fail) == (Outcome.PASSED, None, None)


def test_the_levels_of_a_minimum_belong_to_their_outcome():
    found = side(165, 35)
    rate = sample_rate(found)
    held, missed = p_reaches(rate, 0.8), p_misses(rate, 0.9)

    assert check_minimum(found, minimum=0.8, levels=Levels(miss=held)).outcome is Outcome.PASSED
    assert check_minimum(found, minimum=0.9, levels=Levels(alarm=missed)).outcome is Outcome.FAILED


@pytest.mark.parametrize(("missing", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_a_minimum_stands_with_a_twentieth_of_the_replies_missing(missing, outcome):
    check = check_minimum(side(100 - missing, 0, missing), minimum=0.5)

    assert (check.outcome, check.missing) == (outcome, missing)
    assert check.note == f"{missing} of 100 cases brought no reply"


@pytest.mark.parametrize("right", [1, 3, 41, 58, 59, 77])
def test_a_missed_minimum_shows_the_highest_that_holds(right):
    found = side(right, 100 - right)
    check = check_minimum(found, minimum=0.999)

    assert check.outcome is not Outcome.PASSED
    assert check.shown_limit == (highest_minimum(found) or None)


def test_the_highest_minimum_may_be_a_hundredth_or_none():
    assert highest_minimum(side(18, 982)) == 0.01
    assert highest_minimum(side(3, 997)) == 0.0
    assert check_minimum(side(3, 997), minimum=0.5).shown_limit is None


def test_what_holds_just_so_is_shown_and_only_at_the_last_look_of_whole_replies():
    found = side(60, 40)
    levels = Levels(miss=p_reaches(sample_rate(found), 0.53))

    shown, early = (
        check_minimum(found, minimum=0.9, levels=replace(levels, last=last)).shown_limit
        for last in (True, False)
    )
    missing = check_minimum(side(60, 40, 2), minimum=0.9, levels=levels)

    assert (shown, early, missing.shown_limit) == (0.53, None, None)


def test_a_rate_that_is_too_close_to_its_minimum_names_no_number_of_cases():
    close, distant = (
        check_minimum(side(right, 2000 - right), minimum=0.8) for right in (1610, 1620)
    )

    assert (close.outcome, close.needed) == (Outcome.INCONCLUSIVE, None)
    assert distant.outcome is Outcome.INCONCLUSIVE
    assert distant.needed == minimum_cases_needed(0.8, 0.81, POWER, 0.05) - 2000


# Plain thresholds -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "decides"),
    [({"n": 95, "missing": 5}, True), ({"n": 94, "missing": 6}, False),
     ({"effective": 1}, True), ({"effective": 0.5}, False)],
)  # fmt: skip
def test_a_plain_threshold_decides_with_a_case_and_a_twentieth_missing(fields, decides):
    check = check_point(point(**fields))

    assert check.method == ("point" if decides else "counts")
    assert check.outcome is (Outcome.FAILED if decides else Outcome.INCONCLUSIVE)


def test_a_plain_threshold_is_held_up_to_rounding():
    at = 0.5 - ROUNDING
    held, missed = (check_point(point(after=after)) for after in (at, at - ROUNDING))
    fell = point(before=0.0, after=-0.1 - ROUNDING, limit=0.1, discordance=0.3)

    assert (held.outcome, missed.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert check_point(fell).outcome is Outcome.PASSED
    assert check_point(replace(fell, after=-0.1 - 2 * ROUNDING)).outcome is Outcome.FAILED
    assert (held.shown_limit, missed.shown_limit) == (None, 0.49)


def test_a_missed_threshold_shows_the_strictest_that_is_held():
    fell = point(before=0.9, after=0.8, limit=0.05, discordance=0.2)

    assert check_point(fell).shown_limit == 0.1
    assert check_point(replace(fell, after=0.805)).shown_limit == 0.1
    assert check_point(point(after=0.459)).shown_limit == 0.45


def test_the_note_says_how_often_two_runs_disagree():
    check = check_point(point(note="first"))

    told = f"plain threshold: {chance_flip_rate(check):.0%} of pairs of runs like this one disagree"
    assert check.note == f"first; {told}"
    assert check_point(point()).note == told


def flips(chance: float) -> float:
    return 2 * chance * (1 - chance)


def test_two_runs_disagree_as_often_as_the_binomial_distribution_says():
    chance = stats.binom(40, 0.45)

    assert chance_flip_rate(point()) == pytest.approx(flips(chance.sf(19)))
    assert chance_flip_rate(point(effective=39.6)) == pytest.approx(flips(chance.sf(19)))


@pytest.mark.parametrize(
    ("before", "after", "discordance"), [(0.5, 0.45, 0.2), (0.5, 0.45, None), (0.0, 0.05, 0.1)]
)
def test_two_runs_that_are_compared_disagree_as_often_as_their_pairs_say(
    before, after, discordance
):
    fell = before - after
    chance = point_rule_pass_probability(40, discordance or abs(fell), fell, 0.1)
    check = point(before=before, after=after, limit=0.1, discordance=discordance)

    assert chance_flip_rate(check) == pytest.approx(flips(chance))


# Missing replies --------------------------------------------------------------------------------


def test_missing_replies_that_would_break_a_pass_leave_it_open():
    whole = [1.0] * 60
    check = drop([*whole, 1.0, 1.0], [*whole, None, None], levels=Levels())

    assert drop(whole, whole, levels=Levels()).outcome is Outcome.PASSED
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.note == "2 of 62 cases brought no reply; they could turn it"


@pytest.mark.parametrize("fixed", [0, 4])
def test_missing_replies_that_would_undo_a_fail_leave_it_open(fixed):
    """Seven of a hundred cases break. Four others may have been wrong before."""
    before = [1.0] * 100 + [None] * fixed
    after = [0.0] * 7 + [1.0] * (93 + fixed)
    check = drop(before, after, levels=Levels())

    assert check.outcome is (Outcome.INCONCLUSIVE if fixed else Outcome.FAILED)
    assert (check.n, check.missing) == (100, fixed)


def test_missing_replies_that_change_nothing_are_noted():
    before, after = [1.0] * 200, [0.0] * 60 + [1.0] * 138 + [None] * 2
    check = drop(before, after)

    assert check.outcome is Outcome.FAILED
    assert check.note == "2 of 200 cases brought no reply"


def test_replies_that_are_missing_on_one_side_alone_are_named():
    check = drop([1.0] * 200, [1.0] * 192 + [None] * 8, margin=0.2)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.note == ("8 of 200 cases brought no reply, far more on one side than on the other")


@pytest.mark.parametrize("missing", [10, 11])
def test_a_drop_stands_with_a_twentieth_of_the_cases_missing(missing):
    """As many on either side, so that none has far more."""
    half = missing // 2
    before = [None] * half + [1.0] * (200 - half)
    after = [1.0] * half + [0.0] * 100 + [1.0] * (100 - missing) + [None] * (missing - half)
    check = drop(before, after)

    assert (check.n, check.missing) == (200 - missing, missing)
    assert check.outcome is (Outcome.FAILED if missing == 10 else Outcome.INCONCLUSIVE)
    assert check.note == f"{missing} of 200 cases brought no reply"


# Drops ------------------------------------------------------------------------------------------


def test_a_drop_check_holds_the_figures_of_its_rule():
    before, after = [1.0] * 100, [0.0] * 4 + [1.0] * 96
    before[99] = 0.0
    pairs = pair_samples(samples(before, "b"), samples(after, "a"))

    check = drop(before, after)

    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)
    assert (check.n, check.units, check.missing, check.effective) == (100, None, 0, 100)
    assert (check.before, check.after) == (0.99, 0.96)
    assert (check.fixed, check.regressed, check.error) == (1, 4, None)
    assert (check.p_pass, check.p_fail) == (p_noninferior(pairs, 0.05), p_drop(pairs))
    assert (check.miss, check.alarm, check.shared) == (0.02, 0.004, 3)
    assert check.discordance == pytest.approx((5 + 0.1 * 10) / 110)


def test_cases_that_cannot_be_compared_are_counted():
    check = drop([1.0, None, None], [None, 1.0, 1.0])

    assert (check.outcome, check.n, check.missing) == (Outcome.INCONCLUSIVE, 0, 3)
    assert check.note == "0 of 3 cases can be compared"
    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)


def test_the_levels_of_a_drop_belong_to_their_outcome():
    before, after = np.ones(100), np.ones(100)
    after[:8] = 0.0
    pairs = pair_samples(samples(before, "b"), samples(after, "a"))
    held, shown = p_noninferior(pairs, 0.2), p_drop(pairs)

    assert drop(before, after, margin=0.2, levels=Levels(miss=held)).outcome is Outcome.PASSED
    failed = Levels(alarm=shown, shared=1000)
    assert drop(before, after, margin=0.08, levels=failed).outcome is Outcome.FAILED
