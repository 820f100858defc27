"""Minimums and plain thresholds: what holds, what cannot be told, and the figures of a check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.gates.checks import (
    ROUNDING,
    chance_flip_rate,
    check_minimum,
    check_point,
    inconclusive_at_chance,
)
from pytest_ftgate.gates.design import CONFIDENCE, POWER, Levels
from pytest_ftgate.gates.figures import sample_rate
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.stats.power import minimum_cases_needed, point_rule_pass_probability
from pytest_ftgate.stats.rates import p_misses, p_reaches, rate_cases_needed, score_interval

LEVELS = Levels(miss=0.02, alarm=0.004, shared=3)
PASSED, FAILED, OPEN = Outcome.PASSED, Outcome.FAILED, Outcome.INCONCLUSIVE


def side(right: int, wrong: int, missing: int = 0, **columns) -> Samples:
    return case_samples([1.0] * right + [0.0] * wrong + [None] * missing, **columns)


# --- minimums ------------------------------------------------------------------------------------


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

    assert (check.outcome, check.p_pass, check.p_fail) == (PASSED, None, None)

    found = side(165, 35)
    rate = sample_rate(found)
    held, missed = p_reaches(rate, 0.8), p_misses(rate, 0.9)

    assert check_minimum(found, minimum=0.8, levels=Levels(miss=held)).outcome is PASSED
    assert check_minimum(found, minimum=0.9, levels=Levels(alarm=missed)).outcome is FAILED


@every_row(
    ("found", "minimum", "outcome"),
    [
        (side(59, 0), 0.95, PASSED),
        (side(59, 0, 1), 0.95, OPEN),
        (side(64, 36), 0.75, FAILED),
        (side(64, 36, 2), 0.75, OPEN),
        # A twentieth of the cases may lack a reply.
        (side(95, 0, 5), 0.5, PASSED),
        (side(94, 0, 6), 0.5, OPEN),
        # Those that lack one still belong to their groups.
        (side(397, 0, 3, groups=[i // 10 for i in range(400)]), 0.8, PASSED),
    ],
)
def test_missing_replies_leave_a_minimum_open_that_they_could_turn(found, minimum, outcome):
    missing = int((~found.has_reply).sum())

    check = check_minimum(found, minimum=minimum)

    assert (check.outcome, check.missing) == (outcome, missing)
    told = note(NoteKind.MISSING, missing=missing, of=len(found))
    assert check.notes == ((told,) if missing else ())


@every_row("right", [18, 410, 770])
def test_a_missed_minimum_shows_the_highest_that_holds(right):
    found = side(right, 1000 - right)
    shown = check_minimum(found, minimum=0.999).shown_limit

    assert check_minimum(found, minimum=shown).outcome is PASSED
    assert check_minimum(found, minimum=shown + 0.01).outcome is not PASSED


def test_no_minimum_is_shown_where_none_holds_or_the_declared_one_does():
    assert check_minimum(side(3, 997), minimum=0.999).shown_limit is None
    assert check_minimum(side(190, 10), minimum=0.8).shown_limit is None


def test_what_holds_just_so_is_shown_and_only_at_the_last_look_of_whole_replies():
    found = side(60, 40)
    levels = Levels(miss=p_reaches(sample_rate(found), 0.53))

    shown, early, missing = (
        check_minimum(of, minimum=0.9, levels=replace(levels, last=last)).shown_limit
        for of, last in ((found, True), (found, False), (side(60, 40, 2), True))
    )

    assert (shown, early, missing) == (0.53, None, None)


def test_a_minimum_that_is_reached_below_guessing_shows_nothing():
    reached, missed = (check_minimum(side(*counts), minimum=0.2) for counts in ((190, 10), (2, 98)))

    below = inconclusive_at_chance(reached, 0.25)
    assert (below.outcome, below.informative) == (OPEN, False)
    assert below.notes == (note(NoteKind.GUESSED, rate=0.25),)
    assert inconclusive_at_chance(reached, 0.2) is reached
    assert missed.outcome is FAILED
    shown = replace(missed, shown_limit=0.25)
    assert inconclusive_at_chance(shown, 0.25) is shown
    assert inconclusive_at_chance(shown, 0.26) == replace(missed, shown_limit=None)


def test_a_minimum_is_inconclusive_with_one_reply_or_few_groups():
    check = check_minimum(case_samples([1.0, None]), minimum=0.8)

    assert check == Check(
        kind=CheckKind.MINIMUM, outcome=OPEN, limit=0.8, n=1, effective=1, after=1.0, missing=1,
        notes=(note(NoteKind.TOO_FEW_REPLIES, n=1, of=2),),
    )  # fmt: skip
    assert check_minimum(side(2, 0), minimum=0.8).p_pass == pytest.approx(0.64)

    few, enough = (
        check_minimum(side(0, 90, groups=[i // size for i in range(90)]), minimum=0.9)
        for size in (10, 9)
    )

    assert (few.units, few.outcome) == (9, OPEN)
    assert few.notes == (note(NoteKind.FEW_GROUPS, n=9, needed=10),)
    assert (enough.units, enough.outcome, enough.notes) == (10, FAILED, ())


@every_row(("right", "outcome"), [(120, FAILED), (155, OPEN), (165, OPEN), (195, PASSED)])
def test_only_an_open_minimum_that_is_reached_names_cases(right, outcome):
    check = check_minimum(side(right, 200 - right), minimum=0.8)

    assert check.outcome is outcome
    assert (check.needed is not None) is (right == 165)


def test_no_cases_are_named_where_the_rate_is_too_close_or_more_are_needed_than_are_searched(
    monkeypatch,
):
    close, distant = (
        check_minimum(side(right, 2000 - right), minimum=0.8) for right in (1610, 1620)
    )

    assert (close.outcome, close.needed) == (OPEN, None)
    assert distant.outcome is OPEN
    assert distant.needed == minimum_cases_needed(0.8, 0.81, POWER, 0.05) - 2000
    # Fourteen right replies show 80 %.
    assert check_minimum(side(13, 0), minimum=0.8).needed == 1
    monkeypatch.setattr("pytest_ftgate.stats.power._MAX_CASES", 1024)
    check = check_minimum(side(100, 0), minimum=0.999)
    assert (check.outcome, check.needed) == (OPEN, None)


@every_row(("wrong", "outcome"), [([], PASSED), ([59], PASSED), ([0, 1], OPEN)])
def test_the_heavy_cases_decide_a_weighted_minimum(wrong, outcome):
    weights = [5.0] * 6 + [1.0] * 54
    check = check_minimum(
        case_samples([i not in wrong for i in range(60)], weights=weights), minimum=0.75
    )

    assert check.after == pytest.approx(1 - sum(weights[i] for i in wrong) / 84)
    assert check.outcome is outcome


@every_row("mean", [0.82, 0.84])
def test_an_open_minimum_of_graded_scores_names_the_cases_that_settle_it(mean):
    found = case_samples(mean + np.resize([-0.15, 0.15], 60))
    rate = sample_rate(found)
    check = check_minimum(found, minimum=0.8, levels=LEVELS)

    assert check.error == pytest.approx(np.sqrt(rate.spread / 60))
    assert check.needed == max(1, rate_cases_needed(rate, 0.8, POWER, LEVELS.miss) - 60)


def test_repeats_show_more_than_one_reply_only_if_they_vary_and_less_than_as_many_cases():
    """Of five replies to each case all are right, or three."""
    once, often = (check_minimum(side(29, 0, repeats=count), minimum=0.9) for count in (1, 5))

    assert often == once

    often = check_minimum(case_samples(np.resize([1.0, 0.6], 60), repeats=5), minimum=0.7)
    once, as_cases = (check_minimum(side(4 * n, n), minimum=0.7) for n in (12, 60))

    assert as_cases.high - as_cases.low < often.high - often.low < once.high - once.low


# --- plain thresholds ----------------------------------------------------------------------------


def point(**fields) -> Check:
    given = {"kind": CheckKind.MINIMUM, "outcome": OPEN, "limit": 0.5, "n": 40}
    return Check(**given | {"effective": 40, "after": 0.45} | fields)


@every_row(
    ("fields", "decides"),
    [({"n": 95, "missing": 5}, True), ({"n": 94, "missing": 6}, False),
     ({"effective": 1}, True), ({"effective": 0.5}, False)],
)  # fmt: skip
def test_a_plain_threshold_decides_with_a_case_and_a_twentieth_missing(fields, decides):
    check = check_point(point(**fields))

    assert check.method == ("point" if decides else "counts")
    assert check.outcome is (FAILED if decides else OPEN)


AT = 0.5 - ROUNDING
FELL = {"limit": 0.1, "discordance": 0.3}


@every_row(
    ("fields", "outcome", "shown"),
    [
        ({"after": AT}, PASSED, None),
        ({"after": AT - ROUNDING}, FAILED, 0.49),
        ({"after": 0.459}, FAILED, 0.45),
        ({**FELL, "before": 0.0, "after": -0.1 - ROUNDING}, PASSED, None),
        ({**FELL, "before": 0.0, "after": -0.1 - 2 * ROUNDING}, FAILED, 0.11),
        ({**FELL, "before": 0.9, "after": 0.8, "limit": 0.05}, FAILED, 0.1),
        ({**FELL, "before": 0.9, "after": 0.805, "limit": 0.05}, FAILED, 0.1),
    ],
)
def test_a_plain_threshold_is_held_up_to_rounding_and_shows_the_strictest_that_is_held(
    fields, outcome, shown
):
    check = check_point(point(**fields))

    assert (check.outcome, check.shown_limit) == (outcome, shown)


def flips(chance: float) -> float:
    return 2 * chance * (1 - chance)


def test_two_runs_disagree_as_often_as_the_binomial_distribution_says_and_the_note_with_it():
    chance = stats.binom(40, 0.45)

    assert chance_flip_rate(point()) == pytest.approx(flips(chance.sf(19)))
    assert chance_flip_rate(point(effective=39.6)) == pytest.approx(flips(chance.sf(19)))

    check = check_point(point(notes=(text_note("first"),)))

    told = note(NoteKind.PLAIN_THRESHOLD, flips=chance_flip_rate(check))
    assert check.notes == (text_note("first"), told)


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


@every_row("before", [None, 0.9])
def test_a_graded_score_on_its_threshold_is_a_coin_toss(before):
    check = point(before=before, after=0.5, limit=0.5 if before is None else 0.4, error=0.02)

    assert chance_flip_rate(check) == pytest.approx(0.5)
    assert chance_flip_rate(replace(check, after=0.6)) < 0.01
