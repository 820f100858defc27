"""How often GateCallback ends a training that loses nothing, and one that loses much, simulated.

    python benchmarks/stops.py [--replicates N] [--seed S]

The base answers each case once. A model of the same ability answers at each checkpoint: with the
chance of STAYS a case has the outcome of the checkpoint before, otherwise a new one, which differs
from the base's in the share of CHURN. Tests and levels are the package's own. "95 %" is what would
come of the plain 95 % interval at each checkpoint. The last rows have a model that has lost LOSS
points at all of its checkpoints, and how often it is ended at the first, and at any. The exit
status is 1 if a training that loses nothing ends more often than is promised, by more than two
standard errors of the simulation.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.stats.paired import change_counts, p_drop
from pytest_ftgate.training.stopping import STOP_ALARM, stop_level

CHECKPOINTS, CASES, RATES = (3, 10, 30, 100), (60, 252), (0.33, 0.9)
CHURNS, STAYS = (0.05, 0.2), (0.0, 0.9)
LOSSES = (0.15, 0.3)
#: One side of a 95 % interval.
_PLAIN = 0.025

Bools = NDArray[np.bool_]


def _p_values(
    rng: np.random.Generator,
    trainings: int,
    checkpoints: int,
    cases: int,
    ability: tuple[float, float, float, float],
) -> NDArray[np.float64]:
    """Return the p-value of a drop for each training and checkpoint."""
    rate, churn, stays, loss = ability
    shape = (trainings, cases)
    before = rng.random(shape) < rate
    # As many right cases turn wrong as wrong ones turn right, but for the loss.
    wrong_now, right_now = churn / 2 / rate, churn / 2 / (1 - rate)
    lost = rng.random(shape) < loss / rate
    now: Bools = before
    found = []
    for number in range(checkpoints):
        turns = np.where(before, wrong_now, right_now)
        drawn = before ^ (rng.random(shape) < turns)
        now = np.where(rng.random(shape) < stays, now, drawn) if number else drawn
        after = now & ~(before & lost)
        counts = change_counts(before.astype(float), after.astype(float), (1.0, 1.0), 1.0)
        found.append(p_drop(counts))
    return np.array(found).T


def main() -> int:
    """Simulate trainings that lose nothing and that lose much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    print("nothing is lost: ended, in per cent of the trainings")
    print("checkpoints  cases  rate  churn  stays   ended    95 %")
    worst = 0.0
    for checkpoints, *rest in product(CHECKPOINTS, CASES, RATES, CHURNS, STAYS):
        cases, rate, churn, stays = rest
        p = _p_values(rng, args.replicates, checkpoints, int(cases), (rate, churn, stays, 0.0))
        levels = [stop_level(number, checkpoints) for number in range(1, checkpoints + 1)]
        ended, plain = np.mean((p <= levels).any(1)), np.mean((p <= _PLAIN).any(1))
        worst = max(worst, float(ended))
        print(
            f"{checkpoints:11}  {cases:5}  {rate:4.0%}  {churn:5.0%}  {stays:5.0%}  "
            f"{100 * ended:6.1f}  {100 * plain:6.1f}"
        )
    print("\nmuch is lost: ended, in per cent of the trainings; rate 33 %, churn 5 %")
    print("checkpoints  cases  loss   first    any")
    for checkpoints, cases, loss in product(CHECKPOINTS, CASES, LOSSES):
        p = _p_values(rng, args.replicates, checkpoints, cases, (0.33, 0.05, 0.0, loss))
        levels = [stop_level(number, checkpoints) for number in range(1, checkpoints + 1)]
        first, ended = np.mean(p[:, 0] <= levels[0]), np.mean((p <= levels).any(1))
        print(f"{checkpoints:11}  {cases:5}  {loss:4.0%}  {100 * first:6.1f}  {100 * ended:5.1f}")
    error = sqrt(STOP_ALARM * (1 - STOP_ALARM) / args.replicates)
    print(
        f"\nat most {worst:.1%} of the trainings end that lose nothing, promised {STOP_ALARM:.0%}"
    )
    return int(worst > STOP_ALARM + 2 * error)


if __name__ == "__main__":
    sys.exit(main())
