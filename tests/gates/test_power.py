"""What the cases of a gate can show, counted as the verdict counts them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from columns import case, suite

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import Design
from pytest_ftgate.gates.feasibility import smallest_limit
from pytest_ftgate.gates.levels import Levels
from pytest_ftgate.gates.power import (
    default_limit,
    design_cases_needed,
    design_certifiable_limit,
    design_pass_probability,
    estimate_minimum_power,
    estimate_power,
    needed_repeats,
    smallest_uneven_limit,
)
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import paired_counts
from pytest_ftgate.stats.power import (
    cases_needed,
    certifiable_margin,
    minimum_cases_needed,
    pass_probability,
)
from pytest_ftgate.stats.rates import mean_score
from pytest_ftgate.suite.gate_kinds import RateGate


def design(n: int, **keys) -> Design:
    return Design(**{"weights": (1.0,) * n, "groups": tuple(range(n)), **keys})


HEAVY = design(200, weights=(10.0,) * 5 + (1.0,) * 195)
PAIRS = design(200, groups=tuple(number // 2 for number in range(200)))


def test_plain_cases_have_the_exact_probability():
    assert design_pass_probability(design(200), 0.1, 0.05) == pass_probability(200, 0.1, 0.0, 0.05)
    assert design_certifiable_limit(design(200), 0.1) == certifiable_margin(200, 0.1)


def test_a_few_heavy_cases_can_show_little():
    assert design_pass_probability(HEAVY, 0.1, 0.05) < 0.1
    assert design_certifiable_limit(HEAVY, 0.1) > 2 * design_certifiable_limit(design(200), 0.1)


def test_cases_in_pairs_show_about_as_much_as_half_of_them():
    shown = design_certifiable_limit(PAIRS, 0.1)

    assert shown == pytest.approx(certifiable_margin(100, 0.1), abs=0.02)


def test_a_repeated_baseline_adds_power():
    once, often = (design(200, repeats=(count, 1)) for count in (1, 10))

    assert (
        design_pass_probability(often, 0.1, 0.05) > design_pass_probability(once, 0.1, 0.05) + 0.1
    )


def test_cases_that_can_be_right_in_part_are_held_to_the_test_for_such_scores():
    graded = design_pass_probability(design(200, is_graded=True), 0.1, 0.05)

    assert 0.4 < graded < pass_probability(200, 0.1, 0.0, 0.05)


def test_fewer_than_ten_groups_show_nothing():
    nine = design(200, groups=tuple(number % 9 for number in range(200)))

    assert design_pass_probability(nine, 0.1, 0.5) == 0.0
    assert design_certifiable_limit(nine, 0.1) is None


@pytest.mark.parametrize("cases", [design(60), design(150), HEAVY, PAIRS], ids=repr)
def test_the_smallest_limit_is_the_least_that_the_verdict_passes_without_a_change(cases):
    labels = None if cases.units == cases.n else np.array(cases.groups)
    right = np.ones(cases.n)
    pairs = paired_counts(right, right, groups=labels, weights=cases.weights)
    limit = smallest_limit(cases)

    assert drop_outcome(pairs, limit + 1e-4, Levels()) is Outcome.PASSED
    assert drop_outcome(pairs, limit - 1e-3, Levels()) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("cases", [design(100), PAIRS])
def test_the_needed_cases_pass_an_unchanged_variant(cases):
    needed = design_cases_needed(cases, 0.1, 0.06)
    size = needed // cases.n + 1
    larger = replace(
        cases,
        weights=cases.weights * size,
        groups=tuple(group + cases.units * copy for copy in range(size) for group in cases.groups),
    )

    assert needed > cases.n
    assert design_pass_probability(larger, 0.1, 0.06) >= 0.9


def test_an_estimate_counts_related_cases_and_names_what_is_missing():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)

    estimate = estimate_power(gate, "new", PAIRS, 0.1, varies=False)

    assert (estimate.cases, estimate.units) == (200, 100)
    assert estimate.pass_probability < 0.6
    assert estimate.needed > 300
    assert estimate.repeats is None


def test_measured_changes_of_graded_scores_replace_the_assumption():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)
    rng = np.random.default_rng(1)
    before = rng.uniform(0.4, 0.6, 200)
    measured = paired_counts(before, before + rng.uniform(-0.05, 0.05, 200))

    estimate = estimate_power(gate, "new", design(200), 0.1, varies=False, measured=measured)

    assert estimate.measured
    assert estimate.pass_probability > 0.99


def test_a_baseline_that_is_too_low_leaves_nothing_to_estimate():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)

    estimate = estimate_power(gate, "new", design(200), None, varies=False)

    assert estimate.discordance is None
    assert estimate.pass_probability is None


def right(count, of):
    return mean_score([1.0] * count + [0.0] * (of - count))


def test_a_minimum_has_the_power_of_the_measured_rate():
    gate = RateGate(kind="accuracy", line=1, min=0.60)

    estimate = estimate_minimum_power(gate, "new", design(60), right(52, 60))

    assert (estimate.needed, estimate.measured) == (0, True)
    assert estimate.pass_probability > 0.99
    # Of 60 cases 9 in 10 such variants have 49 right or more.
    assert estimate.certifiable == 0.71


def test_a_minimum_names_the_cases_that_the_measured_rate_takes():
    gate = RateGate(kind="accuracy", line=1, min=0.80)

    estimate = estimate_minimum_power(gate, "new", design(60), right(52, 60))

    assert estimate.needed == minimum_cases_needed(0.80, 52 / 60, 0.9) - 60


def test_no_number_of_cases_shows_a_minimum_that_the_rate_does_not_exceed():
    gate = RateGate(kind="accuracy", line=1, min=0.80)

    estimate = estimate_minimum_power(gate, "new", design(60), right(48, 60))

    assert estimate.needed is None
    assert estimate.certifiable < 0.70


def test_a_minimum_without_replies_assumes_a_rate_above_it():
    gate = RateGate(kind="accuracy", line=1, min=0.80)

    estimate = estimate_minimum_power(gate, "new", design(60))

    assert (estimate.rate, estimate.measured) == (pytest.approx(0.85), False)
    assert estimate.needed == minimum_cases_needed(0.80, 0.85, 0.9) - 60


def test_a_minimum_of_graded_scores_has_the_power_of_their_spread():
    gate = RateGate(kind="accuracy", line=1, min=0.75)
    scores = np.linspace(0.7, 0.9, 100)

    enough = estimate_minimum_power(gate, "new", design(100, is_graded=True), mean_score(scores))
    gate = replace(gate, min=0.79)
    short = estimate_minimum_power(gate, "new", design(100, is_graded=True), mean_score(scores))

    assert enough.pass_probability > 0.95
    assert short.pass_probability < 0.05
    assert short.needed > 100


def test_a_gate_on_macro_f1_says_that_its_figures_are_those_of_accuracy_until_replies_are_known():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05, metric="macro_f1")
    measured = replace(paired_counts([1.0] * 99 + [0.0], [1.0] * 100), countable=False)

    estimates = [
        estimate_power(gate, "new", design(100), 0.1, varies=False, measured=pairs)
        for pairs in (None, measured)
    ]

    assert [estimate.stands_for_accuracy for estimate in estimates] == [True, False]


def test_a_few_plain_cases_can_show_no_limit():
    assert design_certifiable_limit(design(2), 0.9) is None


def test_cases_of_related_groups_that_show_no_limit_take_as_many_as_plain_ones():
    nine = design(180, groups=tuple(number // 20 for number in range(180)))

    assert design_cases_needed(nine, 0.1, 0.05) == math.ceil(cases_needed(0.05, 0.1) * 180 / 9)
    assert smallest_uneven_limit(nine) == 1.0


def asked(cases, *gates, repeats=None, **sampling):
    """Return a suite whose variants are asked so."""
    rows = tuple(case(f"c{n}") for n in range(cases))
    made = suite(*gates)
    variants = {name: replace(one, sampling=sampling) for name, one in made.variants.items()}
    return replace(made, cases=rows, variants=variants, repeats=repeats)


def test_cases_that_are_too_few_for_any_default_limit_have_none():
    gate = RateGate(kind="accuracy", line=1)

    assert default_limit(asked(5, gate), gate) is None
    assert default_limit(asked(200, gate), gate) == pytest.approx(0.06, abs=0.03)


def test_cases_in_two_groups_show_no_limit_at_all():
    gate = RateGate(kind="accuracy", line=1)
    made = asked(200, gate)
    cases = [replace(one, group=f"g{number % 2}") for number, one in enumerate(made.cases)]

    assert default_limit(replace(made, cases=tuple(cases)), gate) is None


def test_so_many_repeats_as_an_estimate_names_show_what_further_cases_would():
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)

    found = estimate_power(gate, "new", design(100), 0.1, varies=True)

    with_all, with_fewer = (
        design_pass_probability(design(100, repeats=(count, count)), 0.1, 0.05)
        for count in (found.repeats, found.repeats - 1)
    )
    assert found.needed
    assert with_fewer < 0.9 <= with_all


@pytest.mark.parametrize(
    ("cases", "more", "needed"),
    [(60, {"temperature": 1.0}, 7), (20, {"temperature": 1.0}, 10),
     (2000, {"temperature": 1.0}, 1), (60, {}, 1), (60, {"temperature": 1.0, "repeats": 4}, 4)],
)  # fmt: skip
def test_repeats_are_planned_where_replies_vary_and_nothing_is_declared(cases, more, needed):
    gate = RateGate(kind="accuracy", line=1, max_drop=0.05)

    assert needed_repeats(asked(cases, gate, **more)) == needed
