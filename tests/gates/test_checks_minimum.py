import pytest

from pytest_ftgate.gates.checks import check_minimum
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.verdict import Outcome


def minimum_samples(right: int, wrong: int, missing: int = 0) -> Samples:
    values = [1.0] * right + [0.0] * wrong + [None] * missing
    return samples_from_cases(
        {str(i): CaseSample(value, 1, str(i)) for i, value in enumerate(values)}
    )


@pytest.mark.parametrize(
    ("right", "wrong", "outcome"),
    [
        (190, 10, Outcome.PASSED),
        (165, 35, Outcome.INCONCLUSIVE),
        (120, 80, Outcome.FAILED),
    ],
)
def test_a_minimum_is_held_missed_or_inconclusive(right: int, wrong: int, outcome: Outcome) -> None:
    assert check_minimum(minimum_samples(right, wrong), minimum=0.80).outcome is outcome


def test_an_inconclusive_minimum_says_how_many_more_cases_would_settle_it() -> None:
    assert check_minimum(minimum_samples(165, 35), minimum=0.80).needed > 100


def test_a_rate_below_the_minimum_that_is_inconclusive_asks_for_nothing_it_cannot_name() -> None:
    assert check_minimum(minimum_samples(155, 45), minimum=0.80).needed is None


def test_a_missing_reply_counts_against_a_pass() -> None:
    assert check_minimum(minimum_samples(59, 0), minimum=0.95).outcome is Outcome.PASSED
    assert (
        check_minimum(minimum_samples(59, 0, missing=1), minimum=0.95).outcome
        is Outcome.INCONCLUSIVE
    )


def test_a_missing_reply_counts_against_a_fail() -> None:
    assert check_minimum(minimum_samples(30, 20), minimum=0.80).outcome is Outcome.FAILED
    assert (
        check_minimum(minimum_samples(30, 20, missing=10), minimum=0.80).outcome
        is Outcome.INCONCLUSIVE
    )


def test_a_single_case_shows_nothing() -> None:
    assert check_minimum(minimum_samples(1, 0), minimum=0.01).outcome is Outcome.INCONCLUSIVE


def test_missing_cases_are_counted_as_cases_where_groups_are_the_unit():
    scores = {
        f"c{i}": CaseSample(None if i < 3 else 1.0, 1, str(i), f"g{i // 10}") for i in range(400)
    }

    assert check_minimum(samples_from_cases(scores), minimum=0.8).outcome is Outcome.PASSED
