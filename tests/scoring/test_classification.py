import numpy as np
import pytest
from columns import variant_scores
from sklearn.metrics import f1_score

from pytest_ftgate.scoring.classification import (
    LabelPredictions,
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


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_of_resamples_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    one = random_predictions(rng)
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=4).astype(float)

    wanted = [
        f1_score(
            np.repeat(one.expected, row.astype(int)),
            np.repeat(one.predicted, row.astype(int)),
            labels=[0, 1, 2],
            average="macro",
            zero_division=0.0,
        )
        for row in counts
    ]

    assert macro_f1(one, counts) == pytest.approx(wanted)


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
