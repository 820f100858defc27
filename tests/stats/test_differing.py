"""Labels of what differs: the rule of the bounded mean, and the ordinary test with every label."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.stats.bounded import p_mean
from pytest_ftgate.stats.differing import (
    LabelledChanges,
    judge_strength,
    labels_needed,
    planned_changes,
)
from pytest_ftgate.stats.paired import (
    change_interval,
    p_drop,
    p_noninferior,
    p_not_beyond,
    paired_counts,
)
from pytest_ftgate.stats.power import pass_probability

LIMIT = 0.05


def outcomes(lost, same, gained):
    return np.repeat([-1.0, 0.0, 1.0], [lost, same, gained])


def inputs(tied, sampled=(), unlabelled=0, known=()):
    """Return inputs of one case each; *sampled* and *known* are their changes."""
    return LabelledChanges(
        tied=np.ones(tied),
        known=np.array(known, float),
        known_sizes=np.ones(len(known)),
        sampled=np.array(sampled, float),
        sampled_sizes=np.ones(len(sampled)),
        unlabelled=np.ones(unlabelled),
    )


SAMPLE = inputs(140, outcomes(4, 9, 5), 32, known=outcomes(1, 6, 3))
GROUPS = LabelledChanges(
    tied=np.r_[np.ones(200), np.full(20, 3.0)],
    known=np.array([-1.0, 2.0]),
    known_sizes=np.array([1.0, 2.0]),
    sampled=np.array([-2.0, 1.0, 0.0, 1.5, 0.0]),
    sampled_sizes=np.array([4.0, 1.0, 1.0, 2.0, 1.0]),
    unlabelled=np.array([1.0, 5.0, 1.0]),
)


def weighed(changes, true):
    """Return the share of random weighings in which the change is at most *true*."""
    scale, sample = changes.drawn_from / changes.sampled.size, changes.sampled
    sizes = np.r_[changes.tied, changes.known_sizes, scale * changes.sampled_sizes]
    sums = np.r_[np.zeros(changes.tied.size), changes.known, scale * sample]
    worst = scale * max(changes.sampled_sizes.max(), changes.unlabelled.max())
    values = np.r_[sums - true * sizes, -(1.0 + true) * worst]
    weights = np.random.default_rng(0).exponential(size=(20_000, values.size))
    return np.mean(weights @ values <= 0.0)


@every_row("changes", [SAMPLE, GROUPS])
def test_p_values_are_shares_of_random_weighings_with_the_worst_unit_that_was_not_drawn(changes):
    assert changes.p_noninferior(LIMIT) == pytest.approx(weighed(changes, -LIMIT), abs=0.01)
    assert changes.p_not_beyond(0.01) == pytest.approx(weighed(changes.turned(), 0.01), abs=0.01)


# Of the reference code for statistics.md 0b.0, which shares none with the package.
@every_row(
    ("n", "known", "sampled", "unlabelled", "limit", "p"),
    [
        (1_000, (0, 0, 0), (6, 9, 5), 80, 0.05, 0.01271185),
        (1_000, (4, 6, 10), (6, 9, 5), 80, 0.05, 0.006622497),
        (500, (0, 0, 0), (3, 4, 4), 14, 0.03, 0.01257304),
        (5_000, (0, 0, 0), (50, 55, 59), 86, 0.01, 6.412663e-05),
        (500, (0, 0, 0), (0, 7, 0), 3, 0.03, 2.235946e-05),
        (1_000, (2, 0, 0), (0, 3, 5), 90, 0.02, 0.007296646),
    ],
)
def test_p_values_of_the_reference(n, known, sampled, unlabelled, limit, p):
    changes = inputs(
        n - sum(known) - sum(sampled) - unlabelled, outcomes(*sampled), unlabelled, outcomes(*known)
    )

    assert changes.p_noninferior(limit) == pytest.approx(p, rel=1e-5)


def test_a_sampled_input_stands_for_as_many_as_there_are_for_each_label():
    changes = inputs(140, outcomes(5, 4, 1), 40, known=outcomes(1, 8, 1))

    assert (changes.n, changes.units, changes.scale) == (200.0, 200, 5.0)
    assert changes.change == pytest.approx((0 - 4 * 5) / 200)
    assert (changes.fixed, changes.regressed) == (2.0, 6.0)


def test_a_drop_is_shown_by_the_labelled_units_where_each_is_one_case():
    lost = inputs(140, outcomes(9, 4, 1), 46, known=outcomes(2, 3, 1))

    assert lost.p_drop() == pytest.approx(
        stats.binom.cdf(1, 13, 0.5) + stats.binom.pmf(2, 13, 0.5) / 2
    )
    assert lost.turned().p_drop() == pytest.approx(1.0 - lost.p_drop())


WHOLE_GROUPS = replace(GROUPS, sampled=np.array([-2.0, 1.0, 0.0, -2.0, 0.0]))


@every_row("changes", [GROUPS, WHOLE_GROUPS, inputs(90, [-0.5, -1.0, 0.25, -0.5, -1.0], 5)])
def test_a_drop_of_groups_and_of_graded_changes_is_shown_by_their_mean(changes):
    assert changes.p_drop() == pytest.approx(weighed(changes.turned(), 0.0), abs=0.015)


@every_row("changes", [SAMPLE, GROUPS, inputs(20, outcomes(9, 0, 0), 1), inputs(0, [1.0] * 6, 3)])
def test_the_interval_holds_the_changes_that_neither_test_rejects(changes):
    low, high = changes.interval(0.9)

    assert -1.0 <= low < changes.change <= high <= 1.0
    assert changes.p_at_most(low) == pytest.approx(0.05, abs=1e-6)
    assert high == 1.0 or changes.turned().p_at_most(-high) == pytest.approx(0.05, abs=1e-6)


def test_the_interval_of_inputs_that_all_lost_begins_at_minus_one():
    assert inputs(0, outcomes(5, 0, 0), 3).interval(0.95)[0] == -1.0


# --- with every label, and with none --------------------------------------------------------------


def ordinary(changes):
    return paired_counts(np.maximum(-changes, 0.0), np.maximum(changes, 0.0))


@every_row("changes", [outcomes(3, 90, 4), outcomes(8, 480, 2), np.r_[0.5, -0.25, np.zeros(98)]])
def test_with_every_label_the_tests_are_the_ordinary_ones_on_all_inputs(changes):
    pairs, differs = ordinary(changes), changes[changes != 0.0]
    found = inputs(np.count_nonzero(changes == 0.0), differs[1:], known=differs[:1])

    assert found.pairs() == pairs
    assert found.p_noninferior(LIMIT) == p_noninferior(pairs, LIMIT)
    assert (found.p_drop(), found.p_not_beyond(LIMIT)) == (
        p_drop(pairs),
        p_not_beyond(pairs, LIMIT),
    )
    assert found.interval(0.95) == pytest.approx(change_interval(pairs, 0.95), abs=1e-9)


def test_with_every_label_the_cases_of_a_unit_are_a_group():
    found = replace(GROUPS, sampled=np.array([-2.0, 0.5]), sampled_sizes=np.array([3.0, 2.0]))
    found = replace(found, unlabelled=np.zeros(0))
    cases = np.r_[np.zeros(260), -1.0, 1.0, 1.0, -1.0, -1.0, 0.0, 0.25, 0.25]
    groups = np.r_[
        np.arange(200), np.repeat(np.arange(200, 220), 3), 220, 221, 221, [222] * 3, 223, 223
    ]
    pairs = paired_counts(np.maximum(-cases, 0.0), np.maximum(cases, 0.0), groups=groups)

    assert found.p_noninferior(LIMIT) == pytest.approx(p_noninferior(pairs, LIMIT))
    assert found.p_drop() == pytest.approx(p_drop(pairs))
    assert found.pairs().groups == 224


def test_inputs_that_all_tie_have_lost_nothing():
    assert inputs(50).p_noninferior(LIMIT) == pytest.approx(0.95**50)
    assert (inputs(50).change, inputs(50).p_drop()) == (0.0, 1.0)


def test_without_a_label_all_count_as_lost_to_pass_and_as_gained_to_fail():
    none = inputs(490, unlabelled=8, known=[-1.0, 1.0])
    lost, gained = ordinary(outcomes(9, 490, 1)), ordinary(outcomes(1, 490, 9))

    assert none.p_noninferior(LIMIT) == p_noninferior(lost, LIMIT)
    assert (none.p_drop(), none.p_not_beyond(LIMIT)) == (
        p_drop(gained),
        p_not_beyond(gained, LIMIT),
    )
    ends = change_interval(lost, 0.95)[0], change_interval(gained, 0.95)[1]
    assert none.interval(0.95) == pytest.approx(ends)
    assert none.change == pytest.approx(-8 / 500)


def test_one_label_of_many_shows_little():
    assert inputs(900, [1.0], 99).p_noninferior(LIMIT) > 0.05


def test_a_unit_that_is_larger_than_the_scaled_ones_is_the_one_that_was_not_drawn():
    big = replace(SAMPLE, tied=np.r_[np.ones(140), 30.0])
    values = np.r_[
        np.full(140, LIMIT),
        30.0 * LIMIT,
        SAMPLE.known + LIMIT,
        (50 / 18) * (SAMPLE.sampled + LIMIT),
    ]

    assert big.p_noninferior(LIMIT) == pytest.approx(float(p_mean(values, (LIMIT - 1.0) * 30.0)))


# --- how many labels ------------------------------------------------------------------------------


def passes(n, differing, labels, limit):
    """Return how often a sample of an unchanged variant passes, 2/3 of which have one right."""
    total = 0.0
    for changed in range(labels + 1):
        chance = stats.binom.pmf(changed, labels, 2 / 3)
        most = changed if chance > 1e-6 else -1
        while most >= 0:
            sample = outcomes(most, labels - changed, changed - most)
            if inputs(n - differing, sample, differing - labels).p_noninferior(limit) <= 0.05:
                break
            most -= 1
        total += chance * stats.binom.cdf(most, changed, 0.5)
    return total


@every_row(("n", "differing", "limit"), [(500, 10, 0.02), (500, 25, 0.03), (1_000, 50, 0.03)])
def test_so_many_labels_as_are_needed_pass_an_unchanged_variant_nine_times_in_ten(
    n, differing, limit
):
    labels = labels_needed(n, differing, limit)

    assert passes(n, differing, labels, limit) == pytest.approx(0.9, abs=0.025)
    assert planned_changes(n, differing).chance_to_pass(labels - 1, limit) < 0.9


# From the simulated table of statistics.md 0c: the fewest labels of those that were tried.
@every_row(
    ("n", "differing", "limit", "labels"),
    [
        (5_000, 100, 0.01, 29),
        (1_000, 20, 0.02, 10),
        (1_000, 50, 0.02, 44),
        (5_000, 250, 0.02, 41),
        (500, 25, 0.03, 22),
        (5_000, 250, 0.03, 20),
        (500, 50, 0.05, 30),
        (1_000, 100, 0.05, 28),
        (500, 100, 0.05, 100),
        (5_000, 100, 0.03, 0),
        (500, 10, 0.05, 0),
        (1_000, 50, 0.01, None),
        (500, 25, 0.02, None),
    ],
)
def test_the_labels_that_are_needed_are_those_of_the_simulated_table(n, differing, limit, labels):
    found = labels_needed(n, differing, limit)

    assert found is None if labels is None else found == pytest.approx(labels, abs=2)


def test_no_number_of_labels_is_smaller_than_five_unless_none_is_needed():
    assert labels_needed(10_000, 210, 0.025) == 0
    assert labels_needed(500, 10, 0.03, power=0.3) == 5
    assert labels_needed(300, 3, 0.01) is None


def test_with_every_label_the_chance_is_that_of_the_ordinary_test():
    expected = pass_probability(500, 2 / 3 * 0.1, 0.0, 0.03)

    assert planned_changes(500, 50).chance_to_pass(50, 0.03) == pytest.approx(expected)


def simulated(changes, labels):
    """Return how often *labels* pass, where two thirds of the further ones have one right reply."""
    rng, passed = np.random.default_rng(0), 0
    for _ in range(500):
        sizes = rng.permutation(changes.unlabelled)
        more = labels - changes.sampled.size
        drawn = rng.choice([-1.0, 0.0, 1.0], more) * sizes[:more]
        found = replace(
            changes,
            sampled=np.r_[changes.sampled, drawn],
            sampled_sizes=np.r_[changes.sampled_sizes, sizes[:more]],
            unlabelled=sizes[more:],
        )
        passed += found.p_noninferior(LIMIT) <= LIMIT
    return passed / 500


LOST = inputs(900, outcomes(12, 5, 3), 80)
EARLIER = inputs(850, (), 100, known=outcomes(30, 10, 10))
SEVERAL = LabelledChanges(tied=np.ones(900), unlabelled=np.repeat([1.0, 5.0], [50, 10]))


@every_row(("changes", "labels"), [(LOST, 40), (EARLIER, 40), (SEVERAL, 30), (SEVERAL, 60)])
def test_the_chance_to_pass_counts_what_is_known_and_the_sizes_of_the_rest(changes, labels):
    found = changes.chance_to_pass(labels, LIMIT)

    assert found == pytest.approx(simulated(changes, labels), abs=0.08)
    assert 0.1 < found < 0.95


def test_without_further_labels_the_chance_to_pass_is_the_verdict():
    assert SAMPLE.chance_to_pass(18, LIMIT) == float(SAMPLE.p_noninferior(LIMIT) <= 0.05) == 0.0
    assert SAMPLE.chance_to_pass(18, 0.3) == 1.0


def test_few_labels_hardly_move_how_often_one_reply_is_right():
    assert inputs(9).one_right == pytest.approx(2 / 3)
    assert SAMPLE.one_right == pytest.approx((9 + 20 / 3) / 28)


# --- judges, and what is refused ------------------------------------------------------------------


def test_the_strength_of_a_judge_is_the_lower_end_of_its_agreement():
    strength = judge_strength(np.repeat([1.0, 0.0, -1.0], [90, 5, 5]))

    products = np.repeat([1.0, 0.0, -1.0], [90, 5, 5]) - strength
    assert float(p_mean(products, -1.0 - strength)) == pytest.approx(0.025, abs=1e-6)
    # A judge that is right or ties is one of two values, whose interval is Clopper and Pearson's.
    exact = stats.beta.ppf(0.025, 95, 6)
    assert judge_strength(np.repeat([1.0, 0.0], [95, 5])) == pytest.approx(exact, abs=0.12)
    assert judge_strength([1.0, -1.0] * 50) < 0.0


@every_row(
    ("call", "message"),
    [
        (lambda: SAMPLE.p_noninferior(0.0), "limit must lie strictly between 0 and 1"),
        (lambda: SAMPLE.p_not_beyond(1.0), "limit must lie strictly between 0 and 1"),
        (lambda: SAMPLE.interval(1.0), "confidence must lie strictly between 0 and 1"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
