"""Tests and intervals of the mean of bounded values: graded scores, weighted cases, costs.

A mean may look safe only because a rare loss was not drawn. So one unit is added that was the worst
it can be, and the units are weighed at random: the Bayesian bootstrap (Rubin 1981) with one worst
unit, which is Gaffke's bound (Gaffke 2005; Learned-Miller & Thomas 2019, arXiv 1905.06208). For two
values it is the exact interval of Clopper and Pearson. That it keeps its level for every bounded
distribution is a conjecture without a known counterexample; `benchmarks/error_rates.py` tries it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pytest_ftgate.stats.proportions import Array, fewest, find_root, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The most Newton steps to the saddle point, and the relative step that ends them.
_STEPS, _LAST_STEP = 80, 1e-13
#: Nearer to the mean than this, the formula of the saddle point divides by zero.
_AT_MEAN = 1e-3


def p_mean(
    values: ArrayLike, worst: ArrayLike, counts: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the p-value of "the true mean is at most 0"; small values reject it.

    It is P(E_0 worst + sum of E_j values_j <= 0) with independent exponential E. Without a value
    below 0 it has a closed form; else it is that of Lugannani and Rice (1980) at the saddle point.

    Args:
        values: one number a unit, shape (..., units). Leading axes are samples.
        worst: the least value that one unit could have had that was not drawn; below 0. Its shape
            broadcasts with the leading axes.
        counts: how many units have each value, shape (units,); 1 if None. Fractions are allowed.

    Returns:
        Probabilities, shape (...).
    """
    seen = np.asarray(values, np.float64)
    least = np.broadcast_to(np.asarray(worst, np.float64), seen.shape[:-1])
    y = np.concatenate([seen, least[..., None]], axis=-1)
    c = np.ones(y.shape[-1])
    if counts is not None:
        c[:-1] = counts
    flat = y.reshape(-1, y.shape[-1])
    p = np.ones(flat.shape[0])
    rows = flat.max(axis=1) > 0.0
    closed = rows & ((flat[:, :-1] >= 0.0) | (c[:-1] == 0.0)).all(axis=1)
    gained = np.maximum(flat[closed, :-1], 0.0) / -flat[closed, -1:]
    p[closed] = np.exp(-np.log1p(gained) @ c[:-1])
    others = rows & ~closed
    if np.any(others):
        p[others] = _saddle_point(flat[others] / np.abs(flat[others]).max(axis=1)[:, None], c)
    return cast("NDArray[np.float64]", p.reshape(y.shape[:-1]))


def _saddle_point(y: Array, counts: Array) -> Array:
    """Return P(sum of E_j y_j <= 0) of each row, which has values on both sides of 0."""
    s = _saddle(y, counts)
    ratio = y / (1.0 - s[:, None] * y)
    k = -np.log1p(-s[:, None] * y) @ counts
    w = np.sign(s) * np.sqrt(np.maximum(-2.0 * k, 0.0))
    u = s * np.sqrt(ratio**2 @ counts)
    skew = (y**3 @ counts) / (y**2 @ counts) ** 1.5
    at_mean = np.abs(w) < _AT_MEAN
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = ndtr(w) + np.exp(-w * w / 2.0) / np.sqrt(2.0 * np.pi) * (1.0 / w - 1.0 / u)
    p = np.where(at_mean, 0.5 + skew / (3.0 * np.sqrt(2.0 * np.pi)), tail)
    return cast("Array", np.clip(p, 0.0, 1.0))


def _saddle(y: Array, counts: Array) -> Array:
    """Return the root of the derivative of each row's cumulant function, by Newton in a bracket."""
    low, high, s = 1.0 / y.min(axis=1), 1.0 / y.max(axis=1), np.zeros(y.shape[0])
    for _ in range(_STEPS):
        ratio = y / (1.0 - s[:, None] * y)
        slope, curve = ratio @ counts, ratio**2 @ counts
        low, high = np.where(slope < 0.0, s, low), np.where(slope < 0.0, high, s)
        step = s - slope / curve
        step = np.where((low < step) & (step < high), step, (low + high) / 2.0)
        done = np.abs(step - s) < _LAST_STEP * (1.0 + np.abs(s))
        s = np.where(done, s, step)
        if np.all(done):
            break
    return s


@dataclass(frozen=True, slots=True, eq=False)
class BoundedValues:
    """Values of units between two bounds: cases, or groups of related cases.

    Attributes:
        sums: the weighted values of each unit, summed over its cases, shape (..., units).
        sizes: the weights of each unit, summed over its cases, shape (units,); a case weighs 1 on
            average.
        low, high: the least and the largest value of one case.
    """

    sums: Array
    sizes: Array
    low: float
    high: float

    @classmethod
    def of_cases(
        cls,
        values: Array,
        weights: Array,
        labels: NDArray[np.intp] | None,
        bounds: tuple[float, float],
    ) -> BoundedValues:
        """Return the values of cases with these weights, summed over the groups in *labels*."""
        if labels is None:
            return cls(weights * values, weights, *bounds)
        sums, sizes = (np.bincount(labels, column) for column in (weights * values, weights))
        return cls(sums.astype(np.float64), sizes.astype(np.float64), *bounds)

    @property
    def largest(self) -> float:
        """The weight of the heaviest unit."""
        return float(self.sizes.max())

    def p_at_most(self, mean: float) -> Array:
        """Return the p-value of "the true mean is at most *mean*"."""
        return p_mean(self.sums - mean * self.sizes, (self.low - mean) * self.largest)

    def p_at_least(self, mean: float) -> Array:
        """Return the p-value of "the true mean is at least *mean*"."""
        return p_mean(mean * self.sizes - self.sums, (mean - self.high) * self.largest)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the means that neither test rejects, two-sided.

        Raises:
            ValueError: unless 0 < confidence < 1.
        """
        require_share("confidence", confidence)
        alpha = (1.0 - confidence) / 2.0
        return (
            self._end(lambda mean: float(self.p_at_most(mean)) - alpha, self.low),
            self._end(lambda mean: float(self.p_at_least(mean)) - alpha, self.high),
        )

    def plan(
        self, spread: float, reach: float, alpha: float, *, inside: bool = True
    ) -> PlannedMean:
        """Return how surely tests of such values show a distance; see `PlannedMean`.

        *reach* is how far the worst value of a case lies from the mean.
        """
        return PlannedMean(
            n=float(np.sum(self.sizes)),
            squares=float(self.sizes @ self.sizes),
            spread=spread,
            worst=(self.largest, reach),
            inside=inside,
            alpha=alpha,
        )

    def _end(self, excess: Callable[[float], float], end: float) -> float:
        """Return where *excess* is 0 between the observed mean and *end*."""
        mean = float(np.sum(self.sums) / np.sum(self.sizes))
        near, far = mean, end + (mean - end) * 1e-9
        if near == far or excess(near) <= 0.0 or excess(far) >= 0.0:
            return end
        return find_root(excess, near, far, xtol=1e-10)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMean:
    """How surely a test of `BoundedValues` rejects a hypothesis at a true distance from the mean.

    The observed mean is taken as normal, and the p-value as that of a normal sum.

    Attributes:
        n: the number of cases.
        squares: the sum of the squared weights of the units.
        spread: the variance of the weighted values of the cases, robust to groups.
        worst: the weight of the heaviest unit, and how far the worst value of a case lies from the
            mean, on the side of the hypothesis.
        inside: True if the hypothesis lies between the mean and the worst value.
        alpha: the level of the test.
    """

    n: float
    squares: float
    spread: float
    worst: tuple[float, float]
    inside: bool = True
    alpha: float = 0.05

    def chance(self, distance: float) -> float:
        """Return the probability that a true *distance* is shown."""
        excess, error = self._excess(distance), sqrt(self.n * self.spread)
        return float(ndtr(excess / error)) if error else float(excess >= 0.0)

    def distance(self, power: float) -> float:
        """Return the least true distance that is shown with *power*; infinity if none is."""
        lack = float(ndtri(power)) * sqrt(self.n * self.spread)

        def excess(distance: float) -> float:
            return self._excess(distance) - lack

        most = self.worst[1] if self.inside else 1.0
        return find_root(excess, 0.0, most, xtol=1e-9) if excess(most) > 0.0 else inf

    def cases(self, distance: float, power: float) -> int:
        """Return how many cases like these show a true *distance* with *power*.

        Raises:
            ValueError: no number does.
        """

        def is_enough(n: int) -> bool:
            return replace(self, n=n, squares=self.squares * n / self.n).chance(distance) >= power

        return fewest(is_enough, distance)

    def _excess(self, distance: float) -> float:
        """Return by how much the sum of the values exceeds what the test needs."""
        weight, reach = self.worst
        unseen = weight * (reach - distance if self.inside else reach)
        variance = self.n * self.spread + distance**2 * self.squares + unseen**2
        return self.n * distance - unseen + float(ndtri(self.alpha)) * sqrt(variance)
