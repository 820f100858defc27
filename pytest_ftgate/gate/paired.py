"""Tests of a paired difference: that the candidate is no worse, and that it really dropped.

Told from the candidate's side: a gain is a case that only the candidate gets right, a loss one
that only the baseline gets right, delta = (gains - losses) / n. Margins and deltas are shares
(0.03 is three points). Sources: Tango (1998), Statistics in Medicine 17:891-908; Fagerland,
Lydersen & Laake (2013), BMC Medical Research Methodology 13:91 (mid-p).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from pytest_ftgate.gate.proportion import (
    exact_noninferior_p,
    mcnemar_midp,
    require_share,
    tango_z,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pytest_ftgate.gate.proportion import Array

__all__ = ["Pairs", "p_drop", "p_noninferior", "pair", "tango_interval"]

_SLACK = 1e-9
_PRIOR = 4.0
_GROUP_PRIOR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """What the paired tests need to know of n cases answered by both sides.

    gains, losses: expected discordant cases out of n, whole when replies are right or wrong and
    asked once. effective: cases of a once-asked suite that tell as much (N_eff). before, after:
    mean scores, 0 to 1. groups: number of groups of related cases, None if independent; below
    ten a caller should not conclude anything. binary: whether the counts are plain counts.
    """

    n: float
    gains: float
    losses: float
    effective: float
    before: float
    after: float
    groups: int | None = None
    binary: bool = True

    @property
    def delta(self) -> float:
        """Estimated difference, candidate minus baseline, -1 to 1."""
        return (self.gains - self.losses) / self.n

    @property
    def countable(self) -> bool:
        """Whether exact tests apply: whole counts of independent cases, nothing rescaled."""
        whole = float(self.gains).is_integer() and float(self.losses).is_integer()
        return self.binary and self.groups is None and self.effective == self.n and whole

    @property
    def scaled(self) -> tuple[float, float, float]:
        """Gains, losses and cases on the scale of the effective number of cases."""
        ratio = self.effective / self.n
        return self.gains * ratio, self.losses * ratio, self.effective


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
    n, changed = float(b.size), w * (b + c - 2.0 * b * c)
    gains, losses = float(np.sum(w * (1.0 - b) * c)), float(np.sum(w * b * (1.0 - c)))
    kish = n * n / float(np.sum(w * w))
    cap = kish * n / float(np.sum(w * inverse))
    plain = kish == n and bool(np.all((b * (1.0 - b) == 0.0) & (c * (1.0 - c) == 0.0)))
    v1 = max((gains + losses) / n - ((gains - losses) / n) ** 2, 0.0)
    residuals = w * (c - b - (gains - losses) / n)
    labels = None if groups is None else codes.astype(np.intp)
    if labels is not None:
        effective = min(_effective_grouped(v1, residuals, changed, w, labels), cap)
    else:
        effective = n if plain else _effective(v1, residuals, kish, cap)
    return Pairs(
        n=n,
        gains=gains,
        losses=losses,
        effective=effective,
        before=float(np.sum(w * b)) / n,
        after=float(np.sum(w * c)) / n,
        groups=None if labels is None else int(labels.max()) + 1,
        binary=plain,
    )


def _effective(v1: float, residuals: Array, kish: float, cap: float) -> float:
    """Cases that would tell as much, from the variance seen, shrunk towards a once-asked run."""
    n = float(residuals.size)
    if v1 == 0.0:
        return kish
    seen = float(np.sum(residuals**2)) / n
    shrunk = (n * seen + _PRIOR * v1 * n / kish) / (n + _PRIOR)
    return min(max(n * v1 / shrunk, n if kish == n else 1.0), cap)


def _effective_grouped(
    v1: float, residuals: Array, changed: Array, w: Array, labels: NDArray[np.intp]
) -> float:
    """Cases that would tell as much, given that cases of one group may stand or fall together.

    How alike a group's cases are shows only where something changed, so the design effect is
    shrunk towards full dependence with the weight of two changed groups; without that a suite
    whose changes are rare passes far too often (74% at ten groups of twenty, nominal 5%).
    """
    n, sizes = float(np.sum(w)), np.bincount(labels, w)
    floor = n * n / float(np.sum(sizes**2))
    if v1 == 0.0 or sizes.size == 1:
        return floor
    squares = float(np.sum(np.bincount(labels, residuals) ** 2))
    seen = sizes.size / (sizes.size - 1.0) * squares / (n * v1)
    told = float(np.count_nonzero(np.bincount(labels, changed)))
    design = (told * seen + _GROUP_PRIOR * n / floor) / (told + _GROUP_PRIOR)
    return max(n / design, floor)


def tango_interval(pairs: Pairs, confidence: float) -> tuple[float, float]:
    """Give the two-sided score interval (low, high) of the difference, candidate minus baseline.

    The differences that `tango_z` does not reject (Tango 1998); with groups, by the t quantile
    on groups - 1 degrees of freedom, and (-1, 1) for fewer than two groups.

    Raises ValueError unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    reach = _quantile(pairs, (1.0 + confidence) / 2.0)
    return _limit(pairs, reach, -1.0), _limit(pairs, -reach, 1.0)


def p_noninferior(pairs: Pairs, margin: float, *, exact: bool = False) -> float:
    """Give the p-value of "it dropped by `margin` or more"; small values pass the gate.

    Tango's score test on the effective number of cases, t on groups - 1 degrees of freedom
    when cases are grouped. `exact` asks for the exact unconditional test where the counts allow
    it (see `Pairs.countable`), and changes nothing elsewhere.

    Raises ValueError unless 0 < margin < 1.
    """
    require_share("margin", margin)
    if exact and pairs.countable:
        return exact_noninferior_p(pairs.gains, pairs.losses, int(pairs.n), margin)
    return _tail(pairs, -tango_z(*pairs.scaled, -margin))


def p_drop(pairs: Pairs) -> float:
    """Give the p-value of "it did not drop"; small values fail the gate.

    McNemar's one-sided mid-p for plain counts, else the score test at 0 on the effective number
    of cases. 1 when nothing changed.
    """
    if pairs.countable:
        return mcnemar_midp(pairs.gains, pairs.losses)
    if pairs.gains + pairs.losses == 0.0:
        return 1.0
    return _tail(pairs, tango_z(*pairs.scaled, 0.0))


def _limit(pairs: Pairs, reach: float, end: float) -> float:
    """Where the statistic crosses `reach`, between the estimate and that end of the scale."""
    gains, losses, n = pairs.scaled
    near, far = pairs.delta, end * (1.0 - 1e-12)
    if not np.isfinite(reach) or near * end >= abs(far):
        return end

    def excess(delta: float) -> float:
        return tango_z(gains, losses, n, delta) - reach

    if excess(near) * excess(far) >= 0.0:
        return end
    return float(brentq(excess, near, far, xtol=1e-12))


def _quantile(pairs: Pairs, level: float) -> float:
    if pairs.groups is None:
        return float(ndtri(level))
    return float(stdtrit(pairs.groups - 1.0, level)) if pairs.groups > 1 else np.inf


def _tail(pairs: Pairs, z: float) -> float:
    if pairs.groups is None:
        return float(ndtr(z))
    return float(stdtr(pairs.groups - 1.0, z)) if pairs.groups > 1 else 1.0


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
