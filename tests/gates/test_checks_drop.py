"""Drops: where one lies against its limit, what cannot be told, and the figures of its check."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row
from scipy import stats
from scipy.optimize import brentq

from pytest_ftgate.gates.checks import (
    DropRule,
    check_drop,
    check_minimum,
    check_point,
    drop_outcome,
    pair_samples,
)
from pytest_ftgate.gates.design import ALARM, BEYOND, CONFIDENCE, POWER, Levels
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.bounded import p_mean
from pytest_ftgate.stats.paired import (
    change_interval,
    is_noninferior,
    p_drop,
    p_noninferior,
    p_within,
    paired_counts,
)
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    detectable_drop,
    fail_cases_needed,
    graded_cases_needed,
    graded_certifiable_margin,
    graded_detectable_drop,
)

LEVELS = Levels(miss=0.02, alarm=0.004, shared=3)
PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def of_rule(before: Samples, after: Samples, **rule) -> Check:
    given = {"against": "current", "margin": 0.05, "levels": Levels(), **rule}
    return check_drop(before, after, DropRule(**given))


def sides(before, after, size=None, weights=None):
    """Return the samples of both sides; every *size* cases in a row are one group."""
    groups = None if size is None else [i // size for i in range(len(before))]
    return (
        case_samples(values, name, groups=groups, weights=weights)
        for name, values in (("b", before), ("a", after))
    )


def drop(before, after, *, size=None, weights=None, **rule) -> Check:
    return of_rule(*sides(before, after, size, weights), **rule)


def paired(before, after, size=None):
    return pair_samples(*sides(before, after, size))


def changed(n, lost, won=0, right=None):
    """Return scores of *n* cases, of which some are lost and some won; *right* are right before."""
    right = n - won if right is None else right
    before = [1.0] * right + [0.0] * (n - right)
    return before, [0.0] * lost + [1.0] * (right + won - lost) + [0.0] * (n - right - won)


# --- cases that tell little ----------------------------------------------------------------------


@every_row(
    ("right", "wrong", "missing", "outcome"),
    [(4, 1, 0, PASSED), (95, 0, 5, PASSED), (94, 0, 6, OPEN)],
)
def test_the_same_replies_pass_however_few_unless_too_many_are_missing(
    right, wrong, missing, outcome
):
    once = case_samples([1.0] * right + [0.0] * wrong + [None] * missing)

    check = of_rule(once, once, margin=0.15)

    assert (check.outcome, check.missing) == (outcome, missing)
    assert check.is_unchanged is (outcome is PASSED)


@every_row(
    ("before", "after", "n", "means"),
    [([1.0, None], [0.0, 1.0], 1, (1.0, 0.5)), ([1.0, None, None], [None, 1.0, 1.0], 0, (1.0, 1.0)),
     ([], [], 0, (0.0, 0.0))],
)  # fmt: skip
def test_one_case_or_none_with_both_replies_shows_no_drop(before, after, n, means):
    check = drop(before, after)

    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)
    assert (check.outcome, check.n, check.missing) == (OPEN, n, len(before) - n)
    assert (check.before, check.after) == means
    assert check.notes == (note(NoteKind.FEW_PAIRS, n=n, of=len(before)),)


@every_row(
    ("before", "after", "decided", "told"),
    [([1.0], [1.0], PASSED, NoteKind.PLAIN_THRESHOLD),
     ([1.0], [0.0], FAILED, NoteKind.PLAIN_THRESHOLD),
     ([0.0], [1.0], PASSED, NoteKind.PLAIN_THRESHOLD), ([0.0], [0.0], OPEN, NoteKind.NOTHING_RIGHT),
     ([1.0, 1.0], [1.0, None], OPEN, NoteKind.FEW_PAIRS)],
)  # fmt: skip
def test_one_case_shows_nothing_unless_a_plain_threshold_decides(before, after, decided, told):
    check = drop(before, after)
    found = check_point(check)

    assert (check.outcome, found.outcome) == (OPEN, decided)
    assert kinds(found.notes) == [told]


@every_row(("score", "decided"), [(1.0, PASSED), (0.0, FAILED)])
def test_a_minimum_of_one_case_is_a_plain_threshold_or_nothing(score, decided):
    check = check_minimum(case_samples([score]), minimum=1.0)

    assert check.outcome is OPEN
    assert kinds(check.notes) == [NoteKind.TOO_FEW_REPLIES]
    assert check_point(check).outcome is decided


def test_all_wrong_on_both_sides_shows_nothing():
    check = drop([0.0] * 200, [0.0] * 200)

    assert (check.outcome, check.informative) == (OPEN, False)
    assert kinds(check.notes) == [NoteKind.NOTHING_RIGHT]


@every_row(
    ("after", "size"), [([0.0] * 20 + [1.0] * 180, None), ([0.7] * 200, None), ([0.0] * 20, 2)]
)
def test_how_surely_a_drop_exceeds_half_the_limit_has_a_p_value(after, size):
    before = [1.0] * len(after)

    check = drop(before, after, size=size, margin=0.1)

    assert 0.0 < check.p_half == p_within(paired(before, after, size), 0.05)
    assert check.p_half == p_within(check.pairs, 0.05)


def test_missing_replies_count_as_kept_and_too_few_groups_as_nothing_for_half_the_limit():
    after = [None] * 5 + [0.0] * 15 + [1.0] * 180

    gap, few = drop([1.0] * 200, after), drop([1.0] * 18, [0.0] * 18, size=2)

    kept = drop([1.0] * 200, [1.0] * 5 + after[5:])
    assert gap.missing == 5
    assert gap.p_half == kept.p_half > drop([1.0] * 195, after[5:]).p_half
    assert gap.pairs == kept.pairs
    assert few.p_half is None


# --- what fails ----------------------------------------------------------------------------------


@every_row(
    ("cases", "rule", "shown", "beyond", "outcome"),
    [
        # With 5 of 1,000 cases better, 35 worse ones are a drop of 3 points, and 34 are less.
        ((1000, 34, 5), {"margin": 0.03}, True, False, OPEN),
        ((1000, 35, 5), {"margin": 0.03}, True, False, FAILED),
        ((60, 12, 2), {}, True, True, FAILED),
        ((60, 12, 7), {}, False, False, OPEN),
        # Eight of twenty cases lost: a chance of .002, where 17 checks leave .0006 for each.
        ((20, 8, 0), {"margin": 0.15, "levels": Levels(alarm=ALARM / 17, shared=17)},
         False, True, OPEN),
    ],
)  # fmt: skip
def test_a_drop_that_reaches_the_limit_fails_if_it_is_shown(cases, rule, shown, beyond, outcome):
    _, lost, won = cases

    check = drop(*changed(*cases), **rule)

    assert (check.drop_is_shown, check.is_beyond, check.outcome) == (shown, beyond, outcome)
    chance = stats.binom(won + lost, 0.5)
    assert check.p_fail == pytest.approx(chance.sf(lost) + chance.pmf(lost) / 2)


def test_a_bound_beyond_the_limit_fails_at_the_last_look_and_is_shared_from_eleven_checks_on():
    levels = Levels(alarm=1e-9, shared=10)
    looks = [replace(levels, last=last) for last in (True, False)]

    assert [drop(*changed(100, 20), levels=look).outcome for look in looks] == [FAILED, OPEN]

    levels = [Levels(shared=shared).beyond for shared in (1, 10, 11, 40)]

    assert levels == pytest.approx([BEYOND, BEYOND, BEYOND * 10 / 11, BEYOND / 4])


def test_a_graded_bound_beyond_the_limit_is_the_mirror_of_the_test_that_passes():
    """The mean change is -0.2; a limit at a distance of 99.5 % from it decides."""
    d = np.resize([-0.1, -0.3], 50)
    pairs = paired_counts(np.full(50, 0.5), 0.5 + d)
    limit = brentq(lambda m: float(p_mean(-d - m, -1.0 - m)) - 0.005, 1e-6, 0.2)
    levels = Levels(alarm=1e-12)

    assert drop_outcome(pairs, limit - 1e-4, levels) is FAILED
    assert drop_outcome(pairs, limit + 1e-4, levels) is OPEN


@every_row(("won", "outcome"), [(0, OPEN), (2, OPEN), (180, PASSED)])
def test_a_baseline_at_chance_tells_nothing_without_a_shown_improvement(won, outcome):
    check = drop(*changed(200, 0, won, right=10), guess_rate=1 / 18)

    assert (check.outcome, check.informative) == (outcome, outcome is PASSED)


@every_row(("rate", "informative"), [(0.25, False), (0.2, True)])
def test_a_limit_that_reaches_down_to_guessing_cannot_show(rate, informative):
    half = [1.0] * 100 + [0.0] * 100
    check = drop(half, half[::-1], margin=0.25, guess_rate=rate)

    assert check.informative is informative
    if not informative:
        assert check.notes == (note(NoteKind.AT_CHANCE, against="current", before=0.5),)


def test_the_levels_of_a_drop_belong_to_their_outcome_and_to_the_note_of_a_small_one():
    before, after = changed(100, 8)
    pairs = paired(before, after)
    held, shown = p_noninferior(pairs, 0.2), p_drop(pairs)

    assert drop(before, after, margin=0.2, levels=Levels(miss=held)).outcome is PASSED
    failed = Levels(alarm=shown, shared=1000)
    assert drop(before, after, margin=0.08, levels=failed).outcome is FAILED

    before, after = changed(4000, 40)
    shown = p_drop(paired(before, after))

    named, open_ = (drop(before, after, levels=Levels(alarm=alarm)) for alarm in (shown, shown / 2))

    assert (named.outcome, open_.outcome) == (PASSED, PASSED)
    assert (named.notes, open_.notes) == ((note(NoteKind.SMALL_DROP),), ())


# --- missing replies -----------------------------------------------------------------------------


def some_missing(missing):
    """Return sides of 200 cases, 100 of them lost; as many lack on either side, or one more."""
    half = missing // 2
    before = [None] * half + [1.0] * (200 - half)
    return before, (
        [1.0] * half + [0.0] * 100 + [1.0] * (100 - missing) + [None] * (missing - half)
    )


@every_row(
    ("compared", "margin", "alone", "outcome", "kind"),
    [
        (([1.0] * 62, [1.0] * 60 + [None] * 2), 0.05, PASSED, OPEN, NoteKind.MISSING_COULD_TURN),
        # Seven of a hundred cases break. Four others may have been wrong before.
        (
            ([1.0] * 100 + [None] * 4, [0.0] * 7 + [1.0] * 97), 0.05, FAILED, OPEN,
            NoteKind.MISSING_COULD_TURN,
        ),
        (([1.0] * 200, [1.0] * 192 + [None] * 8), 0.2, PASSED, OPEN, NoteKind.MISSING_UNEVENLY),
        # A twentieth of the cases may lack a reply.
        (some_missing(10), 0.05, FAILED, FAILED, NoteKind.MISSING),
        (some_missing(11), 0.05, FAILED, OPEN, NoteKind.MISSING),
    ],
)  # fmt: skip
def test_missing_replies_leave_open_what_they_could_turn(compared, margin, alone, outcome, kind):
    answered = [pair for pair in zip(*compared, strict=True) if None not in pair]
    n, of = len(answered), len(compared[0])

    check = drop(*compared, margin=margin)

    assert drop(*zip(*answered, strict=True), margin=margin).outcome is alone
    assert (check.outcome, check.n, check.missing) == (outcome, n, of - n)
    assert check.notes == (note(kind, missing=of - n, of=of),)


# --- figures -------------------------------------------------------------------------------------


def test_a_drop_check_holds_the_figures_of_its_rule():
    before, after = changed(100, 4, 1)
    pairs = paired(before, after)

    check = drop(before, after, levels=LEVELS)

    assert (check.kind, check.against, check.limit) == (CheckKind.BASELINE, "current", 0.05)
    assert (check.n, check.units, check.missing, check.effective) == (100, None, 0, 100)
    assert (check.before, check.after) == (0.99, 0.96)
    assert (check.fixed, check.regressed, check.error) == (1, 4, None)
    assert (check.p_pass, check.p_fail) == (p_noninferior(pairs, 0.05), p_drop(pairs))
    assert (check.miss, check.alarm, check.shared) == (0.02, 0.004, 3)
    assert check.discordance == pytest.approx((5 + 0.1 * 10) / 110)
    assert (check.low, check.high) == change_interval(pairs, CONFIDENCE)
    assert check.detectable == detectable_drop(100, check.discordance, POWER, LEVELS.alarm)
    assert check.certifiable == certifiable_margin(100, check.discordance, POWER, LEVELS.miss)
    assert check.notes == ()


@every_row(
    ("n", "lost", "won"), [(100, 4, 1), (100, 3, 3), (40, 4, 0), (1000, 60, 20), (500, 20, 0)]
)
def test_a_drop_that_is_open_names_the_cases_that_settle_it(n, lost, won):
    """It plans for half of the seen drop, or for all of it where the half takes fewer cases."""
    check = drop(*changed(n, lost, won), levels=LEVELS)
    seen, disagreement = (lost - won) / n, check.discordance
    if seen >= 0.05:
        needed = fail_cases_needed(seen, max(disagreement, seen), POWER, LEVELS.alarm)
    else:
        plans = (
            cases_needed(0.05, disagreement, POWER, LEVELS.miss, max(0, x))
            for x in (seen / 2, seen)
        )
        needed = next((plan for plan in plans if plan > n), 0)

    assert check.outcome is OPEN
    assert check.needed == max(1, needed - n)


def test_where_no_cases_settle_a_drop_none_are_named_and_at_an_early_look_one_is():
    check = drop(*changed(400, 20), levels=Levels(last=False))

    assert (check.outcome, check.needed) == (OPEN, 1)

    check = drop(*changed(4, 2), margin=0.9)

    assert (check.outcome, check.needed) == (OPEN, None)


@every_row(("lost", "won"), [(4, 1), (0, 0), (40, 1)])
def test_an_open_or_broken_limit_shows_the_smallest_that_holds(lost, won):
    before, after = changed(100, lost, won)
    pairs = paired(before, after)
    passes = [limit for limit in range(1, 100) if is_noninferior(pairs, limit / 100, LEVELS.miss)]

    assert drop(before, after, margin=0.01, levels=LEVELS).shown_limit == passes[0] / 100


def test_no_limit_is_shown_where_none_holds_or_none_can_show():
    half = changed(100, 2, 0, right=50)

    assert drop([1.0] * 3, [0.0] * 3).shown_limit is None
    assert drop(*half, levels=LEVELS, guess_rate=0.43).shown_limit is None
    assert drop(*changed(100, 9), levels=replace(LEVELS, last=False)).shown_limit is None
    assert drop(*changed(90, 9), size=10).shown_limit is None


def graded(n: int, fall: float):
    noise = np.random.default_rng(5).normal(0, 0.08, n)
    before = np.clip(np.random.default_rng(4).normal(0.7, 0.1, n), 0, 1)
    return before, np.clip(before - fall + noise, 0, 1)


@every_row("fall", [0.0, 0.02, 0.06])
def test_an_open_drop_of_graded_scores_holds_the_figures_of_its_rule(fall):
    before, after = graded(16, fall)
    pairs = paired(before, after)
    check = drop(before, after, levels=LEVELS)
    seen = max(0.0, -pairs.delta)
    plans = [seen] if seen >= 0.05 else [seen / 2, seen]
    needed = [
        graded_cases_needed(pairs, POWER, plan, 0.05, LEVELS.alarm, LEVELS.miss) for plan in plans
    ]

    assert check.outcome is OPEN
    assert check.error == pytest.approx(np.sqrt(pairs.spread / pairs.n))
    assert check.discordance is None
    assert check.detectable == graded_detectable_drop(pairs, POWER, LEVELS.alarm, 0.05)
    assert check.certifiable == graded_certifiable_margin(pairs, POWER, LEVELS.miss)
    assert check.needed == max(
        1, int(np.ceil(next((plan for plan in needed if plan > 16), needed[-1]) - 16))
    )


# --- weights and groups --------------------------------------------------------------------------


def test_weights_move_the_rate_and_widen_its_interval():
    weights = [5.0] * 10 + [1.0] * 90

    check, plain = (drop(*changed(100, 10), weights=each) for each in (weights, None))

    assert check.after == pytest.approx(90 / 140)
    assert (check.n, check.regressed) == (100, 10)
    heavy, light = 5 / 1.4 * (50 / 140 - 1), 1 / 1.4 * 50 / 140
    assert check.error == pytest.approx(math.sqrt((10 * heavy**2 + 90 * light**2) / 99 / 100))
    assert check.high - check.low > plain.high - plain.low


def test_related_cases_that_are_lost_together_count_once():
    alone, together = (drop(*changed(200, 20), margin=0.02, size=size) for size in (None, 20))

    assert (alone.outcome, together.outcome, together.units) == (FAILED, OPEN, 10)
    assert together.low < alone.low


@every_row(("size", "groups"), [(10, 9), (9, 10)])
def test_ten_groups_are_enough_to_be_judged(size, groups):
    check = drop(*changed(90, 40), margin=0.1, size=size)

    told = (note(NoteKind.FEW_GROUPS, n=9, needed=10),)
    assert check.units == groups
    assert (told == check.notes) is (groups == 9)


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
    check = drop(before, after, size=size, margin=margin)

    assert check.outcome is OPEN
    assert check.certifiable == whole.smallest_drop(0.05)
    # The cases that the drop itself takes, where these are more.
    assert check.needed == (int(np.ceil(n * (times - 1))) if by_groups else 100)
    groups, needed = n // size, int(np.ceil(n // size * times))
    told = note(NoteKind.WHOLE_GROUPS, n=groups, limit=margin, needed=needed)
    assert check.notes == (told,)


def test_enough_groups_pass_the_limit_or_need_more_cases_alone():
    assert drop(*changed(600, 4), size=10).outcome is PASSED

    check = drop(*changed(160, 4), size=2)

    assert (check.outcome, check.notes) == (OPEN, ())
    assert check.needed > 0


def test_where_one_group_holds_most_of_the_cases_and_broke_no_limit_can_be_shown():
    groups = [min(i, 9) for i in range(50)]
    before, after = (
        case_samples([1.0] * right + [0.0] * (50 - right), str(right), groups=groups)
        for right in (50, 9)
    )

    check = of_rule(before, after, margin=0.2)

    assert (check.outcome, check.certifiable) == (OPEN, None)
    assert kinds(check.notes) == [NoteKind.WHOLE_GROUPS]


# --- a look at a part of the cases ---------------------------------------------------------------


def test_the_same_replies_pass_for_unchanged_only_once_no_others_are_to_come():
    once = case_samples([1.0] * 40)

    first, whole = (of_rule(once, once, levels=Levels(last=last)) for last in (False, True))

    assert (first.outcome, first.is_unchanged) == (OPEN, False)
    assert (whole.outcome, whole.is_unchanged) == (PASSED, True)
