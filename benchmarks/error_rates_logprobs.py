"""How often gates on log-probabilities are wrong, simulated with the package's functions.

    python benchmarks/error_rates_logprobs.py [--replicates N] [--seed S]

It prints rows as `error_rates_means.py` does: for the gate `divergence`, how often a model whose
mean divergence is the limit passes and fails; for `score: margin`, how often a drop as large as the
limit passes, an unchanged variant passes and fails, and a drop of twice the limit fails, beside the
same for replies that are right or wrong with the same labels. There the lead of the right label
over the others, in logits, is normal over the cases with the mean LEAD and the standard deviation
LEAD_SPREAD; each run adds its own normal noise of the standard deviation NOISE. The exit status is
1 if a promise is broken by more than two standard errors of the simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from error_rates_means import (
    ALARM,
    MISS,
    Array,
    Row,
    exit_status,
    lognormal_costs,
    ratio_of,
    row_of,
    row_text,
)

from pytest_ftgate.gates.checks import DropRule, check_drop
from pytest_ftgate.gates.design import SIDE, Levels
from pytest_ftgate.gates.samples import CaseSample, Samples, samples_from_cases
from pytest_ftgate.gates.verdict import Outcome

#: The standard deviation of a logit over the runs of an unchanged model.
NOISE = 0.5
#: The mean lead of the right label in logits, and its standard deviation over the cases.
LEAD, LEAD_SPREAD = 2.5, 2.0
LIMIT = 0.05


def divergence_rows(
    n: int, sigma: float, kind: str, rng: np.random.Generator, replicates: int
) -> Iterator[Row]:
    """Yield how often a mean divergence that is the limit passes and fails; values are lognormal.

    A value counts up to ten times the mean. Where *kind* is ``groups``, three cases have the same.
    """
    costs = lognormal_costs(sigma, 10.0 * float(np.exp(sigma**2 / 2.0)))
    drawn = [ratio_of(costs, kind, rng, n) for _ in range(replicates)]
    passed = [one.p_at_least(costs.mean) <= SIDE for one in drawn]
    failed = [one.p_at_most(costs.mean) <= SIDE for one in drawn]
    what = (
        f"divergence, sigma {sigma:g}{', in groups of 3' if kind == 'groups' else ''}: at the limit"
    )
    yield row_of(f"{what}, passes", n, SIDE, passed)
    yield row_of(f"{what}, fails", n, SIDE, failed)


def samples(values: Array, side: str) -> Samples:
    """Return *values* as the samples of one side."""
    rows = {f"c{i}": CaseSample(float(x), 1, f"{side}{i}") for i, x in enumerate(values)}
    return samples_from_cases(rows)


def shares(logits: Array) -> Array:
    """Return the share of the right label whose lead over the others is *logits*."""
    return 1.0 / (1.0 + np.exp(-logits))


def shift_for(drop: float, score: Callable[[Array], Array]) -> float:
    """Return by how much all logits fall where the mean score falls by *drop*."""
    rng = np.random.default_rng(0)
    logits = rng.normal(LEAD, LEAD_SPREAD, 100_000)
    logits += NOISE * rng.normal(size=logits.size)
    start, low, high = score(logits).mean(), 0.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if start - score(logits - middle).mean() < drop else (low, middle)
        )
    return high


def margin_rows(n: int, rng: np.random.Generator, replicates: int) -> Iterator[Row]:
    """Yield how often drops pass and unchanged variants fail, by shares and by right and wrong."""

    def exact(logits: Array) -> Array:
        return (logits > 0.0).astype(np.float64)

    for name, score in (("margin", shares), ("exact", exact)):
        for drop, wanted, promise in (
            (LIMIT, Outcome.PASSED, MISS),
            (0.0, Outcome.PASSED, None),
            (0.0, Outcome.FAILED, ALARM),
            (2.0 * LIMIT, Outcome.FAILED, None),
        ):
            shift = shift_for(drop, score) if drop else 0.0
            found = []
            for _ in range(replicates):
                logits = rng.normal(LEAD, LEAD_SPREAD, n)
                before, after = (
                    samples(score(logits - moved + NOISE * rng.normal(size=n)), side)
                    for moved, side in ((0.0, "a"), (shift, "b"))
                )
                check = check_drop(
                    before, after, DropRule(against="a", margin=LIMIT, levels=Levels())
                )
                found.append(check.outcome is wanted)
            what = f"score {name}, limit {LIMIT:g}: a drop of {drop:g}, {wanted}"
            yield row_of(what, n, promise, found)


def rows(replicates: int, seed: int) -> Iterator[Row]:
    """Simulate everything, and yield a row for each figure."""
    rng = np.random.default_rng(seed)
    for (n, sigma), kind in product(((90, 1.0), (276, 1.0), (276, 1.5)), ("mean", "groups")):
        yield from divergence_rows(n, sigma, kind, rng, replicates)
    for n in (60, 100, 300):
        yield from margin_rows(n, np.random.default_rng([seed, n]), max(100, replicates // 10))


def print_logprob_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if every promise is met."""
    found = [*rows(replicates, seed)]
    print(*map(row_text, found), sep="\n")
    return not any(row.is_broken for row in found)


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_logprob_rows))
