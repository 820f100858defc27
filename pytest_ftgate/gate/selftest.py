"""A suite against itself: how often its gates would cry wolf, measured on its own replies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gate.numbers.paired import condense, p_drop, p_noninferior
from pytest_ftgate.gate.numbers.power import cases_needed, flip_rate
from pytest_ftgate.gate.risks import Levels

__all__ = ["SelfTest", "selftest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What became of pairs of runs of one and the same variant; shares, 0 to 1.

    Attributes:
        pairs: how many pairs of runs were drawn.
        discordance: the share of cases on which two runs disagree.
        flips: how often two gates, each on two runs of its own, would disagree on passing.
        needed: cases for the gate to pass an unchanged variant nine times in ten.
    """

    gate: str
    cases: int
    margin: float
    pairs: int
    discordance: float
    passed: float
    failed: float
    flips: float
    needed: int

    @property
    def inconclusive(self) -> float:
        """How often the gate could not tell."""
        return 1.0 - self.passed - self.failed


def selftest(
    marks: NDArray[np.float64], *, gate: str, margin: float, levels: Levels, pairs: int, seed: int
) -> SelfTest:
    """Judge pairs of runs drawn from the replies of one variant.

    Each pair draws the cases anew, with replacement, and for each of them two different replies
    of those that were given, one for either side: whatever it finds, nothing has changed.

    Args:
        marks: the scores, 0 to 1, of shape (n, r): n cases, r replies to each, r at least 2.
        gate: its kind.
        margin: the drop it allows.
        levels: its risks.
        pairs: how many pairs to draw.
        seed: of the draws.
    """
    n, r = marks.shape
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, n, (pairs, n))
    first = rng.integers(0, r, (pairs, n))
    second = (first + rng.integers(1, r, (pairs, n))) % r
    before, after = marks[chosen, first], marks[chosen, second]
    counts = condense(before, after)
    passed = np.asarray(p_noninferior(counts, margin)) <= levels.miss
    failed = ~passed & (np.asarray(p_drop(counts)) <= levels.alarm)
    unlike = float(np.mean(before != after))
    share = float(passed.mean())
    return SelfTest(
        gate=gate,
        cases=n,
        margin=margin,
        pairs=pairs,
        discordance=unlike,
        passed=share,
        failed=float(failed.mean()),
        flips=flip_rate(share),
        needed=cases_needed(margin, max(unlike, 1.0 / n)),
    )
