"""Checks of grades: open under a judge that is not qualified, corrected by what people said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from columns import column, suite

from pytest_ftgate.gates.judges import Judging, judged_drop, judged_floor, judging_notes
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.rates import Sides, judge_rate
from pytest_ftgate.gates.samples import Cell, side_of
from pytest_ftgate.gates.verdict import Examined, Figure, Outcome
from pytest_ftgate.results.verdicts import verdict_from_json, verdict_to_json
from pytest_ftgate.suite.model import RateGate

LEVELS = Levels()


def figure(value, n=200):
    from pytest_ftgate.stats.proportions import wilson

    low, high = wilson(value * n, n, 0.95)
    return Figure(value=value, low=float(low), high=float(high), n=n)


def examined(good=0.9, bad=0.8, **more):
    return Examined(
        judge="m",
        provider="p",
        rubric="r",
        labels=400,
        kappa=figure(0.7),
        sensitivity=figure(good),
        specificity=figure(bad),
        is_binary=True,
        **more,
    )


def side(values, name="x"):
    return side_of({f"c{i:04}": Cell(float(v), 1, f"{name}{i}") for i, v in enumerate(values)})


def judging(*judges, **more):
    return Judging(judges=judges or (examined(),), alone=True, baseline="current", **more)


def compared(known, before, after, margin=0.1):
    return judged_drop(
        known, side(before, "b"), side(after, "a"), against="current", margin=margin, levels=LEVELS
    )


def test_a_drop_of_grades_is_told_as_the_true_one_behind_it():
    before, after = [1] * 160 + [0] * 40, [1] * 90 + [0] * 110
    check = compared(judging(), before, after)

    assert check.outcome is Outcome.FAILED
    assert check.method == "judge"
    assert check.before == pytest.approx((0.8 + 0.8 - 1) / 0.7)
    assert check.after == pytest.approx((0.45 + 0.8 - 1) / 0.7)
    assert "the judge shows 70 % of a true change, at least" in check.note


def test_a_weak_judge_needs_more_to_rule_a_drop_out():
    before = [1] * 140 + [0] * 60
    after = [1] * 138 + [0] * 62

    assert compared(judging(examined(0.99, 0.99)), before, after).outcome is Outcome.PASSED
    assert compared(judging(examined(0.7, 0.7)), before, after).outcome is Outcome.INCONCLUSIVE


def test_one_that_may_show_nothing_decides_nothing():
    check = compared(judging(examined(0.55, 0.5)), [1] * 200, [0] * 200)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert "cannot rule out that the judge shows nothing" in check.note


def test_the_same_replies_are_unchanged_whoever_judges():
    one = side([1, 0] * 50)
    check = judged_drop(judging(), one, one, against="current", margin=0.1, levels=LEVELS)

    assert check.outcome is Outcome.PASSED
    assert check.note == "unchanged: the same replies"


def test_a_floor_is_moved_by_what_the_judge_misses():
    values = [1] * 170 + [0] * 30
    check = judged_floor(judging(examined(0.95, 0.6)), side(values), least=0.7, levels=LEVELS)
    plain = judged_floor(Judging(), side(values), least=0.7, levels=LEVELS)

    assert plain.outcome is Outcome.PASSED
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.after == pytest.approx((0.85 + 0.6 - 1) / 0.55)


def test_a_hundred_labels_of_the_very_replies_correct_the_judge():
    before, after = [1] * 200, [1] * 120 + [0] * 80
    said = {f"c{i:04}": 1.0 for i in range(0, 200, 2)}
    known = judging(said=said, said_before=said)
    check = compared(known, before, after)

    # People found no loss at all in what the judge calls one of forty points.
    assert check.method == "labels"
    assert check.after == pytest.approx(1.0)
    assert check.note == "corrected by 100 labels of these replies: the judge alone saw −40 points"
    assert compared(judging(), before, after).outcome is Outcome.FAILED
    assert check.outcome is not Outcome.FAILED


def test_fewer_labels_of_these_replies_do_not():
    said = {f"c{i:04}": 1.0 for i in range(99)}
    check = compared(judging(said=said, said_before=said), [1] * 200, [1] * 190 + [0] * 10)

    assert check.method == "judge"


def test_preferences_are_compared_with_what_is_left_to_the_baseline():
    known = judging(replace(examined(), is_binary=False), compares=True)
    check = compared(known, [0.5] * 100, [1] * 30 + [0.5] * 20 + [0] * 50)

    assert (check.before, check.after) == (0.6, 0.4)


# Verdicts -------------------------------------------------------------------------------------

GATE = RateGate(kind="accuracy", line=7, max_drop=0.1)


def verdict(known, before=160, after=90):
    sides = Sides(
        column("new", [1.0] * after + [0.0] * (200 - after)),
        column("current", [1.0] * before + [0.0] * (200 - before)),
        judging=known,
    )
    return judge_rate(suite(GATE), GATE, sides)


@pytest.mark.parametrize("after", [90, 160, 200])
def test_under_a_judge_that_is_not_qualified_every_verdict_is_inconclusive(after):
    unfit = examined(fault="kappa 0.05 (-0.10 to 0.20), floor 0.40")
    found = verdict(judging(unfit), after=after)

    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.headline == "judge not qualified: m: kappa 0.05 (-0.10 to 0.20), floor 0.40"
    assert "pytest-ftgate labels" in found.next[0]


def test_a_judge_that_nobody_examined_is_told_of_in_the_headline():
    plain = Examined(judge="m", provider="p", rubric="r")
    found = verdict(judging(plain))

    assert found.outcome is Outcome.FAILED
    assert found.headline.endswith("(judge-relative)")
    assert any(note.startswith("judge-relative: no labels") for note in found.notes)


def test_one_that_was_examined_is_not():
    assert "judge-relative" not in verdict(judging()).headline


def test_the_same_grade_for_all_replies_is_told_where_no_labels_stand_against_it():
    plain = Examined(judge="m", provider="p", rubric="r")

    assert "the judge says the same of all 400 replies" in judging_notes(
        judging(plain, constant=400)
    )
    assert judging_notes(judging(constant=400)) == []


def test_what_was_found_of_a_judge_survives_the_way_to_the_reporting_process():
    found = verdict(judging(examined(warnings=("it favours longer replies",))))

    assert verdict_from_json(verdict_to_json(found)) == found


# How often it is wrong ------------------------------------------------------------------------


def graded(draw, truth, good, bad):
    return np.where(truth, draw.random(truth.size) < good, draw.random(truth.size) >= bad)


@pytest.mark.parametrize(("good", "bad"), [(0.9, 0.8), (0.75, 0.75)])
def test_a_true_drop_as_large_as_the_margin_rarely_passes_though_the_judge_hides_some_of_it(
    good, bad
):
    draw, passed, plainly, runs = np.random.default_rng(3), 0, 0, 120
    for _ in range(runs):
        before = draw.random(400) < 0.8
        after = np.where(draw.random(400) < 0.125, False, before)
        f = [graded(draw, truth, good, bad) for truth in (before, after)]
        people = [draw.binomial(150, share) / 150 for share in (good, bad)]
        known = judging(examined(0, 0))
        one = replace(
            known.judges[0], sensitivity=figure(people[0], 150), specificity=figure(people[1], 150)
        )
        known = replace(known, judges=(one,))
        passed += compared(known, *f).outcome is Outcome.PASSED
        plainly += compared(Judging(), *f).outcome is Outcome.PASSED

    assert passed <= 0.05 * runs
    # Grades taken at their word pass far more of these drops.
    assert plainly > 2 * passed


def test_by_labels_of_the_same_replies_it_keeps_its_risk_under_a_judge_that_sees_no_drop():
    draw, passed, runs = np.random.default_rng(5), 0, 200
    for _ in range(runs):
        before = draw.random(300) < 0.8
        after = np.where(draw.random(300) < 0.125, False, before)
        # It takes all that the variant says for good.
        f = [graded(draw, before, 0.9, 0.8), graded(draw, after, 0.9, 0.3)]
        at = draw.choice(300, 120, replace=False)
        said, then = ({f"c{i:04}": float(truth[i]) for i in at} for truth in (after, before))
        passed += compared(judging(said=said, said_before=then), *f).outcome is Outcome.PASSED

    assert passed <= 0.08 * runs
