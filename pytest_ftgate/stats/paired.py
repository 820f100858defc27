"""Paired comparisons of two variants on the same cases.

Tests whether the candidate is no worse than a margin allows, and whether it dropped; intervals for
the difference; p-values adjusted for several tests.
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

__all__ = [
    "Counts",
    "Pairs",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bonferroni",
    "condense",
    "hochberg",
    "holm",
    "p_drop",
    "p_noninferior",
    "pair",
    "root",
    "tango_interval",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Generic[Numbers]):
    """What the paired tests count over n cases answered by both sides, of one suite or of many.

    gains, losses: expected discordant cases out of n, whole when replies are right or wrong and
    asked once. effective: cases of a once-asked suite that tell as much (N_eff). binary: whether
    the counts are plain counts. groups: number of groups of related cases, None if independent;
    below ten a caller should not conclude anything. Floats for one suite; arrays of one shape,
    one entry a suite, for many.
    """

    n: float
    gains: Numbers
    losses: Numbers
    effective: Numbers
    binary: bool | NDArray[np.bool_] = True
    groups: int | None = None

    @property
    def delta(self) -> Numbers:
        """Estimated difference, candidate minus baseline, -1 to 1."""
        return (self.gains - self.losses) / self.n

    @property
    def countable(self) -> bool | NDArray[np.bool_]:
        """Whether exact tests apply: whole counts of independent cases, nothing rescaled."""
        whole: bool | NDArray[np.bool_] = (self.gains % 1.0 == 0.0) & (self.losses % 1.0 == 0.0)
        unscaled: bool | NDArray[np.bool_] = self.effective == self.n
        return self.binary & whole & unscaled if self.groups is None else False

    @property
    def scaled(self) -> tuple[Numbers, Numbers, Numbers]:
        """Gains, losses and cases on the scale of the effective number of cases."""
        ratio = self.effective / self.n
        return self.gains * ratio, self.losses * ratio, self.effective


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs(Counts[float]):
    """The counts of one suite, and the mean scores of its two sides, each 0 to 1."""

    before: float
    after: float


def root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return where *function*, which has another sign at *low* than at *high*, is zero.

    Args:
        function: continuous.
        low: one end.
        high: the other.
        xtol: how far from it may be answered.
    """
    # On demand: half of what SciPy costs is this module of it, and most gates need no root.
    from scipy.optimize import brentq

    return float(brentq(function, low, high, xtol=xtol))


_SLACK = 1e-9
_PRIOR = 4.0
_GROUP_PRIOR = 2.0


def pair(
    before: ArrayLike,
    after: ArrayLike,
    *,
    before_repeats: ArrayLike | None = None,
    after_repeats: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> Pairs:
    """Condense two columns of mean scores of the same cases, both of shape (n,), into Pairs.

    Scores are 0 to 1, one mean a case; repeats say how many replies each mean rests on (scalar
    or shape (n,), default 1). Repeats are never pooled as cases: N_eff-Tango (statistics.md 1.4)
    sets the effective number between n and n times the harmonic number of repeats, and exactly
    n for right-or-wrong cases asked once. `groups` are labels of shape (n,): cases sharing one
    are not independent. `weights`, shape (n,), say how much a case counts; only their ratios
    matter, a case of weight zero is left out, and unequal weights lower the effective number by
    Kish's design effect. The order of the cases changes nothing, not even a last bit.

    Raises ValueError for no cases, unequal lengths, scores outside 0 to 1, repeats below 1, or
    weights that are negative or all zero.
    """
    columns = (before, after, before_repeats, after_repeats, weights)
    b, c, inverse, w, codes = _columns(*columns, groups=groups)
    counts, labels = condense(b, c, inverse, w), None if groups is None else codes.astype(np.intp)
    effective = counts.effective if labels is None else _effective_grouped(b, c, inverse, w, labels)
    return Pairs(
        n=counts.n,
        gains=float(counts.gains),
        losses=float(counts.losses),
        effective=float(effective),
        before=float(np.sum(w * b)) / counts.n,
        after=float(np.sum(w * c)) / counts.n,
        groups=None if labels is None else int(labels.max()) + 1,
        binary=bool(counts.binary),
    )


def condense(
    before: Array, after: Array, inverse: float | Array = 1.0, weights: float | Array = 1.0
) -> Counts[Array]:
    """Count the gains, losses and effective cases of many suites of independent cases at once.

    The core of `pair`, which checks and sorts what it is given; nothing is checked here. `before`
    and `after` are mean scores 0 to 1 of the same n cases, shapes (..., n) that broadcast, the
    leading axes being suites; the counts have the shape (...). `inverse` is the mean of 1 /
    repeats over the two sides, `weights` average 1, and both are scalars or of shape (n,).
    N_eff-Tango (statistics.md 1.4).
    """
    gains, losses, v1, residuals = _spread(before, after, weights)
    n, (kish, cap) = float(residuals.shape[-1]), _limits(residuals, inverse, weights)
    whole = (before * (1.0 - before) == 0.0) & (after * (1.0 - after) == 0.0)
    plain = np.asarray(np.all(whole, axis=-1) & (kish == n))
    effective = np.where(plain, n, _effective(v1, residuals, kish, cap))
    return Counts(n=n, gains=gains, losses=losses, effective=effective, binary=plain)


def _spread(b: Array, c: Array, w: float | Array) -> tuple[Array, Array, Array, Array]:
    """Gains, losses, the variance that a once-asked pair would have, and each case's residual."""
    gains, losses = np.sum(w * (1.0 - b) * c, axis=-1), np.sum(w * b * (1.0 - c), axis=-1)
    n = float(np.broadcast_shapes(b.shape, c.shape)[-1])
    delta = np.asarray((gains - losses) / n)
    v1 = np.maximum((gains + losses) / n - delta**2, 0.0)
    return gains, losses, v1, w * (c - b - delta[..., None])


def _limits(residuals: Array, inverse: float | Array, w: float | Array) -> tuple[float, float]:
    """Give the cases that unequal weights leave (Kish), and the most that repeats can make them."""
    n = residuals.shape[-1]
    kish = n * n / float(np.sum(np.broadcast_to(np.square(w), n)))
    return kish, kish * n / float(np.sum(np.broadcast_to(w * np.asarray(inverse), n)))


def _effective(v1: Array, residuals: Array, kish: float, cap: float) -> Array:
    """Cases that would tell as much, from the variance seen, shrunk towards a once-asked run."""
    n, some = float(residuals.shape[-1]), v1 > 0.0
    seen = np.sum(residuals**2, axis=-1) / n
    shrunk = (n * seen + _PRIOR * v1 * n / kish) / (n + _PRIOR)
    told = n * v1 / np.where(some, shrunk, 1.0)
    return np.where(some, np.clip(told, n if kish == n else 1.0, cap), kish)


def _effective_grouped(
    b: Array, c: Array, inverse: Array, w: Array, labels: NDArray[np.intp]
) -> float:
    """Cases that would tell as much, given that cases of one group may stand or fall together.

    How alike a group's cases are shows only where something changed, so the design effect is
    shrunk towards full dependence with the weight of two changed groups; without that a suite
    whose changes are rare passes far too often (74% at ten groups of twenty, nominal 5%).
    """
    _, _, v1, residuals = _spread(b, c, w)
    cap, changed = _limits(residuals, inverse, w)[1], w * (b + c - 2.0 * b * c)
    n, sizes = float(np.sum(w)), np.bincount(labels, w)
    floor = n * n / float(np.sum(sizes**2))
    if v1 == 0.0 or sizes.size == 1:
        return min(floor, cap)
    squares = float(np.sum(np.bincount(labels, residuals) ** 2))
    seen = sizes.size / (sizes.size - 1.0) * squares / (n * float(v1))
    told = float(np.count_nonzero(np.bincount(labels, changed)))
    design = (told * seen + _GROUP_PRIOR * n / floor) / (told + _GROUP_PRIOR)
    return min(max(n / design, floor), cap)


def tango_interval(pairs: Pairs, confidence: float) -> tuple[float, float]:
    """Give the two-sided score interval (low, high) of the difference, candidate minus baseline.

    The differences that `tango_z` does not reject (Tango 1998); with groups, by the t quantile
    on groups - 1 degrees of freedom, and (-1, 1) for fewer than two groups.

    Raises ValueError unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    reach = _quantile(pairs, (1.0 + confidence) / 2.0)
    return _limit(pairs, reach, -1.0), _limit(pairs, -reach, 1.0)


def p_noninferior(pairs: Counts[Numbers], margin: float, *, exact: bool = False) -> Numbers:
    """Give the p-value of "it dropped by `margin` or more"; small values pass the gate.

    Tango's score test on the effective number of cases, t on groups - 1 degrees of freedom
    when cases are grouped; one p-value a suite. `exact` asks for the exact unconditional test
    where one suite's counts allow it (see `Counts.countable`), and changes nothing elsewhere.

    Raises ValueError unless 0 < margin < 1.
    """
    require_share("margin", margin)
    if exact and isinstance(pairs, Pairs) and pairs.countable:
        return exact_noninferior_p(pairs.gains, pairs.losses, int(pairs.n), margin)
    return _tail(pairs, -_score(pairs, -margin))


def p_drop(pairs: Counts[Numbers]) -> Numbers:
    """Give the p-value of "it did not drop"; small values fail the gate. One p-value a suite.

    McNemar's one-sided mid-p for plain counts, else the score test at 0 on the effective number
    of cases. 1 when nothing changed.
    """
    score = _tail(pairs, tango_z(*pairs.scaled, 0.0))
    # The mid-p test refuses fractions, so where it does not apply it is shown no change at all.
    counted = [np.where(pairs.countable, side, 0.0) for side in (pairs.gains, pairs.losses)]
    changed = pairs.gains + pairs.losses > 0.0
    p = np.where(pairs.countable, mcnemar_midp(*counted), np.where(changed, score, 1.0))
    return cast("Numbers", p if p.ndim else float(p))


def _score(pairs: Counts[Numbers], delta: float) -> Numbers:
    """Tango's statistic, with the variance that was seen scaled to the effective cases.

    What the hypothesis adds to it are losses that were not seen. Those may be cases that break
    for certain, which no repeat averages out, so that part is left whole: scaling it too passes
    too many true drops of few cases with many repeats (benchmarks/error_rates.py).
    """
    told, n = pairs.effective / pairs.n, pairs.n
    seen = np.maximum((pairs.gains + pairs.losses) / n - np.square(pairs.delta), 0.0)
    whole = np.asarray(tango_variance(pairs.gains, pairs.losses, n, delta))
    unseen = np.maximum(whole - seen, 0.0)
    variance = np.maximum(whole / told, np.where(unseen > 0.0, seen / told + unseen, 0.0))
    distance = pairs.delta - delta
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance * np.sqrt(n / variance)
    return cast("Numbers", np.where(distance == 0.0, 0.0, z)[()])


def _limit(pairs: Pairs, reach: float, end: float) -> float:
    """Where the statistic crosses `reach`, between the estimate and that end of the scale."""
    near, far = pairs.delta, end * (1.0 - 1e-12)
    if not np.isfinite(reach) or near * end >= abs(far):
        return end

    def excess(delta: float) -> float:
        return float(_score(pairs, delta)) - reach

    if excess(near) * excess(far) >= 0.0:
        return end
    return root(excess, near, far, xtol=1e-12)


def _quantile(pairs: Pairs, level: float) -> float:
    if pairs.groups is None:
        return float(ndtri(level))
    return float(stdtrit(pairs.groups - 1.0, level)) if pairs.groups > 1 else np.inf


def _tail(pairs: Counts[Numbers], z: Numbers) -> Numbers:
    if pairs.groups is None:
        p = np.asarray(ndtr(z))
    else:
        p = np.asarray(stdtr(pairs.groups - 1.0, z) if pairs.groups > 1 else np.ones_like(z))
    return cast("Numbers", p if p.ndim else float(p))


def _column(values: ArrayLike, name: str, low: float, high: float) -> Array:
    column = np.asarray(values, np.float64)
    if column.ndim > 1 or not np.all((column >= low - _SLACK) & (column <= high + _SLACK)):
        msg = f"{name} must be one number a case, from {low:g} to {high:g}"
        raise ValueError(msg)
    return np.clip(column, low, high)


def _columns(*given: ArrayLike | None, groups: ArrayLike | None) -> Array:
    """Give scores, mean inverse repeats, weights averaging 1 and group codes, as five rows.

    Sorted, so that sums round alike whatever order the cases came in.
    """
    limits = (*[("scores", 0.0, 1.0)] * 2, *[("repeats", 1.0, 1e9)] * 2, ("weights", 0.0, 1e9))
    columns = zip(given, limits, strict=True)
    b, c, kb, kc, w = (_column(1.0 if v is None else v, *limit) for v, limit in columns)
    labels = np.zeros(b.shape) if groups is None else np.asarray(groups)
    shapes = {b.shape, c.shape, labels.shape, *(x.shape for x in (kb, kc, w) if x.ndim)}
    if b.ndim != 1 or len(shapes) > 1 or not b.size or not np.any(w):
        msg = f"every column needs one entry for each case, at least one case; got {shapes}"
        raise ValueError(msg)
    codes = np.zeros(b.shape)
    kept = np.broadcast_to(w > 0.0, b.shape)
    codes[kept] = np.unique(labels[kept], return_inverse=True)[1]
    rows = np.stack(np.broadcast_arrays(b, c, (1.0 / kb + 1.0 / kc) / 2.0, w, codes))[:, kept]
    rows = rows[:, np.lexsort(rows)]
    rows[3] = 1.0 if np.ptp(rows[3]) == 0.0 else rows[3] * rows.shape[1] / np.sum(rows[3])
    return rows


_Values = NDArray[np.float64]


def bonferroni(p: Sequence[float] | _Values) -> _Values:
    """Multiply by the number of tests: family-wise error under any dependence (Dunn 1961)."""
    values = _checked(p)
    return np.minimum(values * values.size, 1.0)


def holm(p: Sequence[float] | _Values) -> _Values:
    """Step down: family-wise error under any dependence, never worse than Bonferroni.

    Holm (1979), Scandinavian Journal of Statistics 6:65-70.
    """
    values = _checked(p)
    factors = values.size - np.arange(values.size)
    return _stepped(values, factors, down=True)


def hochberg(p: Sequence[float] | _Values) -> _Values:
    """Step up: family-wise error for independent or positively dependent tests.

    Hochberg (1988), Biometrika 75:800-802.
    """
    values = _checked(p)
    factors = values.size - np.arange(values.size)
    return _stepped(values, factors, down=False)


def benjamini_hochberg(p: Sequence[float] | _Values) -> _Values:
    """Step up: false discovery rate for independent or positively dependent tests.

    Benjamini & Hochberg (1995), Journal of the Royal Statistical Society B 57:289-300.
    """
    values = _checked(p)
    return _stepped(values, values.size / np.arange(1, values.size + 1), down=False)


def benjamini_yekutieli(p: Sequence[float] | _Values) -> _Values:
    """Step up: false discovery rate under any dependence.

    Benjamini & Yekutieli (2001), Annals of Statistics 29:1165-1188.
    """
    values = _checked(p)
    ranks = np.arange(1, values.size + 1)
    return _stepped(values, np.sum(1.0 / ranks) * values.size / ranks, down=False)


def _stepped(values: _Values, factors: NDArray[np.number], *, down: bool) -> _Values:
    """Scale the sorted values, make them monotone from one end, and put them back in order."""
    order = np.argsort(values, kind="stable")
    scaled = values[order] * factors
    rising = np.maximum.accumulate(scaled)
    monotone = rising if down else np.minimum.accumulate(scaled[::-1])[::-1]
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(monotone, 1.0)
    return adjusted


def _checked(p: Sequence[float] | _Values) -> _Values:
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not np.all((values >= 0.0) & (values <= 1.0)):
        msg = "p-values must be a one-dimensional array of numbers from 0 to 1"
        raise ValueError(msg)
    return values
