"""Checks of grades: inconclusive with an unqualified judge, corrected by human labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from columns import suite, variant_scores

from pytest_ftgate.gates.judges import (
    JudgeEvidence,
    check_graded_drop,
    check_graded_minimum,
    judge_notes,
)
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases
from pytest_ftgate.gates.verdict import (
    CheckKind,
    IntervalEstimate,
    JudgeValidation,
    Outcome,
    Verdict,
)
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_text
from pytest_ftgate.results.verdicts import from_json, to_json
from pytest_ftgate.suite.gate_kinds import RateGate

LEVELS = Levels()


def interval(value, n=200):
    from pytest_ftgate.stats.proportions import wilson

    low, high = wilson(value * n, n, 0.95)
    return IntervalEstimate(value=value, low=float(low), high=float(high), n=n)


def validation(good=0.9, bad=0.8, **more):
    return JudgeValidation(
        judge="m",
        provider="p",
        rubric="r",
        labels=400,
        kappa=interval(0.7),
        sensitivity=interval(good),
        specificity=interval(bad),
        is_binary=True,
        **more,
    )


def samples(values, name="x"):
    return samples_from_cases(
        {f"c{i:04}": CaseSample(float(v), 1, f"{name}{i}") for i, v in enumerate(values)}
    )


def evidence(*judges, **more):
    return JudgeEvidence(validations=judges or (validation(),), is_sole_score=True, **more)


def compared(judge_evidence, before, after, margin=0.1):
    return check_graded_drop(
        judge_evidence,
        samples(before, "b"),
        samples(after, "a"),
        against="current",
        margin=margin,
        levels=LEVELS,
    )


def test_a_drop_of_grades_is_converted_to_the_true_drop():
    before, after = [1] * 160 + [0] * 40, [1] * 90 + [0] * 110
    check = compared(evidence(), before, after)

    assert check.outcome is Outcome.FAILED
    assert check.method == "judge"
    assert check.before == pytest.approx((0.8 + 0.8 - 1) / 0.7)
    assert check.after == pytest.approx((0.45 + 0.8 - 1) / 0.7)
    assert "the judge shows 70 % of a true change, at least" in check.note


def test_a_weak_judge_needs_more_cases_to_rule_a_drop_out():
    before = [1] * 140 + [0] * 60
    after = [1] * 138 + [0] * 62

    assert compared(evidence(validation(0.99, 0.99)), before, after).outcome is Outcome.PASSED
    assert compared(evidence(validation(0.7, 0.7)), before, after).outcome is Outcome.INCONCLUSIVE


def test_grades_that_may_be_unrelated_to_the_labels_are_inconclusive():
    check = compared(evidence(validation(0.55, 0.5)), [1] * 200, [0] * 200)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert "cannot rule out that the judge shows nothing" in check.note


def test_the_same_replies_are_unchanged_with_any_judge():
    replies = samples([1, 0] * 50)
    check = check_graded_drop(
        evidence(), replies, replies, against="current", margin=0.1, levels=LEVELS
    )

    assert check.outcome is Outcome.PASSED
    assert check.is_unchanged


def test_a_minimum_is_adjusted_for_the_errors_of_the_judge():
    values = [1] * 170 + [0] * 30
    check = check_graded_minimum(
        evidence(validation(0.95, 0.6)), samples(values), minimum=0.7, levels=LEVELS
    )
    plain = check_graded_minimum(JudgeEvidence(), samples(values), minimum=0.7, levels=LEVELS)

    assert plain.outcome is Outcome.PASSED
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.after == pytest.approx((0.85 + 0.6 - 1) / 0.55)


def test_a_hundred_labels_of_the_compared_replies_correct_the_judge():
    before, after = [1] * 200, [1] * 120 + [0] * 80
    human = {f"c{i:04}": 1.0 for i in range(0, 200, 2)}
    judge_evidence = evidence(human_scores=human, baseline_human_scores=human)
    check = compared(judge_evidence, before, after)

    # By the labels there is no drop; by the grades it is forty points.
    assert check.method == "labels"
    assert check.after == pytest.approx(1.0)
    assert check.note == "corrected by 100 labels of these replies: the judge alone saw −40 points"
    assert compared(evidence(), before, after).outcome is Outcome.FAILED
    assert check.outcome is not Outcome.FAILED


def test_fewer_labels_do_not_correct_the_judge():
    human = {f"c{i:04}": 1.0 for i in range(99)}
    check = compared(
        evidence(human_scores=human, baseline_human_scores=human), [1] * 200, [1] * 190 + [0] * 10
    )

    assert check.method == "judge"


def test_the_baseline_of_a_pairwise_grade_is_one_minus_the_grade():
    judge_evidence = evidence(replace(validation(), is_binary=False), is_pairwise=True)
    check = compared(judge_evidence, [0.5] * 100, [1] * 30 + [0.5] * 20 + [0] * 50)

    assert (check.before, check.after) == (0.6, 0.4)


# Verdicts -------------------------------------------------------------------------------------

GATE = RateGate(kind="accuracy", line=7, max_drop=0.1)


def verdict(judge_evidence, before=160, after=90):
    comparison = Comparison(
        variant_scores("new", [1.0] * after + [0.0] * (200 - after)),
        variant_scores("current", [1.0] * before + [0.0] * (200 - before)),
        judge_evidence=judge_evidence,
    )
    return evaluate_rate(suite(GATE), GATE, comparison)


@pytest.mark.parametrize("after", [90, 160, 200])
def test_with_an_unqualified_judge_every_verdict_is_inconclusive(after):
    unfit = validation(error="kappa 0.05 (-0.10 to 0.20), minimum 0.40")
    result = verdict(evidence(unfit), after=after)

    assert result.outcome is Outcome.INCONCLUSIVE
    assert headline(result) == "judge not qualified: m: kappa 0.05 (-0.10 to 0.20), minimum 0.40"
    assert "pytest-ftgate labels" in step_text(result.next[0])


def test_the_headline_names_a_judge_without_validation():
    plain = JudgeValidation(judge="m", provider="p", rubric="r")
    result = verdict(evidence(plain))

    assert result.outcome is Outcome.FAILED
    assert "beyond the limit of 10 (judge-relative)" in headline(result)
    assert any(note.startswith("judge-relative: no labels") for note in result.notes)


def test_the_headline_does_not_name_a_validated_judge():
    assert "judge-relative" not in headline(verdict(evidence()))


def test_equal_grades_for_all_replies_are_noted_without_labels():
    plain = JudgeValidation(judge="m", provider="p", rubric="r")

    assert "the judge says the same of all 400 replies" in judge_notes(
        evidence(plain, constant_grades=400)
    )
    assert judge_notes(evidence(constant_grades=400)) == []


def test_the_validation_of_a_judge_survives_serialisation():
    result = verdict(evidence(validation(warnings=("it favours longer replies",))))

    assert from_json(Verdict, to_json(result)) == result


# How often it is wrong ------------------------------------------------------------------------


def graded(draw, truth, good, bad):
    return np.where(truth, draw.random(truth.size) < good, draw.random(truth.size) >= bad)


@pytest.mark.parametrize(("good", "bad"), [(0.9, 0.8), (0.75, 0.75)])
def test_a_true_drop_as_large_as_the_margin_rarely_passes_with_an_imperfect_judge(good, bad):
    draw, passed, plainly, runs = np.random.default_rng(3), 0, 0, 60
    for _ in range(runs):
        before = draw.random(400) < 0.8
        after = np.where(draw.random(400) < 0.125, False, before)
        f = [graded(draw, truth, good, bad) for truth in (before, after)]
        people = [draw.binomial(150, share) / 150 for share in (good, bad)]
        judge_evidence = evidence(validation(0, 0))
        sampled = replace(
            judge_evidence.validations[0],
            sensitivity=interval(people[0], 150),
            specificity=interval(people[1], 150),
        )
        judge_evidence = replace(judge_evidence, validations=(sampled,))
        passed += compared(judge_evidence, *f).outcome is Outcome.PASSED
        plainly += compared(JudgeEvidence(), *f).outcome is Outcome.PASSED

    assert passed <= 0.05 * runs
    # Without the correction, far more of these drops pass.
    assert plainly > 2 * passed


def test_with_labels_the_error_rate_holds_with_a_judge_that_sees_no_drop():
    draw, passed, runs = np.random.default_rng(5), 0, 200
    for _ in range(runs):
        before = draw.random(300) < 0.8
        after = np.where(draw.random(300) < 0.125, False, before)
        # The judge grades most replies of the variant as good.
        f = [graded(draw, before, 0.9, 0.8), graded(draw, after, 0.9, 0.3)]
        at = draw.choice(300, 120, replace=False)
        human, then = ({f"c{i:04}": float(truth[i]) for i in at} for truth in (after, before))
        passed += (
            compared(evidence(human_scores=human, baseline_human_scores=then), *f).outcome
            is Outcome.PASSED
        )

    assert passed <= 0.08 * runs


def test_grades_beside_other_scores_or_of_two_judges_are_not_converted():
    values = [1] * 160 + [0] * 40
    for unknown in (
        replace(evidence(), is_sole_score=False),
        evidence(validation(), validation()),
        evidence(replace(validation(), sensitivity=None)),
    ):
        check = compared(unknown, values, [1] * 90 + [0] * 110)
        minimum = check_graded_minimum(unknown, samples(values), minimum=0.7, levels=LEVELS)

        assert (check.method, minimum.method) == ("counts", "counts")
        assert (check.after, minimum.after) == (0.45, 0.8)


def test_a_drop_from_what_was_accepted_is_not_corrected_by_labels_of_the_baseline():
    human = {f"c{i:04}": 1.0 for i in range(0, 200, 2)}
    labelled = evidence(human_scores=human, baseline_human_scores=human)
    check = check_graded_drop(
        labelled, samples([1] * 200, "b"), samples([1] * 120 + [0] * 80, "a"),
        against="accepted", margin=0.1, levels=LEVELS, kind=CheckKind.ACCEPTED,
    )  # fmt: skip

    assert check.method == "judge"


@pytest.mark.parametrize(
    ("right", "outcome"), [(198, Outcome.PASSED), (160, Outcome.INCONCLUSIVE), (60, Outcome.FAILED)]
)
def test_a_minimum_passes_and_fails_only_beyond_what_the_judge_may_miss(right, outcome):
    values = [1] * right + [0] * (200 - right)
    judged = evidence(validation(0.95, 0.95))

    check = check_graded_minimum(judged, samples(values), minimum=0.8, levels=LEVELS)

    assert (check.outcome, check.method) == (outcome, "judge")


def test_a_hundred_labels_correct_a_minimum():
    human = {f"c{i:04}": 1.0 for i in range(100)}
    judged = evidence(human_scores=human)

    check = check_graded_minimum(judged, samples([0] * 60 + [1] * 140), minimum=0.9, levels=LEVELS)

    assert check.method == "labels"
    assert check.after > 0.9
    assert check.note == "corrected by 100 labels of these replies: the judge alone calls 70 % good"


def test_an_unqualified_judge_corrects_no_minimum():
    unfit = evidence(validation(error="kappa 0.10"))

    check = check_graded_minimum(unfit, samples([1] * 200), minimum=0.9, levels=LEVELS)

    assert check.method == "counts"
