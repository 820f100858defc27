import numpy as np
import pytest
from columns import column
from sklearn.metrics import f1_score

from pytest_ftgate.scoring.classification import Guess, guesses, label_rates, macro_f1

LABELS = ("a", "b", "c", "d")


def guess(rng, n=200):
    return Guess(
        labels=LABELS,
        keys=tuple(map(str, range(n))),
        expected=rng.integers(0, 3, n),
        said=rng.integers(0, 5, n),
    )


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_of_resamples_is_that_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    one = guess(rng)
    counts = rng.multinomial(200, np.full(200, 1 / 200), size=4).astype(float)

    wanted = [
        f1_score(
            np.repeat(one.expected, row.astype(int)),
            np.repeat(one.said, row.astype(int)),
            labels=[0, 1, 2],
            average="macro",
            zero_division=0.0,
        )
        for row in counts
    ]

    assert macro_f1(one, counts) == pytest.approx(wanted)


def test_the_rates_of_a_label_are_those_of_its_confusions():
    one = Guess(LABELS, tuple("12345"), np.array([0, 0, 0, 1, 1]), np.array([0, 1, 1, 1, 4]))

    rates = {rate.label: rate for rate in label_rates(one)}

    assert set(rates) == {"a", "b"}
    assert (rates["a"].precision, rates["a"].recall, rates["a"].n) == (1.0, pytest.approx(1 / 3), 3)
    assert rates["a"].taken_for == {"b": 2}
    assert rates["b"].taken_for == {"no label": 1}


def test_a_reply_is_read_as_a_label_whatever_its_case_and_punctuation():
    made = column("v", [1.0], text='"Refund".')

    assert guesses(made, ["refund"]).keys == ()
    assert guesses(made, ["right", "refund"]).said.tolist() == [1]
