"""Each figure of a check is the one of its rule, and each limit holds up to its very edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.gates.checks import (
    ROUNDING,
    DropRule,
    chance_flip_rate,
    check_drop,
    check_minimum,
    check_point,
    highest_minimum,
    pair_samples,
)
from pytest_ftgate.gates.design import CONFIDENCE, POWER, Levels
from pytest_ftgate.gates.figures import sample_rate
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.graded import needed_for_distance
from pytest_ftgate.stats.paired import change_interval, is_noninferior, p_drop, p_noninferior
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    graded_cases_needed,
    graded_certifiable_margin,
    graded_detectable_drop,
    minimum_cases_needed,
    point_rule_pass_probability,
)
from pytest_ftgate.stats.rates import p_misses, p_reaches, score_interval

LEVELS = Levels(miss=0.02, alarm=0.004, shared=3)


def side(right: int, wrong: int, missing: int = 0, name: str = "a") -> Samples:
    return samples([1.0] * right + [0.0] * wrong + [None] * missing, name)


def samples(values, name: str = "a", size: int | None = None) -> Samples:
    """Return samples; every *size* cases in a row are one group."""
    groups = None if size is None else [i // size for i in range(len(values))]
    return case_samples(values, name, groups=groups)


def drop(before, after, *, margin=0.05, levels=LEVELS, groups=None, **more) -> Check:
    first, second = samples(before, "b", groups), samples(after, "a", groups)
    return check_drop(
        first, second, DropRule(against="current", margin=margin, levels=levels, **more)
    )


def paired(before, after, groups=None):
    return pair_samples(samples(before, "b", groups), samples(after, "a", groups))


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
    assert check.notes == ()


def test_a_minimum_is_held_of_nothing_and_at_the_levels_of_its_outcome():
    check = check_minimum(side(0, 50), minimum=0.0)

    assert (check.outcome, check.p_pass, check.p_fail) == (Outcome.PASSED, None, None)

    found = side(165, 35)
    rate = sample_rate(found)
    held, missed = p_reaches(rate, 0.8), p_misses(rate, 0.9)

    assert check_minimum(found, minimum=0.8, levels=Levels(miss=held)).outcome is Outcome.PASSED
    assert check_minimum(found, minimum=0.9, levels=Levels(alarm=missed)).outcome is Outcome.FAILED


@every_row(("missing", "outcome"), [(5, Outcome.PASSED), (6, Outcome.INCONCLUSIVE)])
def test_a_minimum_stands_with_a_twentieth_of_the_replies_missing(missing, outcome):
    check = check_minimum(side(100 - missing, 0, missing), minimum=0.5)

    assert (check.outcome, check.missing) == (outcome, missing)
    assert check.notes == (note(NoteKind.MISSING, missing=missing, of=100),)


@every_row("right", [1, 3, 41, 58, 59, 77])
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


# Plain thresholds -------------------------------------------------------------------------------


@every_row(
    ("fields", "decides"),
    [({"n": 95, "missing": 5}, True), ({"n": 94, "missing": 6}, False),
     ({"effective": 1}, True), ({"effective": 0.5}, False)],
)  # fmt: skip
def test_a_plain_threshold_decides_with_a_case_and_a_twentieth_missing(fields, decides):
    check = check_point(point(**fields))

    assert check.method == ("point" if decides else "counts")
    assert check.outcome is (Outcome.FAILED if decides else Outcome.INCONCLUSIVE)


def test_a_plain_threshold_is_held_up_to_rounding_and_shows_the_strictest_that_is_held():
    at = 0.5 - ROUNDING
    held, missed = (check_point(point(after=after)) for after in (at, at - ROUNDING))
    fell = point(before=0.0, after=-0.1 - ROUNDING, limit=0.1, discordance=0.3)

    assert (held.outcome, missed.outcome) == (Outcome.PASSED, Outcome.FAILED)
    assert check_point(fell).outcome is Outcome.PASSED
    assert check_point(replace(fell, after=-0.1 - 2 * ROUNDING)).outcome is Outcome.FAILED
    assert (held.shown_limit, missed.shown_limit) == (None, 0.49)

    fell = point(before=0.9, after=0.8, limit=0.05, discordance=0.2)

    assert check_point(fell).shown_limit == 0.1
    assert check_point(replace(fell, after=0.805)).shown_limit == 0.1
    assert check_point(point(after=0.459)).shown_limit == 0.45


def flips(chance: float) -> float:
    return 2 * chance * (1 - chance)


def test_two_runs_disagree_as_often_as_the_binomial_distribution_says_and_the_note_with_it():
    chance = stats.binom(40, 0.45)

    assert chance_flip_rate(point()) == pytest.approx(flips(chance.sf(19)))
    assert chance_flip_rate(point(effective=39.6)) == pytest.approx(flips(chance.sf(19)))

    check = check_point(point(notes=(text_note("first"),)))

    told = note(NoteKind.PLAIN_THRESHOLD, flips=chance_flip_rate(check))
    assert check.notes == (text_note("first"), told)
    assert check_point(point()).notes == (told,)


@every_row(
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
    assert check.notes == (note(NoteKind.MISSING_COULD_TURN, missing=2, of=62),)


@every_row("fixed", [0, 4])
def test_missing_replies_that_would_undo_a_fail_leave_it_open(fixed):
    """Seven of a hundred cases break. Four others may have been wrong before."""
    before = [1.0] * 100 + [None] * fixed
    after = [0.0] * 7 + [1.0] * (93 + fixed)
    check = drop(before, after, levels=Levels())

    assert check.outcome is (Outcome.INCONCLUSIVE if fixed else Outcome.FAILED)
    assert (check.n, check.missing) == (100, fixed)


def test_missing_replies_that_change_nothing_or_lack_on_one_side_alone_are_noted():
    before, after = [1.0] * 200, [0.0] * 60 + [1.0] * 138 + [None] * 2
    check = drop(before, after)

    assert check.outcome is Outcome.FAILED
    assert check.notes == (note(NoteKind.MISSING, missing=2, of=200),)

    check = drop([1.0] * 200, [1.0] * 192 + [None] * 8, margin=0.2)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.notes == (note(NoteKind.MISSING_UNEVENLY, missing=8, of=200),)


@every_row("missing", [10, 11])
def test_a_drop_stands_with_a_twentieth_of_the_cases_missing(missing):
    """As many on either side, so that none has far more."""
    half = missing // 2
    before = [None] * half + [1.0] * (200 - half)
    after = [1.0] * half + [0.0] * 100 + [1.0] * (100 - missing) + [None] * (missing - half)
    check = drop(before, after)

    assert (check.n, check.missing) == (200 - missing, missing)
    assert check.outcome is (Outcome.FAILED if missing == 10 else Outcome.INCONCLUSIVE)
    assert check.notes == (note(NoteKind.MISSING, missing=missing, of=200),)


# Drops ------------------------------------------------------------------------------------------


def test_a_drop_check_holds_the_figures_of_its_rule():
    before, after = [1.0] * 100, [0.0] * 4 + [1.0] * 96
    before[99] = 0.0
    pairs = paired(before, after)

    check = drop(before, after)

    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)
    assert (check.n, check.units, check.missing, check.effective) == (100, None, 0, 100)
    assert (check.before, check.after) == (0.99, 0.96)
    assert (check.fixed, check.regressed, check.error) == (1, 4, None)
    assert (check.p_pass, check.p_fail) == (p_noninferior(pairs, 0.05), p_drop(pairs))
    assert (check.miss, check.alarm, check.shared) == (0.02, 0.004, 3)
    assert check.discordance == pytest.approx((5 + 0.1 * 10) / 110)
    assert (check.low, check.high) == change_interval(pairs, CONFIDENCE)
    assert check.detectable == detectable_drop(100, check.discordance, POWER, LEVELS.alarm)
    assert check.certifiable == certifiable_margin(100, check.discordance, POWER)
    assert check.notes == ()


def test_cases_that_cannot_be_compared_are_counted():
    check = drop([1.0, None, None], [None, 1.0, 1.0])

    assert (check.outcome, check.n, check.missing) == (Outcome.INCONCLUSIVE, 0, 3)
    assert check.notes == (note(NoteKind.FEW_PAIRS, n=0, of=3),)
    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)


def test_the_levels_of_a_drop_belong_to_their_outcome_and_to_the_note_of_a_small_one():
    before, after = np.ones(100), np.ones(100)
    after[:8] = 0.0
    pairs = paired(before, after)
    held, shown = p_noninferior(pairs, 0.2), p_drop(pairs)

    assert drop(before, after, margin=0.2, levels=Levels(miss=held)).outcome is Outcome.PASSED
    failed = Levels(alarm=shown, shared=1000)
    assert drop(before, after, margin=0.08, levels=failed).outcome is Outcome.FAILED

    before, after = changed(4000, 40)
    shown = p_drop(paired(before, after))

    named, open_ = (drop(before, after, levels=Levels(alarm=alarm)) for alarm in (shown, shown / 2))

    assert (named.outcome, open_.outcome) == (Outcome.PASSED, Outcome.PASSED)
    assert (named.notes, open_.notes) == ((note(NoteKind.SMALL_DROP),), ())


def changed(n: int, lost: int, won: int = 0):
    """Return scores of *n* cases of which some are lost and some won, all others right."""
    before = [1.0] * (n - won) + [0.0] * won
    return before, [0.0] * lost + [1.0] * (n - lost)


@every_row(
    ("n", "lost", "won"), [(100, 4, 1), (100, 3, 3), (40, 4, 0), (1000, 60, 20), (500, 20, 0)]
)
def test_a_drop_that_is_open_names_the_cases_that_settle_it(n, lost, won):
    """It plans for half of the seen drop, or for all of it where the half takes fewer cases."""
    check = drop(*changed(n, lost, won))
    seen, disagreement = (lost - won) / n, check.discordance
    if seen >= 0.05:
        needed = fail_cases_needed(seen, max(disagreement, seen), POWER, LEVELS.alarm)
    else:
        plans = (cases_needed(0.05, disagreement, POWER, drop=max(0, x)) for x in (seen / 2, seen))
        needed = next((plan for plan in plans if plan > n), 0)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.needed == max(1, needed - n)


@every_row(("lost", "won"), [(4, 1), (9, 1), (0, 0), (3, 3), (40, 1)])
def test_an_open_or_broken_limit_shows_the_smallest_that_holds(lost, won):
    before, after = changed(100, lost, won)
    pairs = paired(before, after)
    passes = [limit for limit in range(1, 100) if is_noninferior(pairs, limit / 100, LEVELS.miss)]

    assert drop(before, after, margin=0.01).shown_limit == passes[0] / 100


def test_no_limit_is_shown_where_none_holds_or_none_can_show():
    guessed = drop([1.0] * 50 + [0.0] * 50, [1.0] * 48 + [0.0] * 52, guess_rate=0.43)
    early = drop(*changed(100, 9), levels=replace(LEVELS, last=False))

    assert drop([1.0] * 3, [0.0] * 3).shown_limit is None
    assert guessed.shown_limit is None
    assert early.shown_limit is None
    assert drop(*changed(90, 9), groups=10).shown_limit is None


@every_row(("rate", "informative"), [(0.25, False), (0.2, True)])
def test_a_limit_that_reaches_down_to_guessing_cannot_show(rate, informative):
    half = [1.0] * 100 + [0.0] * 100
    check = drop(half, half[::-1], margin=0.25, guess_rate=rate)

    assert check.informative is informative
    if not informative:
        assert check.notes == (note(NoteKind.AT_CHANCE, against="current", before=0.5),)


@every_row(("size", "groups"), [(10, 9), (9, 10)])
def test_ten_groups_are_enough_to_be_judged(size, groups):
    check = drop(*changed(90, 40), margin=0.1, groups=size, levels=Levels())
    minimum = check_minimum(samples([0.0] * 90, size=size), minimum=0.9)

    told = (note(NoteKind.FEW_GROUPS, n=9, needed=10),)
    assert check.units == minimum.units == groups
    assert (told == minimum.notes) is (groups == 9)
    assert (told == check.notes) is (groups == 9)
    assert (minimum.outcome is Outcome.FAILED) is (groups == 10)


def lost_apart(n: int, lost: int, won: int, size: int):
    """Return scores of *n* cases; each that is lost or won is in another group of *size* cases."""
    before, after = [1.0] * n, [1.0] * n
    for i in range(lost):
        after[3 * i * size] = 0.0
    for i in range(won):
        before[3 * i * size + size] = 0.0
    return before, after


@every_row(
    ("size", "n", "margin", "lost", "won", "by_groups"),
    [(20, 440, 0.1, 3, 0, True), (40, 800, 0.1, 0, 4, True), (5, 290, 0.05, 5, 0, False)],
)
def test_a_limit_names_the_groups_and_the_cases_that_it_takes(
    size, n, margin, lost, won, by_groups
):
    before, after = lost_apart(n, lost, won, size)
    whole = paired(before, after, size).whole
    times = whole.times_needed(margin, 0.05)
    check = drop(before, after, groups=size, levels=Levels(), margin=margin)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.certifiable == whole.smallest_drop(0.05)
    # The cases that the drop itself takes, where these are more.
    assert check.needed == (int(np.ceil(n * (times - 1))) if by_groups else 100)
    groups, needed = n // size, int(np.ceil(n // size * times))
    told = note(NoteKind.WHOLE_GROUPS, n=groups, limit=margin, needed=needed)
    assert check.notes == (told,)


def test_a_minimum_is_inconclusive_with_one_reply():
    check = check_minimum(samples([1.0, None]), minimum=0.8)

    assert check == Check(
        kind=CheckKind.MINIMUM,
        outcome=Outcome.INCONCLUSIVE,
        limit=0.8,
        n=1,
        after=1.0,
        missing=1,
        notes=(note(NoteKind.TOO_FEW_REPLIES, n=1, of=2),),
    )
    assert check_minimum(samples([1.0, 1.0]), minimum=0.8).p_pass == pytest.approx(0.64)


def test_only_an_open_minimum_names_cases_and_none_where_it_is_too_close():
    outcomes = {}
    for right in (120, 165, 195):
        check = check_minimum(side(right, 200 - right), minimum=0.8)
        outcomes[check.outcome] = check.needed is None

    assert outcomes == {Outcome.FAILED: True, Outcome.INCONCLUSIVE: False, Outcome.PASSED: True}

    close, distant = (
        check_minimum(side(right, 2000 - right), minimum=0.8) for right in (1610, 1620)
    )

    assert (close.outcome, close.needed) == (Outcome.INCONCLUSIVE, None)
    assert distant.outcome is Outcome.INCONCLUSIVE
    assert distant.needed == minimum_cases_needed(0.8, 0.81, POWER, 0.05) - 2000
    # Fourteen right replies show 80 %.
    assert check_minimum(side(13, 0), minimum=0.8).needed == 1


# Graded scores ----------------------------------------------------------------------------------


def graded(n: int, fall: float):
    noise = np.random.default_rng(5).normal(0, 0.08, n)
    before = np.clip(np.random.default_rng(4).normal(0.7, 0.1, n), 0, 1)
    return [*map(float, before)], [*map(float, np.clip(before - fall + noise, 0, 1))]


@every_row("fall", [0.0, 0.02, 0.06])
def test_an_open_drop_of_graded_scores_holds_the_figures_of_its_rule(fall):
    before, after = graded(16, fall)
    pairs = paired(before, after)
    check = drop(before, after)
    seen = max(0.0, -pairs.delta)
    plans = [seen] if seen >= 0.05 else [seen / 2, seen]
    needed = [graded_cases_needed(pairs, POWER, plan, 0.05, LEVELS.alarm) for plan in plans]

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.error == pytest.approx(np.sqrt(pairs.spread / pairs.n))
    assert check.discordance is None
    assert check.detectable == graded_detectable_drop(pairs, POWER, LEVELS.alarm, 0.05)
    assert check.certifiable == graded_certifiable_margin(pairs, POWER)
    assert check.needed == max(
        1, int(np.ceil(next((plan for plan in needed if plan > 16), needed[-1]) - 16))
    )


@every_row("mean", [0.82, 0.84])
def test_an_open_minimum_of_graded_scores_names_the_cases_that_settle_it(mean):
    found = samples([float(x) for x in mean + np.resize([-0.15, 0.15], 60)])
    rate = sample_rate(found)
    check = check_minimum(found, minimum=0.8, levels=LEVELS)

    assert check.error == pytest.approx(np.sqrt(rate.spread / 60))
    assert check.needed == max(
        1, needed_for_distance(mean - 0.8, rate.spread, rate.largest, POWER, LEVELS.miss) - 60
    )
