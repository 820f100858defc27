"""How often the cost gate is wrong, simulated with the package's functions.

    python benchmarks/error_rates_means.py [--replicates N] [--seed S]

It prints a row for each situation, in per cent: how often a variant passes whose mean price is the
limit. The exit status is 1 if a promise is broken by more than two standard errors of the
simulation. Cases are drawn anew for every replicate, since the risks are those over a population of
cases.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from pytest_ftgate.gates.design import CONFIDENCE, MIN_CASES_WITHOUT_BOUND, SIDE, Levels
from pytest_ftgate.gates.usage import interval_outcome
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.resampling import BoundedRatio, ratio_interval

Array = NDArray[np.float64]
Indexes = NDArray[np.intp]

#: The promises: of a pass at the limit, and of a failed variant that did not change. A mean cost
#: with a known most passes at its limit in at most SIDE.
MISS, ALARM = 0.065, 0.01
#: A promise is broken if a figure exceeds it by this many standard errors of the simulation.
TOLERATED_ERRORS = 2.0
LEVELS = Levels()


class Row(NamedTuple):
    """A share of replicates, its promise, and the standard error of the simulation.

    *promise* is None for a figure without one. *measured* is None if the gate refuses the suite.
    Where *times* is True, the figure is how many times something is another thing.
    """

    what: str
    n: int
    promise: float | None
    measured: float | None
    error: float = 0.0
    times: bool = False

    @property
    def is_broken(self) -> bool:
        """True if the figure exceeds the promise by more than chance."""
        if self.promise is None or self.measured is None:
            return False
        return self.measured > self.promise + TOLERATED_ERRORS * self.error


def row_of(what: str, n: int, promise: float | None, found: list[bool]) -> Row:
    """Return the share of *found*, with the standard error of the simulation."""
    share = float(np.mean(found))
    return Row(what, n, promise, share, float(np.sqrt(share * (1.0 - share) / len(found))))


#: An interval takes as long as so many tests.
_FEWER = 10


class Costs(NamedTuple):
    """How much the requests of a variant cost: the draw of *n* costs, their mean, their most.

    *most* is what one case can cost at most; None if nothing limits it.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Array]
    mean: float
    most: float | None


def two_costs(share: float, size: float) -> Costs:
    """Return costs of 1, of which *share* are *size*, which is the most that a case can cost."""

    def draw(rng: np.random.Generator, n: int) -> Array:
        return np.where(rng.random(n) < share, size, 1.0)

    name = f"{100 * share:g} % cost {size:g} times as much"
    return Costs(name, draw, 1.0 + share * (size - 1.0), size)


def lognormal_costs(sigma: float, most: float | None = None) -> Costs:
    """Return lognormal costs, none above *most*."""

    def draw(rng: np.random.Generator, n: int) -> Array:
        return np.minimum(np.exp(rng.normal(0.0, sigma, n)), most or np.inf)

    name = f"lognormal, sigma {sigma:g}" + (f", at most {most:g}" if most else "")
    mean = np.exp(sigma**2 / 2.0)
    if most:
        # The part below the most, and the most in the rest.
        end = np.log(most) / sigma
        mean = mean * ndtr(end - sigma) + most * ndtr(-end)
    return Costs(name, draw, float(mean), most)


def gamma_costs(most: float) -> Costs:
    """Return costs with a standard deviation of 32 % of their mean, where one may be *most*."""
    shape = 1.0 / 0.32**2

    def draw(rng: np.random.Generator, n: int) -> Array:
        return np.minimum(rng.gamma(shape, 1.0 / shape, n), most)

    return Costs(f"gamma, at most {most:g} times the mean", draw, 1.0, most)


def ratio_of(costs: Costs, kind: str, rng: np.random.Generator, n: int) -> BoundedRatio:
    """Draw *n* costs, a third as many groups of three equal ones, or a rise over another draw."""
    size = 3 if kind == "groups" else 1
    after = np.repeat(costs.draw(rng, n // size), size)
    ones, groups = np.ones(after.size), np.arange(after.size) // size
    most = costs.most or np.inf
    before, base = (costs.draw(rng, n), (0.0, most)) if kind == "rise" else (ones, (1.0, 1.0))
    return BoundedRatio.of_cases((after, before), ones, groups, most, base)


def cost_rows(
    n: int, costs: Costs, kind: str, rng: np.random.Generator, replicates: int
) -> Iterator[Row]:
    """Yield how often a mean price, or a rise, that is the limit passes and fails.

    Beside it stands how often it passes by its own interval, as without a most.
    """
    limit = 1.0 if kind == "rise" else costs.mean
    text = f"cost, {kind}, {costs.name}: at the limit"
    # A replicate is cheap, and the figures are close to the promise.
    drawn = [ratio_of(costs, kind, rng, n) for _ in range(replicates)]
    own = [
        interval_outcome(*ratio_interval(one.above, one.below, CONFIDENCE), limit) for one in drawn
    ]
    is_own = costs.most is None
    promise = MISS if is_own and n >= MIN_CASES_WITHOUT_BOUND else None
    passes = [one is Outcome.PASSED for one in own]
    yield row_of(f"{text}, passes by its own interval", n, promise, passes)
    if not is_own:
        passed = [one.p_at_least(limit) <= SIDE for one in drawn]
        failed = [one.p_at_most(limit) <= SIDE for one in drawn]
        yield row_of(f"{text}, passes", n, SIDE, passed)
        yield row_of(f"{text}, fails", n, SIDE, failed)
    if kind == "mean":
        few = drawn[: replicates // _FEWER]
        for name, ends in (
            ("its own interval", [ratio_interval(r.above, r.below, CONFIDENCE) for r in few]),
            *([] if is_own else [("the rule", [one.interval(CONFIDENCE) for one in few])]),
        ):
            passing = float(np.quantile([high for _, high in ends], 0.9)) / costs.mean
            what = f"cost, mean, {costs.name}: limit that 9 in 10 pass by {name}"
            yield Row(what, n, None, passing, times=True)


def prompt_rows(n: int, rng: np.random.Generator, replicates: int) -> Iterator[Row]:
    """Yield how often a mean at the limit passes where prompts vary, and not replies.

    A prompt costs 1, and 2 % of them 50; a reply costs 0.2, and 2 at most. The most of a case has
    the longest prompt that was drawn, which a rare one exceeds: this is without a promise.
    """
    prompts = two_costs(0.02, 50.0)

    def passes() -> bool:
        drawn = prompts.draw(rng, n)
        costs = Costs("", lambda *_: drawn + 0.2, prompts.mean + 0.2, float(drawn.max()) + 2.0)
        return bool(ratio_of(costs, "mean", rng, n).p_at_least(costs.mean) <= SIDE)

    text = (
        "cost, mean, 2 % of prompts 50 times as long, none longer than seen: at the limit, passes"
    )
    yield row_of(text, n, None, [passes() for _ in range(replicates)])


Situation = Callable[[np.random.Generator, int], Iterator[Row]]

COSTS = (
    two_costs(0.05, 20.0),
    two_costs(0.02, 50.0),
    two_costs(0.01, 100.0),
    lognormal_costs(1.5, 100.0),
    gamma_costs(5.0),
)
WITHOUT_MOST = tuple(lognormal_costs(sigma) for sigma in (0.5, 1.0, 1.5))


def situations() -> list[Situation]:
    """Return what is simulated."""
    found: list[Situation] = [
        partial(cost_rows, n, costs, "mean") for costs, n in product(COSTS, (30, 60, 100, 300))
    ]
    found += [
        partial(cost_rows, n, COSTS[0], kind) for kind, n in product(("rise", "groups"), (60, 300))
    ]
    found += [partial(cost_rows, 300, costs, "mean") for costs in WITHOUT_MOST]
    found += [partial(prompt_rows, n) for n in (60, 300)]
    return found


def _rows_of(number: int, replicates: int, seed: int) -> list[Row]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))
    return list(situations()[number](rng, replicates))


def rows(replicates: int, seed: int) -> list[Row]:
    """Simulate everything, and return a row for each figure."""
    numbers = range(len(situations()))
    with ProcessPoolExecutor() as pool:
        parts = pool.map(partial(_rows_of, replicates=replicates, seed=seed), numbers)
        return [row for part in parts for row in part]


def row_text(row: Row) -> str:
    """Return *row* as a line of the table."""
    text = f"{row.what:92}{row.n:5}"
    if row.measured is None:
        return f"{text}{'refused':>18}"
    if row.times:
        return f"{text}{row.measured:18.2f} times"
    promise = "" if row.promise is None else f"{100 * row.promise:.1f}"
    error = f"{100 * row.measured:9.2f} +- {100 * row.error:.2f}"
    return f"{text}{promise:>9}{error}{'  BROKEN' if row.is_broken else ''}"


def exit_status(about: str, printed: Callable[[int, int], bool], replicates: int = 4_000) -> int:
    """Read the options of a command, simulate and print, and return the exit status.

    Args:
        about: the docstring of the command.
        printed: prints all rows for a number of replicates and a seed; True if promises are met.
        replicates: their number by default.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    for name, default in (("replicates", replicates), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    given = parser.parse_args()
    return 0 if printed(given.replicates, given.seed) else 1


def print_rows(replicates: int, seed: int) -> bool:
    """Simulate and print all rows. Return True if every promise is met."""
    print(f"{replicates} replicates a row, seed {seed}; figures in per cent\n")
    print(f"{'':92}{'n':>5}{'promise':>9}{'measured':>9}")
    found = rows(replicates, seed)
    print(*map(row_text, found), sep="\n")
    return not any(row.is_broken for row in found)


if __name__ == "__main__":
    sys.exit(exit_status(__doc__ or "", print_rows))
