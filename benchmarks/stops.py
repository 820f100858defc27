"""How often GateCallback ends a training that loses nothing, and how early one that loses.

    python benchmarks/stops.py [--replicates N] [--seed S]

The base answers each case once. A model of the same ability answers at each checkpoint: with the
chance of STAYS a case has the outcome of the checkpoint before, otherwise a new one, which differs
from the base's in the share of CHURN. The rule is the package's own: a checkpoint has CASES cases,
and where they leave a loss beyond the limit possible, all 252. Then tests and levels decide on all.
"95 %" is what would come of the plain 95 % interval at each checkpoint.

The last rows have a model that loses as many points more at each of ten checkpoints, up to 40
points: the share of the trainings that end at a checkpoint whose gate on all cases has not failed,
the share that end where it has failed, or after that, the loss at which they end, and the share of
the checkpoints before that take all cases. The exit status is 1 if a training that loses nothing
ends more often than is promised, by more than two standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gates.design import Levels
from pytest_ftgate.stats.paired import (
    ChangeCounts,
    change_counts,
    is_noninferior,
    p_drop,
    p_not_beyond,
)
from pytest_ftgate.training.suite import STOP_ALARM, stop_level

CHECKPOINTS, CASES, ALL_CASES, RATES = (3, 10, 30, 100), 60, 252, (0.33, 0.9)
CHURNS, STAYS = (0.05, 0.2), (0.0, 0.9)
LOSSES, MOST_LOST, STEADY = (0.01, 0.02, 0.03, 0.04), 0.4, 10
LIMIT = 0.1
#: One side of a 95 % interval.
_PLAIN = 0.025

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ability:
    """Of the base and of what is trained: shares from 0 to 1; *loss* is that of a checkpoint."""

    rate: float
    churn: float
    stays: float = 0.0
    loss: float = 0.0


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint of many trainings; each array has an entry for each of them."""

    ends: Bools
    fails: Bools
    is_doubtful: Bools
    would_end: Bools


def _outcomes(
    rng: np.random.Generator, trainings: int, checkpoints: int, ability: Ability
) -> Iterator[tuple[Floats, Floats]]:
    """Yield what is right before and after at each checkpoint, of shape (trainings, cases)."""
    shape, rate = (trainings, ALL_CASES), ability.rate
    before = rng.random(shape) < rate
    # As many right cases turn wrong as wrong ones turn right, but for the loss.
    wrong_now, right_now = ability.churn / 2 / rate, ability.churn / 2 / (1 - rate)
    turns, hardness = np.where(before, wrong_now, right_now), rng.random(shape)
    now: Bools = before
    for number in range(1, checkpoints + 1):
        drawn = before ^ (rng.random(shape) < turns)
        now = np.where(rng.random(shape) < ability.stays, now, drawn) if number > 1 else drawn
        lost = before & (hardness < min(MOST_LOST, number * ability.loss) / rate)
        yield before.astype(float), (now & ~lost).astype(float)


def _counts(before: Floats, after: Floats) -> ChangeCounts[Floats]:
    return change_counts(before, after, (1.0, 1.0), 1.0)


def _fails(counts: ChangeCounts[Floats]) -> Bools:
    """Return where a gate with this drop check alone fails."""
    levels = Levels()
    shown = (p_drop(counts) <= levels.alarm) & (counts.delta <= 1e-9 - LIMIT)
    beyond = np.asarray(p_not_beyond(counts, LIMIT) <= levels.beyond)
    return np.asarray((shown | beyond) & ~is_noninferior(counts, LIMIT, levels.miss))


def _checkpoints(
    rng: np.random.Generator, trainings: int, checkpoints: int, ability: Ability
) -> Iterator[Checkpoint]:
    for number, pair in enumerate(_outcomes(rng, trainings, checkpoints, ability), start=1):
        few, whole = _counts(*(side[:, :CASES] for side in pair)), _counts(*pair)
        # What lies beyond the limit is what the one-sided test at half of 5 % does not rule out.
        is_doubtful, may_exceed = (
            (counts.delta < 0) & ~np.asarray(is_noninferior(counts, LIMIT, _PLAIN))
            for counts in (few, whole)
        )
        p, level = p_drop(whole), min(_PLAIN, stop_level(number, checkpoints))
        yield Checkpoint(
            ends=is_doubtful & may_exceed & (p <= level),
            fails=_fails(whole),
            is_doubtful=is_doubtful,
            would_end=np.asarray(p_drop(few) <= _PLAIN),
        )


def _false_stops(rng: np.random.Generator, trainings: int) -> float:
    """Print how often a training ends that loses nothing; return the largest share."""
    print("nothing is lost: ended, in per cent of the trainings")
    print("checkpoints  rate  churn  stays   ended    95 %   all cases")
    worst = 0.0
    for planned, rate, churn, stays in product(CHECKPOINTS, RATES, CHURNS, STAYS):
        found = [*_checkpoints(rng, trainings, planned, Ability(rate, churn, stays))]
        ended, plain = (
            float(np.mean(np.any(arrays, axis=0)))
            for arrays in ([c.ends for c in found], [c.would_end for c in found])
        )
        doubtful = np.mean([c.is_doubtful for c in found])
        worst = max(worst, ended)
        print(
            f"{planned:11}  {rate:4.0%}  {churn:5.0%}  {stays:5.0%}  "
            f"{100 * ended:6.1f}  {100 * plain:6.1f}  {100 * doubtful:10.1f}"
        )
    return worst


def _early_stops(rng: np.random.Generator, trainings: int) -> None:
    """Print how often a training that loses steadily ends before its gate fails."""
    print("\nas many points are lost at each of ten checkpoints: ended, in per cent")
    print("rate  churn  loss   before   later   never   lost then   all cases")
    for rate, churn, loss in product(RATES, CHURNS, LOSSES):
        found = [*_checkpoints(rng, trainings, STEADY, Ability(rate, churn, loss=loss))]
        ends, fails = (np.array([getattr(c, name) for c in found]) for name in ("ends", "fails"))
        first, ended = ends.argmax(0), ends.any(0)
        failed_by_then = np.logical_or.accumulate(fails)[first, np.arange(trainings)]
        reached = np.arange(STEADY)[:, None] <= np.where(ended, first, STEADY)
        doubtful = np.array([c.is_doubtful for c in found])[reached].mean()
        shares = (np.mean(ended & ~failed_by_then), np.mean(ended & failed_by_then))
        lost = np.minimum(MOST_LOST, (first[ended] + 1) * loss).mean() if ended.any() else np.nan
        print(
            f"{rate:4.0%}  {churn:5.0%}  {loss:4.0%}  {100 * shares[0]:7.1f} {100 * shares[1]:7.1f}"
            f" {100 * np.mean(~ended):7.1f} {100 * lost:11.1f} {100 * doubtful:11.1f}"
        )


def main() -> int:
    """Simulate trainings that lose nothing and that lose steadily."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    worst = _false_stops(rng, args.replicates)
    _early_stops(rng, args.replicates)
    error = sqrt(STOP_ALARM * (1 - STOP_ALARM) / args.replicates)
    print(
        f"\nat most {worst:.1%} of the trainings end that lose nothing, promised {STOP_ALARM:.0%}"
    )
    return int(worst > STOP_ALARM + 2 * error)


if __name__ == "__main__":
    sys.exit(main())
