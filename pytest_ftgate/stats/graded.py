"""The z test of graded or weighted scores: one mean compared with a hypothesis.

Its variance is that of the data, plus that of unseen losses or gains. A hypothesis at distance d
from the mean supposes such losses, of d in all. They add most variance, d (w - d), if they come as
whole cases or groups of the largest weight w; see docs/statistics.md.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import ndtri

from pytest_ftgate.stats.proportions import Numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_ftgate.stats.proportions import Array

#: Numbers may be off by this share through rounding.
_TOLERANCE = 1e-9
#: Without any change, the z test at 0.05 rules out a loss of this many units, its quantile squared.
_SHOWN_UNITS = 2.7


def largest_unit(weights: Array, labels: NDArray[np.intp] | None) -> float:
    """Return the weight in which unseen losses may come at once.

    For independent cases this is the largest weight of a case. For groups, the largest one and the
    one that a case is in on average count alike, as their geometric mean. This is the mean of the
    groups' weights, or that of their sizes times the largest weight of a case if that is more; it
    is at most the weight of the heaviest group. Five copies of each case, in groups, have five
    times the weight of the cases, and thus show nothing new. It is large enough that a loss is not
    ruled out if the heaviest group alone may bear it: such a loss shows in all cases or in none.

    Args:
        weights: weight of each case, with mean 1, shape (n,).
        labels: number of the group of each case, from 0, shape (n,); None without groups.
    """
    largest = float(weights.max())
    if labels is None:
        return largest
    by_weight, by_size = (
        np.bincount(labels, values) for values in (weights, np.ones_like(weights))
    )
    mean_weight, mean_size = (
        float(np.sqrt(sums.max() * np.sum(sums**2) / weights.size)) for sums in (by_weight, by_size)
    )
    heaviest = float(by_weight.max())
    return max(mean_weight, min(mean_size * largest, heaviest), heaviest / _SHOWN_UNITS)


def z_score(distance: Numbers, n: float, spread: Numbers | float, largest: float) -> Numbers:
    """Return the statistic of a mean at *distance* from the hypothesis; 0 at no distance.

    Args:
        distance: the mean minus the hypothesis; shapes broadcast.
        n: number of cases.
        spread: variance of the weighted scores or changes of the cases.
        largest: see `largest_unit`.
    """
    unseen = np.minimum(np.abs(distance), largest / 2.0)
    variance = spread + unseen * (largest - unseen)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = distance * np.sqrt(n / variance)
    return cast("Numbers", np.where(np.asarray(distance) == 0.0, 0.0, z)[()])


def least_distance(n: float, spread: float, largest: float, quantile: float) -> float:
    """Return the least distance at which `z_score` reaches *quantile*, which is positive."""
    square = quantile**2
    linear = square * largest
    root = math.sqrt(linear**2 + 4.0 * (n + square) * square * spread)
    distance = (linear + root) / (2.0 * (n + square))
    if distance > largest / 2.0:
        distance = quantile * math.sqrt((spread + largest**2 / 4.0) / n)
    return distance


def needed_for_distance(
    distance: float, spread: float, largest: float, power: float, alpha: float
) -> int:
    """Return the fewest cases that show a true *distance* at level *alpha* with *power*.

    The observed distance is taken as normal, with the variance *spread* of each case.

    Raises:
        ValueError: *distance* is not positive.
    """
    if distance <= 0.0:
        msg = f"no number of cases shows a distance of {distance}"
        raise ValueError(msg)
    quantile, shortfall = -float(ndtri(alpha)), float(ndtri(power)) * math.sqrt(spread)

    def is_enough(n: int) -> bool:
        least = least_distance(n, spread, largest, quantile)
        return least + shortfall / math.sqrt(n) <= distance * (1.0 + _TOLERANCE)

    low, high = 0, 1
    while not is_enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
