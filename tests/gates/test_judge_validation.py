"""The validation of a judge by human labels of the same replies."""

from __future__ import annotations

import pytest

from pytest_ftgate.gates.judge_validation import validate_judge
from pytest_ftgate.scoring.judges import JudgeGrades, UnreadableReply
from pytest_ftgate.suite.model import DEFAULT_GRADES, PAIRWISE_GRADES, Case, Judge, Label, Variant
from pytest_ftgate.suite.rule import Rule

CASE = Case(id="c", location="c.jsonl:1", input="q", score=Rule("judge"))


def judge(grades=DEFAULT_GRADES, *, is_pairwise=False, minimum=None):
    return Judge(
        rule=Rule("judge"),
        rubric="It is polite.",
        grades=grades,
        variant=Variant(name="judge", line=1, provider="anthropic", model="m"),
        is_pairwise=is_pairwise,
        minimum={"kappa": 0.4} if minimum is None else minimum,
    )


def labelled(a_judge, *pairs, size=10):
    """Return labels and grades, (human, judge, how many) each."""
    return [
        (
            Label(case=CASE, reply="x" * size, grade=human, location="l:1"),
            JudgeGrades(
                a_judge,
                (judge_grade,) if judge_grade else (),
                (False,) if judge_grade else (),
                unreadable=(UnreadableReply("hm", '"it\'s so"'),),
            ),
        )
        for human, judge_grade, count in pairs
        for _ in range(count)
    ]


def validated(*pairs, padded=(), **kwargs):
    a_judge = judge(**kwargs)
    return validate_judge(a_judge, labelled(a_judge, *pairs), padded)


GOOD = (("good", "good", 45), ("good", "bad", 5), ("bad", "bad", 40), ("bad", "good", 10))


def test_a_judge_that_agrees_with_people_is_qualified_by_its_figures():
    validation = validated(*GOOD)

    assert (validation.labels, validation.error, validation.warnings) == (100, "", ())
    assert validation.agreement.value == 0.85
    assert validation.kappa.value == pytest.approx(0.7)
    assert 0.4 < validation.kappa.low < 0.7 < validation.kappa.high
    assert (validation.sensitivity.value, validation.specificity.value) == (0.9, 0.8)
    assert (validation.sensitivity.n, validation.specificity.n) == (50, 50)
    assert validation.sensitivity.low < 0.9 < validation.sensitivity.high
    assert validation.found_shares == (validation.sensitivity, validation.specificity)


def test_a_judge_below_its_minimum_is_not_qualified_and_its_kappa_is_shown():
    validation = validated(
        ("good", "good", 30), ("good", "bad", 20), ("bad", "good", 25), ("bad", "bad", 25)
    )

    assert validation.error.startswith("kappa 0.10 (")
    assert validation.error.endswith("minimum 0.40")


def test_the_lower_end_of_the_interval_must_reach_the_minimum():
    assert validated(*GOOD, minimum={"kappa": 0.65}).error.startswith("kappa 0.70 (")


@pytest.mark.parametrize("name", ["agreement", "sensitivity", "specificity"])
def test_every_metric_may_have_a_minimum(name):
    assert validated(*GOOD, minimum={name: 0.5}).error == ""
    assert validated(*GOOD, minimum={name: 0.95}).error.startswith(name)


def test_a_judge_that_gives_all_replies_the_same_grade_is_not_qualified():
    validation = validated(("good", "good", 40), ("bad", "good", 40))

    assert validation.kappa.value == 0
    assert validation.error.startswith(
        'it says "good" of all 80 labelled replies; kappa 0.00 (0.00 to 0.0'
    )


def test_too_few_labels_or_too_few_of_a_kind_validate_nothing():
    assert validated(("good", "good", 20), ("bad", "bad", 20)).error.startswith("40 labels, 20 of")
    assert validated(("good", "good", 95), ("bad", "bad", 5)).error.startswith("100 labels, 5 of")


def test_a_judge_that_often_gives_no_grade_is_not_qualified():
    validation = validated(("good", "good", 40), ("bad", "bad", 40), ("good", "", 10))

    assert validation.unread == 10
    assert validation.error == "it gave no grade in 10 of 90 cases, the first: hm"


def test_without_labels_there_are_no_metrics_and_no_error():
    validation = validated()

    assert (validation.labels, validation.kappa, validation.error, validation.found_shares) == (
        0,
        None,
        "",
        None,
    )


def test_with_more_than_two_grades_a_small_disagreement_counts_less():
    grades = {"bad": 0.0, "fair": 0.5, "good": 1.0}
    near = validated(("good", "fair", 30), ("bad", "bad", 30), ("fair", "fair", 30), grades=grades)
    far = validated(("good", "bad", 30), ("bad", "bad", 30), ("fair", "fair", 30), grades=grades)

    assert near.kappa.value > far.kappa.value
    assert near.found_shares is None


def both_orders(a_judge, human, first, second, count):
    grades_of_pair = JudgeGrades(a_judge, (first, second), (False, True))
    label = Label(case=CASE, reply="x", second_reply="y", grade=human, location="l:1")
    return [(label, grades_of_pair)] * count


def test_a_judge_that_prefers_a_position_is_not_qualified():
    a_judge = judge(PAIRWISE_GRADES, is_pairwise=True, minimum={"consistency": 0.6})
    pairs = both_orders(a_judge, "first", "first", "first", 30) + both_orders(
        a_judge, "second", "second", "second", 30
    )
    # Grades in the original order: in each pair, the two orders prefer different replies.
    placed = [
        (label, JudgeGrades(a_judge, ("first", "second"), (False, True))) for label, _ in pairs[:40]
    ] + pairs[40:]
    validation = validate_judge(a_judge, placed, ())

    assert validation.consistency.value == pytest.approx(20 / 60)
    assert validation.error.startswith("consistency 0.33")
    assert validation.sensitivity is None


# Bias -----------------------------------------------------------------------------------------


def with_lengths(a_judge, *groups):
    return [
        pair
        for human, judge_grade, count, size in groups
        for pair in labelled(a_judge, (human, judge_grade, count), size=size)
    ]


def test_a_judge_that_favours_long_replies_gets_a_warning():
    a_judge = judge()
    pairs = with_lengths(
        a_judge,
        ("bad", "good", 20, 400), ("bad", "bad", 20, 40),
        ("good", "good", 20, 400), ("good", "bad", 10, 40), ("good", "good", 10, 40),
    )  # fmt: skip
    validation = validate_judge(a_judge, pairs, ())

    assert validation.length > 0.5
    assert validation.length_p < 0.001
    assert any("favours longer replies" in warning for warning in validation.warnings)


@pytest.mark.parametrize(
    ("long", "short", "favoured"),
    [("good", "bad", "longer replies (rank correlation +1.00"), ("bad", "good", "shorter replies")],
)
def test_a_judge_that_follows_the_length_alone_gets_the_warning_as_well(long, short, favoured):
    a_judge = judge()
    pairs = with_lengths(
        a_judge,
        ("good", long, 25, 400), ("good", short, 25, 40),
        ("bad", long, 25, 400), ("bad", short, 25, 40),
    )  # fmt: skip
    validation = validate_judge(a_judge, pairs, ())

    assert abs(validation.length) == pytest.approx(1)
    assert [warning for warning in validation.warnings if f"favours {favoured}" in warning]


def test_the_lengths_of_a_few_labels_say_nothing_of_a_bias():
    a_judge = judge()
    pairs = with_lengths(a_judge, ("good", "good", 1, 400), ("good", "bad", 2, 40))
    validation = validate_judge(a_judge, pairs, ())

    assert (validation.length, validation.length_p, validation.warnings) == (None, None, ())


def test_longer_good_replies_are_no_bias_of_a_judge_with_errors_on_both_sides():
    a_judge = judge()
    pairs = with_lengths(
        a_judge,
        ("good", "good", 36, 400), ("good", "bad", 4, 400), ("good", "good", 9, 100),
        ("good", "bad", 1, 100), ("bad", "bad", 36, 40), ("bad", "good", 4, 40),
    )  # fmt: skip
    validation = validate_judge(a_judge, pairs, ())

    assert abs(validation.length) < 0.1
    assert validation.warnings == ()


def padding(a_judge, before, after, count):
    return [
        (JudgeGrades(a_judge, (before,), (False,)), JudgeGrades(a_judge, (after,), (False,)))
    ] * count


def test_a_better_grade_for_doubled_text_gets_a_warning():
    a_judge = judge()
    validation = validate_judge(
        a_judge, labelled(a_judge, *GOOD), padding(a_judge, "bad", "good", 8)
    )

    assert (validation.padded, validation.padded_up, validation.padded_down) == (8, 8, 0)
    assert validation.warnings == (
        "8 of 8 bad replies got a better grade when its text was doubled",
    )
    assert validation.error == ""


def test_a_few_changes_in_either_direction_are_chance():
    a_judge = judge()
    pairs = padding(a_judge, "bad", "good", 3) + padding(a_judge, "good", "bad", 3)

    assert validate_judge(a_judge, labelled(a_judge, *GOOD), pairs).warnings == ()


def test_a_judge_that_graded_no_labelled_reply_has_no_figures():
    validation = validated(("good", None, 60))

    assert (validation.unread, validation.kappa) == (60, None)
    assert validation.error.startswith("it gave no grade in 60 of 60 cases")
    assert validation.error.endswith("its kappa is not known, minimum 0.40")


def test_samples_that_disagree_are_a_warning():
    a_judge = judge()
    placed = [
        (label, JudgeGrades(a_judge, ("good", "bad"), (False, False)))
        for label, _ in labelled(a_judge, ("good", "good", 30), ("bad", "bad", 30))
    ]
    validation = validate_judge(a_judge, placed, ())

    assert "two samples of it agree in 0 %" in validation.warnings
