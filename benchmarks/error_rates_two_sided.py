"""How often a gate with a limit on both sides is wrong, simulated with the package's functions.

    python benchmarks/error_rates_two_sided.py [--replicates N] [--seed S]

It prints a row for each number of cases, share of disagreement and limit, in per cent: how often a
variant passes that is unchanged, and one whose true change is the limit, down or up; and how often
one fails that is unchanged, and one that changes by half of the limit and by twice the limit, down
or up. The exit status is 1 if a promise is broken by more than two standard errors.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np

from pytest_ftgate.gates.checks import DropRule
from pytest_ftgate.gates.design import ALARM, Levels
from pytest_ftgate.gates.verdict import Outcome
from pytest_ftgate.stats.paired import PairedCounts

#: A gate on both sides is two checks, which share the alarm level.
LEVELS = Levels(alarm=ALARM / 2, shared=2)
CASES, DISAGREEMENTS, LIMITS = (100, 200, 500, 1_000, 2_000), (0.02, 0.05, 0.10), (0.02, 0.05, 0.10)
#: The promises: a change as large as the limit passes, and an unchanged variant fails.
MISS, ALARMS = 0.065, 0.01
#: By how many standard errors of the simulation a figure may exceed its promise.
TOLERATED = 2.0
RIGHT = 0.7


def outcomes(
    rng: np.random.Generator, n: int, disagreement: float, change: float, limit: float, times: int
) -> Counter[Outcome]:
    """Return the outcomes of *times* suites of *n* cases whose true change is *change*."""
    differ = max(disagreement, abs(change))
    shares = [(differ + change) / 2, (differ - change) / 2, 1.0 - differ]
    drawn = Counter(map(tuple, rng.multinomial(n, shares, times)[:, :2].tolist()))
    rule = DropRule(against="base", margin=limit, levels=LEVELS, two_sided=True)
    found = Counter[Outcome]()
    for (fixed, regressed), count in drawn.items():
        delta = (fixed - regressed) / n
        pairs = PairedCounts(
            n=n, delta=delta, fixed=fixed, regressed=regressed, effective=n,
            before=RIGHT, after=RIGHT + delta,
        )  # fmt: skip
        found[rule.outcome(pairs)] += count
    return found


def row(
    rng: np.random.Generator, n: int, disagreement: float, limit: float, times: int
) -> tuple[float, ...]:
    """Return the shares of one row, in the order of the columns."""

    def share(change: float, outcome: Outcome) -> float:
        return outcomes(rng, n, disagreement, change, limit, times)[outcome] / times

    passed = [share(change * limit, Outcome.PASSED) for change in (0, -1, 1)]
    failed = [share(change * limit, Outcome.FAILED) for change in (0, -0.5, 0.5, -2, 2)]
    return (*passed, *failed)


def broken(shares: tuple[float, ...], times: int) -> Iterator[str]:
    """Yield the promises that *shares* break."""
    promises = (("a drop of the limit passes", 1, MISS), ("a rise of the limit passes", 2, MISS),
                ("an unchanged variant fails", 3, ALARMS))  # fmt: skip
    for what, at, most in promises:
        error = (shares[at] * (1.0 - shares[at]) / times) ** 0.5
        if shares[at] > most + TOLERATED * error:
            yield f"{what}: {100 * shares[at]:.2f} %, at most {100 * most:g} %"


def print_rows(times: int, seed: int) -> bool:
    """Print the table; return True if all promises are kept."""
    rng, kept = np.random.default_rng(seed), True
    print("                      passed             failed")
    print("       dis-            none   -1    +1   none -1/2  +1/2    -2    +2   times the limit")
    print("cases agree   limit")
    for n in CASES:
        for disagreement in DISAGREEMENTS:
            for limit in LIMITS:
                shares = row(rng, n, disagreement, limit, times)
                figures = "".join(f"{100 * share:6.1f}" for share in shares)
                print(f"{n:5}{100 * disagreement:5.0f} %{100 * limit:6.0f}  {figures}")
                for promise in broken(shares, times):
                    kept = False
                    print(f"      NOT MET: {promise}")
    return kept


def main() -> int:
    """Simulate, print, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=10_000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    given = parser.parse_args()
    return 0 if print_rows(given.replicates, given.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
