"""How often a gate is wrong, simulated with the package's own functions, and what is promised.

    python benchmarks/error_rates.py [--replicates N] [--seed S] [--processes P]

It prints a table for each kind of suite, in per cent: how often an unchanged variant passes and
fails, how often a variant fails that drops by half of the limit, how often one passes that drops by
the limit, and how often one fails that drops by twice the limit. Then the worst figure for each
promise: the exit status is 1 if a promise is broken by more than two standard errors of the
simulation. `situations.py` draws the suites, `trials.py` applies the rule.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import ceil
from time import perf_counter
from zlib import crc32

import draws as draw
import numpy as np
from error_rates_builds import print_build_rows
from error_rates_looks import print_look_rows
from error_rates_means import print_rows
from error_rates_parts import print_part_rows
from situations import (
    ABOVE,
    AT,
    BELOW,
    HALF,
    LIMITS,
    MINIMUMS,
    STEADY,
    TOPICS,
    TWICE,
    TYPICAL,
    UNCHANGED,
    WHOLE,
    Situation,
    default_limit,
)
from trials import MANY, Exact, Plain, Shares, any_of_many_fails

from pytest_ftgate.stats.power import pass_probability

#: Below this many cases, a pass may be wrong a little more often.
FEW = 100
#: How often a gate may fail whose parts all drop by half of the limit, by the most parts. Near the
#: size at which k parts just show a drop of the limit, it is 1 - (1 - F(-z / 2))^k, where F(-z) is
#: the share of the alarm level that one of them has.
OF_PARTS = {3: 0.20, 6: 0.30, 10: 0.40}
#: With fewer suites, the share of runs in which one of twelve checks fails is too imprecise.
_ENOUGH = 5_000
#: Cases drawn at once: few enough to stay in a processor's cache.
_BATCH = 400_000


@dataclass(frozen=True, slots=True)
class Cell:
    """The shares of verdicts in one situation, with one limit and one drop."""

    situation: Situation
    limit: float
    drop: float
    shares: Shares


# Running it --------------------------------------------------------------------------------------


def simulate_draws(
    job: tuple[int, Situation, float], replicates: int, seed: int
) -> list[tuple[float, float, Shares]]:
    """Return limit, drop and shares where the true drop, or lack of the rate, is that of *job*."""
    number, situation, true = job
    asked = situation.draws()[true]
    # A situation has the same figures whatever other topics hold.
    key = (crc32(situation.topic.encode()), number, round(1e6 * true))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    suites = 1 if isinstance(situation.trial, Exact) else ceil(replicates / situation.thin)
    batches = np.array_split(range(suites), 1 + suites * situation.n // _BATCH)
    found = [
        situation.trial(rng, len(batch), true, [limit for limit, _ in asked]) for batch in batches
    ]
    return [
        (limit, drop, _joined([shares[i] for shares in found]))
        for i, (limit, drop) in enumerate(asked)
    ]


def _joined(parts: Sequence[Shares]) -> Shares:
    if len(parts) == 1:
        return parts[0]
    suites = np.array([part.suites for part in parts])
    passed, failed, of_many, _ = map(float, np.average(np.array(parts), axis=0, weights=suites))
    return Shares(passed, failed, of_many, float(suites.sum()))


def simulate(replicates: int, seed: int, processes: int) -> list[Cell]:
    """Simulate everything, the longest first, which keeps all processes busy."""
    topics = [enumerate(make()) for make in TOPICS.values()]
    jobs = [(i, at, true) for topic in topics for i, at in topic for true in at.draws()]
    jobs.sort(key=lambda job: job[1].n / job[1].thin, reverse=True)
    run = partial(simulate_draws, replicates=replicates, seed=seed)
    with ProcessPoolExecutor(processes) as pool:
        found = zip(jobs, pool.map(run, jobs, chunksize=4), strict=True)
        cells = [(job[0], Cell(job[1], *shares)) for job, each in found for shares in each]
    return [cell for _, cell in sorted(cells, key=lambda pair: pair[0])]


# Printing it -------------------------------------------------------------------------------------


def percents(shares: Iterable[float | None], width: int, digits: int = 0) -> str:
    """Return shares in per cent, in columns; a dot for None."""
    columns = (f"{'.':>{width}}" if s is None else f"{100 * s:{width}.{digits}f}" for s in shares)
    return "".join(columns)


def by_limit(cells: Sequence[Cell], drop: float, field: str) -> list[float | None]:
    """Return the worst share of each limit of the table, which is the lowest for power."""
    limits = MINIMUMS if cells[0].situation.topic == "minimums" else LIMITS
    found = (
        [getattr(c.shares, field) for c in cells if c.drop == drop and c.limit == limit]
        for limit in limits
    )
    return [min(shares, default=None) for shares in found]


def worst(cells: Sequence[Cell], drop: float, field: str) -> float | None:
    """Return the largest share of all limits."""
    return max((getattr(c.shares, field) for c in cells if c.drop == drop), default=None)


def print_topic(topic: str, cells: Sequence[Cell]) -> None:
    """Print the table of one topic, with the limits 3, 5 and 10 points beside each other."""
    print(f"\n{topic.capitalize()}: limits of 3, 5 and 10 points\n")
    print(f"{'':28}       unchanged           half the  the     twice the")
    print(f"{'suite':28}cases  passed       failed  failed passed  failed")
    for rows in grouped_by_row(cells):
        passed, failed = by_limit(rows, UNCHANGED, "passed"), by_limit(rows, TWICE, "failed")
        errors = (
            percents([worst(rows, UNCHANGED, "failed")], 7, 1),
            percents([worst(rows, HALF, "failed")], 7, 1),
            percents([worst(rows, WHOLE, "passed")], 7, 1),
        )
        name = f"{rows[0].situation.name:28}{rows[0].situation.n:5}"
        print(name + percents(passed, 4) + "".join(errors) + " " + percents(failed, 4))


def print_minimums(cells: Sequence[Cell]) -> None:
    """Print the table of minimums."""
    print("\nMinimums of 80, 90 and 95 %, and a true rate at the minimum, 3 points above it,")
    print("or 10 points below it\n")
    print(f"{'':34}           at it         above         below")
    print(f"{'suite':34}cases passed failed  passed        failed")
    for rows in grouped_by_row(cells):
        at = percents([worst(rows, AT, "passed")], 7, 1) + percents(
            [worst(rows, AT, "failed")], 7, 1
        )
        above, below = by_limit(rows, ABOVE, "passed"), by_limit(rows, BELOW, "failed")
        name = f"{rows[0].situation.name:34}{rows[0].situation.n:5}"
        print(name + at + " " + percents(above, 4) + "  " + percents(below, 4))


def grouped_by_row(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells of each row of a table."""
    rows: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        rows.setdefault((cell.situation.name, cell.situation.n), []).append(cell)
    return [*rows.values()]


def print_chances(replicates: int, seed: int) -> None:
    """Print how often an unchanged variant passes, with one or ten replies of the baseline."""
    print("\nAn unchanged variant passes, with one reply and with ten replies of the baseline\n")
    print("      dis-                                             ten replies of the baseline")
    print("cases agree      default limit      3     5    10   default limit     3     5    10")
    rng = np.random.default_rng(seed)
    for n in (50, 100, 200, 500):
        for disagreement in (STEADY, TYPICAL):
            limits = (default_limit(n, disagreement), *LIMITS)
            once = [pass_probability(n, disagreement, 0.0, limit) for limit in limits]
            model = partial(draw.tuned, disagreement=disagreement)
            trial = Plain(partial(draw.replied, n=n, repeats=(10, 1), model=model), (10.0, 1.0))
            often = [shares.passed for shares in trial(rng, replicates // 2, 0.0, limits)]
            told = f"{100 * limits[0]:8.0f} points"
            print(
                f"{n:5}{disagreement:6.0%}{told}{percents(once[:1], 6)}{percents(once[1:], 6)}"
                f"{percents(often[:1], 15)} {percents(often[1:], 6)}"
            )


# What is promised --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promise:
    """An upper limit of a share, and the shares that it holds for, each with its standard error."""

    what: str
    most: float
    shares: dict[str, tuple[float, float]]

    @property
    def is_met(self) -> bool:
        """True if no share exceeds the limit by more than two standard errors."""
        return all(share - 2.0 * error <= self.most for share, error in self.shares.values())

    def __str__(self) -> str:
        name = max(self.shares, key=lambda name: self.shares[name][0])
        share, error = self.shares[name]
        worst_share = f"{100 * share:.2f} +- {100 * error:.2f}"
        met = "met" if self.is_met else "NOT MET"
        return f"{self.what}: at most {100 * self.most:g}, {met}\n    worst {worst_share} ({name})"


def _named(cell: Cell) -> str:
    at = cell.situation
    return f"{at.topic}: {at.name}, {at.n} cases, limit {cell.limit:g}"


def _held(cells: Iterable[Cell], field: str, factor: float = 1.0) -> dict[str, tuple[float, float]]:
    held: dict[str, tuple[float, float]] = {}
    for cell in cells:
        share = getattr(cell.shares, field)
        found = (factor * share, factor * cell.shares.error(share))
        held[_named(cell)] = max(found, held.get(_named(cell), (0.0, 0.0)))
    return held


def promises(cells: Sequence[Cell], any_fails: dict[str, tuple[float, float]]) -> Iterator[Promise]:
    """Yield every promise with what was measured."""
    drops = [cell for cell in cells if cell.situation.topic != "minimums"]
    floors = [cell for cell in cells if cell.situation.topic == "minimums"]
    passes = [cell for cell in drops if cell.drop == WHOLE]
    exact = [c for c in passes if c.situation.n >= FEW and not c.situation.repeated]
    yield Promise("a drop as large as the limit passes", 0.065, _held(exact, "passed"))
    loose = [c for c in passes if c not in exact]
    yield Promise("the same below 100 cases, and with repeats", 0.075, _held(loose, "passed"))
    same = [cell for cell in drops if cell.drop == UNCHANGED]
    yield Promise("an unchanged variant fails", 0.01, _held(same, "failed"))
    # Twelve times a rare share: with fewer suites nothing would show.
    of_many, precise = dict(any_fails), [c for c in same if c.shares.suites >= _ENOUGH]
    for checks in {cell.situation.checks for cell in precise}:
        held = [cell for cell in precise if cell.situation.checks == checks]
        of_many |= _held(held, "failed_of_many", MANY / checks)
    yield Promise(f"any of {MANY} checks of unchanged variants fails", 0.01, of_many)
    halves = [cell for cell in drops if cell.drop == HALF]
    half = [cell for cell in halves if not cell.situation.parts]
    yield Promise("a drop of half the limit fails, one check", 0.13, _held(half, "failed"))
    default = [c for c in half if c.limit in c.situation.defaults]
    yield Promise("the same with the default limit", 0.08, _held(default, "failed"))
    fewer = 0
    for count, most in OF_PARTS.items():
        of_parts = [cell for cell in halves if fewer < cell.situation.parts <= count]
        name = f"half the limit in each of up to {count} slices or families fails"
        yield Promise(name, most, _held(of_parts, "failed"))
        fewer = count
    at = [cell for cell in floors if cell.drop == AT]
    for few, most in ((False, 0.065), (True, 0.075)):
        held = [cell for cell in at if (cell.situation.n < FEW) is few]
        name = f"a rate at the minimum passes, {'below' if few else 'from'} {FEW} cases"
        yield Promise(name, most, _held(held, "passed"))
    yield Promise("a rate at the minimum fails", 0.01, _held(at, "failed"))


def simulate_large_suites(replicates: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return how often any check fails in unchanged suites of twelve checks, with its error."""
    rng, found = np.random.default_rng(seed), {}
    suites = replicates // 2
    for n, repeats in ((100, 1), (200, 1), (500, 1), (200, 5)):
        # The narrowest limit lets fewest pass, so that most can fail.
        share = any_of_many_fails(rng, suites, n=n, repeats=repeats, limit=min(LIMITS))
        name = f"three gates and four variants, {n} cases, {repeats} replies"
        found[name] = (share, float(np.sqrt(share * (1.0 - share) / suites)))
    return found


def main() -> int:
    """Simulate, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, default in (("replicates", 12_000), ("seed", 0), ("processes", os.cpu_count() or 1)):
        parser.add_argument(f"--{name}", type=int, default=default, help="default: %(default)s")
    given = parser.parse_args()
    start = perf_counter()
    cells = simulate(given.replicates, given.seed, given.processes)
    print(f"{given.replicates} suites a situation, one in {10} of them where suites are judged one")
    print(
        f"by one; seed {given.seed}; figures in per cent. 'failed' and 'passed' of a drop are the"
    )
    print("worst of the three limits.")
    for topic in TOPICS:
        rows = [cell for cell in cells if cell.situation.topic == topic]
        if topic == "minimums":
            print_minimums(rows)
        else:
            print_topic(topic, rows)
    print("\nCost\n")
    means_are_met = print_rows(given.replicates // 3, given.seed)
    print("\nParts of the cases that are named\n")
    means_are_met &= print_part_rows(given.replicates // 3, given.seed)
    print("\nEarly looks at general skills\n")
    means_are_met &= print_look_rows(given.replicates // 3, given.seed)
    print_chances(given.replicates, given.seed)
    print("\nBuilds\n")
    means_are_met &= print_build_rows(given.replicates // 8, given.seed)
    any_fails = simulate_large_suites(given.replicates, given.seed)
    made = [*promises(cells, any_fails)]
    print("\nPromised, in per cent, +- the standard error of the simulation\n")
    print(*made, sep="\n")
    print(f"\n{perf_counter() - start:.0f} seconds")
    return 0 if means_are_met and all(promise.is_met for promise in made) else 1


if __name__ == "__main__":
    sys.exit(main())
