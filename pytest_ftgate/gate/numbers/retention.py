"""How much of what a model could do is left: the ratio of two means of the same cases, bounded.

MOVER for a ratio of paired proportions with Wilson's limits (Donner & Zou 2012, Statistical
Methods in Medical Research 21:347-359; Fagerland, Lydersen & Laake 2014, Statistics in Medicine
33:2850-2875). The mean over several skills has the limits of as many cases as its variance is
worth. No logarithm is taken, so that a model which has lost everything has an interval too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pytest_ftgate.gate.numbers.proportion import Array, require_share, wilson

__all__ = ["Part", "ratio"]


class Part(NamedTuple):
    """The cases of one skill.

    Attributes:
        before, after: mean scores of the cases, 0 to 1, both of shape (n,).
        size: how many independent cases they are worth.
        weight: how much the skill counts beside the others.
    """

    before: Array
    after: Array
    size: float
    weight: float = 1.0


class _Mean(NamedTuple):
    mean: float
    low: float
    high: float


def ratio(parts: Sequence[Part], confidence: float) -> tuple[float, float, float] | None:
    """Return after divided by before, and the interval around it; inf where nothing bounds it.

    None where nothing was there before.

    Raises:
        ValueError: no part has a weight, or *confidence* is no share.
    """
    require_share("confidence", confidence)
    weights = np.array([part.weight for part in parts], dtype=np.float64)
    if not weights.sum() > 0.0:
        msg = "a ratio needs a part that counts"
        raise ValueError(msg)
    weights /= weights.sum()
    before, after = (_mean(parts, weights, side, confidence) for side in ("before", "after"))
    if before.mean <= 0.0:
        return None
    low, high = _bounds(after, before, _correlation(parts, weights))
    return after.mean / before.mean, low, high


def _mean(parts: Sequence[Part], weights: Array, side: str, confidence: float) -> _Mean:
    means = np.array([getattr(part, side).mean() for part in parts])
    shares = weights**2 / np.array([part.size for part in parts])
    whole, spread = float(weights @ means), float(shares @ (means * (1.0 - means)))
    worth = whole * (1.0 - whole) / spread if spread > 0.0 else 1.0 / float(shares.sum())
    low, high = wilson(whole * worth, worth, confidence)
    return _Mean(whole, float(low), float(high))


def _correlation(parts: Sequence[Part], weights: Array) -> float:
    """Return how the two means go together, which is what pairing the cases gains."""
    whole = np.zeros((2, 2))
    for part, weight in zip(parts, weights, strict=True):
        sides = np.stack([part.before, part.after])
        whole += weight**2 * np.cov(sides, bias=True) / part.size
    spread = float(np.sqrt(whole[0, 0] * whole[1, 1]))
    return float(whole[0, 1]) / spread if spread > 0.0 else 0.0


def _bounds(up: _Mean, down: _Mean, correlation: float) -> tuple[float, float]:
    product = up.mean * down.mean
    lower = product - correlation * (up.mean - up.low) * (down.high - down.mean)
    upper = product - correlation * (up.high - up.mean) * (down.mean - down.low)
    tops = [bound * (2 * up.mean - bound) for bound in (up.low, up.high)]
    bases = [bound * (2 * down.mean - bound) for bound in (down.high, down.low)]
    roots = [
        np.sqrt(max(0.0, middle**2 - top * base))
        for middle, top, base in zip((lower, upper), tops, bases, strict=True)
    ]
    low = (lower - roots[0]) / bases[0] if bases[0] > 0.0 else 0.0
    high = (upper + roots[1]) / bases[1] if bases[1] > 0.0 else np.inf
    return max(0.0, float(low)), float(high)
