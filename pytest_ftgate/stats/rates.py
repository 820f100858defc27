"""One rate compared with a minimum, for every kind of score.

Cases that are right or wrong, weigh the same and are independent have exact binomial tests. Other
scores have the test of `stats.bounded`, and a rate that is no mean over cases the z test of
`stats.graded`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pytest_ftgate.stats.graded import PlannedScore, quantile, tail, z_score
from pytest_ftgate.stats.paired import sorted_rows
from pytest_ftgate.stats.proportions import (
    binomial_cdf,
    binomial_sf,
    clopper_pearson,
    require_share,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pytest_ftgate.stats.bounded import BoundedValues, PlannedMean
    from pytest_ftgate.stats.proportions import Array

#: Sums of scores may be off a whole number by this much through rounding.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanScore:
    """The mean score of one variant.

    Attributes:
        n: number of cases.
        rate: the weighted mean of the scores, 0 to 1.
        countable: True if every case is right or wrong, in all its replies, weighs the same, and is
            independent of the others.
        spread: the variance of the weighted scores of the cases, robust to groups.
        largest: the weight in which unseen losses may come at once, if *values* is None.
        groups: number of groups of related cases, or None if cases are independent.
        values: the scores that are not countable; None for a rate that is no mean over cases.
    """

    n: int
    rate: float
    countable: bool = True
    spread: float = 0.0
    largest: float = 1.0
    groups: int | None = None
    values: BoundedValues | None = field(default=None, compare=False, repr=False)

    @property
    def right(self) -> float:
        """The number of right cases, if cases can be counted."""
        return float(np.rint(self.rate * self.n))


def mean_score(
    scores: ArrayLike, *, groups: ArrayLike | None = None, weights: ArrayLike | None = None
) -> MeanScore:
    """Return the rate of the mean scores of the cases.

    The order of the cases does not change a single bit of the result.

    Args:
        scores: mean score of each case, 0 to 1, shape (n,).
        groups: a label for each case, shape (n,). Cases with the same label are dependent.
        weights: weight of each case, shape (n,). Only their ratios matter; cases of weight zero
            are ignored.

    Raises:
        ValueError: no cases, unequal lengths, scores outside 0 to 1, or weights that are negative
            or all zero.
    """
    values, *_, w, codes = sorted_rows(scores, scores, None, None, weights, groups=groups)
    labels = None if groups is None else codes.astype(np.intp)
    rate, n = float(np.mean(w * values)), values.size
    sums = w * (values - rate) if labels is None else np.bincount(labels, w * (values - rate))
    units = sums.size
    whole = bool(np.all(np.abs(values - np.rint(values)) < _TOLERANCE))
    countable = whole and bool(np.ptp(w) == 0.0) and groups is None
    return MeanScore(
        n=n,
        rate=min(1.0, rate),
        countable=countable,
        values=None if countable else _bounded(values, w, labels),
        spread=float(np.sum(sums**2)) / n * units / max(units - 1.0, 1.0),
        groups=None if groups is None else units,
    )


def _bounded(scores: Array, weights: Array, labels: NDArray[np.intp] | None) -> BoundedValues:
    """Return the *scores* of cases; one that loses nothing has 1."""
    from pytest_ftgate.stats.bounded import BoundedValues  # most suites are counted

    return BoundedValues.of_cases(scores, weights, labels, (0.0, 1.0), 1.0)


def p_reaches(rate: MeanScore, minimum: float) -> float:
    """Return the p-value of "the true rate is below *minimum*"; small values pass.

    Raises:
        ValueError: unless 0 < minimum <= 1.
    """
    _require_minimum(minimum)
    if rate.countable:
        return float(binomial_sf(rate.right - 1.0, float(rate.n), minimum))
    if rate.values is not None and rate.groups != 1:
        return float(rate.values.p_at_most(minimum))
    return tail(-_score(rate, minimum), rate.groups)


def p_misses(rate: MeanScore, minimum: float) -> float:
    """Return the p-value of "the true rate is at least *minimum*"; small values fail.

    Raises:
        ValueError: unless 0 < minimum <= 1.
    """
    _require_minimum(minimum)
    if rate.countable:
        return float(binomial_cdf(rate.right, float(rate.n), minimum))
    if rate.values is not None and rate.groups != 1:
        return float(rate.values.p_at_least(minimum))
    return tail(_score(rate, minimum), rate.groups)


def score_interval(rate: MeanScore, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval (low, high) of the rate.

    It is exact for cases that can be counted (Clopper & Pearson 1934). Otherwise it holds the
    rates that the tests of this module do not reject.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    if rate.countable:
        low, high = clopper_pearson(rate.right, float(rate.n), confidence)
        return float(low), float(high)
    if rate.groups == 1:
        return 0.0, 1.0
    if rate.values is not None:
        return rate.values.interval(confidence)
    reach = _plan(rate, (1.0 - confidence) / 2.0).distance(0.5)
    return max(0.0, rate.rate - reach), min(1.0, rate.rate + reach)


def rate_pass_probability(rate: MeanScore, minimum: float, alpha: float = 0.05) -> float:
    """Return the probability that a variant whose scores vary as in *rate* reaches *minimum*."""
    _require_minimum(minimum)
    return _plan(rate, alpha).chance(rate.rate - minimum)


def rate_cases_needed(rate: MeanScore, minimum: float, power: float, alpha: float = 0.05) -> int:
    """Return how many such cases reach *minimum* with *power*.

    Raises:
        ValueError: no number does.
    """
    return _plan(rate, alpha).cases(rate.rate - minimum, power)


def _plan(rate: MeanScore, alpha: float) -> PlannedMean | PlannedScore:
    n, spread = float(rate.n), rate.spread
    if rate.values is not None:
        return rate.values.plan(spread, rate.rate, alpha)
    level = -quantile(alpha, rate.groups)
    return PlannedScore(n=n, spread=spread, largest=rate.largest, quantile=level)


def _require_minimum(minimum: float) -> None:
    if not 0.0 < minimum <= 1.0:
        raise ValueError(f"a minimum lies above 0 and at most at 1, got {minimum}")


def _score(rate: MeanScore, minimum: float) -> float:
    return z_score(rate.rate - minimum, float(rate.n), rate.spread, rate.largest)
