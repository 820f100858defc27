import pytest

from pytest_ftgate.gates.checks import floor
from pytest_ftgate.gates.samples import Cell, Side, side_of
from pytest_ftgate.gates.verdict import Outcome


def cells(right: int, wrong: int, missing: int = 0) -> Side:
    values = [1.0] * right + [0.0] * wrong + [None] * missing
    return side_of({str(i): Cell(value, 1, str(i)) for i, value in enumerate(values)})


@pytest.mark.parametrize(
    ("right", "wrong", "outcome"),
    [
        (190, 10, Outcome.PASSED),
        (165, 35, Outcome.INCONCLUSIVE),
        (120, 80, Outcome.FAILED),
    ],
)
def test_a_floor_is_held_missed_or_open(right: int, wrong: int, outcome: Outcome) -> None:
    assert floor(cells(right, wrong), least=0.80).outcome is outcome


def test_an_open_floor_says_how_many_more_cases_would_settle_it() -> None:
    assert floor(cells(165, 35), least=0.80).needed > 100


def test_a_rate_below_the_floor_that_is_open_asks_for_nothing_it_cannot_name() -> None:
    assert floor(cells(155, 45), least=0.80).needed is None


def test_a_missing_reply_counts_against_a_pass() -> None:
    assert floor(cells(59, 0), least=0.95).outcome is Outcome.PASSED
    assert floor(cells(59, 0, missing=1), least=0.95).outcome is Outcome.INCONCLUSIVE


def test_a_missing_reply_counts_against_a_fail() -> None:
    assert floor(cells(30, 20), least=0.80).outcome is Outcome.FAILED
    assert floor(cells(30, 20, missing=10), least=0.80).outcome is Outcome.INCONCLUSIVE


def test_a_single_case_shows_nothing() -> None:
    assert floor(cells(1, 0), least=0.01).outcome is Outcome.INCONCLUSIVE


def test_missing_cases_are_counted_as_cases_where_groups_are_the_unit():
    marks = {f"c{i}": Cell(None if i < 3 else 1.0, 1, str(i), f"g{i // 10}") for i in range(400)}

    assert floor(side_of(marks), least=0.8).outcome is Outcome.PASSED
