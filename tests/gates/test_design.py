"""The design of a gate: error rates, looks, must-pass cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import ceil

import numpy as np
import pytest
from ftgate_testing.score_columns import case, suite, variant_scores, without_replies
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.design import (
    ALARM,
    LAST_LOOK_MISS,
    MAX_LOOKS,
    Design,
    Levels,
    Look,
    build_checks,
    check_must_pass,
    checks_by_gate,
    design_of,
    guess_rate,
    look_levels,
    must_pass_ids,
    plan_looks,
    shared_levels,
    skill_looks,
    wrong_must_pass_ids,
)
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.paired import change_counts, is_noninferior
from pytest_ftgate.suite.gate_kinds import CostGate, ForgettingGate, RateGate
from pytest_ftgate.suite.model import Checkpoint, Judge, Variant
from pytest_ftgate.suite.rule import Rule

ACCURACY = RateGate(kind="accuracy", line=7, max_drop=0.05)
FORMAT = RateGate(kind="format", line=8, max_drop=0.05)
SLICED = replace(ACCURACY, slices=("tag", "language"))
BY_POINT = replace(SLICED, evidence="point")
EARLY = replace(ACCURACY, stop_early=True)
SETTLE = replace(ACCURACY, settle=9)


# --- error rates ---------------------------------------------------------------------------------


@every_row(
    ("gates", "others", "shared"),
    [
        ((CostGate(line=1, max_rise=0.1),), 1, 1),
        # Of forgetting its mean is a check, and a minimum is none.
        ((ACCURACY, replace(FORMAT, max_drop=None, min=0.9),
          ForgettingGate(line=9, cases=(), max_drop=0.1)), 1, 2),
        # Parts take their share, of tests and of plain thresholds.
        ((ACCURACY,), 1, 1),
        ((SLICED,), 1, 3),
        ((BY_POINT,), 1, 2),
        ((BY_POINT,), 2, 3),
    ],
)  # fmt: skip
def test_the_drop_checks_of_a_suite_share_the_alarm_level(gates, others, shared):
    variants = ("current", "new", "old")[: 1 + others]

    assert shared_levels(suite(*gates, variants=variants)) == Levels(
        alarm=ALARM / shared, shared=shared
    )


def test_the_baseline_is_compared_with_what_was_accepted_alone():
    asked = []

    def count(variant, gate):
        asked.append((variant, gate))
        return {"accuracy": 2, "format": 0}[gate]

    found = shared_levels(suite(ACCURACY, FORMAT, variants=("current", "new", "old")), count)

    # Both other variants: against the baseline, and their two records of accuracy.
    assert (found.shared, found.alarm) == (2 + 2 * (1 + 2) + 2 * 1, pytest.approx(0.001))
    assert (found.miss, found.last) == (0.05, True)
    gates = [(name, gate) for name in ("current", "new", "old") for gate in ("accuracy", "format")]
    assert asked == gates


ANY_DROP = RateGate(kind="accuracy", line=7)
OF_SKILLS = ForgettingGate(line=9, cases=())


@every_row(
    ("gates", "others", "checks"),
    [
        # A baseline alone is to get a variant that is compared with it.
        ((ANY_DROP,), (), {"accuracy": 3}),
        ((ANY_DROP,), ("old",), {"accuracy": 3}),
        ((SLICED, FORMAT), ("old",), {"accuracy": 6, "format": 6}),
        ((BY_POINT, FORMAT), ("old",), {"accuracy": 6, "format": 6}),
        # Only new is tuned, and so has skills to forget.
        ((ANY_DROP, OF_SKILLS), ("new", "old"), {"accuracy": 4, "forgetting": 4}),
        ((replace(ANY_DROP, metric="balanced_accuracy"), FORMAT), ("old",),
         {"accuracy": 6, "format": 6}),
        ((replace(ANY_DROP, limits_by_default=False),), ("old",), {"accuracy": 1}),
        ((replace(FORMAT, max_drop=None, limits_by_default=False), ANY_DROP), ("old",),
         {"accuracy": 3, "format": 3}),
        ((CostGate(line=1, max_rise=0.1), FORMAT), ("old",), {"format": 3}),
    ],
)  # fmt: skip
def test_a_build_has_the_drop_checks_of_the_variant_with_the_most(gates, others, checks):
    made = suite(*gates, variants=("current", *others))

    assert {kind: build_checks(made, made.gates[kind]) for kind in checks} == checks


def test_each_variant_has_the_checks_of_what_it_is_compared_with():
    made = suite(ANY_DROP, FORMAT, OF_SKILLS, variants=("current", "new", "old"))
    apart = {**made.variants, "old": replace(made.variants["old"], compared=False)}

    found = [checks_by_gate(replace(made, variants=apart), one) for one in apart.values()]

    assert found == [
        {"accuracy": 2, "format": 2},
        {"accuracy": 3, "format": 3, "forgetting": 1},
        {"accuracy": 2, "format": 2},
    ]
    off = replace(made, variants={"old": replace(made.variants["old"], gated=False)})
    assert build_checks(off, ANY_DROP) == 1


@every_row(
    ("gate", "labels", "rate"), [(ACCURACY, True, 0.5), (FORMAT, True, 0.0), (ACCURACY, False, 0.0)]
)
def test_guessing_is_right_as_often_as_there_are_few_labels(gate, labels, rate):
    made = suite(gate)
    free = replace(made, reply=replace(made.reply, format=()))

    assert guess_rate(made if labels else free, gate) == rate
    model = Variant(name="judge", line=1, provider="anthropic", model="judge")
    grades = {"good": 1.0, "bad": 0.0}
    judge = Judge(rule=Rule("judge"), rubric="r", grades=grades, variant=model, is_pairwise=True)
    assert guess_rate(replace(made, judges=(judge,)), gate) == 0.0


# --- looks ---------------------------------------------------------------------------------------


def of(gate, cases=(), *, vary=True, repeats=1):
    made = replace(suite(gate), cases=tuple(cases), repeats=repeats)
    return plan_looks(made, gate, replies_vary=vary)


def test_one_look_spends_the_whole_risks_at_everything():
    (look,) = of(ACCURACY, repeats=3)

    assert look == Look(repeats=3, replies_vary=True)
    assert of(ACCURACY, vary=False, repeats=None) == (Look(),)
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
            number=number, of=4, cases=frozenset(blocks[number - 1]), repeats=2,
            fractions=(0.25, 0.5, 0.75, 1.0)[:number], replies_vary=vary,
        )
        for number in (1, 2, 3, 4)
    )  # fmt: skip
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
            number=number, of=5, repeats=counts[number - 1],
            fractions=tuple(count / 9 for count in counts[:number]), replies_vary=True,
        )
        for number in (1, 2, 3, 4, 5)
    )  # fmt: skip
    assert of(SETTLE, vary=False) == (Look(),)
    assert of(replace(SETTLE, settle=3), repeats=3) == (Look(repeats=3, replies_vary=True),)


@every_row(
    ("settle", "repeats", "counts"),
    [(8, 2, [2, 4, 5, 6, 8]), (3, 2, [2, 3])],
)
def test_settling_takes_no_more_looks_than_there_are_repeats_to_add(settle, repeats, counts):
    looks = of(replace(SETTLE, settle=settle), repeats=repeats)

    assert [look.repeats for look in looks] == counts


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


def test_looking_five_times_at_more_cases_passes_no_more_drops_than_looking_once():
    rng = np.random.default_rng(1)
    change = rng.choice([1.0, 0.0, -1.0], (4000, 500), p=[0.05, 0.85, 0.10])
    before = (change <= 0).astype(float)

    passed = False
    for look in of(EARLY, [case(f"c{i}") for i in range(500)]):
        n = len(look.cases)
        counts = change_counts(before[:, :n], (before + change)[:, :n])
        passed = passed | is_noninferior(counts, 0.05, look_levels(look, Levels()).miss)

    assert 0.03 < np.mean(passed) < 0.065


@every_row(
    ("sizes", "first"),
    [
        ((14,) * 18, 90),
        ((67, 72, 76), 23 + 24 + 26),
        ((1, 2, 3, 4), 1 + 1 + 1 + 2),
        # Nothing is left to ask.
        ((1, 1), None),
    ],
)
def test_the_first_of_two_looks_at_skills_has_a_third_of_each_and_the_last_one_all(sizes, first):
    cases = [
        case(f"{size}-{n}-{i}", skill=f"s{n}") for n, size in enumerate(sizes) for i in range(size)
    ]

    early, *last = skill_looks(cases, Look(repeats=2))

    assert skill_looks(reversed(cases), Look(repeats=2)) == (early, *last)
    if first is None:
        assert (early, last) == (Look(repeats=2), [])
        return
    share = first / sum(sizes)
    every = frozenset(one.id for one in cases)
    assert last == [Look(number=2, of=2, cases=every, repeats=2, fractions=(share, 1.0))]
    assert (early.number, early.of, early.fractions, early.repeats) == (1, 2, (share,), 2)
    asked = Counter(name.rpartition("-")[0] for name in early.cases)
    assert asked == {f"{size}-{n}": ceil(size / 3) for n, size in enumerate(sizes)}


def test_a_look_at_skills_splits_no_group_and_has_a_third_of_each_level_that_a_base_may_choose():
    grouped = [replace(case(f"g{i}", skill="own"), group=f"g{i % 4}") for i in range(40)]
    leveled = [
        replace(case(f"{level}-{i}", skill="caesar_cipher"), difficulty=level)
        for level in (1, 2)
        for i in range(9)
    ]

    early, _ = skill_looks([*grouped, *leveled], Look())

    groups = Counter(one.group for one in grouped if one.id in early.cases)
    assert [*groups.values()] == [10, 10]
    levels = Counter(one.difficulty for one in leveled if one.id in early.cases)
    assert levels == {1: 3, 2: 3}


def test_looks_of_which_only_the_last_can_pass_keep_the_risk_of_a_wrong_pass_for_it():
    looks = skill_looks([case(f"c{i}", skill="logic") for i in range(252)], Look())

    early, last = (look_levels(look, Levels(), can_pass=False) for look in looks)

    assert (early.miss, last.miss) == (0.05, 0.05)
    assert (early.last, last.last) == (False, True)
    assert early.alarm == pytest.approx(8.14e-6, rel=1e-3)
    assert 0.0099 < last.alarm < 0.01
    of_skills = replace(OF_SKILLS, stop_early=True, cases=(case("c0", skill="logic"),))
    assert design_of(suite(of_skills), of_skills).miss == 0.05


# --- must-pass cases -----------------------------------------------------------------------------


def made(scores, *names):
    """Make scores in which the cases *names* must pass."""
    plain = variant_scores("new", scores)
    rows = {
        key: replace(row, case=replace(row.case, must_pass=key in names))
        for key, row in plain.results.items()
    }
    return VariantScores("new", rows)


def test_right_cases_pass_and_wrong_ones_fail_by_name():
    assert check_must_pass(made([0.0]), None) is None

    check = check_must_pass(made([1.0, 0.0], "c000"), None)

    assert check == checked(Outcome.PASSED, n=1, after=1.0)

    check = check_must_pass(made([0.0, 1.0, 1.0, 0.0], "c000", "c001", "c002"), None)

    assert check == checked(Outcome.FAILED, "c000", n=3, after=2 / 3)


def checked(outcome, *wrong, n, after, missing=0):
    return Check(
        kind=CheckKind.MUST_PASS, outcome=outcome, limit=1.0, n=n, effective=n, after=after,
        case_ids=wrong, missing=missing,
    )  # fmt: skip


@every_row(
    ("right", "again", "outcome"),
    [
        # A case is right that is more than half right, the first time or by most replies after it.
        (0.5, None, Outcome.FAILED),
        (0.51, None, Outcome.PASSED),
        (0.0, 2 / 3, Outcome.PASSED),
        (0.0, 1 / 3, Outcome.FAILED),
    ],
)
def test_a_case_is_right_that_is_more_than_half_right_when_asked_or_asked_again(
    right, again, outcome
):
    repeated = None if again is None else made([again], "c000")

    assert check_must_pass(made([right], "c000"), repeated).outcome is outcome


def test_a_wrong_case_that_is_not_asked_again_stays_wrong():
    again = made([1.0, 1.0], "c000", "c001")
    part = VariantScores("new", {"c000": again.results["c000"]})

    check = check_must_pass(made([0.0, 0.0], "c000", "c001"), part)

    assert check == checked(Outcome.FAILED, "c001", n=2, after=0.5)


def test_a_case_without_a_reply_leaves_the_gate_inconclusive_unless_another_is_wrong():
    alone = check_must_pass(without_replies(made([1.0], "c000"), ["c000"]), None)
    three = without_replies(made([1.0, 1.0, 1.0], "c000", "c001", "c002"), ["c000"])
    wrong = without_replies(made([1.0, 0.0, 1.0], "c000", "c001", "c002"), ["c000"])

    assert alone == checked(Outcome.INCONCLUSIVE, n=0, after=0.0, missing=1)
    assert check_must_pass(three, None) == checked(Outcome.INCONCLUSIVE, n=2, after=1.0, missing=1)
    assert check_must_pass(wrong, None) == checked(
        Outcome.FAILED, "c001", n=2, after=0.5, missing=1
    )
    assert wrong_must_pass_ids(wrong) == ("c001",)


def test_every_look_includes_the_must_pass_cases_and_only_wrong_ones_are_asked_again():
    cases = (replace(case("a"), must_pass=True), case("b"))

    assert must_pass_ids(replace(suite(), cases=cases)) == {"a"}
    assert wrong_must_pass_ids(made([0.0, 1.0, 0.0], "c000", "c001")) == ("c000",)


# --- cases ---------------------------------------------------------------------------------------


def test_the_design_of_a_gate_numbers_its_groups_in_the_order_of_its_cases():
    rows = [("b", 1.0), (None, 2.0), ("a", 1.0), ("b", 1.0), (None, 0.0)]
    asked = tuple(
        replace(case(f"c{n}"), group=group, weight=weight) for n, (group, weight) in enumerate(rows)
    )

    design = design_of(replace(suite(EARLY), cases=asked), EARLY, (2, 3))

    assert design == Design(
        weights=(1.0, 2.0, 1.0, 1.0), groups=(0, 1, 2, 0), repeats=(2, 3), miss=LAST_LOOK_MISS
    )
    assert (design.n, design.units) == (4, 3)
    assert design.effective == pytest.approx(3 * 2 / (1 / 2 + 1 / 3))
    assert design.counts == {"cases": 4, "unrelated": 3}
    assert (design.counts_groups, design.is_plain) == (False, False)


def test_weights_that_are_all_the_same_are_one():
    asked = [replace(case(name), weight=0.5, score=Rule("similarity")) for name in "abc"]
    made = replace(suite(), cases=tuple(asked))

    assert design_of(made, ACCURACY) == Design((1.0,) * 3, (0, 1, 2), is_graded=True)
    assert design_of(made, FORMAT) == Design((1.0,) * 3, (0, 1, 2))


@every_row(
    ("design", "counts_groups", "is_plain"),
    [
        (Design((1.0, 1.0), (0, 1)), False, True),
        (Design((1.0, 1.0), (0, 0)), True, False),
        (Design((1.0, 2.0), (0, 1)), False, False),
        (Design((1.0, 2.0), (0, 0)), False, False),
        (Design((1.0, 1.0), (0, 1), is_graded=True), False, False),
        (Design((1.0, 1.0), (0, 0), is_graded=True), False, False),
    ],
)
def test_a_design_is_plain_or_counts_groups_if_its_cases_are_alike(design, counts_groups, is_plain):
    assert (design.counts_groups, design.is_plain) == (counts_groups, is_plain)
    assert Design((1.0,), (0,)).counts == {"cases": 1, "unrelated": 0}


def test_the_checkpoints_of_a_training_share_the_alarm_level_as_one_variant():
    alone = suite(ACCURACY, variants=("current", "tuned"))
    steps = {
        f"tuned-{step}": replace(
            alone.variants["tuned"],
            name=f"tuned-{step}",
            checkpoint=Checkpoint(of="tuned", label=f"{step}", step=step, decides=step == 9),
        )
        for step in range(10)
    }
    several = replace(alone, variants={"current": alone.variants["current"], **steps})

    assert shared_levels(several) == shared_levels(alone)
    # Each is compared with what was accepted of the variant.
    count = {"tuned": 2, "current": 1}
    accepted = [shared_levels(one, lambda name, _: count.get(name, 0)) for one in (several, alone)]
    assert accepted[0] == accepted[1]
