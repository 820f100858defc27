from dataclasses import replace

import pytest
from columns import suite, variant_scores

from pytest_ftgate.gates.levels import MIN_CASES_FOR_F1
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.reporting.headlines import headline
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.gate_kinds import RateGate

GATE = RateGate(kind="accuracy", line=1, max_drop=0.05, metric="macro_f1")
REFUND, LATE = "refund", "late_delivery"


def labelled(variant, pairs):
    """Make scores of (expected, said) pairs."""
    rows = {}
    for key, (expected, said) in zip(
        variant_scores(variant, [1.0] * len(pairs)).results.items(), pairs, strict=True
    ):
        name, row = key
        reply = replace(row.replies[0], text=said)
        rows[name] = replace(row, case=replace(row.case, expected=expected), replies=(reply,))
    return VariantScores(variant, rows)


RIGHT = [(REFUND, REFUND)] * 380 + [(LATE, LATE)] * 20


def evaluated(after, gate=GATE, before=RIGHT):
    return evaluate_rate(
        suite(gate), gate, Comparison(labelled("new", after), labelled("current", before))
    )


def test_losing_a_rare_label_fails_though_accuracy_hardly_moves():
    after = [(REFUND, REFUND)] * 380 + [(LATE, REFUND)] * 20

    verdict = evaluated(after)

    assert verdict.outcome is Outcome.FAILED
    assert verdict.check.after == pytest.approx(0.487, abs=0.001)
    assert headline(verdict).startswith("macro-F1 100 % → 49 %")


def test_the_labels_of_a_failed_gate_are_told_with_what_they_are_taken_for():
    verdict = evaluated([(REFUND, REFUND)] * 380 + [(LATE, REFUND)] * 20)

    worst = verdict.labels[0]
    assert (worst.label, worst.f1_before, worst.f1, worst.taken_for) == (
        LATE,
        1.0,
        0.0,
        {REFUND: 20},
    )


def test_equal_replies_pass():
    assert evaluated([*RIGHT[:-1], (LATE, REFUND)]).outcome is not Outcome.FAILED
    assert evaluated(RIGHT).outcome is Outcome.PASSED


def test_few_cases_conclude_nothing():
    few = RIGHT[-(MIN_CASES_FOR_F1 - 1) :]

    verdict = evaluated(few, before=few)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any("at least 200 cases" in note for note in verdict.notes)


@pytest.mark.parametrize(("least", "outcome"), [(0.9, Outcome.PASSED), (0.99, Outcome.FAILED)])
def test_a_minimum_of_macro_f1_holds_or_not(least, outcome):
    gate = replace(GATE, max_drop=None, min=least)
    after = [(REFUND, REFUND)] * 190 + [(REFUND, LATE)] * 10 + [(LATE, LATE)] * 200

    assert evaluated(after, gate).outcome is outcome


def test_a_baseline_at_chance_can_lose_nothing():
    constant = [(REFUND, REFUND)] * 200 + [(LATE, REFUND)] * 200

    verdict = evaluated(constant, before=constant)

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not verdict.check.informative


def without_replies(scores, count):
    rows = {
        key: replace(row, replies=(), scores=(), missing_reasons=("gone",)) if i < count else row
        for i, (key, row) in enumerate(scores.results.items())
    }
    return VariantScores(scores.variant, rows)


@pytest.mark.parametrize("gone", [8, 160])
def test_missing_replies_that_could_turn_it_leave_macro_f1_inconclusive(gone):
    after = without_replies(labelled("new", RIGHT[::-1]), gone)

    verdict = evaluate_rate(suite(GATE), GATE, Comparison(after, labelled("current", RIGHT[::-1])))

    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert any(f"{gone} of 400 cases brought no reply" in note for note in verdict.notes)


def test_few_groups_of_related_cases_conclude_nothing_of_macro_f1():
    sides = [
        VariantScores(
            one.variant,
            {
                key: replace(row, case=replace(row.case, group=f"g{i % 4}"))
                for i, (key, row) in enumerate(one.results.items())
            },
        )
        for one in (labelled("new", RIGHT), labelled("current", RIGHT))
    ]

    assert evaluate_rate(suite(GATE), GATE, Comparison(*sides)).outcome is Outcome.INCONCLUSIVE
