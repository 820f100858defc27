"""How often a forgetting gate that may stop early is wrong, and how many questions it asks.

    python benchmarks/error_rates_looks.py [--replicates N] [--seed S]

Each suite has the skills of a bundled set, whose base is right in some share of the questions. Its
skills know more or less than that, and forget in proportion. A gate looks at a third of the
questions of each skill, and at all of them if that does not fail it. A table says how often gates
fail early, and fail at all, for a variant that drops by no, half, one, two or three times the
limit, and how many of the questions are asked. Then come the promises: the exit status is 1 if one
is broken by more than two standard errors of the simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from error_rates_means import Array, Row, exit_status, row_of, row_text
from error_rates_parts import DISAGREEMENT
from trials import FAILED, INCONCLUSIVE, PASSED, Codes, decide, judge_again, suite_levels

from pytest_ftgate.gates.design import ALARM, Look, look_levels, skill_looks
from pytest_ftgate.stats.paired import change_counts, paired_counts
from pytest_ftgate.suite.cases import skill_cases

LIMIT = 0.10
#: True drops, in limits.
DROPS = (0.0, 0.5, 1.0, 2.0, 3.0)
UNCHANGED, HALF, WHOLE = DROPS[:3]
SETS, RATES, DISAGREEMENTS = ("general-small", "general"), (0.33, 0.80), (0.10, DISAGREEMENT)
#: The promises that gates with one look have too, as shares.
_HALF_FAILS, _WHOLE_PASSES = 0.13, 0.065
#: How often a drop as large as the limit may fail early, a share. All questions fail it about every
#: other time, when the observed drop reaches the limit. Where hardly a case changes beside the
#: loss, more pass the bound than its level says.
_WHOLE_FAILS_EARLY = 0.015
#: Suites that are judged again by the function that gates call, at each look.
_AGAIN = 3
#: Suites that are drawn at once.
_BATCH = 500


class Situation(NamedTuple):
    """The set of questions, the rate of its base, and how often two variants disagree."""

    name: str
    rate: float
    disagreement: float

    def __str__(self) -> str:
        return f"{self.name}, base {self.rate:.0%}, {self.disagreement:.0%} disagree"


class Found(NamedTuple):
    """What was decided in each suite: early, at the end, and by all questions alone."""

    early: Codes
    last: Codes
    by_all: Codes

    @property
    def fails(self) -> Array:
        """Return where the gate failed, early or not."""
        return np.array((self.early == FAILED) | (self.last == FAILED))


class Questions:
    """The questions of a set, the skill of each, and the looks at them."""

    def __init__(self, name: str) -> None:
        cases = skill_cases((name,))
        self.first, self.all = skill_looks(cases, Look())
        ids, skills = [case.id for case in cases], [str(case.skill) for case in cases]
        self.is_first = np.isin(ids, [*(self.first.cases or ())])
        self.names, self.skills = np.unique(skills, return_inverse=True)

    def weights(self, is_asked: Any) -> Array:
        """Return the weight of each question that is asked: its share of its skill."""
        asked = self.skills[is_asked]
        return np.asarray((1.0 / np.bincount(asked))[asked], dtype=np.float64)

    def draw(
        self, rng: np.random.Generator, suites: int, situation: Situation, drop: float
    ) -> tuple[Array, Array]:
        """Draw the scores of base and variant, shape (suites, questions).

        Skills know from half of the rate to half more, but none all; what they lose is in
        proportion to what they know, and what they gain to what they do not.
        """
        spread = min(0.5, (1.0 - situation.rate) / situation.rate / 2.0)
        known = situation.rate * np.linspace(1.0 - spread, 1.0 + spread, len(self.names))
        total = max(situation.disagreement, drop)
        lost = (total + drop) / 2.0 * known / situation.rate
        gained = (total - drop) / 2.0 * (1.0 - known) / (1.0 - situation.rate)
        order = rng.permutation(len(self.names))
        rate, loss, gain = (each[order][self.skills] for each in (known, lost, gained))
        turn = rng.random((suites, len(self.skills)))
        before = turn < rate
        after = np.where(before, turn >= np.minimum(loss, rate), turn >= 1.0 - gain)
        return before.astype(np.float64), after.astype(np.float64)


def decided(
    questions: Questions, rng: np.random.Generator, suites: int, situation: Situation, drop: float
) -> Found:
    """Return what the gate decides in each of *suites* suites with a true drop of *drop*."""
    parts = []
    for _ in range(0, suites, _BATCH):
        before, after = questions.draw(rng, min(_BATCH, suites), situation, drop)
        early = _looked(questions, before, after, questions.first)
        # No look before the last passes.
        early = np.where(early == FAILED, FAILED, INCONCLUSIVE)
        last = _looked(questions, before, after, questions.all)
        by_all = _looked(questions, before, after, Look())
        parts.append(Found(early, np.where(early == FAILED, FAILED, last), by_all))
    return Found(*map(np.concatenate, zip(*parts, strict=True)))


def _looked(questions: Questions, before: Array, after: Array, look: Look) -> Codes:
    levels = look_levels(look, suite_levels(1), can_pass=False)
    is_part = look is questions.first
    is_asked = questions.is_first if is_part else np.full(before.shape[1], fill_value=True)
    weights = questions.weights(is_asked)
    weights = weights / weights.mean()
    then, now = before[:, is_asked], after[:, is_asked]
    codes = decide(change_counts(then, now, weights=weights), LIMIT, levels)
    for one in range(_AGAIN):
        pairs = paired_counts(then[one], now[one], weights=weights)
        judge_again(pairs, LIMIT, levels, int(codes[one]))
    return codes


# Printing it -------------------------------------------------------------------------------------


def promised(situation: Situation, found: dict[float, Found]) -> Iterator[Row]:
    """Yield a row for each promise."""
    unchanged, half, whole = (found[drop] for drop in (UNCHANGED, HALF, WHOLE))
    n = len(unchanged.early)
    yield row_of(f"{situation}: unchanged, fails", n, ALARM, [*unchanged.fails])
    yield row_of(f"{situation}: half the limit, fails", n, _HALF_FAILS, [*half.fails])
    passes = [*(whole.last == PASSED)]
    yield row_of(f"{situation}: the limit, passes", n, _WHOLE_PASSES, passes)
    early = [*(whole.early == FAILED)]
    yield row_of(f"{situation}: the limit, fails early", n, _WHOLE_FAILS_EARLY, early)
    turned = [*((whole.early == FAILED) & (whole.by_all == PASSED))]
    yield row_of(f"{situation}: the limit, fails early, and would pass", n, 0.0, turned)


def table_line(situation: Situation, questions: Questions, found: dict[float, Found]) -> str:
    """Return how often the gate fails early / at all by each drop, and what it asks by two."""
    cells = [
        f"{100 * np.mean(one.early == FAILED):.1f} / {100 * np.mean(one.fails):.1f}"
        for one in found.values()
    ]
    first, asked = float(questions.is_first.mean()), []
    for drop in DROPS[-2:]:
        early = float(np.mean(found[drop].early == FAILED))
        asked.append(f"{100 * (early * first + 1.0 - early):.0f}")
    passed = f"{100 * np.mean(found[UNCHANGED].last == PASSED):.1f}"
    return f"{situation!s:44}{passed:>6}" + "".join(f"{one:>15}" for one in (*cells, *asked))


def print_look_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if every promise is met."""
    print(f"{replicates} gates a row, seed {seed}, limit {100 * LIMIT:g}; figures in per cent\n")
    heads = ["unchanged", "half the limit", "the limit", "twice", "three times"]
    heads += ["asked: twice", "three times"]
    print("Passes unchanged; fails early / fails, by the drop; questions that are asked\n")
    print(f"{'':44}{'':>6}" + "".join(f"{one:>15}" for one in heads))
    rows: list[Row] = []
    for number, name in enumerate(SETS):
        questions = Questions(name)
        for situation in (Situation(name, r, d) for r in RATES for d in DISAGREEMENTS):
            rng = np.random.default_rng(
                [seed, number, *(round(100 * share) for share in situation[1:])]
            )
            found = {
                drop: decided(questions, rng, replicates, situation, LIMIT * drop) for drop in DROPS
            }
            print(table_line(situation, questions, found))
            rows += promised(situation, found)
    print(f"\n{'':92}{'gates':>5}{'promise':>9}{'measured':>9}")
    print(*map(row_text, rows), sep="\n")
    return not any(row.is_broken for row in rows)


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_look_rows))
