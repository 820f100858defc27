"""How often the macro-F1 gate and the cost gate are wrong, simulated with the package's functions.

    python benchmarks/error_rates_means.py [--replicates N] [--seed S]

It prints a row for each situation, in per cent: how often a variant passes that drops by the limit,
or whose mean price is the limit, how often an unchanged one passes and fails, and how often a drop
of twice the limit fails. The exit status is 1 if a promise is broken by more than two standard
errors of the simulation. Cases are drawn anew for every replicate, since the risks are those over a
population of cases; the labels have the same numbers of cases in each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from pytest_ftgate.gates.checks import drop_outcome
from pytest_ftgate.gates.design import CONFIDENCE, MIN_CASES_WITHOUT_BOUND, SIDE, Levels
from pytest_ftgate.gates.feasibility import macro_f1_shortage
from pytest_ftgate.gates.macro_f1 import macro_f1_pairs, macro_f1_score
from pytest_ftgate.gates.usage import interval_outcome
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.scoring.classification import LabelPredictions
from pytest_ftgate.stats.rates import p_misses, p_reaches
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


@dataclass(frozen=True, slots=True)
class Losses:
    """How a variant loses labels.

    Attributes:
        right: how often the baseline is right; a wrong reply is any label, by its share.
        redrawn: how often a case gets a reply as new as a second run's.
        labels: how many of the rarest labels lose; None for all.
        into: where lost replies go: ``any`` label by its share, the ``next`` of the losing labels,
            or ``none`` of the labels.
    """

    name: str
    right: float
    redrawn: float
    labels: int | None
    into: str


LOSSES = (
    Losses("anywhere", 0.85, 0.1, None, "any"),
    Losses("anywhere, of a perfect baseline", 1.0, 0.0, None, "next"),
    Losses("to no label", 0.95, 0.05, None, "none"),
    Losses("among the three rarest labels", 1.0, 0.0, 3, "next"),
    Losses("in the two rarest labels", 0.95, 0.05, 2, "any"),
)


@dataclass(frozen=True, slots=True)
class Labels:
    """A suite for macro-F1: *count* labels, the k-th as frequent as 1 / k to the power of *skew*.

    Each label has at least ten cases if there are enough. The cases come in groups of *size* that
    have the same label and the same replies.
    """

    n: int
    count: int
    skew: float
    limit: float
    size: int = 1

    @property
    def sizes(self) -> Indexes:
        """The number of groups of each label."""
        units, shares = self.n // self.size, 1.0 / np.arange(1, self.count + 1) ** self.skew
        least = min(10, units // self.count)
        sizes: Indexes = np.maximum(least, np.rint(units * shares / shares.sum())).astype(np.intp)
        while sizes.sum() != units:
            sizes[np.argmax(sizes)] -= np.sign(sizes.sum() - units)
        return sizes

    @property
    def expected(self) -> Indexes:
        """The label of each case."""
        return np.repeat(np.arange(self.count), self.sizes * self.size)

    @property
    def is_refused(self) -> bool:
        """True if the gate refuses the suite."""
        units = np.arange(self.n) // self.size
        return bool(macro_f1_shortage(zip(map(str, self.expected), units.tolist(), strict=True)))

    def baseline_rates(self, losses: Losses) -> Array:
        """Return how often the baseline says each label, or none, by expected label."""
        any_label = np.append(self.sizes / self.sizes.sum(), 0.0)
        rates = np.tile((1.0 - losses.right) * any_label, (self.count, 1))
        rates[np.arange(self.count), np.arange(self.count)] += losses.right
        return rates

    def lost_rates(self, losses: Losses) -> Array:
        """Return the same of lost replies."""
        rates = np.zeros((self.count, self.count + 1))
        losing = min(losses.labels or self.count, self.count)
        if losses.into == "any":
            rates[:, : self.count] = self.sizes / self.sizes.sum()
        elif losses.into == "none":
            rates[:, self.count] = 1.0
        else:
            first = self.count - losing
            following = first + (np.arange(self.count) - first + 1) % losing
            rates[np.arange(self.count), following] = 1.0
        return rates

    def lost_share(self, losses: Losses, drop: float) -> Array | None:
        """Return the share of its replies that each label loses in a drop; None if all are few."""
        is_losing = np.arange(self.count) >= self.count - (losses.labels or self.count)
        before, lost = self.baseline_rates(losses), self.lost_rates(losses)
        start, low, high = self.true_f1(before), 0.0, 1.0

        def drop_at(share: float) -> float:
            shares = (1.0 - losses.redrawn) * share * is_losing[:, None]
            return start - self.true_f1((1.0 - shares) * before + shares * lost)

        if drop_at(1.0) < drop:
            return None
        for _ in range(40):
            middle = (low + high) / 2.0
            low, high = (low, middle) if drop_at(middle) >= drop else (middle, high)
        return np.where(is_losing, high, 0.0)

    def true_f1(self, rates: Array) -> float:
        """Return the macro-F1 of a population with these *rates* of replies."""
        shares = self.sizes / self.sizes.sum()
        said = shares @ rates[:, : self.count]
        hits = shares * np.diagonal(rates[:, : self.count])
        return float(np.mean(2.0 * hits / (shares + said)))


class Run(NamedTuple):
    """Draws the replies of two variants to one suite."""

    labels: Labels
    losses: Losses
    lost: Array

    def __call__(self, rng: np.random.Generator) -> tuple[LabelPredictions, LabelPredictions]:
        """Return the predictions of the baseline and of the variant."""
        expected = np.repeat(np.arange(self.labels.count), self.labels.sizes)
        before_rates = self.labels.baseline_rates(self.losses)
        before, again = (_said(rng, before_rates, expected) for _ in range(2))
        lost = _said(rng, self.labels.lost_rates(self.losses), expected)
        after = np.where(rng.random(expected.size) < self.lost[expected], lost, before)
        after = np.where(rng.random(expected.size) < self.losses.redrawn, again, after)
        return self._predictions(before), self._predictions(after)

    def _predictions(self, said: Indexes) -> LabelPredictions:
        n, size = self.labels.n // self.labels.size * self.labels.size, self.labels.size
        groups = None if size == 1 else np.arange(n) // size
        names, ids = map(str, range(self.labels.count)), map(str, range(n))
        replies = np.repeat(said, size)
        return LabelPredictions(tuple(names), tuple(ids), self.labels.expected, replies, groups)


def _said(rng: np.random.Generator, rates: Array, expected: Indexes) -> Indexes:
    """Draw a reply to each case, by the *rates* of its expected label."""
    above = rng.random((expected.size, 1)) > np.cumsum(rates, axis=1)[expected]
    said: Indexes = np.minimum(above.sum(axis=1), rates.shape[1] - 1)
    return said


def row_of(what: str, n: int, promise: float | None, found: list[bool]) -> Row:
    """Return the share of *found*, with the standard error of the simulation."""
    share = float(np.mean(found))
    return Row(what, n, promise, share, float(np.sqrt(share * (1.0 - share) / len(found))))


def drop_rows(
    labels: Labels, losses: Losses, rng: np.random.Generator, replicates: int
) -> Iterator[Row]:
    """Yield how often drops as large as the limit pass, and unchanged variants pass and fail."""
    groups = f" in groups of {labels.size}" if labels.size > 1 else ""
    skew = "Zipf" if labels.skew else "equal"
    what = f"macro-F1, {labels.count} labels ({skew}){groups}, limit {labels.limit:g}"
    if labels.is_refused:
        yield Row(what, labels.n, MISS, None)
        return
    lost = labels.lost_share(losses, labels.limit)
    if lost is None:
        return  # The labels that lose are too few for the drop.

    def outcomes(share: Array | None) -> list[Outcome]:
        if share is None:
            raise ValueError(f"{labels} cannot drop by so much")
        run = Run(labels, losses, share)
        pairs = (macro_f1_pairs(*run(rng)) for _ in range(replicates))
        return [drop_outcome(counts, labels.limit, LEVELS) for counts in pairs]

    passed = [outcome is Outcome.PASSED for outcome in outcomes(lost)]
    yield row_of(f"{what}: lost {losses.name}", labels.n, MISS, passed)
    if losses is LOSSES[0]:
        unchanged = outcomes(np.zeros(labels.count))
        twice = outcomes(labels.lost_share(losses, 2.0 * labels.limit))
        for text, found, outcome, promise in (
            ("unchanged fails", unchanged, Outcome.FAILED, ALARM),
            ("unchanged passes", unchanged, Outcome.PASSED, None),
            ("twice the limit fails", twice, Outcome.FAILED, None),
        ):
            yield row_of(f"{what}: {text}", labels.n, promise, [one is outcome for one in found])


def minimum_rows(
    labels: Labels, losses: Losses, rng: np.random.Generator, replicates: int
) -> Iterator[Row]:
    """Yield how often a variant passes and fails whose macro-F1 is the minimum."""
    minimum = labels.true_f1(labels.baseline_rates(losses))
    run = Run(labels, losses, np.zeros(labels.count))
    rates = [macro_f1_score(run(rng)[0]) for _ in range(replicates)]
    what = f"macro-F1, {labels.count} labels ({'Zipf' if labels.skew else 'equal'}), minimum"
    passed = [p_reaches(rate, minimum) <= LEVELS.miss for rate in rates]
    failed = [p_misses(rate, minimum) <= LEVELS.alarm for rate in rates]
    yield row_of(f"{what} {minimum:.2f}: at it, passes", labels.n, MISS, passed)
    yield row_of(f"{what} {minimum:.2f}: at it, fails", labels.n, ALARM, failed)


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

SUITES = (
    Labels(100, 5, 0.0, 0.05),
    Labels(120, 5, 1.0, 0.05),
    Labels(200, 5, 1.0, 0.05),
    Labels(200, 5, 1.0, 0.03),
    Labels(300, 5, 1.0, 0.05, size=2),
    Labels(200, 20, 0.0, 0.05),
    Labels(500, 20, 1.0, 0.05),
    Labels(500, 20, 1.0, 0.03),
)
REFUSED = Labels(200, 77, 0.0, 0.05)
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
    pairs = [*product(SUITES, LOSSES), (REFUSED, LOSSES[0])]
    found: list[Situation] = [partial(drop_rows, *pair) for pair in pairs]
    found += [partial(minimum_rows, suite, LOSSES[0]) for suite in SUITES if suite.limit > 0.03]
    found += [
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
