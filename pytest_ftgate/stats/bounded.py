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
from math import inf, log, sqrt
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from pytest_ftgate.stats.proportions import Array, fewest, find_root, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The most Newton steps to the saddle point, the relative step that ends them, and the largest step
#: as a share of the way to the end of the bracket.
_STEPS, _LAST_STEP, _REACH = 80, 1e-13, 0.9
#: Numbers that are smaller than this share of the largest are nothing.
_LEAST = 1e-100
#: Nearer to the mean than this, the formula of the saddle point divides by zero.
_AT_MEAN = 1e-3
#: Without any change, a test at 0.05 rules out a loss of this many units: a quantile squared.
_SHOWN_UNITS = 2.7
#: The end of a range is left out by this share of it.
_NEAR = 1e-9


def p_mean(
    values: ArrayLike, worst: ArrayLike, counts: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the p-value of "the true mean is at most 0"; small values reject it.

    It is P(E_0 worst + sum of E_j values_j <= 0) with independent exponential E. Without a value
    below 0 it has a closed form; else it is that of Lugannani and Rice (1980) at the saddle point.

    Args:
        values: one number a unit, shape (..., units). Leading axes are samples.
        worst: the least value that one unit could have had that was not drawn; at most 0. Its
            shape broadcasts with the leading axes.
        counts: how many units have each value, shape (units,); 1 if None. Fractions are allowed.

    Returns:
        Probabilities, shape (...).
    """
    seen = np.asarray(values, np.float64)
    least = np.broadcast_to(np.asarray(worst, np.float64), seen.shape[:-1])
    y = np.concatenate([seen, least[..., None]], axis=-1)
    c = np.append(np.broadcast_to(1.0 if counts is None else counts, y.shape[-1] - 1), 1.0)
    flat, c = y.reshape(-1, y.shape[-1])[:, c > 0.0], c[c > 0.0]
    # Of numbers that are too small beside the others not even the inverse can be computed.
    flat[np.abs(flat) < _LEAST * np.abs(flat).max(axis=1, keepdims=True)] = 0.0
    p = np.ones(flat.shape[0])
    rows = flat.max(axis=1) > 0.0
    kept = rows & (flat[:, :-1] >= 0.0).all(axis=1)
    closed, p[kept] = kept & (flat[:, -1] < 0.0), 0.0
    p[closed] = np.exp(-np.log1p(flat[closed, :-1] / -flat[closed, -1:]) @ c[:-1])
    others = rows & ~kept
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
        # Steps next to an end of the bracket, where the slope is infinite, would be too small.
        step = np.clip(s - slope / curve, s + _REACH * (low - s), s + _REACH * (high - s))
        done = np.abs(step - s) < _LAST_STEP * (1.0 + np.abs(s))
        s = np.where(done, s, step)
        if np.all(done):
            break
    return s


def unseen_unit(sizes: Array, share: float) -> float:
    """Return the weight of the unit that is added for a loss, or gain, of *share* not drawn.

    Units of one weight add one such unit, and so does a small share, which the heaviest unit alone
    may bear. Otherwise that would be more than a loss can hide. The weight is the one with which
    the p-value is exact if nothing was lost: the largest chance that no unit is lost, whichever
    bear the *share*. But it is at least the geometric mean of the heaviest weight and of that of
    the unit of a case, on average, since with one unit of that weight losses may be few and whole.

    Args:
        sizes: the weight of each unit, shape (units,).
        share: what is lost in all under the hypothesis, 0 to 1.
    """
    heaviest = float(sizes.max())
    if sizes.min() == heaviest or not 0.0 < share < 1.0:
        return heaviest
    least = sqrt(heaviest * float(sizes @ sizes) / float(np.sum(sizes)))
    least, chance = max(least, heaviest / _SHOWN_UNITS), _log_chance_of_none(sizes, share)

    def excess(unit: float) -> float:
        shown = np.sum(np.log1p(share / (1.0 - share) * sizes / unit))
        return float(shown) + chance

    if excess(heaviest) >= 0.0:
        return heaviest
    return find_root(excess, least, heaviest, xtol=1e-9) if excess(least) > 0.0 else least


def _log_chance_of_none(sizes: Array, share: float) -> float:
    """Return the logarithm of the largest chance that no unit is lost in a loss of *share* < 1.

    Units with the chances p of a loss are all kept with the product of 1 - p. That is largest where
    weight times (1 - p) is one number for all units that can be lost, and the lighter ones cannot.
    """
    ranked = np.sort(sizes)[::-1]
    counts = np.arange(1.0, ranked.size + 1.0)
    sums = np.cumsum(ranked)
    kept = (sums - share * sums[-1]) / counts
    last = int(np.argmax(kept >= np.append(ranked[1:], 0.0)))
    return float(counts[last] * np.log(kept[last]) - np.sum(np.log(ranked[: last + 1])))


@dataclass(frozen=True, slots=True, eq=False)
class BoundedValues:
    """Values of units between two bounds: cases, or groups of related cases.

    Attributes:
        sums: the weighted values of each unit, summed over its cases, shape (..., units).
        sizes: the weights of each unit, summed over its cases, shape (units,); a case weighs 1 on
            average.
        low, high: the least and the largest value of one case.
        kept: the value of a case that loses nothing; None if none has such a value.
        counts: how many units have each value, shape (units,), fractions allowed; None for one
            each. Units of different sizes then have no *kept*.
    """

    sums: Array
    sizes: Array
    low: float
    high: float
    kept: float | None = None
    counts: Array | None = None

    @classmethod
    def of_cases(
        cls,
        values: Array,
        weights: Array,
        labels: NDArray[np.intp] | None,
        bounds: tuple[float, float],
        kept: float | None = None,
    ) -> BoundedValues:
        """Return the values of cases with these weights, summed over the groups in *labels*."""
        if labels is None:
            return cls(weights * values, weights, *bounds, kept)
        sums, sizes = (np.bincount(labels, column) for column in (weights * values, weights))
        return cls(sums.astype(np.float64), sizes.astype(np.float64), *bounds, kept)

    def turned(self) -> BoundedValues:
        """Return the values with their signs changed."""
        kept = None if self.kept is None else -self.kept
        return BoundedValues(-self.sums, self.sizes, -self.high, -self.low, kept, self.counts)

    def total(self, values: Array) -> Array:
        """Return the sum over all units of *values*, shape (..., units), one for each value."""
        return np.asarray(np.sum(values, axis=-1) if self.counts is None else values @ self.counts)

    def p_at_most(self, mean: float) -> Array:
        """Return the p-value of "the true mean is at most *mean*"."""
        return p_mean(self.sums - mean * self.sizes, -self.unseen_loss(mean), self.counts)

    def p_at_least(self, mean: float) -> Array:
        """Return the p-value of "the true mean is at least *mean*"."""
        unseen = self.unseen_gain(mean, self.total(self.sums) / self.total(self.sizes))
        return p_mean(mean * self.sizes - self.sums, -unseen, self.counts)

    def unseen_loss(self, mean: float) -> float:
        """Return by how much the unit that is added lies below a hypothesis of *mean*."""
        share = 0.0 if self.kept is None else (self.kept - mean) / (self.kept - self.low)
        return unseen_unit(self.sizes, share) * (mean - self.low)

    def unseen_gain(self, mean: float, observed: ArrayLike) -> Array:
        """Return by how much the unit that is added lies above a hypothesis of *mean*.

        The units that were drawn are taken to have their *observed* mean, below which none gains.
        """
        seen = np.minimum(np.asarray(observed, np.float64), mean)
        share = np.zeros_like(seen)
        if self.kept is not None and mean < self.high:
            share = (mean - seen) / (self.high - seen)
        units = [unseen_unit(self.sizes, one) for one in share.ravel().tolist()]
        return np.reshape(units, seen.shape) * (self.high - mean)

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

    def plan(self, spread: float, mean: float | None = 0.0, alpha: float = 0.05) -> PlannedMean:
        """Return how surely such values show a distance; see `PlannedMean`."""
        return PlannedMean(values=self, spread=spread, mean=mean, alpha=alpha)

    def _end(self, excess: Callable[[float], float], end: float) -> float:
        """Return where *excess* is 0 between the observed mean and *end*."""
        mean = float(self.total(self.sums) / self.total(self.sizes))
        near, far = mean, end + (mean - end) * _NEAR
        if near == far or excess(near) <= 0.0 or excess(far) >= 0.0:
            return end
        return find_root(excess, near, far, xtol=1e-10)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedMean:
    """How surely a test of `BoundedValues` rejects a hypothesis at a true distance from the mean.

    The observed mean is taken as normal, and the weighing of the values as normal but for that of
    the unit that was added. For values that do not vary it is exact.

    Attributes:
        values: values whose units, and their bounds, are like those that are planned.
        spread: the variance of the weighted values of the cases, robust to groups.
        mean: the true mean, above the hypothesis; None if it lies below one of 0.
        alpha: the level of the test.
        times: how many times as many such units there are.
    """

    values: BoundedValues
    spread: float
    mean: float | None = 0.0
    alpha: float = 0.05
    times: float = 1.0

    @property
    def n(self) -> float:
        """The number of cases."""
        return self.times * float(self.values.total(self.values.sizes))

    def chance(self, distance: float) -> float:
        """Return the probability that a true *distance* is shown."""
        error, excess = sqrt(self.n * self.spread), self._excess(distance)
        return float(ndtr(excess / error)) if error else float(excess >= 0.0)

    def distance(self, power: float) -> float:
        """Return the least true distance that is shown with *power*; infinity if none is."""
        lack = float(ndtri(power)) * sqrt(self.n * self.spread)
        most = ((self.mean or 0.0) - self.values.low) * (1.0 - _NEAR)

        def excess(distance: float) -> float:
            return self._excess(distance) - lack

        return find_root(excess, 0.0, most, xtol=1e-12) if excess(most) > 0.0 else inf

    def cases(self, distance: float, power: float) -> int:
        """Return how many cases like these show a true *distance* with *power*.

        Raises:
            ValueError: no number does.
        """

        def is_enough(n: int) -> bool:
            return replace(self, times=self.times * n / self.n).chance(distance) >= power

        return fewest(is_enough, distance)

    def _excess(self, distance: float) -> float:
        """Return by how much the sum of the values exceeds what the test needs."""
        sizes = self.values.sizes
        if self.mean is None:
            unseen = float(self.values.unseen_gain(0.0, -distance))
        else:
            unseen = self.values.unseen_loss(self.mean - distance)
        if not self.spread:
            # Values that do not vary have a p-value in closed form.
            shown = self.times * float(self.values.total(np.log1p(distance * sizes / unseen)))
            return shown + log(self.alpha)
        squares = self.times * float(self.values.total(sizes * sizes))
        variance = self.n * self.spread + distance**2 * squares + unseen**2
        quantile = _quantile(-float(ndtri(self.alpha)), unseen / sqrt(variance))
        return self.n * distance - unseen - quantile * sqrt(variance)


def _quantile(z: float, share: float) -> float:
    """Return the quantile of a sum of a normal and an exponential value, of variance 1 in all.

    *share* is the standard deviation of the exponential part, *z* the quantile of a normal sum. The
    expansion is that of Cornish and Fisher (1938).
    """
    skewness, kurtosis = 2.0 * share**3, 6.0 * share**4
    skewed = (z * z - 1.0) / 6.0 * skewness - (2.0 * z**3 - 5.0 * z) / 36.0 * skewness**2
    return z + skewed + (z**3 - 3.0 * z) / 24.0 * kurtosis
