"""What a judge is found to be worth, by what people said of the same replies."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pytest_ftgate.gates.judges import examine
from pytest_ftgate.scoring.classification import kappa
from pytest_ftgate.scoring.judges import Ruling
from pytest_ftgate.stats.resampling import kappa_bounds
from pytest_ftgate.suite.model import GRADES, ORDERS, Case, Judge, Label, Variant
from pytest_ftgate.suite.rule import Rule

CASE = Case(id="c", where="c.jsonl:1", input="q", score=Rule("judge"))


def judge(grades=GRADES, *, compares=False, floor=None):
    return Judge(
        rule=Rule("judge"),
        rubric="It is polite.",
        grades=grades,
        variant=Variant(name="judge", line=1, provider="anthropic", model="m"),
        compares=compares,
        floor={"kappa": 0.4} if floor is None else floor,
    )


def rated(one, *pairs, size=10):
    """Return labels and rulings, (human, said, how many) each."""
    return [
        (
            Label(case=CASE, reply="x" * size, grade=human, where="l:1"),
            Ruling(one, (said,) if said else (), (False,) if said else (), unread=("hm",)),
        )
        for human, said, count in pairs
        for _ in range(count)
    ]


def found(*pairs, padded=(), **kwargs):
    one = judge(**kwargs)
    return examine(one, rated(one, *pairs), padded)


GOOD = (("good", "good", 45), ("good", "bad", 5), ("bad", "bad", 40), ("bad", "good", 10))


def test_a_judge_that_agrees_with_people_is_qualified_by_its_figures():
    one = found(*GOOD)

    assert (one.labels, one.fault, one.warnings) == (100, "", ())
    assert one.agreement.value == 0.85
    assert one.kappa.value == pytest.approx(0.7)
    assert 0.4 < one.kappa.low < 0.7 < one.kappa.high
    assert (one.sensitivity.value, one.specificity.value) == (0.9, 0.8)
    assert (one.sensitivity.n, one.specificity.n) == (50, 50)
    assert one.sensitivity.low < 0.9 < one.sensitivity.high
    assert one.shows[0] == pytest.approx(0.7)


def test_below_its_floor_it_is_refused_with_its_kappa():
    one = found(("good", "good", 30), ("good", "bad", 20), ("bad", "good", 25), ("bad", "bad", 25))

    assert one.fault.startswith("kappa 0.10 (")
    assert one.fault.endswith("floor 0.40")


def test_the_lower_end_of_the_interval_must_reach_the_floor():
    assert found(*GOOD, floor={"kappa": 0.65}).fault.startswith("kappa 0.70 (")


@pytest.mark.parametrize("name", ["agreement", "sensitivity", "specificity"])
def test_every_figure_may_have_a_floor(name):
    assert found(*GOOD, floor={name: 0.5}).fault == ""
    assert found(*GOOD, floor={name: 0.95}).fault.startswith(name)


def test_one_that_says_the_same_of_everything_is_refused():
    one = found(("good", "good", 40), ("bad", "good", 40))

    assert one.kappa.value == 0
    assert one.fault.startswith(
        'it says "good" of all 80 labelled replies; kappa 0.00 (0.00 to 0.0'
    )


def test_too_few_labels_or_too_few_of_a_kind_examine_nothing():
    assert found(("good", "good", 20), ("bad", "bad", 20)).fault.startswith("40 labels, 20 of")
    assert found(("good", "good", 95), ("bad", "bad", 5)).fault.startswith("100 labels, 5 of")


def test_one_that_often_gives_no_grade_is_refused_and_says_why():
    one = found(("good", "good", 40), ("bad", "bad", 40), ("good", "", 10))

    assert one.unread == 10
    assert one.fault == "it gave no grade in 10 of 90 cases, the first: hm"


def test_without_labels_nothing_is_known_and_nothing_is_refused():
    one = found()

    assert (one.labels, one.kappa, one.fault, one.shows) == (0, None, "", None)


def test_of_more_than_two_grades_a_small_miss_counts_less():
    grades = {"bad": 0.0, "fair": 0.5, "good": 1.0}
    near = found(("good", "fair", 30), ("bad", "bad", 30), ("fair", "fair", 30), grades=grades)
    far = found(("good", "bad", 30), ("bad", "bad", 30), ("fair", "fair", 30), grades=grades)

    assert near.kappa.value > far.kappa.value
    assert near.shows is None


def orders(one, human, first, second, count):
    ruling = Ruling(one, (first, second), (False, True))
    label = Label(case=CASE, reply="x", other="y", grade=human, where="l:1")
    return [(label, ruling)] * count


def test_one_that_prefers_a_place_is_found_out():
    one = judge(ORDERS, compares=True, floor={"consistency": 0.6})
    pairs = orders(one, "first", "first", "first", 30) + orders(
        one, "second", "second", "second", 30
    )
    # Told as in their own order: of each pair one asking preferred the other reply.
    placed = [
        (label, Ruling(one, ("first", "second"), (False, True))) for label, _ in pairs[:40]
    ] + pairs[40:]
    told = examine(one, placed, ())

    assert told.consistency.value == pytest.approx(20 / 60)
    assert told.fault.startswith("consistency 0.33")
    assert told.sensitivity is None


# Bias -----------------------------------------------------------------------------------------


def with_lengths(one, *groups):
    return [
        pair
        for human, said, count, size in groups
        for pair in rated(one, (human, said, count), size=size)
    ]


def test_a_judge_that_favours_long_replies_is_told_of():
    one = judge()
    pairs = with_lengths(
        one,
        ("bad", "good", 20, 400), ("bad", "bad", 20, 40),
        ("good", "good", 20, 400), ("good", "bad", 10, 40), ("good", "good", 10, 40),
    )  # fmt: skip
    told = examine(one, pairs, ())

    assert told.length > 0.5
    assert told.length_p < 0.001
    assert any("favours longer replies" in one for one in told.warnings)


def test_good_replies_that_are_longer_are_no_bias_of_a_judge_that_errs_on_either_side():
    one = judge()
    pairs = with_lengths(
        one,
        ("good", "good", 36, 400), ("good", "bad", 4, 400), ("good", "good", 9, 100),
        ("good", "bad", 1, 100), ("bad", "bad", 36, 40), ("bad", "good", 4, 40),
    )  # fmt: skip
    told = examine(one, pairs, ())

    assert abs(told.length) < 0.1
    assert told.warnings == ()


def padding(one, before, after, count):
    return [(Ruling(one, (before,), (False,)), Ruling(one, (after,), (False,)))] * count


def test_a_bad_reply_that_becomes_better_by_being_said_twice_is_told_of():
    one = judge()
    told = examine(one, rated(one, *GOOD), padding(one, "bad", "good", 8))

    assert (told.padded, told.padded_up, told.padded_down) == (8, 8, 0)
    assert told.warnings == ("8 of 8 bad replies got a better grade by being said twice",)
    assert told.fault == ""


def test_a_few_that_move_either_way_are_chance():
    one = judge()
    pairs = padding(one, "bad", "good", 3) + padding(one, "good", "bad", 3)

    assert examine(one, rated(one, *GOOD), pairs).warnings == ()


# Kappa ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_kappa_of_resamples_is_that_of_scikit_learn(seed, weighted):
    draw = np.random.default_rng(seed)
    human = draw.integers(0, 3, 80)
    said = np.where(draw.random(80) < 0.7, human, draw.integers(0, 3, 80))
    bounds = kappa_bounds(human, said, 3, weighted=weighted)
    weights = "quadratic" if weighted else None

    assert bounds.estimate == pytest.approx(cohen_kappa_score(human, said, weights=weights))
    assert bounds.estimate == pytest.approx(kappa([*human], [*said], 3, weighted=weighted))
    assert bounds.lower < bounds.estimate < bounds.upper


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    draw, held = np.random.default_rng(7), 0
    for _ in range(40):
        human = draw.integers(0, 2, 100)
        said = np.where(draw.random(100) < 0.8, human, 1 - human)
        bounds = kappa_bounds(human, said, 2)
        held += bounds.lower <= 0.6 <= bounds.upper

    assert held >= 33
