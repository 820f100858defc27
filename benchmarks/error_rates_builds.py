"""How often a whole build of an unchanged variant passes, simulated with the package's functions.

    python benchmarks/error_rates_builds.py [--replicates N] [--seed S]

A variant is compared with the baseline, with the results that were accepted last and with those
accepted first, by its accuracy gate or by that and its format gate. All are runs of one model. The
table has, in per cent, how many builds of one, two and four variants pass: first with the smallest
limit that one check passes 9 times in 10, then with the default limit. The exit status is 1 if
fewer than 90 in 100 builds of one variant pass with the default limit, by more than two standard
errors of the simulation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from draws import Array, chances
from error_rates_means import exit_status

from pytest_ftgate.gates.design import MISS, MOST_COMPARED, POWER, Design
from pytest_ftgate.gates.power import limit_of_design
from pytest_ftgate.stats.paired import change_counts, is_noninferior

#: The variants of the largest build, and the numbers of variants that the table has.
_VARIANTS, _SHOWN = 4, (1, 2, 4)
#: A promise is broken if a share misses it by so many standard errors of the simulation.
_TOLERATED_ERRORS = 2.0
#: The chance of a right reply to each case, shape (suites, cases), given the disagreement.
Model = Callable[[np.random.Generator, tuple[int, int], float], Array]


def coins(rng: np.random.Generator, shape: tuple[int, int], disagreement: float) -> Array:
    """Return chances where every doubtful case is right half of the time, others always."""
    return np.where(rng.random(shape) < 2.0 * disagreement, 0.5, 1.0)


class Build(NamedTuple):
    """The gates of a build, and the cases that both have; *model* draws their chances."""

    n: int
    disagreement: float
    gates: int
    repeats: int
    model: Model

    @property
    def design(self) -> Design:
        """The design of each gate."""
        repeats = (self.repeats, self.repeats)
        return Design((1.0,) * self.n, tuple(range(self.n)), repeats=repeats)

    def limit(self, checks: int) -> float | None:
        """Return the limit where a variant has so many checks."""
        return limit_of_design(self.design, self.disagreement, checks)


def builds() -> Iterator[Build]:
    """Yield what is simulated, with and without repeats."""
    sizes = (30, 50, 75, 100, 150, 200, 500, 1000)
    for n, disagreement, gates, model in product(sizes, (0.05, 0.10), (1, 2), (chances, coins)):
        yield Build(n, disagreement, gates, 1, model)
    for n, gates, repeats in product((30, 50, 100, 150, 200, 500), (1, 2), (2, 5)):
        yield Build(n, 0.10, gates, repeats, chances)


def passed(
    build: Build, limits: tuple[float, ...], rng: np.random.Generator, suites: int
) -> list[list[float]]:
    """Return the share of builds of 1, 2 and 4 variants that pass each of *limits*."""
    passes = np.ones((len(limits), _VARIANTS, suites), np.bool_)
    repeats = float(build.repeats)
    for _ in range(build.gates):
        chance = build.model(rng, (suites, build.n), build.disagreement)

        def run(chance: Array = chance) -> Array:
            return rng.binomial(build.repeats, chance) / repeats

        baseline = run()
        for variant in range(_VARIANTS):
            now = run()
            for before in (baseline, *(run() for _ in range(MOST_COMPARED - 1))):
                counts = change_counts(before, now, (repeats, repeats))
                for number, limit in enumerate(limits):
                    passes[number, variant] &= is_noninferior(counts, limit, MISS)
    return [[float(np.mean(np.all(one[:count], axis=0))) for count in _SHOWN] for one in passes]


def print_build_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if the promise is met."""
    print("      dis-                 limit that one check       the default limit: builds")
    print("      agree-       replies passes 9 in 10: builds     of 1, 2 and 4 variants")
    print("cases ment   gates a case  of 1, 2 and 4 variants     that pass\n")
    rng, is_met = np.random.default_rng(seed), True
    for build in builds():
        alone, default = build.limit(1), build.limit(MOST_COMPARED * build.gates)
        if alone is None or default is None:
            raise AssertionError(f"{build} has no default limit")
        before, after = passed(build, (alone, default), rng, replicates)
        error = float(np.sqrt(after[0] * (1.0 - after[0]) / replicates))
        is_kept = after[0] + _TOLERATED_ERRORS * error >= POWER
        is_met &= is_kept
        columns = "       ".join(
            f"{100 * limit:5.0f}: " + " ".join(f"{100 * share:5.1f}" for share in shares)
            for limit, shares in ((alone, before), (default, after))
        )
        print(
            f"{build.n:5}{build.disagreement:6.0%}{build.gates:6}{build.repeats:8}  {columns}"
            f"{'' if is_kept else '  BROKEN'}"
        )
    return is_met


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_build_rows, 1_500))
