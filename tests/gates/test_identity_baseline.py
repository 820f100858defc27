import numpy as np
from columns import case

from pytest_ftgate.gates.identity import drift, to_ask_anew
from pytest_ftgate.gates.samples import Cell, side_of


def marks(right, n=40):
    return side_of({str(i): Cell(float(i < right), 1, f"{right}-{i}") for i in range(n)})


def test_a_tenth_of_many_cases_is_asked_anew_spread_over_the_file():
    chosen = to_ask_anew(tuple(case(f"{i:03}") for i in range(500)))

    assert len(chosen) == 50
    assert np.ptp([int(name) for name in chosen]) == 490


def test_no_fewer_than_twenty_are_asked_anew():
    assert len(to_ask_anew(tuple(case(f"{i:03}") for i in range(90)))) == 20
    assert len(to_ask_anew(tuple(case(f"{i:03}") for i in range(7)))) == 7


def test_a_few_replies_that_turned_are_no_drift():
    assert drift(marks(36), marks(33)) == ""


def test_a_clear_change_is_drift_either_way():
    assert "90 % → 50 % on 40 cases" in drift(marks(36), marks(20))
    assert "50 % → 90 % on 40 cases" in drift(marks(20), marks(36))
