"""The validation of a judge by human labels of the same replies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.tables import every_row
from scipy import stats

from pytest_ftgate.gates.figure import IntervalEstimate, JudgeValidation
from pytest_ftgate.gates.judge_labels import validate_judge
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.scoring.judges import JudgeGrades, UnreadableReply
from pytest_ftgate.stats.proportions import wilson
from pytest_ftgate.stats.resampling import kappa_bounds
from pytest_ftgate.suite.model import DEFAULT_GRADES, PAIRWISE_GRADES, Case, Judge, Label, Variant
from pytest_ftgate.suite.rule import Rule

THREE = {"bad": 0.0, "fair": 0.5, "good": 1.0}
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


def labelled(a_judge, *groups):
    """Return labels and grades, (human, judge, how many, characters of the reply) each."""
    unreadable = (UnreadableReply("hm", '"it\'s so"'),)
    return [
        (
            Label(case=CASE, reply="x" * (size[0] if size else 10), grade=human, location="l:1"),
            JudgeGrades(a_judge, (grade,), (False,), unreadable=unreadable)
            if grade
            else JudgeGrades(a_judge, (), unreadable=unreadable),
        )
        for human, grade, count, *size in groups
        for _ in range(count)
    ]


def validated(*groups, **kwargs):
    a_judge = judge(**kwargs)
    return validate_judge(a_judge, labelled(a_judge, *groups), ())


GOOD = (("good", "good", 45), ("good", "bad", 5), ("bad", "bad", 40), ("bad", "good", 10))


def share(count, n):
    """Return a share of the labels with Wilson's interval."""
    low, high = wilson(float(count), n, 0.95)
    return IntervalEstimate(value=count / n, low=float(low), high=float(high), n=n)


def test_a_judge_that_agrees_with_people_is_qualified_by_its_figures():
    validation = validated(*GOOD)

    ranks = [[1] * 50 + [0] * 50, [1] * 45 + [0] * 45 + [1] * 10]
    bounds = kappa_bounds(*ranks, 2)
    kappa = IntervalEstimate(
        value=pytest.approx(0.7), low=pytest.approx(bounds.lower), high=pytest.approx(bounds.upper),
        n=100,
    )  # fmt: skip
    assert validation == JudgeValidation(
        judge="m", provider="anthropic", rubric="It is polite.", labels=100,
        agreement=share(85, 100), kappa=kappa, sensitivity=share(45, 50), specificity=share(40, 50),
        minimum={"kappa": 0.4}, is_binary=True,
    )  # fmt: skip
    assert validation.found_shares == (validation.sensitivity, validation.specificity)


def test_a_validation_holds_the_first_eighty_characters_of_the_rubric_in_one_line():
    a_judge = replace(judge(), rubric=f"  It is\n  polite. {'x' * 99}")

    assert validate_judge(a_judge, (), ()).rubric == f"It is polite. {'x' * 66}"


def below(metric: str, found: IntervalEstimate, minimum: float) -> Note:
    """Return the error of a judge whose *metric* does not reach its *minimum*."""
    values = {"value": found.value, "low": found.low, "high": found.high}
    return note(NoteKind.METRIC_BELOW, metric=metric, **values, minimum=minimum)


def test_the_lower_end_of_the_interval_of_kappa_must_reach_the_minimum():
    validation = validated(
        ("good", "good", 30), ("good", "bad", 20), ("bad", "good", 25), ("bad", "bad", 25)
    )

    assert validation.kappa.value == pytest.approx(0.1)
    assert validation.errors == (below("kappa", validation.kappa, 0.4),)

    kappa = validated(*GOOD).kappa
    above = kappa.low + 0.001

    assert validated(*GOOD, minimum={"kappa": kappa.low}).errors == ()
    assert validated(*GOOD, minimum={"kappa": above}).errors == (below("kappa", kappa, above),)


@every_row("name", ["agreement", "sensitivity", "specificity"])
def test_every_metric_may_have_a_minimum(name):
    found = validated(*GOOD, minimum={name: 0.95})

    assert validated(*GOOD, minimum={name: 0.5}).errors == ()
    assert found.errors == (below(name, getattr(found, name), 0.95),)


def test_a_judge_that_gives_all_replies_the_same_grade_is_not_qualified_and_its_kappa_is_told():
    validation = validated(("good", "good", 40), ("bad", "good", 40))

    assert validation.kappa.value == 0
    same = note(NoteKind.SAME_OF_LABELLED, grade="good", n=80)
    assert validation.errors == (same, below("kappa", validation.kappa, 0.4))


@every_row(
    ("good", "bad", "rarer"), [(39, 10, 10), (40, 10, None), (91, 9, 9), (9, 91, 9), (10, 90, None)]
)
def test_too_few_labels_or_too_few_of_a_kind_validate_nothing(good, bad, rarer):
    found = validated(("good", "good", good), ("bad", "bad", bad), minimum={}).errors

    assert found == (() if rarer is None else (few_labels(good + bad, rarer),))


def few_labels(n: int, rarer: int) -> Note:
    """Return the error of *n* labels, *rarer* of which are of the rarer kind."""
    return note(NoteKind.FEW_LABELS, n=n, rarer=rarer, needed=50, needed_of_a_kind=10)


def test_a_label_half_way_is_one_of_a_good_reply():
    pairs = ("fair", "fair", 20), ("good", "good", 20), ("bad", "bad", 20), ("bad", "fair", 5)

    validation = validated(*pairs, grades=THREE, minimum={})

    assert validation.errors == ()
    assert (validation.sensitivity, validation.specificity) == (share(40, 40), share(20, 25))
    too_few = validated(("fair", "fair", 60), ("bad", "bad", 9), grades=THREE, minimum={})
    assert too_few.errors == (few_labels(69, 9),)


@every_row(
    ("unread", "errors"), [(5, ()), (6, (note(NoteKind.GAVE_NO_GRADE, n=6, of=100, first="hm"),))]
)
def test_a_judge_that_often_gives_no_grade_is_not_qualified(unread, errors):
    pairs = ("good", "good", 50 - unread), ("bad", "bad", 50), ("good", "", unread)
    validation = validated(*pairs)

    assert (validation.unread, validation.errors) == (unread, errors)


def test_the_first_reply_without_a_grade_is_named():
    a_judge = judge()
    read = labelled(a_judge, ("good", "good", 40), ("bad", "bad", 40))
    read[3] = (read[3][0], replace(read[3][1], unreadable=()))
    lost = [
        (label, replace(grades, unreadable=(UnreadableReply(f"error {n}"), *grades.unreadable)))
        for n, (label, grades) in enumerate(labelled(a_judge, ("good", "", 9)))
    ]

    errors = validate_judge(a_judge, [*read, *lost], ()).errors

    assert errors == (note(NoteKind.GAVE_NO_GRADE, n=9, of=89, first="error 0"),)


def test_without_labels_or_grades_there_are_no_figures():
    assert validated() == JudgeValidation(
        judge="m", provider="anthropic", rubric="It is polite.", minimum={"kappa": 0.4},
        is_binary=True,
    )  # fmt: skip

    validation = validated(("good", None, 60))

    assert (validation.unread, validation.kappa) == (60, None)
    assert validation.errors == (
        note(NoteKind.GAVE_NO_GRADE, n=60, of=60, first="hm"),
        note(NoteKind.METRIC_UNKNOWN, metric="kappa", minimum=0.4),
    )


def test_with_more_than_two_grades_a_small_disagreement_counts_less():
    others = ("bad", "bad", 30), ("fair", "fair", 30)
    near = validated(("good", "fair", 30), *others, grades=THREE)
    far = validated(("good", "bad", 30), *others, grades=THREE)

    assert near.kappa.value > far.kappa.value
    assert near.found_shares is None
    ranks = [[2] * 30 + [0] * 30 + [1] * 30, [1] * 30 + [0] * 30 + [1] * 30]
    bounds = kappa_bounds(*ranks, 3)
    assert (near.kappa.low, near.kappa.high) == pytest.approx((bounds.lower, bounds.upper))


def test_grades_are_ranked_by_their_values_and_not_by_their_place_in_the_suite():
    pairs = ("good", "fair", 30), ("bad", "bad", 30), ("fair", "fair", 30)
    mixed = {"fair": 0.5, "good": 1.0, "bad": 0.0}
    ordered, mixed = (validated(*pairs, grades=grades).kappa for grades in (THREE, mixed))

    assert ordered == mixed


def both_orders(a_judge, human, first, second, count):
    grades_of_pair = JudgeGrades(a_judge, (first, second), (False, True))
    label = Label(case=CASE, reply="x", second_reply="y", grade=human, location="l:1")
    return [(label, grades_of_pair)] * count


def test_a_judge_that_prefers_a_position_is_not_qualified():
    a_judge = judge(PAIRWISE_GRADES, is_pairwise=True, minimum={"consistency": 0.6})
    # In most pairs the two orders prefer different replies.
    pairs = both_orders(a_judge, "first", "first", "second", 40)
    pairs += both_orders(a_judge, "second", "second", "second", 20)
    validation = validate_judge(a_judge, pairs, ())

    assert validation.consistency == share(20, 60)
    assert validation.errors == (below("consistency", validation.consistency, 0.6),)
    assert (validation.sensitivity, validation.specificity) == (None, None)
    assert validation.warnings == (note(NoteKind.ORDERS_AGREE, judge="m", share=1 / 3),)


# Bias -----------------------------------------------------------------------------------------


def favours(favoured: str, validation: JudgeValidation) -> Note:
    """Return the warning of a judge that favours *favoured* replies."""
    found = {"favoured": favoured, "correlation": validation.length}
    return note(NoteKind.FAVOURS_LENGTH, judge="m", **found)


def assert_correlation(validation, pairs):
    """Compare the bias with SciPy's ranks and t, within each label."""
    errors, ranks, kinds = [], [], {label.grade for label, _ in pairs}
    for grade in kinds:
        same = [pair for pair in pairs if pair[0].grade == grade]
        values = np.array([grades.value for _, grades in same])
        sizes = [len(label.reply) - len(label.second_reply or "") for label, _ in same]
        placed = (stats.rankdata(sizes) - 1) / (len(sizes) - 1)
        errors += [*(values - values.mean())]
        ranks += [*(placed - placed.mean())]
    r, freedom = np.corrcoef(errors, ranks)[0, 1], len(pairs) - len(kinds) - 1
    p = 2 * stats.t.sf(abs(r) * np.sqrt(freedom / (1 - r**2)), freedom)
    assert (validation.length, validation.length_p) == pytest.approx((r, p))


LONG_ARE_BETTER = (
    ("bad", "good", 20, 400), ("bad", "bad", 20, 40), ("good", "good", 20, 400),
    ("good", "bad", 10, 40), ("good", "good", 10, 40),
)  # fmt: skip
BY_CHANCE = (
    ("bad", "good", 7, 400), ("bad", "bad", 18, 400), ("bad", "good", 2, 40),
    ("bad", "bad", 23, 40), ("good", "good", 30, 90),
)  # fmt: skip
#: Good replies are longer, and the judge errs on both sides.
LONG_ARE_GOOD = (
    ("good", "good", 36, 400), ("good", "bad", 4, 400), ("good", "good", 9, 100),
    ("good", "bad", 1, 100), ("bad", "bad", 36, 40), ("bad", "good", 4, 40),
)  # fmt: skip
#: One of three grades, which no label is, and three lengths.
NO_FAIR_LABEL = (
    ("bad", "good", 12, 400), ("bad", "fair", 3, 70), ("bad", "bad", 15, 40),
    ("good", "good", 20, 400), ("good", "bad", 10, 90),
)  # fmt: skip


@every_row(
    ("groups", "grades", "p", "is_told"),
    [
        (LONG_ARE_BETTER, DEFAULT_GRADES, (0, 1e-6), True),
        (BY_CHANCE, DEFAULT_GRADES, (0.01, 0.1), False),
        (LONG_ARE_GOOD, DEFAULT_GRADES, (0.3, 1), False),
        (NO_FAIR_LABEL, THREE, (0, 0.01), True),
    ],
)
def test_longer_replies_with_better_grades_than_their_labels_are_told_unless_by_chance(
    groups, grades, p, is_told
):
    a_judge = judge(grades, minimum={})
    pairs = labelled(a_judge, *groups)
    validation = validate_judge(a_judge, pairs, ())

    assert_correlation(validation, pairs)
    assert p[0] <= validation.length_p <= p[1]
    assert (favours("longer", validation) in validation.warnings) is is_told


def test_the_length_of_a_pair_is_the_first_reply_less_the_second():
    a_judge = judge(PAIRWISE_GRADES, is_pairwise=True, minimum={})
    draw = np.random.default_rng(5)
    pairs = [
        (
            Label(
                case=CASE, reply="x" * int(first), second_reply="y" * int(second), location="l:1",
                grade="first" if n % 3 else "second",
            ),
            JudgeGrades(a_judge, ("first" if first > second else "second",), (False,)),
        )
        for n, (first, second) in enumerate(draw.integers(1, 9, (60, 2)))
    ]  # fmt: skip

    validation = validate_judge(a_judge, pairs, ())

    assert_correlation(validation, pairs)
    assert validation.warnings[0] == favours("longer", validation)


@every_row(("n", "is_known"), [(24, False), (25, True)])
def test_fifty_replies_with_a_grade_show_a_bias(n, is_known):
    others = ("bad", "good", 5, 90), ("bad", "bad", 20, 40), ("bad", "", 9, 40)
    validation = validated(("good", "good", n, 400), *others)

    assert (validation.length is not None) is (validation.length_p is not None) is is_known


@every_row(("long", "short", "favoured"), [("good", "bad", "longer"), ("bad", "good", "shorter")])
def test_a_judge_that_follows_the_length_alone_gets_the_warning_as_well(long, short, favoured):
    validation = validated(
        ("good", long, 25, 400), ("good", short, 25, 40),
        ("bad", long, 25, 400), ("bad", short, 25, 40),
    )  # fmt: skip

    assert validation.warnings == (favours(favoured, validation),)
    assert validation.length_p < 1e-100


@every_row(
    ("up", "same", "down", "is_told"),
    [(7, 5, 0, True), (6, 5, 0, False), (10, 0, 1, True), (9, 0, 1, False), (0, 9, 0, False)],
)
def test_better_grades_for_doubled_text_are_told_unless_chance_may_bring_them(
    up, same, down, is_told
):
    a_judge = judge()
    bad, good = (JudgeGrades(a_judge, (grade,), (False,)) for grade in ("bad", "good"))
    none = JudgeGrades(a_judge, ())
    pairs = [(bad, good)] * up + [(bad, bad)] * same + [(good, bad)] * down

    validation = validate_judge(
        a_judge, labelled(a_judge, *GOOD), [*pairs, (none, good), (good, none)]
    )

    counts = (validation.padded, validation.padded_up, validation.padded_down)
    assert counts == (len(pairs), up, down)
    told = note(NoteKind.FAVOURS_PADDING, judge="m", n=up, of=len(pairs))
    assert (validation.warnings, validation.errors) == ((told,) if is_told else (), ())


@every_row(("odd", "is_told"), [(6, False), (7, True)])
def test_samples_or_orders_that_disagree_in_more_than_a_tenth_are_a_warning(odd, is_told):
    plain, pairwise = judge(), judge(PAIRWISE_GRADES, is_pairwise=True, minimum={})
    twice = [
        (label, JudgeGrades(plain, ("good", "bad" if n < odd else "good"), (False, False)))
        for n, (label, _) in enumerate(labelled(plain, ("good", "good", 30), ("bad", "bad", 30)))
    ]
    pairs = both_orders(pairwise, "first", "first", "first", 60 - odd)
    pairs += both_orders(pairwise, "second", "first", "second", odd)
    agree = {"judge": "m", "share": pytest.approx(1 - odd / 60)}

    for a_judge, labels, kind in (
        (plain, twice, NoteKind.SAMPLES_AGREE),
        (pairwise, pairs, NoteKind.ORDERS_AGREE),
    ):
        validation = validate_judge(a_judge, labels, ())
        assert validation.warnings == (note(kind, **agree),) * is_told
    assert validate_judge(plain, twice, ()).repeats == share(60 - odd, 60)
