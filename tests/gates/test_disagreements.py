"""On which inputs two variants differ, and in which order people label them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ftgate_testing.inputs import compared, every, found_in, inputs_of, labelled, replied

from pytest_ftgate.gates.disagreements import draw_pairs, find_disagreements, known_truths
from pytest_ftgate.gates.pair_labels import label_quality
from pytest_ftgate.suite.pair_labels import NO_ANSWER, PairAnswer


def test_the_share_of_a_text_shifts_with_repeated_replies():
    inputs = inputs_of(2)
    old = replied("old", inputs.cases, lambda at: ["late", "late"] if at else ["late", "lost"])
    new = replied("new", inputs.cases, lambda at: ["late", "lost"] if at else ["lost", "late"])
    found = find_disagreements(inputs, old, new)

    assert found.tied == (1,)
    (one,) = found.differing
    assert one.shifts == {"late": -0.5, "lost": 0.5}
    assert one.change({(one.key, "late"): 1.0, (one.key, "lost"): 0.0}) == -0.5
    assert one.change({(one.key, "late"): 1.0, (one.key, "lost"): None}) is None


def test_a_reply_without_an_answer_is_wrong_and_needs_no_label():
    inputs = inputs_of(1)
    found = find_disagreements(
        inputs, replied("old", inputs.cases, lambda _: "late"),
        replied("new", inputs.cases, lambda _: ""),
    )  # fmt: skip

    (one,) = found.differing
    assert (one.texts, one.shifts[NO_ANSWER]) == (("late",), 1.0)
    assert one.change({(one.key, "late"): 1.0}) == -1.0


def test_an_input_without_a_reply_of_one_side_is_missing():
    found = found_in(compared(10, differ=3, missing=2))

    assert (found.inputs, found.missing, len(found.differing)) == (8, 2, 3)


def test_the_order_of_a_draw_is_that_of_its_replies_and_not_of_its_file():
    start = compared(60, differ=40)
    found = found_in(start)
    turned = replace(found, differing=found.differing[::-1])
    draw = draw_pairs(start.inputs, found)

    assert draw_pairs(start.inputs, turned).order == draw.order
    assert [one.key for one in draw.order] != [one.key for one in found.differing]
    # One reply more is another draw, in whose order the labels of this one are no prefix.
    other = draw_pairs(start.inputs, found_in(compared(60, differ=41)))
    assert other.id != draw.id
    assert [one for one in other.order if one in draw.order] != [*draw.order]


def test_several_people_count_by_their_majority_and_a_repeated_pair_is_no_vote():
    start = labelled(compared(10, differ=1), 1, every("both"))
    (label,) = start.inputs.labels
    against = replace(label, by="bob", answer=PairAnswer.NEITHER)
    third = replace(label, by="cem", answer=PairAnswer.NEITHER)
    again = replace(third, by="dan", again=True)
    place = (label.input, label.first)

    def truth(*labels):
        return known_truths(labels, label.instruction)[place]

    assert truth(label) == 1.0
    assert truth(label, against) == 0.5
    assert truth(label, against, third) == 0.0
    assert truth(label, against, again) == 0.5
    assert truth(replace(label, answer=PairAnswer.UNKNOWN)) is None


@pytest.mark.parametrize("answer", ["old", "new"])
def test_who_is_shown_first_tells_nothing_of_who_is_right(answer):
    start = labelled(compared(400, differ=200), 200, every(answer))

    first = [label.answer is PairAnswer.FIRST for label in start.inputs.labels]
    assert 60 < sum(first) < 140


def test_a_second_answer_of_one_person_is_a_contradiction_and_no_correction():
    start = labelled(compared(200, differ=20), 20, every("neither"))
    turned = tuple(replace(label, answer=PairAnswer.BOTH) for label in start.inputs.labels[:4])
    inputs = replace(start.inputs, labels=(*start.inputs.labels, *turned))
    quality = label_quality(inputs, found_in(start))

    assert {*quality.truths.values()} == {0.0}
    assert (quality.repeated, quality.contradictions, quality.contradicts) == (4, 4, True)
