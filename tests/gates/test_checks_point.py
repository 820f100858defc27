from dataclasses import replace

import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import suite, variant_scores

from pytest_ftgate.gates.checks import chance_flip_rate, check_point
from pytest_ftgate.gates.notes import NoteKind
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.suite.gate_kinds import RateGate

POINT = RateGate(kind="accuracy", line=1, max_drop=0.05, min=0.5, evidence="point")
BEFORE = [1.0] * 36 + [0.0] * 4


def evaluated(after, gate=POINT):
    return evaluate_rate(
        suite(gate),
        gate,
        Comparison(variant_scores("new", after), variant_scores("current", BEFORE)),
    )


def test_a_drop_within_the_margin_passes_however_few_the_cases():
    assert evaluated([1.0] * 34 + [0.0] * 6).outcome is Outcome.PASSED


def test_a_drop_beyond_the_margin_fails_and_says_how_often_that_turns_by_chance():
    verdict = evaluated([1.0] * 33 + [0.0] * 7)

    assert verdict.outcome is Outcome.FAILED
    assert NoteKind.PLAIN_THRESHOLD in kinds(verdict.notes)


def test_a_threshold_at_what_was_seen_is_a_coin_toss():
    check = evaluated([1.0] * 34 + [0.0] * 6).checks[1]

    assert check.against == "current"
    assert 0.4 < chance_flip_rate(check) <= 0.5


def test_a_threshold_far_from_what_was_seen_hardly_ever_turns():
    check = evaluated(BEFORE).checks[0]

    assert check.kind is CheckKind.MINIMUM
    assert chance_flip_rate(check) < 0.01


def test_a_missed_minimum_names_the_highest_that_the_replies_reach():
    check = evaluated([1.0] * 18 + [0.0] * 22, replace(POINT, min=0.6)).checks[0]

    assert (check.kind, check.outcome) == (CheckKind.MINIMUM, Outcome.FAILED)
    assert check.shown_limit is None  # guessing is right as often

    check = evaluated([1.0] * 22 + [0.0] * 18, replace(POINT, min=0.6)).checks[0]

    assert check.shown_limit == 0.55


def test_too_many_missing_replies_leave_a_plain_threshold_open():
    check = Check(
        kind=CheckKind.MINIMUM, outcome=Outcome.INCONCLUSIVE, limit=0.5, n=90, effective=90,
        after=1.0, missing=10,
    )  # fmt: skip

    assert check_point(check) is check


@pytest.mark.parametrize("before", [None, 0.9])
def test_a_graded_score_on_its_threshold_is_a_coin_toss(before):
    check = Check(
        kind=CheckKind.MINIMUM, outcome=Outcome.INCONCLUSIVE, n=90, effective=90, before=before,
        after=0.5, limit=0.5 if before is None else 0.4, error=0.02,
    )  # fmt: skip

    assert chance_flip_rate(check) == pytest.approx(0.5)
    assert chance_flip_rate(replace(check, after=0.6)) < 0.01
