"""Intervals of the mean of values that may be skewed, such as prices and numbers of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from pytest_ftgate.stats.proportions import require_share
from pytest_ftgate.stats.resampling import clustered_se
from pytest_ftgate.stats.roots import find_root

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The relative tolerance of the ends of a ratio, and the largest end in units of the ratio.
_TOLERANCE, _LARGEST = 1e-9, 1e6


def mean_interval(
    values: ArrayLike, confidence: float, groups: ArrayLike | None = None
) -> tuple[float, float]:
    """Return the two-sided interval (low, high) of the mean of skewed values.

    Student's t misses the mean of skewed values far more often on one side than it says. The ends
    are therefore those of the t statistic that is corrected for skewness (Johnson 1978, JASA
    73:536-544), with its quadratic term. Where this reaches the quantile nowhere, few values show
    that the skewness is large, and the end is that of Hall's cubic (1992, JRSS B 54:221-228), at
    its inflection or beyond.

    Args:
        values: shape (n,).
        confidence: a share.
        groups: a label for each value, shape (n,). Values with the same label are dependent; the
            sum of a group is then one value.

    Raises:
        ValueError: unless 0 < confidence < 1, or fewer than three groups or values.
    """
    require_share("confidence", confidence)
    x = np.asarray(values, np.float64)
    labels = np.arange(x.size) if groups is None else np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(labels, x - x.mean())
    n = float(sums.size)
    if n < 3.0:  # noqa: PLR2004 - the skewness needs three values
        msg = f"the interval of a skewed mean needs three unrelated values, not {sums.size}"
        raise ValueError(msg)
    mean, error = float(x.mean()), clustered_se(x, labels)
    if error == 0.0:
        return mean, mean
    variance, third = np.sum(sums**2) / (n - 1.0), np.sum(sums**3) * n / (n - 1.0) / (n - 2.0)
    skewness = float(third / variance**1.5 / np.sqrt(n))
    quantile = float(stdtrit(n - 1.0, (1.0 + confidence) / 2.0))
    low, high = (_reach(sign * skewness, quantile) for sign in (-1.0, 1.0))
    return mean - low * error, mean + high * error


def ratio_interval(
    numerators: ArrayLike,
    denominators: ArrayLike,
    confidence: float,
    groups: ArrayLike | None = None,
) -> tuple[float, float]:
    """Return the interval (low, high) of the ratio of two means of the same cases.

    It holds the ratios r for which 0 lies in `mean_interval` of the numerator less r times the
    denominator (Fieller 1954, JRSS B 16:175-185). The linearized ratio would have ends that the
    skewness of the denominator moves too close.

    Args:
        numerators: shape (n,), none negative.
        denominators: shape (n,), none negative and not all zero.
        confidence: a share.
        groups: see `mean_interval`.

    Returns:
        The ends; 0 or infinity where the values do not bound the ratio.

    Raises:
        ValueError: as for `mean_interval`.
    """
    above, below = np.asarray(numerators, np.float64), np.asarray(denominators, np.float64)
    if np.ptp(below) == 0.0:
        low, high = mean_interval(above / below, confidence, groups)
        return max(0.0, low), high
    ratio = float(above.sum() / below.sum())

    def ends(value: float) -> tuple[float, float]:
        return mean_interval(above - value * below, confidence, groups)

    if ratio == 0.0 or ends(ratio) == (0.0, 0.0):
        return ratio, ratio
    low, high, accuracy = 0.0, 2.0 * ratio, ratio * _TOLERANCE
    if ends(0.0)[0] > 0.0:
        low = find_root(lambda r: ends(r)[0], 0.0, ratio, accuracy)
    while ends(high)[1] > 0.0:
        high *= 2.0
        if high > ratio * _LARGEST:
            return low, np.inf
    return low, find_root(lambda r: ends(r)[1], ratio, high, accuracy)


def _reach(skewness: float, quantile: float) -> float:
    """Return how many standard errors the upper end lies above the mean.

    *skewness* is that of the values over the root of their number, which is that of the mean.
    """
    shifted = quantile + skewness / 6.0
    square = 1.0 - 4.0 * skewness * shifted / 3.0
    if square >= 0.0:
        return 2.0 * shifted / (1.0 + float(np.sqrt(square)))
    return 3.0 * (1.0 - float(np.cbrt(min(0.0, 1.0 - skewness * shifted)))) / skewness
