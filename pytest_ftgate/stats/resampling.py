"""Estimates beyond paired proportions, and intervals of means that may be skewed.

A marginal-homogeneity test, agreement of raters, retention of skills, and means of labelled judges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import chdtrc, stdtr, stdtrit

from pytest_ftgate.stats.bounded import p_mean
from pytest_ftgate.stats.proportions import Array, find_root, require_share, wilson

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


#: Cells that one batch of bootstrap draws may hold.
_BATCH_CELLS = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """An estimate with the ends of its 95 % interval."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanEstimate:
    """A mean on the scale of its labels, with its standard error and degrees of freedom."""

    mean: float
    se: float
    df: int

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the two-sided t interval (low, high); ValueError unless 0 < confidence < 1."""
        require_share("confidence", confidence)
        half_width = float(stdtrit(float(self.df), (1.0 + confidence) / 2.0)) * self.se
        return self.mean - half_width, self.mean + half_width

    def p_above(self, threshold: float) -> float:
        """Return the p-value of "the mean is at most *threshold*"; the PASS test at -margin."""
        return self._tail(threshold - self.mean)

    def p_below(self, threshold: float) -> float:
        """Return the p-value of "the mean is at least *threshold*"; the FAIL test at 0."""
        return self._tail(self.mean - threshold)

    def _tail(self, distance: float) -> float:
        if self.se == 0.0:
            return 0.0 if distance < 0.0 else 1.0
        return float(stdtr(float(self.df), distance / self.se))


def stuart_maxwell(table: ArrayLike) -> tuple[float, int, float]:
    """Return the test that the marginal shares of the labels are the same before and after.

    That is the chi-square statistic, its degrees of freedom and its p-value. *table*, shape (k, k),
    counts cases by label before (rows) and after (columns). The degrees of freedom are the rank of
    the covariance: k - 1, or fewer if some labels never exchange cases. The p-value is 1 when
    nothing changed. Stuart (1955), Biometrika 42:412-416; Maxwell (1970).
    """
    counts = np.asarray(table, np.float64)
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    covariance = np.diag(rows + columns) - counts - counts.T
    shift = rows - columns
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    statistic = float(shift @ np.linalg.pinv(covariance, hermitian=True) @ shift)
    p = float(chdtrc(float(rank), statistic)) if rank else 1.0
    return statistic, rank, p


def clustered_se(values: ArrayLike, groups: ArrayLike) -> float:
    """Return the standard error of a mean over grouped cases; both arrays have shape (n,).

    It sums the squares of the groups' summed residuals, with the factor G / (G - 1) (Miller 2024,
    arXiv:2411.00640). With one case per group it is the ordinary standard error.

    Raises:
        ValueError: lengths differ, or there are fewer than two groups.
    """
    scores, (labels, codes) = np.asarray(values, float), np.unique(groups, return_inverse=True)
    if scores.shape != codes.shape or labels.size < 2:  # noqa: PLR2004 - a spread needs two
        raise ValueError("a standard error needs one group a case and at least two groups")
    sums = np.bincount(codes, scores - scores.mean())
    factor = labels.size / (labels.size - 1.0)
    return float(np.sqrt(factor * np.sum(sums**2)) / scores.size)


def two_phase_mean(grades: ArrayLike, labels: ArrayLike, labelled: ArrayLike) -> MeanEstimate:
    """Return the mean of cases that a judge grades all and people label in part, at random.

    The judge's mean is corrected by its mean error on the labelled cases (double sampling: Cochran
    1977, Sampling Techniques, chapter 12). Fewer than a hundred labels support no conclusion.

    Args:
        grades: the judge's grades of all cases, shape (n,).
        labels: the labels of the labelled cases, shape (m,), at least two.
        labelled: the positions of the labelled cases in *grades*, shape (m,).
    """
    f, y = np.asarray(grades, np.float64), np.asarray(labels, np.float64)
    error = y - f[np.asarray(labelled)]
    unlabelled_factor = 1.0 / y.size - 1.0 / f.size
    variance = np.var(y, ddof=1) / f.size + unlabelled_factor * np.var(error, ddof=1)
    mean = float(np.mean(f)) + float(np.mean(error))
    return MeanEstimate(mean=mean, se=float(np.sqrt(variance)), df=y.size - 1)


_RESAMPLES = 4000
#: The error of each bound: both together are a 95 % interval.
_SIDE = 0.025


def kappa_bounds(first: ArrayLike, second: ArrayLike, grade_count: int) -> Bounds:
    """Return Cohen's kappa with bootstrap bounds over the rated replies (fixed seed).

    The method is the paired percentile bootstrap (Efron 1979). A disagreement weighs the square of
    its distance. Kappa is 0 where both raters give one and the same grade to everything. Cohen
    (1960); weights: Cohen (1968).

    Args:
        first: the first rater's grades as ordinal positions from 0, shape (n,).
        second: the second rater's grades of the same replies, shape (n,).
        grade_count: number of possible grades.
    """
    rows, columns = np.asarray(first, np.intp), np.asarray(second, np.intp)
    cells = np.zeros((rows.size, grade_count * grade_count))
    cells[np.arange(rows.size), rows * grade_count + columns] = 1.0
    positions = np.arange(grade_count)
    costs = np.subtract.outer(positions, positions).astype(np.float64) ** 2

    def kappa(counts: Array) -> Array:
        tables = (counts @ cells).reshape(-1, grade_count, grade_count)
        total = tables.sum(axis=(1, 2))
        observed = (tables * costs).sum(axis=(1, 2)) * total
        chance = np.einsum("ri,ij,rj->r", tables.sum(axis=2), costs, tables.sum(axis=1))
        return np.where(chance > 0, 1.0 - observed / np.where(chance > 0, chance, 1.0), 0.0)

    n, rng = rows.size, np.random.default_rng(0)
    batches = np.array_split(np.arange(_RESAMPLES), 1 + _RESAMPLES * n // _BATCH_CELLS)
    draws = (rng.multinomial(n, np.full(n, 1.0 / n), batch.size) for batch in batches)
    values = np.concatenate([kappa(counts.astype(np.float64)) for counts in draws])
    lower, upper = map(float, np.quantile(values, [_SIDE, 1.0 - _SIDE]))
    return Bounds(estimate=float(kappa(np.ones((1, n)))[0]), lower=lower, upper=upper)


class SkillSample(NamedTuple):
    """The cases of one skill.

    Attributes:
        before, after: mean scores of the cases, 0 to 1, both of shape (n,).
        size: effective number of independent cases.
        weight: weight of the skill in the mean.
    """

    before: Array
    after: Array
    size: float
    weight: float = 1.0


class _Mean(NamedTuple):
    mean: float
    low: float
    high: float


def retention_ratio(
    samples: Sequence[SkillSample], confidence: float
) -> tuple[float, float, float] | None:
    """Return the ratio after / before with its interval (ratio, low, high).

    At least one sample has a weight. The upper end is infinite if the data do not bound it. The
    result is None if the mean before is 0.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    weights = np.array([sample.weight for sample in samples], dtype=np.float64)
    weights /= weights.sum()
    before, after = (_mean(samples, weights, side, confidence) for side in ("before", "after"))
    if before.mean <= 0.0:
        return None
    low, high = _ratio_interval(after, before, _correlation(samples, weights))
    return after.mean / before.mean, low, high


def _mean(samples: Sequence[SkillSample], weights: Array, side: str, confidence: float) -> _Mean:
    means = np.array([getattr(sample, side).mean() for sample in samples])
    factors = weights**2 / np.array([sample.size for sample in samples])
    mean, variance = float(weights @ means), float(factors @ (means * (1.0 - means)))
    size = mean * (1.0 - mean) / variance if variance > 0.0 else 1.0 / float(factors.sum())
    low, high = wilson(mean * size, size, confidence)
    return _Mean(mean, float(low), float(high))


def _correlation(samples: Sequence[SkillSample], weights: Array) -> float:
    """Return the correlation of the two means, which is the benefit of pairing."""
    covariance = np.zeros((2, 2))
    for sample, weight in zip(samples, weights, strict=True):
        scores = np.stack([sample.before, sample.after])
        covariance += weight**2 * np.cov(scores, bias=True) / sample.size
    scale = float(np.sqrt(covariance[0, 0] * covariance[1, 1]))
    return float(covariance[0, 1]) / scale if scale > 0.0 else 0.0


def _ratio_interval(
    numerator: _Mean, denominator: _Mean, correlation: float
) -> tuple[float, float]:
    up, down = numerator, denominator
    product = up.mean * down.mean
    lower = product - correlation * (up.mean - up.low) * (down.high - down.mean)
    upper = product - correlation * (up.high - up.mean) * (down.mean - down.low)
    tops = [bound * (2 * up.mean - bound) for bound in (up.low, up.high)]
    bottoms = [bound * (2 * down.mean - bound) for bound in (down.high, down.low)]
    roots = [
        np.sqrt(max(0.0, middle**2 - top * bottom))
        for middle, top, bottom in zip((lower, upper), tops, bottoms, strict=True)
    ]
    low = (lower - roots[0]) / bottoms[0] if bottoms[0] > 0.0 else 0.0
    high = (upper + roots[1]) / bottoms[1] if bottoms[1] > 0.0 else np.inf
    return max(0.0, float(low)), float(high)


#: The relative tolerance of the ends of a ratio, and the largest end in units of the ratio.
_TOLERANCE, _LARGEST = 1e-9, 1e6
#: The tolerance of the ends of a bounded ratio, as a share of their distance from it.
_ACCURACY = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class BoundedRatio:
    """A ratio of two means of the same cases whose values have bounds: a mean cost, or its rise.

    The tests are those of `bounded.p_mean`: one case is added that was the worst it can be. A mean
    is a ratio to ones.

    Attributes:
        above, below: the weighted values of each unit, summed over its cases, shape (units,); none
            is negative.
        weight: the weight of the heaviest unit; a case weighs 1 on average.
        most: the most above of one case of weight 1.
        base: the least and the most below of one such case.
    """

    above: Array
    below: Array
    weight: float
    most: float
    base: tuple[float, float]

    @classmethod
    def of_cases(
        cls,
        sides: tuple[Array, Array],
        weights: Array,
        groups: ArrayLike,
        most: float,
        base: tuple[float, float],
    ) -> BoundedRatio:
        """Return the ratio of *sides*, (n,) each, of cases with these *weights* and *groups*."""
        labels, w = np.unique(groups, return_inverse=True)[1], weights / np.mean(weights)
        sums = [
            np.bincount(labels, column).astype(np.float64)
            for column in (sides[0] * w, sides[1] * w, w)
        ]
        return cls(sums[0], sums[1], float(sums[2].max()), most, base)

    @property
    def value(self) -> float:
        """The observed ratio, which rounding lets exceed no bound."""
        value = float(self.above.sum() / self.below.sum())
        return min(value, self.most / self.base[0]) if self.base[0] else value

    def p_at_least(self, ratio: float, times: float = 1.0) -> float:
        """Return the p-value of "the true ratio is at least *ratio*".

        *times* is how often each unit counts, as if so many more had been drawn.
        """
        return self._p(ratio * self.below - self.above, ratio * self.base[0] - self.most, times)

    def p_at_most(self, ratio: float, times: float = 1.0) -> float:
        """Return the p-value of "the true ratio is at most *ratio*"; see `p_at_least`."""
        return self._p(self.above - ratio * self.below, -ratio * self.base[1], times)

    def _p(self, values: Array, worst: float, times: float) -> float:
        if worst >= 0.0:  # no case can be on the side of the hypothesis
            return 0.0 if worst > 0.0 or values.max() > 0.0 else 1.0
        return float(p_mean(values, worst * self.weight, np.full(values.size, times)))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ratios that neither test rejects.

        Raises:
            ValueError: unless 0 < confidence < 1.
        """
        require_share("confidence", confidence)
        alpha, value = (1.0 - confidence) / 2.0, self.value
        error = float(np.sqrt(np.sum((self.above - value * self.below) ** 2)))
        # About how far the ends lie: two standard errors, and what one worst unit adds.
        step = (2.0 * error + 4.0 * self.weight * (self.most or 1.0)) / float(self.below.sum())
        low, high, accuracy = value, value, step * _ACCURACY
        while low > 0.0 and self.p_at_most(low) > alpha:
            low = max(0.0, low - step)
        while self.p_at_least(high) > alpha:
            high += step
            step *= 2.0
        # A test may reject even the ratio where it lies at its bound, but for rounding.
        if low < value:
            low = find_root(lambda r: self.p_at_most(r) - alpha, low, value, accuracy)
        if high > value:
            high = find_root(lambda r: self.p_at_least(r) - alpha, value, high, accuracy)
        return low, min(high, self.most / self.base[0]) if self.base[0] else high

    def needed_times(self, ratio: float, alpha: float, most: float) -> float | None:
        """Return how often the units must count to show on which side of *ratio* they are.

        None if it is more than *most* times.
        """
        p = self.p_at_least if self.value <= ratio else self.p_at_most
        if p(ratio, most) > alpha:
            return None
        if p(ratio) <= alpha:
            return 1.0
        return find_root(lambda times: p(ratio, times) - alpha, 1.0, most, _TOLERANCE)


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

    # Values in one and the same ratio differ from it by rounding alone.
    if max(map(abs, ends(ratio))) <= _TOLERANCE * float(above.mean()):
        return ratio, ratio
    low, high, accuracy = 0.0, 2.0 * ratio, ratio * _TOLERANCE
    if ends(0.0)[0] > 0.0:
        low = find_root(lambda r: ends(r)[0], 0.0, ratio, accuracy)
    while ends(high)[1] > 0.0:
        high *= 2.0
        if high > ratio * _LARGEST:
            return low, np.inf
    return low, find_root(lambda r: ends(r)[1], ratio, high, accuracy)


def ratio_of_ratios_interval(
    after: tuple[ArrayLike, ArrayLike], before: tuple[ArrayLike, ArrayLike], confidence: float
) -> tuple[float, float]:
    """Return the interval (low, high) of a ratio of means after, over the same ratio before.

    It is `mean_interval` of the logarithm, linearized: what each unit adds to it. Both sides may
    come from the same units.

    Args:
        after: numerators and denominators, both of shape (n,), none negative nor all zero.
        before: the same of the other side.
        confidence: a share.

    Raises:
        ValueError: as for `mean_interval`.
    """
    columns = [np.asarray(values, np.float64) for values in (*after, *before)]
    means = [float(values.mean()) for values in columns]
    signs = (1.0, -1.0, -1.0, 1.0)
    parts = [sign * values / mean for sign, values, mean in zip(signs, columns, means, strict=True)]
    shift = float(np.dot(signs, np.log(means)))
    low, high = mean_interval(np.sum(parts, axis=0), confidence)
    return float(np.exp(shift + low)), float(np.exp(shift + high))


def _reach(skewness: float, quantile: float) -> float:
    """Return how many standard errors the upper end lies above the mean.

    *skewness* is that of the values over the root of their number, which is that of the mean.
    """
    shifted = quantile + skewness / 6.0
    square = 1.0 - 4.0 * skewness * shifted / 3.0
    if square >= 0.0:
        return 2.0 * shifted / (1.0 + float(np.sqrt(square)))
    return 3.0 * (1.0 - float(np.cbrt(min(0.0, 1.0 - skewness * shifted)))) / skewness
