"""Paired comparisons of two variants on the same cases.

Tests of non-inferiority within a margin and of a drop, intervals of the difference, and p-values
adjusted for multiple tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from pytest_ftgate.stats.proportions import (
    Numbers,
    exact_noninferior_p,
    mcnemar_midp,
    require_share,
    tango_variance,
    tango_z,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from pytest_ftgate.stats.proportions import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCounts(Generic[Numbers]):
    """The counts that the paired tests need, of one suite or of many suites.

    Each case has one score of the baseline and one of the candidate. Counts are floats for one
    suite, and arrays of one shape with one entry per suite for many.

    Attributes:
        n: number of cases.
        fixed: expected number of cases wrong before and right now. It is whole for scores of 0
            or 1 and one reply a case.
        regressed: expected number of cases right before and wrong now.
        effective: effective number of cases (N_eff): the size of a suite with one reply a case
            that carries the same information.
        binary: True if every score is 0 or 1 and every case weighs the same.
        groups: number of groups of related cases, or None if cases are independent. Fewer than
            ten groups support no conclusion.
    """

    n: float
    fixed: Numbers
    regressed: Numbers
    effective: Numbers
    binary: bool | NDArray[np.bool_] = True
    groups: int | None = None

    @property
    def delta(self) -> Numbers:
        """The estimated difference, candidate minus baseline, -1 to 1."""
        return (self.fixed - self.regressed) / self.n

    @property
    def allows_exact_test(self) -> bool | NDArray[np.bool_]:
        """True if exact tests apply: whole counts of independent cases, not rescaled."""
        whole: bool | NDArray[np.bool_] = (self.fixed % 1.0 == 0.0) & (self.regressed % 1.0 == 0.0)
        unscaled: bool | NDArray[np.bool_] = self.effective == self.n
        return self.binary & whole & unscaled if self.groups is None else False

    @property
    def effective_counts(self) -> tuple[Numbers, Numbers, Numbers]:
        """Fixed, regressed and all cases, on the scale of the effective number of cases."""
        ratio = self.effective / self.n
        return self.fixed * ratio, self.regressed * ratio, self.effective


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts(ChangeCounts[float]):
    """The counts of one suite with the mean scores of baseline and candidate, 0 to 1."""

    before: float
    after: float


def find_root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return the root of *function* between *low* and *high*.

    Args:
        function: continuous, with different signs at *low* and *high*.
        low: the lower end.
        high: the upper end.
        xtol: absolute tolerance of the root.
    """
    # Imported on demand: this module is half of SciPy's import time, and most gates need no root.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=xtol))


#: Scores may exceed their range by this much through rounding.
_TOLERANCE = 1e-9
#: Prior weight, in cases, of the variance of one reply a case.
_PRIOR_CASES = 4.0
#: Prior weight, in changed groups, of full dependence within a group.
_PRIOR_GROUPS = 2.0


def paired_counts(
    before: ArrayLike,
    after: ArrayLike,
    *,
    before_repeats: ArrayLike | None = None,
    after_repeats: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> PairedCounts:
    """Return the counts of two arrays of mean scores of the same cases.

    Repeats are never pooled as cases: N_eff-Tango (statistics.md 1.4) puts the effective number
    between n and n times the harmonic mean of the repeats. It is exactly n for right-or-wrong
    cases with one reply. The order of the cases does not change a single bit of the result.

    Args:
        before: mean score of each case for the baseline, 0 to 1, shape (n,).
        after: mean score of each case for the candidate, 0 to 1, shape (n,).
        before_repeats: number of replies in each mean of *before*, scalar or (n,); 1 if None.
        after_repeats: the same for *after*.
        groups: a label for each case, shape (n,). Cases with the same label are dependent.
        weights: weight of each case, shape (n,). Only their ratios matter; cases of weight zero
            are ignored. Unequal weights lower the effective number by Kish's design effect.

    Raises:
        ValueError: no cases, unequal lengths, scores outside 0 to 1, repeats below 1, or weights
            that are negative or all zero.
    """
    arrays = (before, after, before_repeats, after_repeats, weights)
    b, c, inverse, w, codes = _sorted_rows(*arrays, groups=groups)
    counts = change_counts(b, c, inverse, w)
    labels = None if groups is None else codes.astype(np.intp)
    effective = counts.effective if labels is None else _effective_grouped(b, c, inverse, w, labels)
    return PairedCounts(
        n=counts.n,
        fixed=float(counts.fixed),
        regressed=float(counts.regressed),
        effective=float(effective),
        before=float(np.sum(w * b)) / counts.n,
        after=float(np.sum(w * c)) / counts.n,
        groups=None if labels is None else int(labels.max()) + 1,
        binary=bool(counts.binary),
    )


def change_counts(
    before: Array, after: Array, inverse: float | Array = 1.0, weights: float | Array = 1.0
) -> ChangeCounts[Array]:
    """Return the counts of many suites of independent cases at once.

    This is the core of `paired_counts`, without its checks and its sorting: N_eff-Tango
    (statistics.md 1.4).

    Args:
        before: mean scores of the baseline, 0 to 1, shape (..., n). Leading axes are suites.
        after: mean scores of the candidate; its shape broadcasts with *before*.
        inverse: mean of 1 / repeats over both variants, scalar or (n,).
        weights: weights of the cases with mean 1, scalar or (n,).

    Returns:
        Counts of shape (...).
    """
    fixed, regressed, v1, residuals = _change_moments(before, after, weights)
    n, (kish, cap) = float(residuals.shape[-1]), _effective_range(residuals, inverse, weights)
    whole = (before * (1.0 - before) == 0.0) & (after * (1.0 - after) == 0.0)
    binary = np.asarray(np.all(whole, axis=-1) & (kish == n))
    effective = np.where(binary, n, _effective(v1, residuals, kish, cap))
    return ChangeCounts(n=n, fixed=fixed, regressed=regressed, effective=effective, binary=binary)


def _change_moments(b: Array, c: Array, w: float | Array) -> tuple[Array, Array, Array, Array]:
    """Return fixed, regressed, the variance for one reply a case, and the residual of each case."""
    fixed, regressed = np.sum(w * (1.0 - b) * c, axis=-1), np.sum(w * b * (1.0 - c), axis=-1)
    n = float(np.broadcast_shapes(b.shape, c.shape)[-1])
    delta = np.asarray((fixed - regressed) / n)
    v1 = np.maximum((fixed + regressed) / n - delta**2, 0.0)
    return fixed, regressed, v1, w * (c - b - delta[..., None])


def _effective_range(
    residuals: Array, inverse: float | Array, w: float | Array
) -> tuple[float, float]:
    """Return the effective number that unequal weights leave (Kish), and its maximum by repeats."""
    n = residuals.shape[-1]
    kish = n * n / float(np.sum(np.broadcast_to(np.square(w), n)))
    return kish, kish * n / float(np.sum(np.broadcast_to(w * np.asarray(inverse), n)))


def _effective(v1: Array, residuals: Array, kish: float, cap: float) -> Array:
    """Return the effective number of cases.

    The observed variance is shrunk towards the variance of one reply a case.
    """
    n, changed = float(residuals.shape[-1]), v1 > 0.0
    observed = np.sum(residuals**2, axis=-1) / n
    shrunk = (n * observed + _PRIOR_CASES * v1 * n / kish) / (n + _PRIOR_CASES)
    estimate = n * v1 / np.where(changed, shrunk, 1.0)
    return np.where(changed, np.clip(estimate, n if kish == n else 1.0, cap), kish)


def _effective_grouped(
    b: Array, c: Array, inverse: Array, w: Array, labels: NDArray[np.intp]
) -> float:
    """Return the effective number of cases when cases of one group are dependent.

    Only changed cases show how strong the dependence is. The design effect is therefore shrunk
    towards full dependence with the weight of two changed groups. Without the shrinkage a suite
    with rare changes passes far too often (74% at ten groups of twenty, nominal 5%).
    """
    _, _, v1, residuals = _change_moments(b, c, w)
    cap, changed = _effective_range(residuals, inverse, w)[1], w * (b + c - 2.0 * b * c)
    n, sizes = float(np.sum(w)), np.bincount(labels, w)
    minimum = n * n / float(np.sum(sizes**2))
    if v1 == 0.0 or sizes.size == 1:
        return min(minimum, cap)
    squares = float(np.sum(np.bincount(labels, residuals) ** 2))
    observed = sizes.size / (sizes.size - 1.0) * squares / (n * float(v1))
    changed_groups = float(np.count_nonzero(np.bincount(labels, changed)))
    prior = _PRIOR_GROUPS * n / minimum
    design_effect = (changed_groups * observed + prior) / (changed_groups + _PRIOR_GROUPS)
    return min(max(n / design_effect, minimum), cap)


def tango_interval(pairs: PairedCounts, confidence: float) -> tuple[float, float]:
    """Return the two-sided score interval (low, high) of the difference, candidate minus baseline.

    It holds the differences that `tango_z` does not reject (Tango 1998). With groups it uses the t
    quantile on groups - 1 degrees of freedom, and it is (-1, 1) for fewer than two groups.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    quantile = _quantile(pairs, (1.0 + confidence) / 2.0)
    return _interval_end(pairs, quantile, -1.0), _interval_end(pairs, -quantile, 1.0)


def p_noninferior(pairs: ChangeCounts[Numbers], margin: float, *, exact: bool = False) -> Numbers:
    """Return the p-value of "it dropped by *margin* or more", one per suite.

    Small values pass the gate. The test is Tango's score test on the effective number of cases,
    with a t distribution on groups - 1 degrees of freedom when cases are grouped.

    Args:
        pairs: the counts.
        margin: the non-inferiority margin, a share.
        exact: use the exact unconditional test where the counts of one suite allow it (see
            `ChangeCounts.allows_exact_test`).

    Raises:
        ValueError: unless 0 < margin < 1.
    """
    require_share("margin", margin)
    if exact and isinstance(pairs, PairedCounts) and pairs.allows_exact_test:
        return exact_noninferior_p(pairs.fixed, pairs.regressed, int(pairs.n), margin)
    return _tail(pairs, -_score(pairs, -margin))


def p_drop(pairs: ChangeCounts[Numbers]) -> Numbers:
    """Return the p-value of "it did not drop", one per suite; small values fail the gate.

    The test is McNemar's one-sided mid-p for plain counts, otherwise the score test at 0 on the
    effective number of cases. The value is 1 when nothing changed.
    """
    score = _tail(pairs, tango_z(*pairs.effective_counts, 0.0))
    exact, changed = pairs.allows_exact_test, pairs.fixed + pairs.regressed > 0.0
    # The mid-p test refuses fractions, so it gets zero counts where it does not apply.
    counts = [np.where(exact, count, 0.0) for count in (pairs.fixed, pairs.regressed)]
    p = np.where(exact, mcnemar_midp(*counts), np.where(changed, score, 1.0))
    return cast("Numbers", p if p.ndim else float(p))


def _score(pairs: ChangeCounts[Numbers], delta: float) -> Numbers:
    """Return Tango's statistic, with the observed variance scaled to the effective cases.

    The hypothesis adds the variance of regressed cases that were not observed. These may be cases
    that always regress, and repeats do not average them out. That part of the variance is
    therefore not scaled: scaling it passes too many true drops of few cases with many repeats
    (benchmarks/error_rates.py).
    """
    ratio, n = pairs.effective / pairs.n, pairs.n
    observed = np.maximum((pairs.fixed + pairs.regressed) / n - np.square(pairs.delta), 0.0)
    total = np.asarray(tango_variance(pairs.fixed, pairs.regressed, n, delta))
    added = np.maximum(total - observed, 0.0)
    variance = np.maximum(total / ratio, np.where(added > 0.0, observed / ratio + added, 0.0))
    distance = pairs.delta - delta
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance * np.sqrt(n / variance)
    return cast("Numbers", np.where(distance == 0.0, 0.0, z)[()])


def _interval_end(pairs: PairedCounts, quantile: float, end: float) -> float:
    """Return the difference between the estimate and *end* where the statistic is *quantile*."""
    near, far = pairs.delta, end * (1.0 - 1e-12)
    if not np.isfinite(quantile) or near * end >= abs(far):
        return end

    def excess(delta: float) -> float:
        return float(_score(pairs, delta)) - quantile

    if excess(near) * excess(far) >= 0.0:
        return end
    return find_root(excess, near, far, xtol=1e-12)


def _quantile(pairs: PairedCounts, level: float) -> float:
    if pairs.groups is None:
        return float(ndtri(level))
    return float(stdtrit(pairs.groups - 1.0, level)) if pairs.groups > 1 else np.inf


def _tail(pairs: ChangeCounts[Numbers], z: Numbers) -> Numbers:
    if pairs.groups is None:
        p = np.asarray(ndtr(z))
    else:
        p = np.asarray(stdtr(pairs.groups - 1.0, z) if pairs.groups > 1 else np.ones_like(z))
    return cast("Numbers", p if p.ndim else float(p))


def _checked_values(values: ArrayLike, name: str, low: float, high: float) -> Array:
    array = np.asarray(values, np.float64)
    in_range = (array >= low - _TOLERANCE) & (array <= high + _TOLERANCE)
    if array.ndim > 1 or not np.all(in_range):
        msg = f"{name} must be one number a case, from {low:g} to {high:g}"
        raise ValueError(msg)
    return np.clip(array, low, high)


def _sorted_rows(*arrays: ArrayLike | None, groups: ArrayLike | None) -> Array:
    """Return five rows: scores before and after, inverse repeats, weights, group codes.

    Weights have mean 1. The cases are sorted, so that sums round the same in any input order.
    """
    limits = (*[("scores", 0.0, 1.0)] * 2, *[("repeats", 1.0, 1e9)] * 2, ("weights", 0.0, 1e9))
    pairs = zip(arrays, limits, strict=True)
    b, c, kb, kc, w = (_checked_values(1.0 if v is None else v, *limit) for v, limit in pairs)
    labels = np.zeros(b.shape) if groups is None else np.asarray(groups)
    shapes = {b.shape, c.shape, labels.shape, *(x.shape for x in (kb, kc, w) if x.ndim)}
    if b.ndim != 1 or len(shapes) > 1 or not b.size or not np.any(w):
        msg = f"every column needs one entry for each case, at least one case; got {shapes}"
        raise ValueError(msg)
    codes = np.zeros(b.shape)
    weighted = np.broadcast_to(w > 0.0, b.shape)
    codes[weighted] = np.unique(labels[weighted], return_inverse=True)[1]
    rows = np.stack(np.broadcast_arrays(b, c, (1.0 / kb + 1.0 / kc) / 2.0, w, codes))[:, weighted]
    rows = rows[:, np.lexsort(rows)]
    rows[3] = 1.0 if np.ptp(rows[3]) == 0.0 else rows[3] * rows.shape[1] / np.sum(rows[3])
    return rows


_Values = NDArray[np.float64]


def holm(p: Sequence[float] | _Values) -> _Values:
    """Return step-down adjusted p-values: family-wise error under any dependence.

    Holm (1979), Scandinavian Journal of Statistics 6:65-70.

    Raises:
        ValueError: a p-value is outside 0 to 1.
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not np.all((values >= 0.0) & (values <= 1.0)):
        msg = "p-values must be a one-dimensional array of numbers from 0 to 1"
        raise ValueError(msg)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    factors = values.size - np.arange(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted
