from dataclasses import replace

import pytest
from ftgate_testing.notes import kinds
from ftgate_testing.score_columns import suite, variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import chance_flip_rate
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


def test_a_drop_is_held_to_its_margin_however_few_the_cases_and_told_to_turn_by_chance():
    assert evaluated([1.0] * 34 + [0.0] * 6).outcome is Outcome.PASSED

    verdict = evaluated([1.0] * 33 + [0.0] * 7)

    assert verdict.outcome is Outcome.FAILED
    assert NoteKind.PLAIN_THRESHOLD in kinds(verdict.notes)


def test_a_threshold_turns_by_chance_at_what_was_seen_and_hardly_ever_far_from_it():
    check = evaluated([1.0] * 34 + [0.0] * 6).checks[1]

    assert check.against == "current"
    assert 0.4 < chance_flip_rate(check) <= 0.5

    check = evaluated(BEFORE).checks[0]

    assert check.kind is CheckKind.MINIMUM
    assert chance_flip_rate(check) < 0.01


def test_a_missed_minimum_names_the_highest_that_the_replies_reach():
    check = evaluated([1.0] * 18 + [0.0] * 22, replace(POINT, min=0.6)).checks[0]

    assert (check.kind, check.outcome) == (CheckKind.MINIMUM, Outcome.FAILED)
    assert check.shown_limit is None  # guessing is right as often

    check = evaluated([1.0] * 22 + [0.0] * 18, replace(POINT, min=0.6)).checks[0]

    assert check.shown_limit == 0.55


@every_row("before", [None, 0.9])
def test_a_graded_score_on_its_threshold_is_a_coin_toss(before):
    check = Check(
        kind=CheckKind.MINIMUM, outcome=Outcome.INCONCLUSIVE, n=90, effective=90, before=before,
        after=0.5, limit=0.5 if before is None else 0.4, error=0.02,
    )  # fmt: skip

    assert chance_flip_rate(check) == pytest.approx(0.5)
    assert chance_flip_rate(replace(check, after=0.6)) < 0.01
