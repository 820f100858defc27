"""The level of a family: the hardest one at which a loss of this base can show."""

from __future__ import annotations

import pytest

from pytest_ftgate import skills
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.skill_levels import (
    LevelChoice,
    cases_at,
    choose_levels,
    levels_note,
    pilot_cases,
    possible_cases,
    reference_cases,
)

FAMILY = "hard-mathematics"
GATE = ForgettingGate(line=1, cases=reference_cases([FAMILY]), leveled=(FAMILY,))


def chosen(*right):
    """Return the choice of a base that has so many of the 20 pilot cases of each level right."""
    pilot = pilot_cases(GATE)
    by_level = [[case for case in pilot if case.difficulty == level] for level in skills.LEVELS]
    scores = {
        case.id: float(n < count)
        for cases, count in zip(by_level, right, strict=True)
        for n, case in enumerate(cases)
    }
    (choice,) = choose_levels(GATE, pilot, scores)
    return choice


@pytest.mark.parametrize(
    ("right", "level", "told"),
    [
        ((20, 18, 12, 6, 2), 4, ""),
        ((20, 18, 12, 5, 2), 3, ""),
        ((6, 5, 0, 0, 0), 1, ""),
        ((20, 20, 20, 20, 19), 5, "a loss of harder abilities cannot be seen"),
        ((20, 19, 1, 0, 0), 2, "a loss of what lies between cannot be seen"),
        ((5, 3, 0, 0, 0), None, "is left out: the base is right in 25 % of its easiest pilot"),
    ],
)
def test_the_hardest_level_that_fits_is_chosen_and_what_it_hides_is_told(right, level, told):
    choice = chosen(*right)

    assert choice.level == level
    assert told in choice.note
    assert bool(told) == bool(choice.note)


def test_a_pilot_case_without_a_reply_counts_as_wrong():
    pilot = pilot_cases(GATE)
    scores = {case.id: 1.0 for case in pilot if case.difficulty in (1, 2)}

    assert choose_levels(GATE, pilot, scores)[0].level == 2


def test_without_any_reply_the_level_is_assumed():
    (choice,) = choose_levels(GATE, pilot_cases(GATE), {})

    assert choice.is_assumed
    assert levels_note([choice]) == "levels: hard-mathematics 3 (assumed)"


def test_a_gate_asks_the_cases_of_the_chosen_level_and_none_of_a_family_left_out():
    assert {case.difficulty for case in cases_at(GATE, [LevelChoice(FAMILY, 4)])} == {4}
    assert cases_at(GATE, [LevelChoice(FAMILY, None)]) == ()
    assert len(possible_cases(GATE)) == 5 * 160
