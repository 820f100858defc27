"""Checks of grades: inconclusive with an unqualified judge, corrected by human labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.judge_evidence import LEVELS, evidence, interval, samples, validation
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import suite, variant_scores
from ftgate_testing.tables import every_row, heavy

from pytest_ftgate.gates.checks import DropRule, check_minimum
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.judges import (
    JudgeEvidence,
    check_graded_drop,
    check_graded_minimum,
    inconclusive_if_unqualified,
    judge_notes,
    with_judge_evidence,
)
from pytest_ftgate.gates.notes import NoteKind, note, text_note
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.statements import NextStep, Statement, StatementKind, StepKind
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome, Verdict
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.reporting.next_steps import step_text
from pytest_ftgate.stats.resampling import two_phase_mean
from pytest_ftgate.suite.gate_kinds import RateGate


def compared(judge_evidence, before, after, margin=0.1, levels=LEVELS, **more):
    rule = DropRule(against="current", margin=margin, levels=levels, **more)
    return check_graded_drop(judge_evidence, samples(before, "b"), samples(after, "a"), rule)


def rated(judge_evidence, values, minimum=0.5, levels=LEVELS):
    """Return the check of a minimum."""
    return check_graded_minimum(judge_evidence, samples(values), minimum=minimum, levels=levels)


def by_case(values):
    """Return the human score of each case by its id."""
    return {f"c{i:04}": float(value) for i, value in enumerate(values)}


#: What a judge with these labels shows of a true change at least.
LEAST = interval(0.9).low + interval(0.8).low - 1
SHOWN = note(NoteKind.SHOWS_LESS, share=pytest.approx(0.7), least=pytest.approx(LEAST))


@every_row(("right", "outcome"), [(90, Outcome.FAILED), (150, Outcome.INCONCLUSIVE)])
def test_a_drop_of_grades_is_converted_to_the_true_drop(right, outcome):
    before, after = [1] * 160 + [0] * 40, [1] * right + [0] * (200 - right)
    check = compared(evidence(), before, after)

    grades = compared(JudgeEvidence(), before, after, margin=0.1 * LEAST)
    certifiable = grades.certifiable and pytest.approx(grades.certifiable / LEAST)
    assert check == replace(
        grades, outcome=outcome, limit=0.1, method="judge", notes=(SHOWN,),
        # A judge that shows a part of a drop never shows more than it.
        shown_limit=None, p_half=compared(JudgeEvidence(), before, after).p_half,
        before=pytest.approx((0.8 + 0.8 - 1) / 0.7),
        after=pytest.approx((right / 200 + 0.8 - 1) / 0.7),
        low=pytest.approx(grades.low / 0.7), high=pytest.approx(grades.high / 0.7),
        detectable=pytest.approx(grades.detectable / LEAST), certifiable=certifiable,
    )  # fmt: skip
    assert (certifiable is not None) is (outcome is Outcome.INCONCLUSIVE)
    # A change of grades is not the true one.
    assert check.pairs is None


@every_row(
    ("before", "after", "rates"), [(1, 0, (1.0, 0.0)), (0, 1, (0.0, 1.0))], ids=["drop", "rise"]
)
def test_a_true_rate_and_its_change_stay_between_none_and_all(before, after, rates):
    check = compared(evidence(), [before] * 200, [after] * 200)

    assert (check.before, check.after) == rates
    assert (check.low, check.high) == (after - before, after - before)


@every_row(("n", "is_named"), [(10, False), (20, True)])
def test_a_true_drop_that_no_grades_could_show_is_not_named(n, is_named):
    sides = [1] * (n * 4 // 5) + [0] * (n // 5), [1] * (n * 3 // 4) + [0] * (n - n * 3 // 4)
    weak = evidence(validation(0.7, 0.7))

    detectable = compared(evidence(), *sides).detectable
    certifiable = compared(weak, *sides).certifiable

    # Drops of grades of 82 and 39 points in ten cases, and of 52 and 23 in twenty.
    shown = compared(JudgeEvidence(), *sides)
    least = 2 * interval(0.7).low - 1
    assert detectable == (pytest.approx(shown.detectable / LEAST) if is_named else None)
    assert certifiable == (pytest.approx(shown.certifiable / least) if is_named else None)


def test_a_single_grade_has_no_interval_and_notes_of_a_drop_come_first():
    drop, minimum = compared(evidence(), [1], [0]), rated(evidence(), [1])

    assert (drop.outcome, drop.low, drop.high) == (Outcome.INCONCLUSIVE, None, None)
    assert (minimum.outcome, minimum.low, minimum.high) == (Outcome.INCONCLUSIVE, None, None)
    assert kinds(minimum.notes) == [NoteKind.TOO_FEW_REPLIES, NoteKind.JUDGE_FINDS]

    check = compared(evidence(), [1] * 400, [1] * 392 + [0] * 8)

    assert check.notes == (note(NoteKind.SMALL_DROP), SHOWN)


COIN = IntervalEstimate(value=0.5, low=0.5, high=0.5, n=200)


@every_row(
    "judge", [validation(0.55, 0.5), replace(validation(), sensitivity=COIN, specificity=COIN)]
)
def test_grades_that_may_be_unrelated_to_the_labels_settle_nothing_and_advise_no_cases(judge):
    judged, sides = evidence(judge), ([1] * 80 + [0] * 20, [1] * 74 + [0] * 26)
    plain = compared(JudgeEvidence(), *sides)

    assert None not in (plain.needed, plain.certifiable, plain.shown_limit)
    for one in (
        compared(judged, *sides),
        compared(judged, [1] * 200, [0] * 200),
        rated(judged, [1] * 200),
    ):
        assert (one.outcome, one.notes) == (
            Outcome.INCONCLUSIVE,
            (note(NoteKind.SHOWS_NOTHING),),
        )
        # More cases of such a judge settle nothing, and no limit does.
        assert (one.needed, one.certifiable, one.shown_limit) == (None, None, None)


def test_a_drop_that_cannot_show_or_did_not_happen_is_not_converted():
    replies = samples([1, 0] * 50)
    check = check_graded_drop(
        evidence(), replies, replies, DropRule(against="current", margin=0.1, levels=LEVELS)
    )

    assert (check.outcome, check.is_unchanged) == (Outcome.PASSED, True)
    assert (check.method, check.before, check.notes) == ("counts", 0.5, ())

    check = compared(evidence(), [1] * 100 + [0] * 100, [1] * 99 + [0] * 101, guess_rate=0.4)

    assert (check.informative, check.method) == (False, "counts")
    assert check.notes == (note(NoteKind.AT_CHANCE, against="current", before=0.5),)


HALF = {f"c{i:04}": 1.0 for i in range(0, 200, 2)}


def test_a_hundred_labels_of_the_compared_replies_correct_the_judge():
    before, after = [1] * 190 + [0] * 10, [1] * 120 + [0] * 80
    then = {**HALF, "c0010": 0.0}
    human = {**then, **dict.fromkeys([*HALF][:5], 0.0)}
    judge_evidence = evidence(human_scores=human, baseline_human_scores=then)
    check = compared(judge_evidence, before, after)

    # By the labels hardly any reply got worse; by the grades 35 in a hundred did.
    plain, places = compared(JudgeEvidence(), before, after), range(0, 200, 2)
    changes = [human[f"c{i:04}"] - then[f"c{i:04}"] for i in places]
    change = two_phase_mean(np.array(after) - before, changes, places)
    rate = two_phase_mean(before, [*then.values()], places).mean
    low, high = change.interval(0.95)
    assert check == replace(
        plain, outcome=Outcome.INCONCLUSIVE, method="labels", shown_limit=None,
        before=pytest.approx(rate), after=pytest.approx(rate + change.mean),
        low=pytest.approx(low), high=pytest.approx(high),
        p_pass=pytest.approx(change.p_above(-0.1)), p_fail=pytest.approx(change.p_below(0.0)),
        p_half=pytest.approx(change.p_below(-0.05)),
        notes=(note(NoteKind.LABELS_CORRECT_DROP, labels=100, change=pytest.approx(-0.35)),),
    )  # fmt: skip
    assert plain.outcome is compared(evidence(), before, after).outcome is Outcome.FAILED
    assert check.pairs is None


def labelled(worse, n=200, **more):
    """Compare replies of which people found *worse* in *n* to be worse, as the judge did."""
    after = [0.0] * worse + [1.0] * (n - worse)
    human = by_case(after)
    judged = evidence(human_scores=human, baseline_human_scores=dict.fromkeys(human, 1.0))
    return compared(judged, [1.0] * n, after, **more)


RARE = Levels(alarm=1e-12)


@every_row(
    ("worse", "margin", "levels", "outcome"),
    [
        (2, 0.05, LEVELS, Outcome.PASSED),
        (20, 0.10, LEVELS, Outcome.FAILED),
        # A drop that is shown does not reach the limit, and one that reaches it is not shown.
        (20, 0.11, LEVELS, Outcome.INCONCLUSIVE),
        (4, 0.02, LEVELS, Outcome.INCONCLUSIVE),
        (20, 0.10, RARE, Outcome.INCONCLUSIVE),
        # Beyond the limit it fails, however rarely the gate may alarm.
        (20, 0.04, RARE, Outcome.FAILED),
        # An earlier look than the last fails only by both.
        (20, 0.10, replace(LEVELS, last=False), Outcome.INCONCLUSIVE),
        (20, 0.04, replace(RARE, last=False), Outcome.INCONCLUSIVE),
        (20, 0.04, replace(LEVELS, last=False), Outcome.FAILED),
    ],
)
def test_labels_decide_a_drop_by_the_rule_of_every_drop(worse, margin, levels, outcome):
    check = labelled(worse, margin=margin, levels=levels)

    assert (check.outcome, check.method) == (outcome, "labels")


def test_what_would_settle_the_grades_alone_is_not_told_of_a_mean_by_labels():
    plain = compared(JudgeEvidence(), [1] * 100, [0] * 6 + [1] * 94)
    check = labelled(6, n=100)

    assert None not in (plain.needed, plain.certifiable, plain.shown_limit)
    assert (check.needed, check.certifiable, check.shown_limit) == (None, None, None)


@every_row("was_right", [True, False])
def test_a_rate_and_a_change_by_labels_stay_between_none_and_all(was_right):
    # The judge is wrong about each labelled reply of the baseline, and sees no change.
    grades = [not was_right] * 100 + [was_right] * 100
    then = by_case([was_right] * 100)
    now = {key: 1.0 - value for key, value in then.items()} | {"c0000": float(was_right)}

    check = compared(evidence(human_scores=now, baseline_human_scores=then), grades, grades)

    assert check.before == float(was_right)
    assert check.after == pytest.approx(0.01 if was_right else 0.99)
    assert (check.low if was_right else check.high) == (-1.0 if was_right else 1.0)


@every_row(("first", "after"), [(0, 1.0), (100, 0.0)])
def test_a_rate_after_a_change_by_labels_stays_between_none_and_all(first, after):
    # Half of the labelled replies of the baseline are right, and one half changes altogether.
    then = by_case([0] * 100 + [1] * 100)
    now = {f"c{i:04}": float(i < 100) for i in range(first, first + 100)}

    check = compared(evidence(human_scores=now, baseline_human_scores=then), [1] * 300, [1] * 300)

    assert (check.before, check.after) == (0.5, after)


EACH = by_case([1] * 200)


@every_row("more", [{"group": "g"}, {"weight": 2.0}, {}], ids=["groups", "weights", "a missing"])
def test_labels_correct_only_plain_samples_in_which_every_case_has_a_reply(more):
    judged = evidence(human_scores=EACH, baseline_human_scores=EACH)
    values = [1] * 250 + [0] * 49 + [1 if more else None]
    before, after = (samples(values, name, **more) for name in "ba")
    rule = DropRule(against="x", margin=0.1, levels=LEVELS)

    checks = [
        check_graded_drop(judged, before, after, rule),
        check_graded_drop(judged, before, samples([1] * 300), rule),
        check_graded_minimum(judged, after, minimum=0.5, levels=LEVELS),
    ]

    assert [check.method for check in checks] == ["judge"] * 3


def test_fewer_than_a_hundred_labels_do_not_correct_a_drop():
    human = by_case([1] * 99)
    judged = evidence(human_scores=human, baseline_human_scores=human)

    assert compared(judged, [1] * 200, [1] * 190 + [0] * 10).method == "judge"


def test_the_baseline_of_a_pairwise_grade_is_one_minus_the_grade():
    judge_evidence = evidence(replace(validation(), is_binary=False), is_pairwise=True)
    check = compared(judge_evidence, [0.5] * 100, [1] * 30 + [0.5] * 20 + [0] * 50)

    assert (check.before, check.after) == (0.6, 0.4)


# Minimums -------------------------------------------------------------------------------------


@every_row(
    ("right", "outcome"), [(198, Outcome.PASSED), (167, Outcome.INCONCLUSIVE), (60, Outcome.FAILED)]
)
def test_a_minimum_passes_and_fails_only_beyond_what_the_judge_may_miss(right, outcome):
    grades, levels = [1] * right + [0] * (200 - right), Levels(miss=0.04, alarm=0.02)
    check = rated(evidence(validation(0.95, 0.9)), grades, 0.8, levels)

    good, bad = interval(0.95), interval(0.9)
    strict, lenient = 0.8 * good.high + 0.2 * (1 - bad.low), 0.8 * good.low + 0.2 * (1 - bad.high)
    plain, most, least = (
        check_minimum(samples(grades), minimum=one, levels=levels) for one in (0.8, strict, lenient)
    )

    def true_rate(rate):
        return pytest.approx(min(1.0, (rate - 0.1) / 0.85))

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
    judged, grades = evidence(human_scores=people), [1] * 140 + [0] * 60

    def holds(minimum):
        return rated(judged, grades, minimum).outcome is Outcome.PASSED

    advised = rated(judged, grades, limit).shown_limit

    assert (holds(advised), holds(advised + 0.01)) == (True, False)
    assert advised == round(advised, 2)


def test_a_minimum_is_not_advised_where_one_holds_or_replies_are_missing_or_to_come():
    def advised(values, minimum=0.5, levels=LEVELS):
        return rated(evidence(), values, minimum, levels).shown_limit

    half = [1] * 100 + [0] * 100

    assert advised(half) is not None
    assert advised([1] * 190 + [0] * 10) is None
    assert advised([*half, None]) is None
    assert advised(half, levels=replace(LEVELS, last=False)) is None
    assert advised([0] * 200) is None


@every_row("people", [{}, by_case([0] * 200)])
def test_a_minimum_of_nothing_holds_whatever_the_judge_says(people):
    check = rated(evidence(human_scores=people), [0] * 200, 0.0)

    assert check.outcome is Outcome.PASSED


@every_row(
    ("right", "outcome"), [(97, Outcome.PASSED), (90, Outcome.INCONCLUSIVE), (75, Outcome.FAILED)]
)
def test_a_hundred_labels_correct_a_minimum(right, outcome):
    grades, places = [1] * 140 + [0] * 60, range(0, 200, 2)
    human = {f"c{i:04}": float(i < 2 * right) for i in places}

    check = rated(evidence(human_scores=human), grades, 0.9)

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
    human = by_case(i % 10 > 0 for i in range(200))
    # 90 in a hundred are right, so that these minimums are shown and missed one time in ten.
    limit = 0.873 if levels.miss > levels.alarm + 0.1 else 0.927

    judged = evidence(human_scores=human)
    check, usual = (rated(judged, human.values(), limit, one) for one in (levels, LEVELS))

    assert usual.outcome is Outcome.INCONCLUSIVE
    assert check.outcome is (Outcome.PASSED if limit < 0.9 else Outcome.FAILED)


def test_an_unqualified_judge_corrects_no_minimum():
    unfit = evidence(validation(errors=(text_note("kappa 0.10"),)))

    assert rated(unfit, [1] * 200, 0.9).method == "counts"


# Verdicts -------------------------------------------------------------------------------------

GATE = RateGate(kind="accuracy", line=7, max_drop=0.1)


def verdict(judge_evidence, before=160, after=90):
    comparison = Comparison(
        variant_scores("new", [1.0] * after + [0.0] * (200 - after)),
        variant_scores("current", [1.0] * before + [0.0] * (200 - before)),
        judge_evidence=judge_evidence,
    )
    return evaluate_rate(suite(GATE), GATE, comparison)


UNFIT = validation(errors=(text_note("kappa 0.05 (-0.10 to 0.20), minimum 0.40"),))


def test_with_an_unqualified_judge_a_verdict_is_inconclusive_though_the_grades_fell():
    result = verdict(evidence(UNFIT))

    assert result.outcome is Outcome.INCONCLUSIVE
    assert headline(result) == "judge not qualified: m: kappa 0.05 (-0.10 to 0.20), minimum 0.40"
    assert "pytest-ftgate label SUITE --judge" in step_text(result.next[0])


MINIMUM = Check(
    kind=CheckKind.MINIMUM, outcome=Outcome.PASSED, limit=0.5, n=9, after=0.8, needed=4,
    certifiable=0.1,
)  # fmt: skip
RATED = Verdict(
    suite="s", line=1, gate="accuracy", variant="new", outcome=Outcome.PASSED,
    statement=Statement(StatementKind.RATE, {"measure": "accuracy"}), checks=(MINIMUM,),
    next=(NextStep(StepKind.ADD_CASES),),
)  # fmt: skip
NEVER_VALIDATED = JudgeValidation(judge="n", provider="p", rubric="r")


def test_an_unqualified_judge_takes_outcome_statement_and_steps_of_a_verdict():
    assert with_judge_evidence(RATED, evidence(validation(), UNFIT)) == replace(
        RATED,
        outcome=Outcome.INCONCLUSIVE,
        judges=(validation(), UNFIT),
        statement=Statement(StatementKind.UNQUALIFIED_JUDGE),
        next=(NextStep(StepKind.IMPROVE_JUDGE),),
    )


def test_a_verdict_is_about_the_judge_only_if_nothing_examined_its_grades():
    told = Statement(StatementKind.RATE, {"measure": "accuracy", "judge_relative": True})
    judged = evidence(NEVER_VALIDATED)

    assert with_judge_evidence(RATED, judged) == replace(
        RATED, judges=(NEVER_VALIDATED,), statement=told
    )
    unmeasured = replace(RATED, checks=())
    assert with_judge_evidence(unmeasured, judged) == replace(unmeasured, judges=(NEVER_VALIDATED,))

    other = replace(RATED, gate="format")

    assert with_judge_evidence(RATED, JudgeEvidence()) == RATED
    assert with_judge_evidence(other, evidence(UNFIT)) == other


def test_a_check_of_an_unqualified_judge_is_inconclusive_and_nothing_settles_it():
    assert inconclusive_if_unqualified(MINIMUM, evidence()) == MINIMUM
    assert inconclusive_if_unqualified(MINIMUM, evidence(UNFIT)) == replace(
        MINIMUM, outcome=Outcome.INCONCLUSIVE, needed=None, certifiable=None
    )

    assert evidence(validation(), UNFIT).is_unqualified


@every_row(
    ("judged", "told"),
    [
        (JudgeEvidence(), []),
        (evidence(UNFIT), []),
        (evidence(), []),
        (evidence(NEVER_VALIDATED), [note(NoteKind.UNEXAMINED)]),
        (evidence(validation(), NEVER_VALIDATED), [note(NoteKind.UNEXAMINED)]),
        (evidence(validation(), validation()), [note(NoteKind.UNCORRECTED)]),
    ],
    ids=["none", "unqualified", "validated", "not validated", "one not validated", "two"],
)
def test_grades_are_the_judge_s_own_unless_labels_correct_them(judged, told):
    assert [*judge_notes(judged)] == told


@every_row(("labels", "is_uncorrected"), [(99, True), (100, False)])
def test_a_hundred_replies_of_both_sides_with_labels_correct_any_grades(labels, is_uncorrected):
    now = {f"c{i:04}": 1.0 for i in range(150)}
    then = {f"c{i:04}": 0.25 for i in range(150 - labels, 200)}
    judged = evidence(validation(), validation(), human_scores=now, baseline_human_scores=then)

    assert (judged.uncorrected is not None) is is_uncorrected
    assert judged.human_changes == {f"c{i:04}": 0.75 for i in range(150 - labels, 150)}


def test_the_notes_about_judges_begin_with_what_their_grades_are_worth():
    warnings = (text_note("it is slow"), text_note("it is kind"))
    ungraded = note(NoteKind.UNGRADED, n=3, of=9, first="no grade")
    warned = replace(NEVER_VALIDATED, warnings=warnings)

    notes = judge_notes(evidence(warned, ungraded=ungraded, constant_grades=400))

    constant = note(NoteKind.SAME_OF_ALL, n=400)
    assert [*notes] == [note(NoteKind.UNEXAMINED), *warnings, ungraded, constant]
    assert [*judge_notes(evidence(constant_grades=400))] == []


# How often it is wrong ------------------------------------------------------------------------


def graded(draw, truth, good, bad):
    return np.where(truth, draw.random(truth.size) < good, draw.random(truth.size) >= bad)


@pytest.mark.slow
@pytest.mark.parametrize(("good", "bad"), [(0.9, 0.8), heavy(0.75, 0.75)])
def test_a_true_drop_as_large_as_the_margin_rarely_passes_with_an_imperfect_judge(good, bad):
    draw, passed, plainly, runs = np.random.default_rng(3), 0, 0, 20
    for _ in range(runs):
        before = draw.random(400) < 0.8
        after = np.where(draw.random(400) < 0.125, False, before)
        f = [graded(draw, truth, good, bad) for truth in (before, after)]
        shares = (interval(draw.binomial(150, share) / 150, 150) for share in (good, bad))
        sampled = dict(zip(("sensitivity", "specificity"), shares, strict=True))
        judge_evidence = evidence(replace(validation(), **sampled))
        passed += compared(judge_evidence, *f).outcome is Outcome.PASSED
        plainly += compared(JudgeEvidence(), *f).outcome is Outcome.PASSED

    assert passed <= 0.05 * runs
    # Without the correction, far more of these drops pass.
    assert plainly > 2 * passed


def test_with_labels_the_error_rate_holds_with_a_judge_that_sees_no_drop():
    draw, passed, runs = np.random.default_rng(5), 0, 50
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
        minimum = rated(unknown, values, 0.7)

        assert (check.method, minimum.method) == ("counts", "counts")
        assert (check.after, minimum.after) == (0.45, 0.8)


def test_a_drop_from_what_was_accepted_is_not_corrected_by_labels_of_the_baseline():
    labelled = evidence(human_scores=EACH, baseline_human_scores=EACH)
    check = check_graded_drop(
        labelled, samples([1] * 200, "b"), samples([1] * 120 + [0] * 80, "a"),
        DropRule(against="accepted", margin=0.1, levels=LEVELS, kind=CheckKind.ACCEPTED),
    )  # fmt: skip

    assert (check.method, check.kind, check.against) == ("judge", CheckKind.ACCEPTED, "accepted")
