import numpy as np
from columns import case

from pytest_ftgate.gates.identity import drift_case_ids, drift_message
from pytest_ftgate.gates.samples import CaseSample, samples_from_cases


def samples(right, n=40):
    return samples_from_cases(
        {str(i): CaseSample(float(i < right), 1, f"{right}-{i}") for i in range(n)}
    )


def test_a_tenth_of_many_cases_is_repeated_spread_over_the_file():
    chosen = drift_case_ids(tuple(case(f"{i:03}") for i in range(500)))

    assert len(chosen) == 50
    assert np.ptp([int(name) for name in chosen]) == 490


def test_at_least_twenty_cases_are_repeated():
    assert len(drift_case_ids(tuple(case(f"{i:03}") for i in range(90)))) == 20
    assert len(drift_case_ids(tuple(case(f"{i:03}") for i in range(7)))) == 7


def test_a_few_flips_are_no_drift():
    assert drift_message(samples(36), samples(33)) == ""


def test_a_clear_change_in_either_direction_is_drift():
    assert "90 % → 50 % on 40 repeated cases" in drift_message(samples(36), samples(20))
    assert "50 % → 90 % on 40 repeated cases" in drift_message(samples(20), samples(36))
