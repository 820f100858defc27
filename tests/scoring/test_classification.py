import numpy as np
import pytest
from columns import variant_scores
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from pytest_ftgate.scoring.classification import (
    LabelPredictions,
    cohen_kappa,
    label_metrics,
    label_predictions,
    macro_f1,
)

LABELS = ("a", "b", "c", "d")


def random_predictions(rng, n=200):
    return LabelPredictions(
        labels=LABELS,
        case_ids=tuple(map(str, range(n))),
        expected=rng.integers(0, 3, n),
        predicted=rng.integers(0, 5, n),
    )


def reference_f1(predictions, weights):
    return f1_score(
        predictions.expected,
        predictions.predicted,
        labels=[0, 1, 2],
        average="macro",
        sample_weight=weights,
        zero_division=0.0,
    )


@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_is_that_of_scikit_learn(seed):
    made = random_predictions(np.random.default_rng(seed))

    assert macro_f1(made).value == pytest.approx(reference_f1(made, np.ones(200)))


@pytest.mark.parametrize("seed", range(3))
def test_the_influence_of_a_case_is_how_much_its_weight_moves_macro_f1(seed):
    made = random_predictions(np.random.default_rng(seed), n=60)
    steps = 1e-6 * np.eye(60)

    slopes = [
        (reference_f1(made, 1.0 + step) - reference_f1(made, 1.0 - step)) / 2e-6 for step in steps
    ]

    assert macro_f1(made).influence == pytest.approx(60 * np.array(slopes), abs=1e-6)
    assert macro_f1(made).influence.sum() == pytest.approx(0.0, abs=1e-9)


def test_each_label_has_the_same_weight_in_macro_f1():
    made = LabelPredictions(LABELS, tuple("1234"), np.array([0, 0, 0, 2]), np.array([0, 1, 0, 2]))

    assert macro_f1(made).weights == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2.0])


def test_cases_are_taken_in_any_order_with_their_missing_replies_imputed():
    made = LabelPredictions(LABELS, tuple("123"), np.array([0, 1, 2]), np.array([-1, -1, 1]))

    taken = made.at_cases(["3", "2", "1"], right=np.array([True, True, False]))

    assert taken.case_ids == ("3", "2", "1")
    assert taken.predicted.tolist() == [1, 1, len(LABELS)]


def test_the_metrics_of_a_label_follow_from_its_confusions():
    one = LabelPredictions(
        LABELS, tuple("12345"), np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 4])
    )

    rates = {rate.label: rate for rate in label_metrics(one)}

    assert set(rates) == {"a", "b"}
    assert (rates["a"].precision, rates["a"].recall, rates["a"].n) == (1.0, pytest.approx(1 / 3), 3)
    assert rates["a"].taken_for == {"b": 2}
    assert rates["b"].taken_for == {"no label": 1}


def test_a_reply_is_read_as_a_label_whatever_its_case_and_punctuation():
    made = variant_scores("v", [1.0], text='"Refund".')

    assert label_predictions(made, ["refund"]).case_ids == ()
    assert label_predictions(made, ["right", "refund"]).predicted.tolist() == [1]


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
    for weighted, weights in ((False, None), (True, "quadratic")):
        if len({*expected, *predicted}) > 1:
            kappa = cohen_kappa_score(expected, predicted, labels=labels, weights=weights)
            ours = cohen_kappa(expected, predicted, size + 1, weighted=weighted)
            assert ours == pytest.approx(kappa)
