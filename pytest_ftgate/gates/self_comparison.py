"""One agent against itself: how often a gate is red though nothing has changed.

The runs of each task are split in two halves, of which one is the base and the other the
candidate. All splits share the same runs, so that they are no independent tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb, prod
from statistics import harmonic_mean

import numpy as np

from pytest_ftgate.gates.design import Look, design_of, shared_levels
from pytest_ftgate.gates.power import design_certifiable_limit
from pytest_ftgate.gates.rates import Comparison, evaluate_rate
from pytest_ftgate.gates.samples import samples_from_scores
from pytest_ftgate.gates.tasks import task_runs
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.stats.tasks import TaskPlan
from pytest_ftgate.suite.gate_kinds import RateGate
from pytest_ftgate.suite.model import Suite

#: The most splits that are evaluated; of more possible ones as many are drawn.
MOST_SPLITS = 300
#: The drop at which a plain threshold is red, beside one that is so at any drop.
PLAIN_DROP = 0.05
#: What float sums of equal rates may differ by.
_ROUNDING = 1e-9
#: The positions of the runs of a task on either side of a split.
_Halves = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfComparison:
    """The verdicts of a gate on halves of the runs of one agent, which has not changed.

    Attributes:
        tasks: the number of tasks, each with two runs or more.
        runs, half: how many runs a task has, and how many of them a side of a split has; the
            harmonic means where tasks differ, rounded down.
        limit: the limit of the gate, a share; with *two_sided* up and down.
        claims_these: True if the gate is about these tasks alone.
        splits: the number of evaluated splits, of so many *possible* ones.
        failed, inconclusive: the splits in which the gate was so.
        any_drop, large_drop: the splits in which the candidate was below the base, at all and by
            5 points or more; with *two_sided* those in which it was above it as well.
        shown_by_half, shown_by_all: the smallest limit that an unchanged agent passes 9 times in 10
            with so many runs of each task on either side, a share; 1 for none.
    """

    tasks: int
    runs: int
    half: int
    limit: float
    two_sided: bool
    claims_these: bool
    splits: int
    possible: int
    failed: int
    inconclusive: int
    any_drop: int
    large_drop: int
    shown_by_half: float
    shown_by_all: float

    @property
    def passed(self) -> int:
        """The number of splits in which the gate passed."""
        return self.splits - self.failed - self.inconclusive


def compare_halves(suite: Suite, gate: RateGate, results: Sequence[CaseResult]) -> SelfComparison:
    """Evaluate *gate* on halves of the runs in *results*, which are those of one agent.

    *suite* has two variants, and its gates and repeats are those of half of the runs. Every task
    needs two runs.
    """
    counts = [len(result.scores) for result in results]
    possible = prod(comb(n, n // 2) * comb(n - n // 2, n // 2) for n in counts)
    splits = [*_every_split(counts)] if possible <= MOST_SPLITS else [*_drawn_splits(counts)]
    verdicts = [_verdict(suite, gate, results, split) for split in splits]
    outcomes = [verdict.outcome for verdict in verdicts]
    drops = [_drop(verdict, two_sided=gate.two_sided) for verdict in verdicts]
    half, runs = (int(harmonic_mean(n // share for n in counts)) for share in (2, 1))
    shown = [_shown_limit(suite, gate, results, number) for number in (half, runs)]
    return SelfComparison(
        tasks=len(results),
        runs=runs,
        half=half,
        limit=gate.max_drop or 0.0,
        two_sided=gate.two_sided,
        claims_these=gate.claims_these,
        splits=len(splits),
        possible=possible,
        failed=outcomes.count(Outcome.FAILED),
        inconclusive=outcomes.count(Outcome.INCONCLUSIVE),
        any_drop=sum(drop > _ROUNDING for drop in drops),
        large_drop=sum(drop >= PLAIN_DROP - _ROUNDING for drop in drops),
        shown_by_half=shown[0],
        shown_by_all=shown[1],
    )


def _every_split(counts: Iterable[int]) -> Iterator[tuple[_Halves, ...]]:
    yield from product(*map(_halves_of, counts))


def _halves_of(n: int) -> list[_Halves]:
    """Return every way to choose two halves of *n* runs, of which an odd one is left out."""
    return [
        (first, second)
        for first in combinations(range(n), n // 2)
        for second in combinations([run for run in range(n) if run not in first], n // 2)
    ]


def _drawn_splits(counts: Sequence[int]) -> Iterator[tuple[_Halves, ...]]:
    """Yield random splits, the same ones each time."""
    rng = np.random.default_rng(0)
    for _ in range(MOST_SPLITS):
        orders = [tuple(map(int, rng.permutation(n))) for n in counts]
        yield tuple((order[: (n := len(order) // 2)], order[n : 2 * n]) for order in orders)


def _verdict(
    suite: Suite, gate: RateGate, results: Sequence[CaseResult], split: Sequence[_Halves]
) -> Verdict:
    before, after = suite.variants.values()
    pairs = [*zip(results, split, strict=True)]
    scores = {
        variant.name: VariantScores(
            variant.name,
            {one.case.id: _part(one, halves[side], side) for one, halves in pairs},
        )
        for side, variant in enumerate((before, after))
    }
    sides = (scores[after.name], scores[before.name])
    look = Look(repeats=suite.repeats or 1, replies_vary=True)
    return evaluate_rate(suite, gate, Comparison(*sides, levels=shared_levels(suite)), look)


def _part(result: CaseResult, chosen: Sequence[int], side: int) -> CaseResult:
    """Return the *chosen* runs of a task; other sides have other requests."""
    return CaseResult(
        case=result.case,
        replies=tuple(result.replies[run] for run in chosen),
        scores=tuple(result.scores[run] for run in chosen),
        fingerprints=tuple(f"{side} {result.case.id} {run}" for run in chosen),
    )


def _drop(verdict: Verdict, *, two_sided: bool) -> float:
    """Return how far the candidate is below the base, a share; with *two_sided* how far off it."""
    check = verdict.check
    change = (check.change or 0.0) if check else 0.0
    return abs(change) if two_sided else -change


def _shown_limit(suite: Suite, gate: RateGate, results: Sequence[CaseResult], n: int) -> float:
    """Return the smallest limit that *n* runs of each task show, as they vary; 1 for none."""
    scores = VariantScores("all", {result.case.id: result for result in results})
    runs = task_runs(samples_from_scores(scores, gate.kind))
    varies, is_graded = runs.disagreement, not runs.is_counted
    if gate.claims_these:
        plan = TaskPlan(tasks=len(results), runs=(n, n), disagreement=varies, is_graded=is_graded)
        return plan.limit()
    design = replace(design_of(suite, gate, (n, n)), is_graded=is_graded)
    return design_certifiable_limit(design, varies) or 1.0
