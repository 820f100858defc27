from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ftgate_testing.score_columns import case, suite
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import ALARM, MAX_LOOKS, Levels, Look, look_levels, plan_looks
from pytest_ftgate.stats.paired import change_counts, is_noninferior
from pytest_ftgate.suite.gate_kinds import RateGate

EARLY = RateGate(kind="accuracy", line=1, max_drop=0.05, stop_early=True)
SETTLE = RateGate(kind="accuracy", line=1, max_drop=0.05, settle=9)


def of(gate, cases=(), *, vary=True, repeats=1):
    made = replace(suite(gate), cases=tuple(cases), repeats=repeats)
    return plan_looks(made, gate, replies_vary=vary)


def test_one_look_spends_the_whole_risks_at_everything():
    (look,) = of(replace(EARLY, stop_early=False), repeats=3)

    assert look == Look(repeats=3, replies_vary=True)
    assert of(replace(EARLY, stop_early=False), vary=False, repeats=None) == (Look(),)
    assert look.includes("any", 2)
    assert not look.includes("any", 3)

    total = Levels(alarm=ALARM / 3, shared=3)

    assert look_levels(Look(), total) == total


def test_stopping_early_takes_the_cases_in_blocks_that_grow_to_all():
    cases = [case(f"c{i}") for i in range(203)]

    found = of(EARLY, cases)

    sizes = [len(look.cases) for look in found]
    assert [look.number for look in found] == list(range(1, MAX_LOOKS + 1))
    assert sizes == [41, 82, 122, 163, 203]
    assert all(one.cases < other.cases for one, other in pairwise(found))
    assert found[-1].fractions == pytest.approx([size / 203 for size in sizes])


@every_row("vary", [True, False])
def test_a_look_at_a_part_of_the_cases_states_all_that_it_includes(vary):
    found = of(EARLY, [case(f"c{i}") for i in range(4)], vary=vary, repeats=2)

    blocks = [look.cases for look in found]
    assert blocks == [{"c0"}, {"c0", "c3"}, {"c0", "c2", "c3"}, {"c0", "c1", "c2", "c3"}]
    assert found == tuple(
        Look(
            number=number,
            of=4,
            cases=frozenset(blocks[number - 1]),
            repeats=2,
            fractions=(0.25, 0.5, 0.75, 1.0)[:number],
            replies_vary=vary,
        )
        for number in (1, 2, 3, 4)
    )
    assert found[0].includes("c0", 1)
    assert not found[0].includes("c0", 2)
    assert not found[0].includes("c1", 0)


def test_blocks_keep_related_cases_together_and_ignore_the_order_of_the_file():
    cases = [case(f"c{i}") for i in range(100)]

    assert of(EARLY, cases) == of(EARLY, reversed(cases))

    cases = [replace(case(f"c{i}"), group=f"g{i % 12}") for i in range(120)]

    for look in of(EARLY, cases):
        groups = {one.group for one in cases if one.id in look.cases}
        assert len(look.cases) == 10 * len(groups)


def test_settling_adds_repeats_up_to_the_most_that_were_allowed():
    found = of(SETTLE)

    counts = (1, 3, 5, 7, 9)
    assert found == tuple(
        Look(
            number=number,
            of=5,
            repeats=counts[number - 1],
            fractions=tuple(count / 9 for count in counts[:number]),
            replies_vary=True,
        )
        for number in (1, 2, 3, 4, 5)
    )
    assert [look.repeats for look in of(replace(SETTLE, settle=8), repeats=2)] == [2, 4, 5, 6, 8]
    assert [look.repeats for look in of(SETTLE, repeats=None)] == [1, 3, 5, 7, 9]


def test_settling_takes_no_more_looks_than_there_are_repeats_to_add():
    assert of(SETTLE, vary=False) == (Look(),)

    assert [look.repeats for look in of(replace(SETTLE, settle=3), repeats=2)] == [2, 3]

    assert of(replace(SETTLE, settle=3), repeats=3) == (Look(repeats=3, replies_vary=True),)


def test_each_look_spends_its_part_of_both_risks_and_the_last_one_is_known():
    total = Levels(alarm=0.005, shared=2)
    found = [look_levels(look, total) for look in of(SETTLE)]

    assert [levels.miss for levels in found] == pytest.approx(
        [4.105e-9, 6.869e-4, 8.322e-3, 2.362e-2, 4.177e-2], rel=1e-3
    )
    assert [levels.alarm for levels in found] == pytest.approx(
        [3.73e-17, 1.1625e-6, 1.6544e-4, 1.4033e-3, 4.5354e-3], rel=1e-3
    )
    assert [(levels.shared, levels.last) for levels in found] == [(2, False)] * 4 + [(2, True)]


def share_passed(gate, counts_at, margin=0.05):
    """Return how often a gate passes by any of its looks; *counts_at* counts what each takes in."""
    passed = False
    for look in of(gate, [case(f"c{i}") for i in range(500)]):
        spent = look_levels(look, Levels())
        passed = passed | is_noninferior(counts_at(look), margin, spent.miss)
    return float(np.mean(passed))


def test_looking_five_times_at_more_cases_passes_no_more_drops_than_looking_once():
    rng = np.random.default_rng(1)
    change = rng.choice([1.0, 0.0, -1.0], (4000, 500), p=[0.05, 0.85, 0.10])
    before = (change <= 0).astype(float)

    def counts(look):
        n = round(500 * look.fractions[-1])
        return change_counts(before[:, :n], (before + change)[:, :n])

    assert 0.03 < share_passed(EARLY, counts) < 0.065


def test_looking_five_times_at_more_repeats_passes_no_more_drops_than_looking_once():
    rng = np.random.default_rng(2)
    # A third of the cases are doubtful, and all of those get worse.
    chance = np.where(rng.random((2000, 500)) < 1 / 3, 0.7, 1.0)
    worse = np.where(chance < 1, 0.55, 1.0)
    sides = [rng.random((9, *chance.shape)) < one for one in (chance, worse)]

    def counts(look):
        means = (side[: look.repeats].mean(axis=0) for side in sides)
        return change_counts(*means, (look.repeats, look.repeats))

    assert share_passed(SETTLE, counts) < 0.065
