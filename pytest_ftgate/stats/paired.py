"""Paired comparisons of two variants on the same cases.

Tests of non-inferiority within a margin and of a drop, intervals of the difference, and p-values
adjusted for multiple tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from pytest_ftgate.stats.graded import (
    GroupLosses,
    group_losses,
    largest_unit,
    quantile,
    tail,
    z_score,
)
from pytest_ftgate.stats.proportions import (
    Numbers,
    critical_z,
    exact_noninferior_p,
    exact_p_of_z,
    find_root,
    mcnemar_midp,
    needs_exact_test,
    require_share,
    tango_variance,
    tango_z,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from pytest_ftgate.stats.bounded import BoundedValues
    from pytest_ftgate.stats.proportions import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCounts(Generic[Numbers]):
    """The counts that the paired tests need, of one suite or of many suites.

    Each case has one score of the baseline and one of the candidate. Counts are floats for one
    suite, and arrays of one shape with one entry per suite for many.

    Attributes:
        n: number of cases.
        delta: the estimated difference, candidate minus baseline, -1 to 1.
        fixed: expected number of cases wrong before and right now; the number of cases that got
            better if scores are graded or weighted. It is whole for one reply a case.
        regressed: expected number of cases right before and wrong now; or that got worse.
        effective: effective number of cases (N_eff): the size of a suite with one reply a case
            that carries the same information. It is n if scores are graded or weighted.
        countable: True if every reply is right or wrong and every case weighs the same. Tests then
            rest on the counts, otherwise on *changes*, or on *spread* and *largest* without them.
        spread: the variance of the weighted changes of the cases, robust to groups.
        largest: the weight in which unseen changes may come at once: of a figure that is no mean
            over cases, and of gains of counted groups (`stats.graded.largest_unit`). For their
            losses *whole* takes its place.
        lost: with many repeats, the number of cases of which more than half of the replies
            regressed, less that of cases of which more than half were fixed; else 0.
        changes: the changes of graded or weighted scores; None if every case is countable, and for
            a figure that is no mean over cases.
        groups: number of groups of related cases, or None if cases are independent. Fewer than
            ten groups support no conclusion.
        whole: which groups there are and were lost as a whole, if cases are counted; None if they
            are independent.
    """

    n: float
    delta: Numbers
    fixed: Numbers
    regressed: Numbers
    effective: Numbers
    countable: bool | NDArray[np.bool_] = True
    spread: Numbers | float = 0.0
    largest: float = 1.0
    groups: int | None = None
    whole: GroupLosses | None = None
    lost: Numbers | float = 0.0
    changes: BoundedValues | None = field(default=None, compare=False, repr=False)
    permuted: Numbers | None = None

    @property
    def allows_exact_test(self) -> bool | NDArray[np.bool_]:
        """True if exact tests apply: whole counts of independent cases, not rescaled."""
        if self.permuted is not None:
            return True
        whole: bool | NDArray[np.bool_] = (self.fixed % 1.0 == 0.0) & (self.regressed % 1.0 == 0.0)
        unscaled: bool | NDArray[np.bool_] = self.effective == self.n
        return self.countable & whole & unscaled if self.groups is None else False


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts(ChangeCounts[float]):
    """The counts of one suite with the mean scores of baseline and candidate, 0 to 1.

    Attributes:
        noise: how often two runs of one side differ, where each side has several runs of a unit;
            None where *fixed* and *regressed* are all that is known of it.
    """

    before: float
    after: float
    noise: float | None = None


def turned(pairs: PairedCounts) -> PairedCounts:
    """Return *pairs* with each side in the other's place, so that a rise is a drop."""
    whole, changes, permuted = pairs.whole, pairs.changes, pairs.permuted
    return replace(
        pairs,
        delta=-pairs.delta,
        fixed=pairs.regressed,
        regressed=pairs.fixed,
        lost=-pairs.lost,
        before=pairs.after,
        after=pairs.before,
        whole=None if whole is None else replace(whole, lost=-whole.lost),
        changes=None if changes is None else changes.turned(),
        permuted=None if permuted is None else 1.0 - permuted,
    )


#: The counts that are arrays for many suites.
_BY_SUITE = ("delta", "fixed", "regressed", "effective", "countable", "spread", "lost")
#: Scores may exceed their range by this much through rounding.
_TOLERANCE = 1e-9
#: Prior weight, in cases, of the variance of one reply a case.
_PRIOR_CASES = 4.0
#: Probabilities nearer to 0 or 1 have no finite quantile.
_LEAST_P = 1e-12
#: Cases show no limit with which so few of the lost ones are drawn more often than this.
_MOST_UNDRAWN = 0.05
#: With more repeats, a case that is lost as a whole is seen to be.
_SEVERAL = 10.0
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

    If every reply is right or wrong and every case weighs the same, the tests rest on counts.
    Repeats are never pooled as cases: N_eff-Tango puts the effective number between n and n times
    the harmonic mean of the repeats. It is exactly n for one reply a case. Graded or weighted
    scores are compared by their changes instead. The order of the cases does not change a single
    bit of the result.

    Args:
        before: mean score of each case for the baseline, 0 to 1, shape (n,).
        after: mean score of each case for the candidate, 0 to 1, shape (n,).
        before_repeats: number of right or wrong replies in each mean of *before*, scalar or (n,); 1
            if None, and 1 for graded replies, whose number the mean does not show.
        after_repeats: the same for *after*.
        groups: a label for each case, shape (n,). Cases with the same label are dependent.
        weights: weight of each case, shape (n,). Only their ratios matter; cases of weight zero
            are ignored.

    Raises:
        ValueError: no cases, unequal lengths, scores outside 0 to 1, repeats below 1, or weights
            that are negative or all zero.
    """
    arrays = (before, after, before_repeats, after_repeats, weights)
    b, c, kb, kc, w, codes = sorted_rows(*arrays, groups=groups)
    counts = change_counts(b, c, (kb, kc), w)
    plain = {name: getattr(counts, name).item() for name in _BY_SUITE}
    before_mean, after_mean = float(np.mean(w * b)), float(np.mean(w * c))
    pairs = PairedCounts(
        n=counts.n, changes=counts.changes, before=before_mean, after=after_mean, **plain
    )
    return pairs if groups is None else _grouped(pairs, b, c, (kb, kc), w, codes.astype(np.intp))


def change_counts(
    before: Array,
    after: Array,
    repeats: tuple[float | Array, float | Array] = (1.0, 1.0),
    weights: float | Array = 1.0,
) -> ChangeCounts[Array]:
    """Return the counts of many suites of independent cases at once.

    This is the core of `paired_counts`, without its checks and its sorting.

    Args:
        before: mean scores of the baseline, 0 to 1, shape (..., n). Leading axes are suites.
        after: mean scores of the candidate; its shape broadcasts with *before*.
        repeats: number of replies in each mean of *before* and of *after*, scalars or (n,).
        weights: weights of the cases with mean 1, scalar or (n,).

    Returns:
        Counts of shape (...).
    """
    b, c = np.broadcast_arrays(before, after)
    w, n = np.broadcast_to(np.asarray(weights, np.float64), b.shape[-1:]), float(b.shape[-1])
    whole = [
        np.abs(values * k - np.rint(values * k)) < _TOLERANCE
        for values, k in zip((b, c), repeats, strict=True)
    ]
    countable = np.asarray(np.all(whole[0] & whole[1], axis=-1) & (np.ptp(w) == 0.0))
    delta = np.mean(w * (c - b), axis=-1)
    residuals = w * (c - b - delta[..., None])
    gained, lost = np.sum((1.0 - b) * c, axis=-1), np.sum(b * (1.0 - c), axis=-1)
    better, worse = (np.count_nonzero(sign * (c - b) > _TOLERANCE, axis=-1) for sign in (1, -1))
    return ChangeCounts(
        n=n,
        delta=delta,
        fixed=np.where(countable, gained, better),
        regressed=np.where(countable, lost, worse),
        effective=np.where(countable, _effective(gained, lost, residuals, repeats), n),
        countable=countable,
        spread=np.sum(residuals**2, axis=-1) / max(n - 1.0, 1.0),
        lost=_lost(c - b, repeats),
        changes=None if np.all(countable) else _bounded(c - b, w, None),
    )


def _bounded(changes: Array, weights: Array, labels: NDArray[np.intp] | None) -> BoundedValues:
    """Return the *changes* of cases; one that loses nothing changes by 0."""
    from pytest_ftgate.stats.bounded import BoundedValues  # most suites are counted

    return BoundedValues.of_cases(changes, weights, labels, (-1.0, 1.0), 0.0)


def _mean_inverse(repeats: tuple[float | Array, float | Array], n: int) -> float:
    """Return the mean of 1 / repeats over the cases and both sides."""
    return float(np.mean([np.broadcast_to(1.0 / np.asarray(k, np.float64), n) for k in repeats]))


def _lost(changes: Array, repeats: tuple[float | Array, float | Array]) -> Array:
    """Return how many cases changed by more than half for the worse, less those for the better."""
    if _mean_inverse(repeats, changes.shape[-1]) > 1.0 / _SEVERAL - _TOLERANCE:
        return np.zeros(changes.shape[:-1])
    worse, better = (np.count_nonzero(sign * changes > 0.5, axis=-1) for sign in (-1, 1))  # noqa: PLR2004 - half
    return np.asarray(worse - better, np.float64)


def _effective(
    gained: Array, lost: Array, residuals: Array, repeats: tuple[float | Array, float | Array]
) -> Array:
    """Return the effective number of cases; N_eff of docs/statistics.md.

    The observed variance is shrunk towards the variance of one reply a case.
    """
    n = float(residuals.shape[-1])
    inverse = _mean_inverse(repeats, residuals.shape[-1])
    v1 = np.maximum((gained + lost) / n - np.square((gained - lost) / n), 0.0)
    changed, observed = v1 > 0.0, np.sum(residuals**2, axis=-1) / n
    shrunk = (n * observed + _PRIOR_CASES * v1) / (n + _PRIOR_CASES)
    estimate = n * v1 / np.where(changed, shrunk, 1.0)
    # Without repeats the number is exactly n, not n but for rounding.
    cap = n if inverse == 1.0 else n / inverse
    return np.where(changed, np.clip(estimate, n, cap), n)


def _grouped(
    pairs: PairedCounts,
    b: Array,
    c: Array,
    repeats: tuple[Array, Array],
    w: Array,
    labels: NDArray[np.intp],
) -> PairedCounts:
    """Return *pairs* for dependent cases; *labels* are the numbers of their groups, from 0."""
    count = int(labels.max()) + 1
    sums = np.bincount(labels, w * (c - b - pairs.delta))
    return replace(
        pairs,
        groups=count,
        changes=None if pairs.countable else _bounded(c - b, w, labels),
        effective=_effective_grouped(b, c, repeats, labels) if pairs.countable else pairs.n,
        spread=float(np.sum(sums**2)) / pairs.n * count / max(count - 1.0, 1.0),
        largest=largest_unit(labels),
        whole=group_losses(c - b, labels) if pairs.countable else None,
    )


def _effective_grouped(
    b: Array, c: Array, repeats: tuple[Array, Array], labels: NDArray[np.intp]
) -> float:
    """Return the effective number of cases when cases of one group are dependent.

    Only changed cases show how strong the dependence is. The design effect is therefore shrunk
    towards full dependence with the weight of two changed groups. Without the shrinkage a suite
    with rare changes passes far too often (74% at ten groups of twenty, nominal 5%).
    """
    n, changed = float(b.size), b + c - 2.0 * b * c
    residuals = c - b - np.mean(c - b)
    v1 = max(float(np.mean(changed)) - float(np.mean(c - b)) ** 2, 0.0)
    sizes = np.bincount(labels).astype(np.float64)
    minimum, cap = n * n / float(np.sum(sizes**2)), n / _mean_inverse(repeats, b.size)
    if v1 == 0.0 or sizes.size == 1:
        return min(minimum, cap)
    squares = float(np.sum(np.bincount(labels, residuals) ** 2))
    observed = sizes.size / (sizes.size - 1.0) * squares / (n * v1)
    changed_groups = float(np.count_nonzero(np.bincount(labels, changed)))
    prior = _PRIOR_GROUPS * n / minimum
    design_effect = (changed_groups * observed + prior) / (changed_groups + _PRIOR_GROUPS)
    return min(max(n / design_effect, minimum), cap)


def change_interval(pairs: PairedCounts, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval (low, high) of the difference, candidate minus baseline.

    It holds the differences that the tests of this module do not reject. For counts it is Tango's
    score interval (1998), from which the exact test, where `needs_exact_test`, may differ
    slightly. With groups it uses the t quantile on groups - 1 degrees of freedom, and it is (-1, 1)
    for fewer than two groups.

    Raises:
        ValueError: unless 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    if pairs.changes is not None:
        return (-1.0, 1.0) if pairs.groups == 1 else pairs.changes.interval(confidence)
    level = quantile((1.0 + confidence) / 2.0, pairs.groups)
    return _interval_end(pairs, level, -1.0), _interval_end(pairs, -level, 1.0)


def is_noninferior(
    pairs: ChangeCounts[Numbers], margin: float, alpha: float
) -> bool | NDArray[np.bool_]:
    """Return True if a drop of *margin* is ruled out at level *alpha*, one answer per suite.

    Raises:
        ValueError: unless 0 < margin < 1 and 0 < alpha < 1.
    """
    # A limit that is just shown, by a whole group, may miss the level by rounding.
    shown = np.asarray(_noninferior_tail(pairs, margin) <= alpha + _TOLERANCE)
    exact = np.asarray(pairs.allows_exact_test)
    if needs_exact_test(pairs.n, margin) and np.any(exact):
        critical = critical_z(int(pairs.n), margin, alpha)
        shown = np.where(exact, _score(pairs, -margin) >= critical - _TOLERANCE, shown)
    return cast("bool | NDArray[np.bool_]", shown[()])


def p_noninferior(pairs: PairedCounts, margin: float) -> float:
    """Return the p-value of "it dropped by *margin* or more"; small values pass the gate.

    Counts: the exact unconditional test where `needs_exact_test`, for independent cases with one
    reply each, otherwise Tango's score test on the effective number of cases, by which repeats rule
    out no drop that the cases may hide, however often they are repeated; with groups, a t
    distribution on groups - 1 degrees of freedom, and the larger of that p-value and the one of
    `stats.graded`, since a loss of whole groups may show in no group at all. Graded or weighted
    scores: `stats.bounded`, with the cases or the groups as units.

    Raises:
        ValueError: unless 0 < margin < 1.
    """
    if needs_exact_test(pairs.n, margin) and pairs.allows_exact_test:
        if pairs.permuted is not None:
            return exact_p_of_z(_score(pairs, -margin), int(pairs.n), margin)
        return exact_noninferior_p(pairs.fixed, pairs.regressed, int(pairs.n), margin)
    return _noninferior_tail(pairs, margin)


def _noninferior_tail(pairs: ChangeCounts[Numbers], margin: float) -> Numbers:
    require_share("margin", margin)
    found = tail(-_score(pairs, -margin), pairs.groups)
    if pairs.groups is None:
        few = np.asarray(_p_few_lost(pairs, margin))
        # All looks at more repeats of the same cases are wrong together, so they share one level.
        hidden = np.asarray(pairs.countable) & (few > _MOST_UNDRAWN)
        hidden &= ~np.asarray(pairs.allows_exact_test)
        found = cast("Numbers", np.where(hidden, np.maximum(found, few), found)[()])
    if pairs.changes is not None:
        return _where_graded(pairs, found, pairs.changes.p_at_most(-margin))
    if pairs.whole is None:
        return found
    p = np.maximum(np.asarray(found), _p_whole_groups(pairs, -margin))
    return cast("Numbers", p if p.ndim else float(p))


def _p_few_lost(pairs: ChangeCounts[Numbers], margin: float) -> Numbers:
    """Return the chance that so few cases were lost as a whole, if a share of *margin* is.

    Of repeats this is the loss that the cases may hide, however often they are repeated. An
    observed gain enlarges it.
    """
    drop = np.minimum(np.maximum(pairs.delta, 0.0) + margin, 1.0)
    lost = np.minimum(np.maximum(pairs.lost, 0.0), pairs.n - 1.0)
    return cast("Numbers", betainc(pairs.n - lost, lost + 1.0, 1.0 - drop))


def _p_whole_groups(pairs: ChangeCounts[Numbers], delta: float) -> float:
    """Return the p-value of a difference of *delta* at most, if whole groups bear the drop.

    An observed gain enlarges the drop that must have stayed unseen.
    """
    whole = cast("GroupLosses", pairs.whole)
    return whole.p_value(max(float(pairs.delta), 0.0) - delta)


def p_drop(pairs: ChangeCounts[Numbers]) -> Numbers:
    """Return the p-value of "it did not drop", one per suite.

    The test is McNemar's one-sided mid-p for plain counts, the permutation of `stats.tasks` for
    replies to few tasks, otherwise the test of `p_noninferior` at 0. The value is 1 when nothing
    changed.
    """
    if pairs.permuted is not None:
        return pairs.permuted
    score = tail(_score(pairs, 0.0, rescaled=True), pairs.groups)
    if pairs.changes is not None:
        score = _where_graded(pairs, score, pairs.changes.p_at_least(0.0))
    exact, changed = pairs.allows_exact_test, pairs.fixed + pairs.regressed > 0.0
    # The mid-p test refuses fractions, so it gets zero counts where it does not apply.
    counts = [np.where(exact, count, 0.0) for count in (pairs.fixed, pairs.regressed)]
    p = np.where(exact, mcnemar_midp(*counts), np.where(changed, score, 1.0))
    return cast("Numbers", p if p.ndim else float(p))


def p_not_beyond(pairs: ChangeCounts[Numbers], margin: float) -> Numbers:
    """Return the p-value of "it dropped by *margin* at most", one per suite.

    It is at most alpha where the upper end of the one-sided interval at confidence 1 - alpha lies
    below -margin.

    Raises:
        ValueError: unless 0 < margin < 1.
    """
    require_share("margin", margin)
    found = tail(_score(pairs, -margin), pairs.groups)
    if pairs.changes is None:
        return found
    return _where_graded(pairs, found, pairs.changes.p_at_least(-margin))


def p_within(pairs: ChangeCounts[float], margin: float) -> float:
    """Return the p-value of "it dropped by *margin* at most", of one suite, for repeated looks.

    It is that of `p_not_beyond`, or that of `bounded.p_mean` if it is larger. Where hardly a case
    changes otherwise, Tango's test of counts rejects too often, and the more so at the small levels
    of many looks; a bounded mean does not.

    Raises:
        ValueError: unless 0 < margin < 1.
    """
    from pytest_ftgate.stats.bounded import p_mean  # no suite without a drop check needs it

    found = p_not_beyond(pairs, margin)
    if not pairs.countable:
        return found
    same = pairs.n - pairs.fixed - pairs.regressed
    counts = np.array([pairs.fixed, same, pairs.regressed]) * pairs.effective / pairs.n
    lost = np.array([-1.0, 0.0, 1.0])
    return max(found, float(p_mean(lost - margin, -1.0 - margin, counts)))


def _where_graded(pairs: ChangeCounts[Numbers], counted: Numbers, graded: Array) -> Numbers:
    """Return the p-values *counted* of suites whose cases are countable, and *graded* of others."""
    p = np.where(pairs.countable, counted, graded)
    return cast("Numbers", p if p.ndim else float(p))


def _score(pairs: ChangeCounts[Numbers], delta: float, *, rescaled: bool = False) -> Numbers:
    """Return the statistic for a true difference of *delta*: `_tango_score` or `z_score`.

    *rescaled* puts the counts on the scale of the effective number of cases, as a whole.
    """
    if rescaled:
        ratio = pairs.effective / pairs.n
        score = tango_z(pairs.fixed * ratio, pairs.regressed * ratio, pairs.effective, delta)
    else:
        score = _tango_score(pairs, delta)
    if pairs.countable is True or np.all(pairs.countable):
        return score
    other = z_score(pairs.delta - delta, pairs.n, pairs.spread, pairs.largest)
    return cast("Numbers", np.where(pairs.countable, score, other)[()])


def _tango_score(pairs: ChangeCounts[Numbers], delta: float) -> Numbers:
    """Return Tango's statistic, with the observed variance scaled to the effective cases.

    The hypothesis adds the variance of regressed cases that were not observed. These may be cases
    that always regress, and repeats do not average them out. That part of the variance is
    therefore not scaled: scaling it passes too many true drops of few cases with many repeats.
    Unseen gains come by groups; for unseen losses of whole groups see `stats.graded`.
    """
    ratio, n = pairs.effective / pairs.n, pairs.n
    observed = np.maximum((pairs.fixed + pairs.regressed) / n - np.square(pairs.delta), 0.0)
    total = tango_variance(pairs.fixed, pairs.regressed, n, delta)
    added = np.maximum(total - observed, 0.0)
    distance = pairs.delta - delta
    unseen = added * np.where(distance < 0.0, pairs.largest, 1.0)
    variance = np.maximum(total / ratio, np.where(added > 0.0, observed / ratio + unseen, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance * np.sqrt(n / variance)
    return cast("Numbers", np.where(distance == 0.0, 0.0, z)[()])


def _interval_end(pairs: PairedCounts, level: float, end: float) -> float:
    """Return the difference between the estimate and *end* where the statistic is *level*."""
    near, far = pairs.delta, end * (1.0 - 1e-12)
    if not np.isfinite(level) or near * end >= abs(far):
        return end

    def excess(delta: float) -> float:
        score = float(_score(pairs, delta))
        if pairs.whole is not None and end < 0.0:
            p = np.clip(_p_whole_groups(pairs, delta), _LEAST_P, 1.0 - _LEAST_P)
            score = min(score, -quantile(float(p), pairs.groups))
        return score - level

    if excess(near) * excess(far) >= 0.0:
        return end
    return find_root(excess, near, far, xtol=1e-12)


def _checked_values(values: ArrayLike, name: str, low: float, high: float) -> Array:
    array = np.asarray(values, np.float64)
    # A later check of the shapes refuses an empty array.
    least, most = (array.min(), array.max()) if array.size else (low, high)
    if array.ndim > 1 or not (least >= low - _TOLERANCE and most <= high + _TOLERANCE):
        raise ValueError(f"{name} must be one number a case, from {low:g} to {high:g}")
    return array if least >= low and most <= high else np.clip(array, low, high)


def sorted_rows(*arrays: ArrayLike | None, groups: ArrayLike | None) -> Array:
    """Return six rows: scores before and after, repeats of both, weights, group codes.

    Weights have mean 1; cases of weight zero are left out. The cases are sorted, so that sums round
    the same in any input order.

    Args:
        arrays: scores before and after, repeats of both, weights; None for ones.
        groups: a label for each case, or None for one group.

    Raises:
        ValueError: see `paired_counts`.
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
    if groups is not None:
        codes[weighted] = np.unique(labels[weighted], return_inverse=True)[1]
    rows = np.empty((6, np.count_nonzero(weighted)))
    for row, values in zip(rows, (b, c, kb, kc, w, codes), strict=True):
        row[:] = values[weighted] if values.ndim and rows.shape[1] < b.size else values
    # A row of equal numbers changes no order, and takes as long to sort as any other.
    varying = np.flatnonzero(rows.min(axis=1) < rows.max(axis=1))
    if varying.size:
        rows[varying] = rows[varying][:, np.lexsort(rows[varying])]
    equal = np.ptp(rows[4]) <= _TOLERANCE * rows[4].max()
    rows[4] = 1.0 if equal else rows[4] * rows.shape[1] / np.sum(rows[4])
    return rows


def holm(p: Sequence[float] | Array) -> Array:
    """Return step-down adjusted p-values: family-wise error under any dependence.

    Holm (1979), Scandinavian Journal of Statistics 6:65-70.

    Raises:
        ValueError: a p-value is outside 0 to 1.
    """
    values = np.asarray(p, np.float64)
    if values.ndim != 1 or not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError("p-values must be a one-dimensional array of numbers from 0 to 1")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    factors = values.size - np.arange(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted
