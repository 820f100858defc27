"""Lucky guesses among choices hide losses: limits and weights are corrected for them."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.skills import SkillWeights, guess_share, skill_slices
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.rule import Rule

N = 400


def cases(skill, choices):
    rule = Rule("recorded")
    return tuple(
        Case(id=f"{skill}-{n}", location="x:1", input="?", score=rule, skill=skill, choices=choices)
        for n in range(N)
    )


FOUR, OPEN = cases("four", 4), cases("open", None)
GATE = ForgettingGate(line=1, cases=(*FOUR, *OPEN), max_drop=0.10)


def side(right):
    values = np.concatenate([np.arange(N) < count for count in right]).astype(float)
    ids = tuple(case.id for case in GATE.cases)
    return Samples(case_ids=ids, values=values, repeats=np.ones(len(values)))


def states(before, after):
    slices = skill_slices(side(before), side(after), GATE.cases, GATE, Levels())
    return {part.name: (part.state, part.margin) for part in slices if part.kind == "family"}


def test_a_guess_is_right_in_one_of_as_many_cases_as_there_are_choices():
    assert guess_share(FOUR) == 0.25
    assert guess_share(OPEN) == guess_share(()) == 0
    assert guess_share((*FOUR, *OPEN)) == 0.125


def test_the_same_loss_of_answers_is_a_larger_loss_of_ability_where_one_may_guess():
    # 8 points of right answers: 10.7 points of what was known among four choices.
    found = states(before=(300, 300), after=(268, 268))

    assert found["four"] == ("regressed", pytest.approx(0.075))
    assert found["open"] == ("inconclusive", pytest.approx(0.10))

    assert states(before=(110, 110), after=(100, 100))["four"][0] == "uninformative"


def test_the_mean_weighs_a_skill_with_choices_more_and_allows_less():
    weights = SkillWeights(GATE, GATE.cases)

    assert weights.shown == pytest.approx(2 / (1 / 0.75 + 1))
    assert SkillWeights(GATE, OPEN).shown == 1
