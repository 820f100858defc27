"""Adjusted p-values for several tests at once.

Each function takes the raw p-values, one-dimensional and in any order, and gives adjusted
p-values of the same shape and order: reject where the adjusted value is at most alpha. Holm,
Hochberg and Bonferroni bound the chance of any false rejection (family-wise error); Benjamini's
two bound the expected share of false ones among the rejections (false discovery rate).

Raises ValueError for a p-value outside 0 to 1 or an array that is not one-dimensional. No
p-values give no adjusted ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]


def bonferroni(p: Sequence[float] | Array) -> Array:
    """Multiply by the number of tests: family-wise error under any dependence (Dunn 1961)."""
    values = _checked(p)
    return np.minimum(values * values.size, 1.0)


def holm(p: Sequence[float] | Array) -> Array:
    """Step down: family-wise error under any dependence, never worse than Bonferroni.

    Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    values = _checked(p)
    factors = values.size - np.arange(values.size)
    return _stepped(values, factors, down=True)


def hochberg(p: Sequence[float] | Array) -> Array:
    """Step up: family-wise error for independent or positively dependent tests.

    Hochberg (1988), Biometrika 75:800-802.
    """
    values = _checked(p)
    factors = values.size - np.arange(values.size)
    return _stepped(values, factors, down=False)


def benjamini_hochberg(p: Sequence[float] | Array) -> Array:
    """Step up: false discovery rate for independent or positively dependent tests.

    Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300.
    """
    values = _checked(p)
    return _stepped(values, values.size / np.arange(1, values.size + 1), down=False)


def benjamini_yekutieli(p: Sequence[float] | Array) -> Array:
    """Step up: false discovery rate under any dependence.

    Benjamini & Yekutieli (2001), Annals of Statistics 29:1165-1188.
    """
    values = _checked(p)
    ranks = np.arange(1, values.size + 1)
    return _stepped(values, np.sum(1.0 / ranks) * values.size / ranks, down=False)


def _stepped(values: Array, factors: NDArray[np.number], *, down: bool) -> Array:
    """Scale the sorted values, make them monotone from one end, and put them back in order."""
    order = np.argsort(values, kind="stable")
    scaled = values[order] * factors
    rising = np.maximum.accumulate(scaled)
    monotone = rising if down else np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(monotone, 1.0)
    return adjusted


def _checked(p: Sequence[float] | Array) -> Array:
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not np.all((values >= 0.0) & (values <= 1.0)):
        msg = "p-values must be a one-dimensional array of numbers from 0 to 1"
        raise ValueError(msg)
    return values
