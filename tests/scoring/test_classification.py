from dataclasses import replace

import numpy as np
import pytest
from ftgate_testing.properties import examples
from ftgate_testing.score_columns import case
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.classification import (
    LabelPredictions,
    label_metrics,
    label_predictions,
)
from pytest_ftgate.scoring.score import LabelMetrics
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.rule import Rule

LABELS = ("a", "b", "c", "d")


@examples(0.5)
@given(st.integers(1, 5), st.integers(1, 40), st.randoms(use_true_random=False))
def test_rates_confusions_and_kappa_are_those_of_scikit_learn(size, cases, random):
    names = tuple("abcde"[:size])
    expected = np.array([random.randrange(size) for _ in range(cases)])
    predicted = np.array([random.randrange(size + 1) for _ in range(cases)])
    ids = tuple(map(str, range(cases)))

    rates = label_metrics(LabelPredictions(names, ids, expected, predicted))

    labels = [*range(size + 1)]
    table = confusion_matrix(expected, predicted, labels=labels)
    theirs = zip(
        *precision_recall_fscore_support(expected, predicted, labels=labels, zero_division=0.0),
        strict=True,
    )
    known = dict(zip((*names, "no label"), theirs, strict=True))
    assert {rate.label for rate in rates} == {names[index] for index in set(expected.tolist())}
    for rate in rates:
        assert (rate.precision, rate.recall, rate.f1, rate.n) == pytest.approx(known[rate.label])
        others = [*rate.taken_for.values()]
        row = table[names.index(rate.label)]
        assert sum(others) == row.sum() - row[names.index(rate.label)]


def scores_of(*rows):
    """Return the scores of cases, each with its expected answer, reply, group and synonyms."""
    results = {}
    for number, (expected, text, group, synonyms) in enumerate(rows):
        one = replace(
            case(f"c{number}"),
            expected=expected,
            group=group,
            score=Rule("choice", None, {"synonyms": synonyms} if synonyms else {}),
        )
        replies = () if text is None else (Reply(text=text), Reply(text="a"))
        results[one.id] = CaseResult(one, replies, (), ())
    return VariantScores("v", results)


def test_the_first_reply_to_each_case_is_its_prediction():
    made = label_predictions(
        scores_of(
            ("a", '"B".', None, None),
            ("b", None, None, None),
            ("c", "no label", None, None),
            (None, "a", None, None),
            ("x", "a", None, None),
            (["x", "c", "b"], "b", None, None),
            (["c", "b"], "d", None, None),
            ("d", "dee", None, {"d": ["dee"]}),
            ("d", "dee", None, None),
        ),
        LABELS,
    )

    assert made.labels == LABELS
    assert made.case_ids == ("c0", "c1", "c2", "c5", "c6", "c7", "c8")
    assert made.expected.tolist() == [0, 1, 2, 2, 2, 3, 3]
    assert made.predicted.tolist() == [1, -1, 4, 2, 3, 3, 4]
    assert made.has_reply.tolist() == [True, False, True, True, True, True, True]
    assert made.expected.dtype == made.predicted.dtype == np.intp


def test_without_a_case_there_are_no_predictions():
    made = label_predictions(scores_of((None, "a", None, None)), LABELS)

    assert (made.case_ids, made.expected.tolist(), made.predicted.tolist()) == ((), [], [])
    assert made.expected.dtype == made.predicted.dtype == np.intp
    assert label_metrics(made) == ()


BEFORE = LabelPredictions(
    LABELS, tuple("12345"), np.array([0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, -1])
)
AFTER = LabelPredictions(
    LABELS, tuple("123456"), np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 2, 2, 2, 4])
)


def test_the_label_with_the_largest_loss_comes_first():
    found = label_metrics(AFTER, BEFORE)

    assert found == (
        LabelMetrics(
            label="b", n=2, precision=0.0, recall=0.0, f1=0.0, taken_for={"c": 2}, f1_before=1.0
        ),
        LabelMetrics(
            label="a", n=2, precision=1.0, recall=0.5, f1=2 / 3, taken_for={"b": 1}, f1_before=1.0
        ),
        LabelMetrics(label="d", n=1, precision=0.0, recall=0.0, f1=0.0, taken_for={"no label": 1}),
        LabelMetrics(label="c", n=1, precision=1 / 3, recall=1.0, f1=0.5),
    )
    assert [*map(type, (found[0].n, found[0].f1, found[0].taken_for["c"]))] == [int, float, int]


def test_without_another_variant_the_lowest_f1_comes_first():
    found = label_metrics(AFTER)

    assert [(one.label, one.f1, one.f1_before) for one in found] == [
        ("b", 0.0, None),
        ("d", 0.0, None),
        ("c", 0.5, None),
        ("a", pytest.approx(2 / 3), None),
    ]


def test_the_label_that_one_is_most_taken_for_comes_first():
    expected, predicted = np.zeros(7, np.intp), np.array([1, 2, 2, 4, 4, 4, 0])
    (found,) = label_metrics(LabelPredictions(LABELS, tuple("1234567"), expected, predicted))

    assert [*found.taken_for.items()] == [("no label", 3), ("c", 2), ("b", 1)]
