"""Macro-F1: its checks against scikit-learn and SciPy, and the cases that it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.score_columns import rate_verdict, variant_scores, without_replies
from ftgate_testing.tables import every_row
from scipy import stats
from sklearn.metrics import f1_score

from pytest_ftgate.gates.checks import DropRule
from pytest_ftgate.gates.design import CONFIDENCE, MIN_CASES_FOR_F1, Levels
from pytest_ftgate.gates.macro_f1 import (
    check_macro_drop,
    check_macro_minimum,
    macro_f1_pairs,
    macro_f1_score,
)
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.verdict import CheckKind, Outcome
from pytest_ftgate.reporting.explain import explain
from pytest_ftgate.reporting.phrases import levels
from pytest_ftgate.scoring.classification import label_predictions
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import PairedCounts, change_interval
from pytest_ftgate.stats.rates import MeanScore, p_misses, p_reaches, score_interval
from pytest_ftgate.suite.gate_kinds import RateGate

GATE = RateGate(kind="accuracy", line=1, max_drop=0.05, metric="macro_f1")
REFUND, LATE = "refund", "late_delivery"
LABELS = ("a", "b", "c", "d")


def labelled(variant, pairs, groups=None):
    """Make scores of (expected, said) pairs; *groups* are those of the cases."""
    rows = {}
    plain = variant_scores(variant, [1.0] * len(pairs)).results
    for i, ((name, row), (expected, said)) in enumerate(zip(plain.items(), pairs, strict=True)):
        reply = replace(row.replies[0], text=said)
        case = replace(row.case, expected=expected, group=groups and groups[i])
        rows[name] = replace(row, case=case, replies=(reply,))
    return VariantScores(variant, rows)


RIGHT = [(REFUND, REFUND)] * 380 + [(LATE, LATE)] * 20


BALANCED = [(REFUND, REFUND)] * 300 + [(LATE, LATE)] * 300


def flipped(count):
    """Return balanced replies of which the first *count* of each label are wrong."""
    return [
        (e, said if i % 300 >= count else {REFUND: LATE, LATE: REFUND}[e])
        for i, (e, said) in enumerate(BALANCED)
    ]


def evaluated(after, gate=GATE, before=RIGHT):
    return rate_verdict(gate, labelled("new", after), labelled("current", before))


def dropped(before, after, margin=0.1, **levels):
    """Return the check of a drop of refund and late delivery."""
    rule = DropRule(against="old", margin=margin, levels=Levels(**levels))
    return check_macro_drop(before, after, (REFUND, LATE), rule)


def at_least(scores, minimum, **levels):
    return check_macro_minimum(scores, (REFUND, LATE), minimum=minimum, levels=Levels(**levels))


def drawn(seed, n=400):
    """Draw expected labels of unequal shares, and what two variants say."""
    rng = np.random.default_rng(seed)
    expected = rng.choice(4, n, p=[0.5, 0.25, 0.15, 0.1])
    before, after = (
        np.where(rng.random(n) < accuracy, expected, rng.integers(0, 5, n))
        for accuracy in (0.9, 0.85)
    )
    return expected, before, after


def scores_of(variant, expected, said, groups=None):
    texts, pairs = (*LABELS, "none"), zip(expected, said, strict=True)
    return labelled(variant, [(LABELS[e], texts[s]) for e, s in pairs], groups)


def drop_check(expected, before, after, *, margin=0.1, groups=None):
    sides = (scores_of(*side, groups) for side in (("b", expected, before), ("a", expected, after)))
    return check_macro_drop(*sides, LABELS, DropRule(against="b", margin=margin, levels=Levels()))


def reference_f1(expected, said):
    labels = np.unique(expected)
    return f1_score(expected, said, labels=labels, average="macro", zero_division=0.0)


def weighted_f1(expected, said, weights):
    """Return the mean over the labels of 2 hits / (expected + said), as sums of *weights*."""
    sums = [
        np.bincount(said[which], weights[which], minlength=5)[:4]
        for which in (expected == said, slice(None))
    ]
    return np.mean(2 * sums[0] / (sums[1] + np.bincount(expected, weights)))


def reference_slopes(statistic, n):
    """Return how much each case adds to *statistic* of case weights, by finite differences."""
    step = 1e-6
    eye = step * np.eye(n)
    return np.array([statistic(1.0 + row) - statistic(1.0 - row) for row in eye]) * n / (2 * step)


# --- the test ------------------------------------------------------------------------------------


@every_row("groups", [None, 40])
def test_the_p_value_of_a_drop_follows_its_formula(groups):
    expected, before, after = drawn(1, n=120)
    names = None if groups is None else [f"g{i % groups}" for i in range(120)]

    check = drop_check(expected, before, after, groups=names)

    slopes = reference_slopes(
        lambda w: weighted_f1(expected, after, w) - weighted_f1(expected, before, w), 120
    )
    units = np.arange(120) if groups is None else np.arange(120) % groups
    weight = 120 / 4 / np.bincount(expected)[expected]
    sums, weights = np.bincount(units, slopes), np.bincount(units, weight)
    spread = np.sum(sums**2) / 120 * len(sums) / (len(sums) - 1)
    average = np.sum(weights**2) / 120
    distance = reference_f1(expected, after) - reference_f1(expected, before) + 0.1
    z = distance / np.sqrt((spread + distance * (average - distance)) / 120)
    law = stats.norm if groups is None else stats.t(groups - 1)
    assert check.after == pytest.approx(reference_f1(expected, after))
    assert check.p_pass == pytest.approx(law.sf(z), rel=1e-4)
    assert check.effective == 120


# --- the figures of a check ----------------------------------------------------------------------


def sums_of(slopes, units):
    """Return the variance of the sums of *slopes* in *units*, of cases."""
    sums = np.bincount(units, slopes)
    return np.sum(sums**2) / slopes.size * sums.size / (sums.size - 1)


@every_row("groups", [None, 12])
def test_the_counts_of_macro_f1_are_those_of_a_mean_over_cases(groups):
    expected, before, after = drawn(1, n=40)
    names = None if groups is None else [f"g{i % groups}" for i in range(40)]
    sides = [
        label_predictions(scores_of("v", expected, said, names), LABELS) for said in (before, after)
    ]

    units = np.arange(40) if groups is None else np.arange(40) % groups
    weight = 40 / 4 / np.bincount(expected)[expected]
    slopes = [
        reference_slopes(lambda w, said=said: weighted_f1(expected, said, w), 40)
        for said in (before, after)
    ]
    f1 = [weighted_f1(expected, said, np.ones(40)) for said in (before, after)]
    largest = pytest.approx(np.sum(np.bincount(units, weight) ** 2) / 40)
    assert macro_f1_pairs(*sides) == PairedCounts(
        n=40.0, delta=pytest.approx(f1[1] - f1[0]),
        fixed=np.sum((after == expected) & (before != expected)),
        regressed=np.sum((after != expected) & (before == expected)),
        effective=40.0, countable=False,
        spread=pytest.approx(sums_of(slopes[1] - slopes[0], units), rel=1e-4), largest=largest,
        groups=groups, before=pytest.approx(f1[0]), after=pytest.approx(f1[1]),
    )  # fmt: skip
    assert macro_f1_score(sides[1]) == MeanScore(
        n=40, rate=pytest.approx(f1[1]), countable=False,
        spread=pytest.approx(sums_of(slopes[1], units), rel=1e-4), largest=largest,
        groups=groups,
    )  # fmt: skip


def test_a_check_tells_its_cases_with_a_label_and_its_levels():
    pairs = [*BALANCED, ("no label", REFUND)]
    old, new = labelled("old", pairs), labelled("new", [*flipped(12), ("no label", REFUND)])

    drop = dropped(old, new, miss=0.04, alarm=0.02)
    least = at_least(new, 0.9, miss=0.04, alarm=0.02)

    for check, kind, limit in ((drop, CheckKind.BASELINE, 0.1), (least, CheckKind.MINIMUM, 0.9)):
        assert (check.kind, check.limit, check.outcome) == (kind, limit, Outcome.PASSED)
        assert (check.n, check.missing, check.method, check.miss) == (600, 0, "f1", 0.04)
        assert check.after == pytest.approx(0.96)
    assert (drop.against, drop.alarm, drop.before) == ("old", 0.02, 1.0)
    assert (drop.notes, least.notes) == ((note(NoteKind.SMALL_DROP),), ())
    before, after = (label_predictions(side, (REFUND, LATE)) for side in (old, new))
    pairs, score = macro_f1_pairs(before, after), macro_f1_score(after)
    assert (drop.low, drop.high) == change_interval(pairs, CONFIDENCE)
    assert (least.low, least.high) == score_interval(score, CONFIDENCE)
    assert (least.p_pass, least.p_fail) == (p_reaches(score, 0.9), p_misses(score, 0.9))


def without_first(scores, count):
    return without_replies(scores, [*scores.results][:count])


@every_row(("limit", "outcome"), [(0.03, Outcome.INCONCLUSIVE), (0.04, Outcome.PASSED)])
def test_missing_replies_count_as_the_worst_only_for_the_outcome(limit, outcome):
    old, new = labelled("old", BALANCED), without_first(labelled("new", flipped(8)), 6)

    drop, least = dropped(old, new, limit), at_least(new, 1 - limit)
    complete = dropped(*(labelled("x", pairs[6:]) for pairs in (BALANCED, flipped(8))), limit)

    assert complete.outcome is Outcome.PASSED
    for check in (drop, least):
        assert (check.n, check.missing, check.after) == (594, 6, complete.after)
        assert check.outcome is outcome


@every_row(("least", "outcome"), [(0.98, Outcome.INCONCLUSIVE), (0.985, Outcome.FAILED)])
def test_a_minimum_fails_only_if_missing_replies_could_not_turn_it(least, outcome):
    assert at_least(without_first(labelled("new", flipped(16)), 6), least).outcome is outcome


def test_a_single_case_is_told_with_what_it_is():
    old, new = labelled("old", [(REFUND, REFUND)]), labelled("new", [(REFUND, LATE)])

    check = dropped(old, new)

    assert (check.n, check.before, check.after, check.outcome) == (
        1, 1.0, 0.0, Outcome.INCONCLUSIVE,
    )  # fmt: skip


# --- verdicts ------------------------------------------------------------------------------------


def test_losing_a_rare_label_fails_though_accuracy_hardly_moves_and_the_label_is_told():
    verdict = evaluated([(REFUND, REFUND)] * 380 + [(LATE, REFUND)] * 20)

    assert verdict.outcome is Outcome.FAILED
    assert levels(verdict.check, "new") == "current 100 % → new 49 %"
    worst = verdict.labels[0]
    assert (worst.label, worst.f1_before, worst.f1) == (LATE, 1.0, 0.0)
    assert worst.taken_for == {REFUND: 20}


CONSTANT = [(REFUND, REFUND)] * 200 + [(LATE, REFUND)] * 200


def test_a_baseline_at_chance_can_lose_nothing_and_be_surpassed():
    verdict = evaluated([*CONSTANT[:-1], (LATE, LATE)], before=CONSTANT)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not verdict.check.informative

    verdict = evaluated([(REFUND, REFUND)] * 200 + [(LATE, LATE)] * 200, before=CONSTANT)

    assert verdict.outcome is Outcome.PASSED


def test_a_verdict_is_explained_by_what_each_case_adds():
    drop = " ".join(explain(evaluated(flipped(16), before=BALANCED)))
    least = " ".join(explain(evaluated(flipped(16), replace(GATE, max_drop=None, min=0.9))))

    assert "Macro-F1 counts each label the same" in drop
    assert least.startswith("Macro-F1 is 95 %")


# --- the cases that it takes ---------------------------------------------------------------------


def test_few_cases_conclude_nothing_of_a_drop_and_of_a_minimum():
    few = BALANCED[300 - (MIN_CASES_FOR_F1 - 1) // 2 : 300 + MIN_CASES_FOR_F1 // 2]

    verdict = evaluated([*few[:-1], (LATE, REFUND)], before=few)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert note(NoteKind.F1_CASES, needed=100, n=99) in verdict.notes

    check = at_least(labelled("new", BALANCED[250:349]), 0.5)

    assert (check.outcome, check.method, check.notes) == (
        Outcome.INCONCLUSIVE, "f1", (note(NoteKind.F1_CASES, needed=100, n=99),),
    )  # fmt: skip


def test_a_label_that_no_case_expects_takes_no_cases():
    rights = [(REFUND, REFUND)] * 300

    verdict = evaluated([(REFUND, LATE), *rights[1:]], before=rights)

    assert verdict.outcome is Outcome.PASSED
