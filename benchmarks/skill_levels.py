"""A loss of hard abilities, simulated: is it found with levels, and with `general`?

    python benchmarks/skill_levels.py

Each case has a difficulty and each model an ability in each family, which give the chance of a
right reply (a Rasch model). Abilities and difficulties are drawn anew in each try, so that the base
is right in nearly all cases of easy levels and in hardly any of hard ones. The product chooses the
levels by the base's replies to the pilot. One family of the fine-tune then loses as much ability as
costs 15 points at the level that was chosen; both sides answer 5 % of the cases by a new draw, as
two runs of one model do. `general` has the same loss of ability in one of its families, with a
base that is right in 98 % of its cases.

Printed is how often the family regressed, how often another one that lost nothing did, and the mean
change of the families that lost nothing, on the cases of the gate and on those of the pilot, which
the gate leaves out.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate import skills
from pytest_ftgate.gates.design import ALARM, MISS, Levels
from pytest_ftgate.gates.samples import Samples
from pytest_ftgate.gates.skills import skill_slices
from pytest_ftgate.reporting.tables import format_table
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.gate_kinds import ForgettingGate
from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.skill_levels import (
    cases_at,
    choose_levels,
    limit_notes,
    pilot_cases,
    reference_cases,
)

LOSS = 0.15
#: The share of the replies that a second run draws anew.
REDRAWN = 0.05
#: How far the levels of a family lie apart, and the cases of a level, in logits.
STEP, SPREAD = 1.6, 1.0
#: What a strong base has right of `general`.
STRONG = 0.98
FAMILIES = tuple(skills.LEVELED_FAMILIES)
LEVELED = ForgettingGate(line=1, cases=reference_cases(FAMILIES), leveled=FAMILIES, max_drop=0.05)
PILOT = pilot_cases(LEVELED)
GENERAL = ForgettingGate(line=1, cases=skill_cases(("general",)), max_drop=0.05)
#: Two checks share the alarm level: that of the mean, and that of all families.
LEVELS = Levels(MISS, ALARM / 2)
Array = NDArray[np.float64]


class Replies(NamedTuple):
    """The replies of one model to some cases: what decides each, and which are right."""

    draws: Array
    right: Array


def chances(logits: Array) -> Array:
    """Return the chance of a right reply to each case."""
    return np.asarray(1 / (1 + np.exp(-logits)))


def loss_of_ability(logits: Array, points: float) -> float:
    """Return how much ability costs *points* of the cases with *logits*."""
    low, high = 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        lost = float(np.mean(chances(logits) - chances(logits - middle)))
        low, high = (middle, high) if lost < points else (low, middle)
    return low


def answer(random: np.random.Generator, logits: Array, earlier: Replies | None = None) -> Replies:
    """Return the replies of a model; a few are drawn anew, the others decided as *earlier*."""
    draws = random.random(len(logits))
    if earlier is not None:
        draws = np.where(random.random(len(logits)) < REDRAWN, draws, earlier.draws)
    return Replies(draws, (draws < chances(logits)).astype(np.float64))


def samples(cases: Sequence[Case], right: Array) -> Samples:
    """Return samples as the gate makes them of the scores of one reply to each case."""
    return Samples(
        case_ids=tuple(case.id for case in cases), values=right, repeats=np.ones(len(right))
    )


def regressed(
    gate: ForgettingGate, cases: Sequence[Case], before: Replies, after: Replies
) -> set[str]:
    """Return the families that the gate says to have regressed."""
    sides = (samples(cases, before.right), samples(cases, after.right))
    slices = skill_slices(*sides, cases, gate, LEVELS)
    return {part.name for part in slices if part.gated and part.state == "regressed"}


class Tally:
    """What happened in all tries with one set."""

    def __init__(self) -> None:
        self.tries = self.found = self.elsewhere = 0

    def add(self, family: str, named: set[str]) -> None:
        """Count one try in which *family* lost, and the families *named* regressed."""
        self.tries += 1
        self.found += family in named
        self.elsewhere += bool(named - {family})

    def row(self, name: str) -> list[str]:
        """Return the row of the table."""
        return [
            name,
            str(self.tries),
            f"{self.found / self.tries:.0%}",
            f"{self.elsewhere / self.tries:.1%}",
        ]


def try_levels(
    random: np.random.Generator, tally: Tally, changes: Mapping[str, list[float]]
) -> float:
    """Plant a loss in one family of `general-hard`; return how much ability it was."""
    ability = {family: random.uniform(0, 5 * STEP) for family in FAMILIES}
    pilot_logits = logits_of(random, ability, PILOT)
    pilot = answer(random, pilot_logits)
    scores = {case.id: float(value) for case, value in zip(PILOT, pilot.right, strict=True)}
    choices = choose_levels(LEVELED, PILOT, scores)
    # At the ceiling nothing can be lost that costs so much.
    fitting = (choice for choice in choices if choice.level and not any(limit_notes([choice])))
    chosen = {choice.family: choice for choice in fitting}
    if not chosen:
        return 0.0
    cases = cases_at(LEVELED, choices)
    logits = logits_of(random, ability, cases)
    families = np.array([LEVELED.family_of(str(case.skill)) for case in cases])
    family = sorted(chosen)[random.integers(len(chosen))]
    shift = loss_of_ability(logits[families == family], LOSS)
    before = answer(random, logits)
    after = answer(random, logits - np.where(families == family, shift, 0.0), before)
    tally.add(family, regressed(LEVELED, cases, before, after))
    is_same = families != family
    changes["gate"].append(float(np.mean((after.right - before.right)[is_same])))
    again = answer(random, pilot_logits, pilot)
    used = [
        LEVELED.family_of(str(case.skill)) in chosen
        and case.difficulty == chosen[LEVELED.family_of(str(case.skill))].level
        for case in PILOT
    ]
    changes["pilot"].append(float(np.mean((again.right - pilot.right)[np.array(used)])))
    return shift


def logits_of(
    random: np.random.Generator, ability: Mapping[str, float], cases: Sequence[Case]
) -> Array:
    """Return the logits of *cases* for a base with an *ability* in each family."""
    means = [
        ability[LEVELED.family_of(str(case.skill))] - STEP * (case.difficulty or 0)
        for case in cases
    ]
    return np.array(means) + random.normal(0, SPREAD, len(cases))


def try_general(random: np.random.Generator, tally: Tally, shift: float) -> None:
    """Plant a loss of *shift* in the ability of a strong base in one family of `general`."""
    cases = GENERAL.cases
    spread = random.normal(0, SPREAD, len(cases))
    logits = spread + ability_for(spread, STRONG)
    families = np.array([GENERAL.family_of(str(case.skill)) for case in cases])
    family = sorted({*families})[random.integers(len({*families}))]
    before = answer(random, logits)
    after = answer(random, logits - np.where(families == family, shift, 0.0), before)
    tally.add(str(family), regressed(GENERAL, cases, before, after))


def ability_for(spread: Array, rate: float) -> float:
    """Return the ability that makes a base right in *rate* of the cases."""
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if chances(spread + middle).mean() < rate else (low, middle)
    return low


def main() -> None:
    """Print what was found, and the change of what lost nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tries", type=int, default=100)
    args = parser.parse_args()
    random = np.random.default_rng(1)
    hard, general = Tally(), Tally()
    changes: dict[str, list[float]] = {"gate": [], "pilot": []}
    while hard.tries < args.tries:
        before = hard.tries
        shift = try_levels(random, hard, changes)
        if hard.tries > before:
            try_general(random, general, shift)
    headers = ["set", "tries", "found", "elsewhere"]
    print(format_table([hard.row("general-hard"), general.row("general")], headers))
    print("\nmean change of families that lost nothing, in points (95 %):")
    for name, values in changes.items():
        mean, error = np.mean(values) * 100, np.std(values) / len(values) ** 0.5 * 196
        print(f"  cases of the {name:5}  {mean:+.2f} ± {error:.2f}")


if __name__ == "__main__":
    main()
