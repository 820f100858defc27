"""How often GateCallback ends a training that loses little, and how early one that loses much.

    python benchmarks/stops.py [--replicates N] [--seed S]

The base answers each case once. A model answers at each checkpoint: with the chance of STAYS a case
has the outcome of the checkpoint before, otherwise a new one. The rules, tests and levels are the
package's own. It prints, in per cent of the trainings:

- those ended that lose nothing, half of the limit, all of it or twice as much, from the first
  checkpoint on, by ``stop_rule="half_limit"`` and by ``"any_drop"``; the last column has those
  that twice the limit ends at the first checkpoint. All cases are evaluated at each. Outcomes
  differ from the base's, beside the loss, in the share of CHURN; "graded" cases are the mean of
  three fields, each of which is right or wrong;
- those that lose as many points more at each of ten checkpoints, up to 40 points, with 60 cases at
  a checkpoint, and all 252 where those leave a loss beyond the limit possible: ended at a
  checkpoint whose gate on all cases has not failed, ended where it has failed or after that, the
  loss at which they end, and the share of the checkpoints before that take all cases.

The exit status is 1 if a rule ends more of the trainings than is promised, by more than two
standard errors of the simulation: those that lose half of the limit, by ``any_drop`` those that
lose nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
    p_within,
)
from pytest_ftgate.training.stop import STOP_ALARM, StopRule, stop_level

#: Cases, limit, and whether a case is the mean of some fields.
SUITES = (
    (60, 0.15, False),
    (100, 0.10, False),
    (252, 0.10, False),
    (500, 0.05, False),
    (252, 0.10, True),
)
CHECKPOINTS, CHURNS, STAYS = (3, 12), (0.0, 0.1, 0.2), (0.0, 0.9)
#: What a training loses, as a share of the limit.
NOTHING, HALF, EXACTLY, TWICE = LOST = (0.0, 0.5, 1.0, 2.0)
RULES: tuple[StopRule, StopRule] = ("half_limit", "any_drop")
#: What is lost at most by a training that a rule promises to go on with.
PROMISED = dict(zip(RULES, (HALF, NOTHING), strict=True))
RATE, FIELDS = 0.6, 3

#: A training that loses steadily.
CASES, ALL_CASES, LIMIT, STEADY = 60, 252, 0.1, 10
STEADY_CHURNS, LOSSES, MOST_LOST = (0.05, 0.2), (0.01, 0.02, 0.03, 0.04), 0.4
#: One side of a 95 % interval.
_PLAIN = 0.025

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ability:
    """Of the base and of what is trained: shares from 0 to 1.

    *steady* loses as much more at each checkpoint, *lost* at the first one.
    """

    churn: float
    stays: float = 0.0
    lost: float = 0.0
    steady: float = 0.0


def _outcomes(
    rng: np.random.Generator, shape: tuple[int, ...], checkpoints: int, ability: Ability
) -> Iterator[tuple[Floats, Floats]]:
    """Yield what is right before and after at each checkpoint, of *shape*."""
    before = rng.random(shape) < RATE
    # As many right ones turn wrong as wrong ones turn right, but for the loss.
    wrong_now, right_now = ability.churn / 2 / RATE, ability.churn / 2 / (1 - RATE)
    turns, hardness = np.where(before, wrong_now, right_now), rng.random(shape)
    now: Bools = before
    for number in range(1, checkpoints + 1):
        drawn = before ^ (rng.random(shape) < turns)
        now = np.where(rng.random(shape) < ability.stays, now, drawn) if number > 1 else drawn
        loss = min(MOST_LOST, ability.lost + number * ability.steady)
        # What is right now, as RATE of all is on average, is lost with this chance.
        kept = hardness >= loss / RATE
        yield before.astype(float), (now & kept).astype(float)


def _counts(before: Floats, after: Floats) -> ChangeCounts[Floats]:
    return change_counts(before, after, (1.0, 1.0), 1.0)


def _is_beyond(counts: ChangeCounts[Floats], limit: float) -> Bools:
    """Return where the change is below 0, and its interval begins beyond *limit*."""
    inside = np.asarray(is_noninferior(counts, limit, _PLAIN))
    return np.asarray((counts.delta < 0) & ~inside)


def _p_half(counts: ChangeCounts[Floats], half: float) -> Floats:
    """Return the p-value of each training; it is computed once for those that are alike."""
    if counts.changes is not None:
        return np.asarray(p_not_beyond(counts, half))
    pairs, place = np.unique([counts.fixed, counts.regressed], axis=1, return_inverse=True)
    n = float(counts.n)
    found = [
        p_within(
            ChangeCounts(n=n, delta=(fixed - lost) / n, fixed=fixed, regressed=lost, effective=n),
            half,
        )
        for fixed, lost in pairs.T.tolist()
    ]
    return np.array(found)[place.ravel()]


def _ends(counts: ChangeCounts[Floats], limit: float, rule: StopRule, level: float) -> Bools:
    """Return where *rule* ends the training."""
    if rule == "half_limit":
        return _p_half(counts, limit / 2) <= level
    return _is_beyond(counts, limit) & (p_drop(counts) <= min(_PLAIN, level))


def _ended(
    rng: np.random.Generator,
    trainings: int,
    suite: tuple[int, float, bool],
    checkpoints: int,
    ability: Ability,
) -> dict[StopRule, tuple[float, float]]:
    """Return the shares of trainings that each rule ends at all, and at the first checkpoint."""
    cases, limit, is_graded = suite
    shape = (trainings, cases) + (FIELDS,) * is_graded
    ends: dict[StopRule, list[Bools]] = {rule: [] for rule in RULES}
    for number, pair in enumerate(_outcomes(rng, shape, checkpoints, ability), start=1):
        counts = _counts(*(side.mean(axis=2) if is_graded else side for side in pair))
        for rule in RULES:
            ends[rule].append(_ends(counts, limit, rule, stop_level(number, checkpoints)))
    return {
        rule: (float(np.any(found, axis=0).mean()), float(found[0].mean()))
        for rule, found in ends.items()
    }


def _constant_losses(rng: np.random.Generator, trainings: int) -> dict[StopRule, float]:
    """Print how often each rule ends a training; return the largest share that it promises of."""
    print("ended, in per cent of the trainings that lose")
    print(
        "cases          limit  churn  stays  checkpoints  rule        "
        "nothing  half  exactly  twice  at once"
    )
    worst = dict.fromkeys(RULES, 0.0)
    for suite, churn, stays, planned in product(SUITES, CHURNS, STAYS, CHECKPOINTS):
        cases, limit, is_graded = suite
        ability = Ability(churn, stays)
        found = {
            share: _ended(rng, trainings, suite, planned, replace(ability, lost=share * limit))
            for share in LOST
        }
        name = f"{cases} graded" if is_graded else str(cases)
        for rule in RULES:
            worst[rule] = max(worst[rule], found[PROMISED[rule]][rule][0])
            ended = [100 * found[share][rule][0] for share in LOST]
            print(
                f"{name:13}  {limit:5.0%}  {churn:5.0%}  {stays:5.0%}  {planned:11}  {rule:10}  "
                f"{ended[0]:7.1f}  {ended[1]:4.1f}  {ended[2]:7.1f}  {ended[3]:5.1f}  "
                f"{100 * found[TWICE][rule][1]:7.1f}"
            )
    return worst


def _fails(counts: ChangeCounts[Floats]) -> Bools:
    """Return where a gate with this drop check alone fails."""
    levels = Levels()
    shown = (p_drop(counts) <= levels.alarm) & (counts.delta <= 1e-9 - LIMIT)
    beyond = np.asarray(p_not_beyond(counts, LIMIT) <= levels.beyond)
    return np.asarray((shown | beyond) & ~is_noninferior(counts, LIMIT, levels.miss))


def _ends_steadily(
    few: ChangeCounts[Floats], whole: ChangeCounts[Floats], rule: StopRule, level: float
) -> Bools:
    """Return where *rule* ends the training: all cases decide, if part of them is in doubt."""
    return (_is_beyond(few, LIMIT) | _ends(few, LIMIT, rule, level)) & _ends(
        whole, LIMIT, rule, level
    )


def _steady_losses(rng: np.random.Generator, trainings: int) -> None:
    """Print how often a training that loses steadily ends before its gate fails."""
    print("\nas many points are lost at each of ten checkpoints: ended, in per cent")
    print("churn  loss  rule         before   later   never   lost then   all cases")
    for churn, loss in product(STEADY_CHURNS, LOSSES):
        outcomes = _outcomes(rng, (trainings, ALL_CASES), STEADY, Ability(churn, steady=loss))
        pairs = [(_counts(*(s[:, :CASES] for s in pair)), _counts(*pair)) for pair in outcomes]
        doubtful = np.array([_is_beyond(few, LIMIT) for few, _ in pairs])
        fails = np.array([_fails(whole) for _, whole in pairs])
        for rule in RULES:
            ends = np.array(
                [
                    _ends_steadily(few, whole, rule, stop_level(number, STEADY))
                    for number, (few, whole) in enumerate(pairs, start=1)
                ]
            )
            row = _steady_row(ends, fails, doubtful, loss)
            print(f"{churn:5.0%}  {loss:4.0%}  {rule:10}  {row}")


def _steady_row(ends: Bools, fails: Bools, doubtful: Bools, loss: float) -> str:
    """Return the figures of trainings; each array is of shape (checkpoints, trainings)."""
    first, ended = ends.argmax(0), ends.any(0)
    failed_by_then = np.logical_or.accumulate(fails)[first, np.arange(ends.shape[1])]
    reached = np.arange(STEADY)[:, None] <= np.where(ended, first, STEADY)
    shares = (ended & ~failed_by_then, ended & failed_by_then, ~ended)
    lost = np.minimum(MOST_LOST, (first[ended] + 1) * loss).mean() if ended.any() else np.nan
    figures = " ".join(f"{100 * share.mean():7.1f}" for share in shares)
    return f"{figures} {100 * lost:11.1f} {100 * doubtful[reached].mean():11.1f}"


def main() -> int:
    """Simulate trainings that lose little and that lose much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--replicates", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    worst = _constant_losses(rng, args.replicates)
    _steady_losses(rng, args.replicates)
    print()
    for rule, what in zip(RULES, ("half of the limit", "nothing"), strict=True):
        print(
            f"{rule} ends at most {worst[rule]:.1%} of the trainings that lose {what}, "
            f"promised {STOP_ALARM:.0%}"
        )
    error = sqrt(STOP_ALARM * (1 - STOP_ALARM) / args.replicates)
    return int(max(worst.values()) > STOP_ALARM + 2 * error)


if __name__ == "__main__":
    sys.exit(main())
