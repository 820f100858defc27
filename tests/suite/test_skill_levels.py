"""The level of a family: the hardest one at which a loss of this base can show."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate import skills
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.skill_levels import (
    LevelChoice,
    cases_at,
    choose_levels,
    levels_note,
    limit_notes,
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


@every_row(
    ("right", "level", "told"),
    [
        ((20, 18, 12, 6, 2), 4, ""),
        ((20, 18, 12, 5, 2), 3, ""),
        ((6, 5, 0, 0, 0), 1, ""),
        ((20, 20, 20, 20, 19), 5, "a loss of harder abilities cannot be seen"),
        ((20, 19, 1, 0, 0), 2, "a loss in between cannot be seen"),
        ((5, 3, 0, 0, 0), None, "is left out: the base is right in 25 % of its easiest pilot"),
    ],
)
def test_the_hardest_level_that_fits_is_chosen_and_what_it_hides_is_told(right, level, told):
    choice = chosen(*right)

    assert choice.level == level
    note = "".join(limit_notes([choice]))
    assert told in note
    assert bool(told) == bool(note)


def test_families_of_which_the_same_cannot_be_seen_share_a_sentence():
    choices = [
        LevelChoice("hard-code", 5, 0.95),
        LevelChoice("hard-functions", 5, 1.0),
        LevelChoice("hard-languages", 2, 0.5),
        LevelChoice("hard-honesty", None, 0.0),
        LevelChoice("hard-reasoning", None, 0.2),
    ]

    ceiling, floor = limit_notes(choices)
    assert ceiling == (
        "hard-code, hard-functions: the base is right in 95 to 100 % of the hardest pilot cases, "
        "so a loss of harder abilities cannot be seen"
    )
    assert floor == (
        "hard-honesty, hard-reasoning are left out: the base is right in 0 to 20 % of their "
        "easiest pilot cases, too few to show a loss"
    )


def test_a_family_that_the_accepted_record_leaves_out_is_named_again():
    (note,) = limit_notes([LevelChoice("hard-code", None), LevelChoice("hard-functions", 5)])

    assert note == (
        "hard-code is left out: when the run was accepted, the base had too few of its easiest "
        "pilot cases right"
    )


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
