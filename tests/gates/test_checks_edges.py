"""Odd data, row by row: what statistics.md calls its edge cases."""

import math
from dataclasses import replace

import pytest
from ftgate_testing.score_columns import variant_scores
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases, samples_from_scores
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.scores import VariantScores


def evaluated(before, after, *, repeats=1, margin=0.05, weights=None, chance=0.0):
    sides = (
        samples_from_cases(
            {
                f"c{i}": CaseSample(
                    value,
                    repeats if isinstance(repeats, int) else repeats[i],
                    f"{name}-{i}",
                    weight=1.0 if weights is None else weights[i],
                )
                for i, value in enumerate(values)
            }
        )
        for name, values in (("before", before), ("after", after))
    )
    return check_drop(
        *sides, DropRule(against="current", margin=margin, levels=Levels(), guess_rate=chance)
    )


@every_row("n", [0, 1])
def test_no_case_or_one_concludes_nothing(n):
    assert evaluated([1.0] * n, [0.0] * n).outcome is Outcome.INCONCLUSIVE


@every_row(("n", "outcome"), [(58, Outcome.INCONCLUSIVE), (59, Outcome.PASSED)])
def test_without_a_changed_case_enough_of_them_pass(n, outcome):
    check = evaluated([1.0] * n, [1.0] * n)

    assert (check.outcome, check.p_fail) == (outcome, 1.0)


def test_all_wrong_on_both_sides_or_a_constant_output_shows_nothing():
    check = evaluated([0.0] * 200, [0.0] * 200)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert not check.informative

    labels = [1.0, 0.0] * 100
    constant = [1.0] * 100 + [0.0] * 100

    check = evaluated(labels, constant, margin=0.05)

    assert check.before == check.after == 0.5
    assert check.outcome is Outcome.INCONCLUSIVE


@every_row("rate", [1 / 3, 0.38])
def test_a_baseline_within_the_margin_of_chance_shows_nothing(rate):
    right = round(300 * rate)
    scores = [1.0] * right + [0.0] * (300 - right)

    assert not evaluated(scores, scores[::-1], chance=1 / 3).informative


@every_row("sides", [([1.0], [0.0]), ([0.0], [1.0])])
def test_a_change_of_every_case_divides_by_nothing(sides):
    before, after = (one * 100 for one in sides)

    check = evaluated(before, after, margin=0.05)

    numbers = (check.p_pass, check.p_fail, check.low, check.high, check.effective)
    assert all(math.isfinite(number) for number in numbers)
    assert check.outcome is not Outcome.PASSED or after[0] == 1.0


def test_repeats_may_differ_by_case():
    before = [0.8, 1.0] * 100
    check = evaluated(before, before[::-1], repeats=[5, 2] * 100)

    assert 200 <= check.effective <= 200 * 5


def test_weights_move_the_rate_and_widen_its_interval():
    before, after = [1.0] * 100, [0.0] * 10 + [1.0] * 90
    weights = [5.0] * 10 + [1.0] * 90

    check, plain = (evaluated(before, after, weights=w) for w in (weights, None))

    assert check.after == pytest.approx(90 / 140)
    assert (check.n, check.regressed) == (100, 10)
    heavy, light = 5 / 1.4 * (50 / 140 - 1), 1 / 1.4 * 50 / 140
    assert check.error == pytest.approx(math.sqrt((10 * heavy**2 + 90 * light**2) / 99 / 100))
    assert check.high - check.low > plain.high - plain.low


def test_a_case_without_weight_is_as_if_it_were_not_there():
    scores = variant_scores("v", [1.0] * 5)
    rows = {
        key: replace(row, case=replace(row.case, weight=float(key != "c000")))
        for key, row in scores.results.items()
    }

    assert samples_from_scores(VariantScores("v", rows), "accuracy").case_ids == (
        "c001",
        "c002",
        "c003",
        "c004",
    )


@every_row("margin", [0.0, 1.0, -0.05])
def test_a_margin_that_is_none_is_refused(margin):
    with pytest.raises(ValueError, match="margin"):
        evaluated([1.0] * 50, [0.0] + [1.0] * 49, margin=margin)
