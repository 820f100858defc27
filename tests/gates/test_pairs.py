"""The order of pairs: the same for all, some of them twice, and what is left of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_ftgate.gates.disagreements import Disagreement, Disagreements, draw_pairs
from pytest_ftgate.gates.pairs import drawn_pairs, open_pairs
from pytest_ftgate.suite.model import Case, Inputs
from pytest_ftgate.suite.pair_labels import PairAnswer
from pytest_ftgate.suite.rule import Rule

EXACT = Rule("exact")


def inputs(most=None, labels=()):
    return Inputs(
        line=1, cases=(), score=EXACT, labels=tuple(labels), labels_path=Path("x.pairs.jsonl"),
        most_labels=most,
    )  # fmt: skip


def pairs_of(count, given=None, texts=("ok", "lost")):
    shifts = dict(zip(texts, (-1.0, 1.0), strict=True))
    found = [
        Disagreement(
            key=f"i{n}", cases=(Case(id=f"p{n}", location="x:1", score=EXACT),), shifts=shifts
        )
        for n in range(count)
    ]
    given = given or inputs()
    return drawn_pairs(given, draw_pairs(given, Disagreements(tied=(), differing=tuple(found))))


def label_all(pairs, by="ada", answer=PairAnswer.FIRST):
    return [pair.label(answer, by) for pair in pairs]


def test_of_the_first_forty_pairs_ten_come_again_and_of_others_a_twentieth():
    again = [pair for pair in pairs_of(2_000) if pair.again]

    assert sum(pair.place <= 40 for pair in again) >= 10
    assert len(again) == pytest.approx(110, abs=30)


@pytest.mark.parametrize(("count", "repeated"), [(3, 0), (12, 7), (40, 10)])
def test_the_last_five_pairs_do_not_come_again(count, repeated):
    assert sum(pair.again for pair in pairs_of(count)) == repeated


def test_a_single_reply_does_not_come_again():
    assert [pair.second for pair in pairs_of(12, texts=("ok", ""))] == [None] * 12


def test_the_order_does_not_depend_on_the_labels_of_the_draw():
    pairs = pairs_of(30)
    labels = label_all(pairs[3:20])

    assert pairs_of(30, inputs(labels=labels)) == pairs


def test_no_more_inputs_are_shown_than_labels_are_declared():
    assert {pair.place for pair in pairs_of(30, inputs(most=8))} == {*range(1, 9)}


def test_a_pair_comes_again_to_who_has_labelled_it_and_could_say_something():
    pairs = pairs_of(12)
    first = [pair for pair in pairs if not pair.again]
    unknown = label_all(first, answer=PairAnswer.UNKNOWN)

    assert {pair.again for pair in open_pairs(pairs, label_all(first), "ada")} == {True}
    assert [*open_pairs(pairs, label_all(first), "ben")] == []
    assert [*open_pairs(pairs, unknown, "ada")] == []
    assert [*open_pairs(pairs, label_all(pairs), "ada")] == []


def test_a_second_person_gets_what_others_have_labelled():
    pairs = pairs_of(12)
    first = [pair for pair in pairs if not pair.again]
    labels = label_all(first[:4])

    assert [*open_pairs(pairs, labels, "ben", second=True)] == first[:4]
    assert [*open_pairs(pairs, [*labels, *label_all(first[:4], "ben")], "ben", second=True)] != []
    assert [*open_pairs((), labels, "ben")] == []
