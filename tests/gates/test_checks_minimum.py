import math

import numpy as np
import pytest
from ftgate_testing.score_columns import case_samples
from ftgate_testing.tables import every_row

from pytest_ftgate.gates.checks import check_minimum, highest_minimum, inconclusive_at_chance
from pytest_ftgate.gates.notes import NoteKind, note
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.verdict import Outcome


def minimum_samples(right: int, wrong: int, missing: int = 0) -> Samples:
    return case_samples([1.0] * right + [0.0] * wrong + [None] * missing)


@every_row(
    ("right", "wrong", "outcome"),
    [(190, 10, Outcome.PASSED), (165, 35, Outcome.INCONCLUSIVE), (120, 80, Outcome.FAILED)],
)
def test_a_minimum_is_held_missed_or_inconclusive(right: int, wrong: int, outcome: Outcome) -> None:
    assert check_minimum(minimum_samples(right, wrong), minimum=0.80).outcome is outcome


def test_missing_replies_count_against_either_end_and_as_cases_of_groups() -> None:
    assert check_minimum(minimum_samples(59, 0), minimum=0.95).outcome is Outcome.PASSED
    assert (
        check_minimum(minimum_samples(59, 0, missing=1), minimum=0.95).outcome
        is Outcome.INCONCLUSIVE
    )

    assert check_minimum(minimum_samples(30, 20), minimum=0.80).outcome is Outcome.FAILED
    assert (
        check_minimum(minimum_samples(30, 20, missing=10), minimum=0.80).outcome
        is Outcome.INCONCLUSIVE
    )

    values = [None if i < 3 else 1.0 for i in range(400)]
    found = case_samples(values, groups=[i // 10 for i in range(400)])

    assert check_minimum(found, minimum=0.8).outcome is Outcome.PASSED


def test_a_minimum_names_no_limit_where_it_holds_and_no_cases_where_none_settle_it() -> None:
    check = check_minimum(minimum_samples(190, 10), minimum=0.8)

    assert check.outcome is Outcome.PASSED
    assert check.shown_limit is None

    assert check_minimum(minimum_samples(155, 45), minimum=0.80).needed is None


def test_a_minimum_that_is_reached_below_guessing_shows_nothing() -> None:
    reached, missed = (
        check_minimum(minimum_samples(*counts), minimum=0.2) for counts in ((190, 10), (2, 198))
    )

    below = inconclusive_at_chance(reached, 0.25)
    assert (below.outcome, below.informative) == (Outcome.INCONCLUSIVE, False)
    assert below.notes == (note(NoteKind.GUESSED, rate=0.25),)
    assert inconclusive_at_chance(reached, 0.2) is reached
    assert inconclusive_at_chance(missed, 0.25) is missed
    assert missed.outcome is Outcome.FAILED


@every_row(("size", "outcome"), [(1, Outcome.PASSED), (4, Outcome.INCONCLUSIVE)])
def test_cases_that_stand_together_show_less(size, outcome):
    """Of 80 cases 72 are right. The others are eight single cases, or two groups of four."""
    values = [0.0] * 8 + [1.0] * 72
    groups = [i // size for i in range(80)]

    assert check_minimum(case_samples(values, groups=groups), minimum=0.8).outcome is outcome


@every_row(
    ("wrong", "outcome"),
    [([], Outcome.PASSED), ([59], Outcome.PASSED), ([0, 1], Outcome.INCONCLUSIVE)],
)
def test_the_heavy_cases_decide_a_weighted_minimum(wrong, outcome):
    weights = [5.0] * 6 + [1.0] * 54
    check = check_minimum(
        case_samples([i not in wrong for i in range(60)], weights=weights), minimum=0.75
    )

    assert check.after == pytest.approx(1 - sum(weights[i] for i in wrong) / 84)
    assert check.outcome is outcome


@every_row(
    ("mean", "outcome"),
    [(0.9, Outcome.PASSED), (0.81, Outcome.INCONCLUSIVE), (0.6, Outcome.FAILED)],
)
def test_a_minimum_of_graded_scores_is_held_missed_or_inconclusive(mean, outcome):
    values = mean + np.resize([-0.1, 0.1], 100)
    check = check_minimum(case_samples(values), minimum=0.8)

    assert check.outcome is outcome
    assert check.error == pytest.approx(values.std(ddof=1) / math.sqrt(100))


def test_an_inconclusive_graded_minimum_says_how_many_more_cases_would_settle_it():
    values = 0.83 + np.resize([-0.1, 0.1], 100)
    check = check_minimum(case_samples(values), minimum=0.8)
    more = np.resize(values, 100 + check.needed)

    assert check.outcome is Outcome.INCONCLUSIVE
    assert check_minimum(case_samples(more), minimum=0.8).outcome is Outcome.PASSED


@every_row(("n", "outcome"), [(28, Outcome.INCONCLUSIVE), (29, Outcome.PASSED)])
def test_repeats_that_never_vary_show_no_more_than_one_reply(n, outcome):
    once, often = (
        check_minimum(case_samples([1.0] * n, repeats=repeats), minimum=0.9) for repeats in (1, 5)
    )

    assert often == once
    assert once.outcome is outcome


def test_repeats_that_vary_show_more_than_one_reply_and_less_than_as_many_cases():
    """Of five replies to each case four are right."""
    often = check_minimum(case_samples([0.8] * 60, repeats=5), minimum=0.7)
    once, as_cases = (check_minimum(minimum_samples(4 * n, n), minimum=0.7) for n in (12, 60))

    assert as_cases.high - as_cases.low < often.high - often.low < once.high - once.low


def test_a_minimum_that_takes_more_cases_than_are_searched_names_no_number(monkeypatch) -> None:
    monkeypatch.setattr("pytest_ftgate.stats.power._MAX_CASES", 1024)
    check = check_minimum(minimum_samples(100, 0), minimum=0.999)

    assert (check.outcome, check.needed) == (Outcome.INCONCLUSIVE, None)


def test_the_highest_minimum_passes_and_the_next_does_not() -> None:
    samples = minimum_samples(190, 10)
    highest = highest_minimum(samples)

    assert check_minimum(samples, minimum=highest).outcome is Outcome.PASSED
    assert check_minimum(samples, minimum=highest + 0.01).outcome is not Outcome.PASSED

    assert highest_minimum(minimum_samples(0, 20)) == 0.0
