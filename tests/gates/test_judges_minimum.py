"""Minimums of grades: adjusted for the errors of the judge, or corrected by human labels."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.judge_evidence import LEVELS, evidence, interval, samples, validation
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import check_minimum
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.judges import JudgeEvidence, check_graded_minimum
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.resampling import two_phase_mean


def test_a_minimum_is_adjusted_for_the_errors_of_the_judge():
    values = [1] * 170 + [0] * 30
    check = check_graded_minimum(
        evidence(validation(0.95, 0.6)), samples(values), minimum=0.7, levels=LEVELS
    )
    plain = check_graded_minimum(JudgeEvidence(), samples(values), minimum=0.7, levels=LEVELS)

    assert plain.outcome is Outcome.PASSED
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.after == pytest.approx((0.85 + 0.6 - 1) / 0.55)


@every_row(
    ("right", "outcome"), [(198, Outcome.PASSED), (167, Outcome.INCONCLUSIVE), (60, Outcome.FAILED)]
)
def test_a_minimum_passes_and_fails_only_beyond_what_the_judge_may_miss(right, outcome):
    grades = samples([1] * right + [0] * (200 - right))

    levels = Levels(miss=0.04, alarm=0.02)
    check = check_graded_minimum(
        evidence(validation(0.95, 0.9)), grades, minimum=0.8, levels=levels
    )

    good, bad = interval(0.95), interval(0.9)
    strict, lenient = 0.8 * good.high + 0.2 * (1 - bad.low), 0.8 * good.low + 0.2 * (1 - bad.high)
    most, least = (check_minimum(grades, minimum=one, levels=levels) for one in (strict, lenient))

    def true_rate(rate):
        return pytest.approx(min(1.0, (rate - 0.1) / 0.85))

    plain = check_minimum(grades, minimum=0.8, levels=levels)
    shares = {"good": 0.95, "bad": 0.9, "rate": right / 200, "needed": pytest.approx(strict)}
    assert check == replace(
        plain, outcome=outcome, method="judge",
        notes=(note(NoteKind.JUDGE_FINDS, **shares),),
        after=true_rate(plain.after), low=true_rate(plain.low), high=true_rate(plain.high),
        needed=most.needed if outcome is Outcome.INCONCLUSIVE else None,
        p_pass=pytest.approx(most.p_pass), p_fail=pytest.approx(least.p_fail),
        shown_limit=check.shown_limit,
    )  # fmt: skip
    assert (check.needed is not None) is (outcome is Outcome.INCONCLUSIVE)


@every_row("limit", [0.9, 0.0])
@every_row("people", [{}, {f"c{i:04}": float(i < 180) for i in range(0, 200, 2)}])
def test_the_minimum_that_is_advised_is_the_highest_that_the_same_replies_hold(people, limit):
    judged, grades = evidence(human_scores=people), samples([1] * 140 + [0] * 60)

    def holds(minimum):
        check = check_graded_minimum(judged, grades, minimum=minimum, levels=LEVELS)
        return check.outcome is Outcome.PASSED

    advised = check_graded_minimum(judged, grades, minimum=limit, levels=LEVELS).shown_limit

    assert (holds(advised), holds(advised + 0.01)) == (True, False)
    assert advised == round(advised, 2)


def test_a_minimum_is_not_advised_where_one_holds_or_replies_are_missing_or_to_come():
    def advised(values, minimum=0.5, levels=LEVELS):
        return check_graded_minimum(
            evidence(), samples(values), minimum=minimum, levels=levels
        ).shown_limit

    half = [1] * 100 + [0] * 100

    assert advised(half) is not None
    assert advised([1] * 190 + [0] * 10) is None
    assert advised([*half, None]) is None
    assert advised(half, levels=replace(LEVELS, last=False)) is None
    assert advised([0] * 200) is None


@every_row("people", [{}, {f"c{i:04}": 0.0 for i in range(200)}])
def test_a_minimum_of_nothing_holds_whatever_the_judge_says(people):
    check = check_graded_minimum(
        evidence(human_scores=people), samples([0] * 200), minimum=0.0, levels=LEVELS
    )

    assert check.outcome is Outcome.PASSED


@every_row(
    ("right", "outcome"), [(97, Outcome.PASSED), (90, Outcome.INCONCLUSIVE), (75, Outcome.FAILED)]
)
def test_a_hundred_labels_correct_a_minimum(right, outcome):
    grades, places = [1] * 140 + [0] * 60, range(0, 200, 2)
    human = {f"c{i:04}": float(i < 2 * right) for i in places}
    judged = evidence(human_scores=human)

    check = check_graded_minimum(judged, samples(grades), minimum=0.9, levels=LEVELS)

    rate = two_phase_mean(grades, [*human.values()], places)
    low, high = rate.interval(0.95)
    plain = check_minimum(samples(grades), minimum=0.9, levels=LEVELS)
    assert check == replace(
        plain, outcome=outcome, method="labels", after=pytest.approx(rate.mean),
        low=pytest.approx(low), high=pytest.approx(min(1.0, high)),
        p_pass=pytest.approx(rate.p_above(0.9)), p_fail=pytest.approx(rate.p_below(0.9)),
        needed=None, certifiable=None, shown_limit=check.shown_limit,
        notes=(note(NoteKind.LABELS_CORRECT_RATE, labels=100, rate=pytest.approx(0.7)),),
    )  # fmt: skip


@every_row("levels", [Levels(miss=0.2), Levels(alarm=0.2)])
def test_labels_decide_a_minimum_at_the_levels_of_the_gate(levels):
    human = {f"c{i:04}": float(i % 10 > 0) for i in range(200)}
    # 90 in a hundred are right, so that these minimums are shown and missed one time in ten.
    limit = 0.873 if levels.miss > levels.alarm + 0.1 else 0.927

    check, usual = (
        check_graded_minimum(
            evidence(human_scores=human), samples(human.values()), minimum=limit, levels=one
        )
        for one in (levels, LEVELS)
    )

    assert usual.outcome is Outcome.INCONCLUSIVE
    assert check.outcome is (Outcome.PASSED if limit < 0.9 else Outcome.FAILED)


def test_an_unqualified_judge_corrects_no_minimum():
    unfit = evidence(validation(errors=(text_note("kappa 0.10"),)))

    check = check_graded_minimum(unfit, samples([1] * 200), minimum=0.9, levels=LEVELS)

    assert check.method == "counts"
