"""The check of macro-F1, which is no mean over cases: bounds by paired bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pytest_ftgate.gate.resample import bootstrap_bounds
from pytest_ftgate.gate.risks import CONFIDENCE, Levels
from pytest_ftgate.gate.side import Array
from pytest_ftgate.gate.verdict import Check, Outcome
from pytest_ftgate.score.metrics import Guess, macro_f1

__all__ = ["FEWEST", "macro_drop", "macro_floor"]

#: With fewer cases the bootstrap misses more often than it says.
FEWEST = 200
_SEED = 0
_FEW = f"macro-F1 needs at least {FEWEST} cases for its bounds to hold"


def macro_drop(
    before: Guess, after: Guess, *, against: str, margin: float, levels: Levels
) -> Check:
    """Compare the macro-F1 of two sides on the cases that both answered."""
    before, after = _common(before, after), _common(after, before)

    def change(counts: Array) -> Array:
        return macro_f1(after, counts) - macro_f1(before, counts)

    once = np.ones((1, len(after.keys)))
    rates = [float(macro_f1(one, once)[0]) for one in (before, after)]
    check = _bounded(change, after, margin=-margin, zero=0.0, levels=levels)
    return replace(check, against=against, limit=margin, before=rates[0], after=rates[1])


def macro_floor(after: Guess, *, least: float, levels: Levels) -> Check:
    """Hold the macro-F1 of one side against a floor."""

    def rate(counts: Array) -> Array:
        return macro_f1(after, counts)

    check = _bounded(rate, after, margin=least, zero=least, levels=levels)
    once = np.ones((1, len(after.keys)))
    return replace(check, against="floor", limit=least, after=float(rate(once)[0]))


def _bounded(
    of: Callable[[Array], Array], guess: Guess, *, margin: float, zero: float, levels: Levels
) -> Check:
    """Pass where the lower bound reaches *margin*, fail where the upper one is below *zero*."""

    def bounds(alpha: float) -> tuple[float, float]:
        rng = np.random.default_rng(_SEED)
        found = bootstrap_bounds(of, len(guess.keys), rng=rng, alpha=alpha)
        return found.lower, found.upper

    low, high = bounds((1.0 - CONFIDENCE) / 2.0)
    passed, failed = bounds(levels.miss)[0] > margin, bounds(levels.alarm)[1] < zero
    few = len(guess.keys) < FEWEST
    decided = Outcome.PASSED if passed else (Outcome.FAILED if failed else Outcome.INCONCLUSIVE)
    return Check(
        against="",
        outcome=Outcome.INCONCLUSIVE if few else decided,
        limit=margin,
        n=len(guess.keys),
        effective=len(guess.keys),
        after=0.0,
        low=low,
        high=high,
        miss=levels.miss,
        alarm=levels.alarm,
        shared=levels.shared,
        note=_FEW if few else "",
    )


def _common(one: Guess, other: Guess) -> Guess:
    """Return the cases of *one* that *other* has too, in the order of their names."""
    both = set(one.keys) & set(other.keys)
    order = sorted((key, index) for index, key in enumerate(one.keys) if key in both)
    at = np.array([index for _, index in order], dtype=np.intp)
    return Guess(one.labels, tuple(key for key, _ in order), one.expected[at], one.said[at])
