"""Tests and intervals for proportions and for counts of regressed and fixed cases."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, gammaln, ndtri, xlog1py, xlogy


def find_root(function: Callable[[float], float], low: float, high: float, xtol: float) -> float:
    """Return the root of *function* between *low* and *high*, by Chandrupatla's method.

    SciPy has the same method, but its package ``optimize`` is slow to import, and every run with a
    limit for drops needs a root.

    Source: T. R. Chandrupatla (1997), Advances in Engineering Software 28(3), 145-149.

    Args:
        function: continuous, with different signs at *low* and *high*.
        low: the lower end.
        high: the upper end.
        xtol: absolute tolerance of the root.

    Raises:
        ValueError: the function has the same sign at both ends.
    """
    # The root lies between `new` and `far`; `old` is the point that was replaced last.
    new, far = low, high
    f_new, f_far = function(new), function(far)
    if f_new * f_far > 0.0:
        raise ValueError(f"no root between {low} and {high}: the signs there are the same")
    share = 0.5
    while f_new and f_far:
        trial = new + share * (far - new)
        f_trial = function(trial)
        if (f_trial > 0.0) == (f_new > 0.0):
            old, f_old = new, f_new
        else:
            old, f_old, far, f_far = far, f_far, new, f_new
        new, f_new = trial, f_trial
        least = xtol / abs(far - new) if far != new else 1.0
        if least > 0.5:  # noqa: PLR2004 - half of the interval is within the tolerance
            break
        share = min(max(_share(new, far, old, f_new, f_far, f_old), least), 1.0 - least)
    return new if abs(f_new) < abs(f_far) else far


def _share(new: float, far: float, old: float, f_new: float, f_far: float, f_old: float) -> float:
    """Return how far to go from *new* to *far*: by interpolation where it is safe, else half."""
    xi = (new - far) / (old - far)
    phi = (f_new - f_far) / (f_old - f_far)
    if not (phi**2 < xi and (1.0 - phi) ** 2 < 1.0 - xi):
        return 0.5
    first = f_new / (f_far - f_new) * f_old / (f_far - f_old)
    second = (old - new) / (far - new) * f_new / (f_old - f_new) * f_far / (f_old - f_far)
    return first + second


def fewest(is_enough: Callable[[int], bool], distance: float) -> int:
    """Return the fewest cases that are enough to show a true *distance* from a hypothesis.

    Raises:
        ValueError: *distance* is not positive.
    """
    if distance <= 0.0:
        raise ValueError(f"no number of cases shows a distance of {distance}")
    low, high = 0, 1
    while not is_enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


Array = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Array)

#: Scores and statistics may be off by this much through rounding.
_TOLERANCE = 1e-9
#: A peak of the exact test's grid is refined if it is at least this share of the highest.
_HIGH_PEAK = 0.95
#: Probabilities at or below this are left out of a sum.
_NEGLIGIBLE = 1e-17
#: Stands for a share of 0, which has no logarithm: with it any count above 0 is impossible.
_LEAST = float(np.finfo(np.float64).tiny)
#: Outcomes that are put in order one by one: few enough to be quick, many enough for small suites.
_MOST_ORDERED = 4096
#: So many of the outcomes that surely pass are put in order too, for each number of fixed cases.
_SPARE = 2.0
#: The score test passes slightly too often where little is lost: with fewer cases than this, or
#: where a drop as large as the limit would lose fewer cases than that.
_EXACT_BELOW, _EXACT_BELOW_LOSSES = 100, 4.0


def needs_exact_test(n: float, margin: float) -> bool:
    """Return True if the exact test judges n independent cases that are right or wrong.

    Otherwise Tango's score test does, which passes a drop of *margin* in at most 6.5 of 100 there.
    """
    return n < _EXACT_BELOW or n * margin < _EXACT_BELOW_LOSSES


def require_share(name: str, value: float) -> None:
    """Raise ValueError, naming *name*, unless *value* lies strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must lie strictly between 0 and 1, got {value}")


def binomial_pmf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Return P(X = k) for X ~ Binomial(n, p). Shapes broadcast; k and n are whole."""
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    return cast("Array", np.exp(log_choose(n, k) + xlogy(k, p) + xlog1py(n - k, -p)))


def log_choose(n: float | Array, k: float | Array) -> Array:
    """Return the logarithm of the number of ways to choose k of n. Shapes broadcast."""
    return cast("Array", gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))


def binomial_cdf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Return P(X <= k) for X ~ Binomial(n, p): 0 below the support and 1 above it."""
    return binomial_sf(n - k - 1.0, n, 1.0 - p)


def binomial_sf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Return P(X > k) for X ~ Binomial(n, p), exact in the far tail where 1 - cdf is not."""
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    inside = (k >= 0.0) & (k < n)
    tail = betainc(np.where(inside, k + 1.0, 1.0), np.where(inside, n - k, 1.0), p)
    return np.where(inside, tail, np.where(k < 0.0, 1.0, 0.0))


def fisher_p(hits: int, drawn: int, marked: int, n: int) -> float:
    """Return Fisher's one-sided p-value for more hits than chance among the drawn cases.

    Of *n* cases *marked* have a mark and *drawn* are drawn; *hits* are both. The value is the
    probability of as many hits or more if the mark has nothing to do with the draw. It is that of
    `scipy.stats.fisher_exact`, whose import takes a second.
    """
    counts = np.arange(max(hits, drawn + marked - n), min(drawn, marked) + 1, dtype=np.float64)
    ways = log_choose(marked, counts) + log_choose(n - marked, drawn - counts)
    return float(min(1.0, np.exp(ways - log_choose(n, drawn)).sum()))


def mcnemar_midp(fixed: Numbers, regressed: Numbers) -> Numbers:
    """Return McNemar's one-sided mid-p-value for more regressed than fixed cases; 1 for no change.

    Counts are whole; shapes broadcast. Fagerland, Lydersen & Laake (2013).

    Raises:
        ValueError: a count is negative or fractional.
    """
    f, r = np.asarray(fixed, np.float64), np.asarray(regressed, np.float64)
    if np.any((f < 0.0) | (r < 0.0) | (f % 1.0 != 0.0) | (r % 1.0 != 0.0)):
        msg = "the mid-p test needs whole, non-negative counts of fixed and regressed cases"
        raise ValueError(msg)
    total = f + r
    p = (binomial_sf(r, total, 0.5) + binomial_sf(r - 1.0, total, 0.5)) / 2.0
    return cast("Numbers", np.where(total == 0.0, 1.0, p)[()])


def tango_variance(
    fixed: Numbers, regressed: Numbers, n: float | Array, delta: float | Array
) -> Numbers:
    """Return the variance of one case's difference under a true difference of *delta*.

    Shapes broadcast; counts may be fractional. The share of regressed cases is its maximum
    likelihood estimate under that hypothesis, in closed form: Tango (1998).
    """
    given = (fixed, regressed, n, delta)
    # The search for the end of an interval calls this many times with single numbers.
    is_plain = all(isinstance(value, float) for value in given)
    f, r, cases, shift = given if is_plain else (np.asarray(v, np.float64) for v in given)
    spread = shift * (1.0 - shift)
    b = -f - r + (2.0 * cases - f + r) * shift
    root = np.sqrt(np.maximum(b * b + 8.0 * cases * r * spread, 0.0))
    variance = (root - b) / (2.0 * cases) + spread
    return cast("Numbers", np.maximum(variance, 0.0)[()])


def tango_z(fixed: Numbers, regressed: Numbers, n: float | Array, delta: float | Array) -> Numbers:
    """Return Tango's score statistic for the hypothesis that the difference is *delta*.

    Shapes broadcast; counts may be fractional; -1 < delta < 1. Large values are evidence for a
    difference above *delta*: non-inferiority with margin m is shown when the value at -m reaches
    the normal quantile. The value is 0 where fixed - regressed equals n * delta. Tango (1998).
    """
    f, r, cases, shift = (np.asarray(v, np.float64) for v in (fixed, regressed, n, delta))
    distance = f - r - cases * shift
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / np.sqrt(cases * tango_variance(f, r, cases, shift))
    return cast("Numbers", np.where(distance == 0.0, 0.0, z)[()])


def exact_noninferior_p(fixed: float, regressed: float, n: int, margin: float) -> float:
    """Return the exact unconditional p-value of "it dropped by *margin* or more", scalars only.

    The value is the largest probability, over every discordance that allows such a drop, of an
    outcome at least as favourable by `tango_z`. The search uses a grid of 100 discordances, then
    a finer grid around the peak.

    Raises:
        ValueError: counts are not whole or exceed n, or the margin is outside 0 to 1.
    """
    require_share("margin", margin)
    if fixed % 1 or regressed % 1 or min(fixed, regressed) < 0 or fixed + regressed > n:
        msg = f"fixed {fixed} and regressed {regressed} must be whole and fit in {n} cases"
        raise ValueError(msg)
    return _exact_p(tango_z(float(fixed), float(regressed), float(n), -margin), n, margin)


def exact_p_of_z(score: float, n: int, margin: float) -> float:
    """Return the `exact_noninferior_p` of fractional counts whose `tango_z` is *score*.

    It is that of the best outcome in whole counts that is not better, as for `critical_z`.
    """
    fixed = np.arange(n + 1.0)
    others = max_regressed(fixed, n, margin, score + _TOLERANCE) + 1.0
    possible = fixed + others <= n
    best = tango_z(fixed[possible], others[possible], float(n), -margin).max()
    return _exact_p(float(best), n, margin)


def _exact_p(observed: float, n: int, margin: float) -> float:
    fixed_counts = np.arange(n + 1.0)
    limits = max_regressed(fixed_counts, n, margin, observed - _TOLERANCE)
    coarse = _discordances(margin)
    p = trinomial_region(limits, fixed_counts, n, coarse, margin)
    # Several peaks may be almost equally high, and the grid may miss the top of any.
    padded = np.pad(p, 1, constant_values=-1.0)
    is_peak = (p >= padded[:-2]) & (p >= padded[2:]) & (p >= _HIGH_PEAK * p.max())
    fine = [
        np.linspace(coarse[max(peak - 1, 0)], coarse[min(peak + 1, 99)], 21)
        for peak in np.flatnonzero(is_peak).tolist()
    ]
    refined = trinomial_region(limits, fixed_counts, n, np.concatenate(fine), margin)
    return min(float(max(p.max(), refined.max())), 1.0)


@lru_cache(maxsize=256)
def critical_z(n: int, margin: float, alpha: float) -> float:
    """Return the least `tango_z` of n cases whose exact p-value is at most *alpha*.

    The value is infinite if no outcome of n cases has such a p-value.

    Raises:
        ValueError: n is below 1, or the margin or *alpha* is outside 0 to 1.
    """
    require_share("alpha", alpha)
    require_share("margin", margin)
    all_fixed, discordances = np.arange(n + 1.0), _discordances(margin)
    surely, maybe = _bracket(all_fixed, n, margin, alpha)
    # The outcomes between both regions, in the order of their scores.
    columns = [np.arange(few + 1.0, most + 1.0) for few, most in zip(surely, maybe, strict=True)]
    fixed, regressed = np.repeat(all_fixed, [len(c) for c in columns]), np.concatenate(columns)
    scores = tango_z(fixed, regressed, float(n), -margin)
    order = np.argsort(-scores, kind="stable")
    fixed, regressed, scores = fixed[order], regressed[order], scores[order]
    before = trinomial_region(surely, all_fixed, n, discordances, margin)
    p = np.max(before[:, None] + _cumulative_chances(fixed, regressed, n, margin), axis=0)
    tied = np.searchsorted(-scores, _TOLERANCE - scores, side="right") - 1
    shown = int(np.count_nonzero(p[tied] <= alpha))

    def p_value(outcome: int) -> float:
        return exact_noninferior_p(fixed[outcome], regressed[outcome], n, margin)

    # The finer grid of the exact p-value exceeds *alpha* for a few more outcomes at most.
    if shown and p_value(shown - 1) > alpha:
        shown = bisect_right(range(shown - 1), alpha, key=p_value)
    return float(scores[shown - 1]) if shown else np.inf


def _bracket(fixed: Array, n: int, margin: float, alpha: float) -> tuple[Array, Array]:
    """Return two limits as of `max_regressed`: those that surely pass, and those that may."""
    low, high = (
        tango_z(*outcome, float(n), -margin) for outcome in ((0.0, float(n)), (float(n), 0.0))
    )
    surely, maybe = np.full(n + 1, -1.0), n - fixed
    while np.sum(maybe - surely) > _MOST_ORDERED:
        middle = (low + high) / 2.0
        limits = max_regressed(fixed, n, margin, middle)
        p = trinomial_region(limits, fixed, n, _discordances(margin), margin)
        if p.max() <= alpha:
            surely, high = limits, middle
        else:
            maybe, low = limits, middle
    # The last outcomes that surely pass are looked at too: no other may.
    return np.maximum(surely - _SPARE, -1.0), maybe


def _discordances(margin: float) -> Array:
    """Return the grid of discordances that allow a drop of *margin*."""
    return margin + (1.0 - margin) * np.linspace(0.0, 1.0, 100) ** 2


def _cumulative_chances(fixed: Array, regressed: Array, n: int, drop: float) -> Array:
    """Return the probability of each outcome and those before it, for each discordance (rows)."""
    discordance = _discordances(drop)
    counts = np.stack([fixed, regressed, n - fixed - regressed])
    shares = np.stack([(discordance - drop) / 2.0, (discordance + drop) / 2.0, 1.0 - discordance])
    logs = np.log(np.maximum(shares, _LEAST))
    # Not a matrix product: its threads wait for each other where other processes use the cores.
    # In place, since these are the largest arrays of the package's tests.
    chances = np.einsum("cd,co->do", logs, counts)
    chances += gammaln(n + 1.0) - np.sum(gammaln(counts + 1.0), axis=0)
    np.exp(chances, out=chances)
    return np.asarray(np.cumsum(chances, axis=1, out=chances))


def max_regressed(fixed: Array, n: int, margin: float, critical: float) -> Array:
    """Return, for each number of fixed cases, the most regressed cases at which `tango_z` passes.

    It passes at *critical* or more; -1 where zero regressed cases are already too many. Bisection
    is valid because the statistic falls with the number of regressed cases.
    """

    def passes(regressed: Array) -> NDArray[np.bool_]:
        return tango_z(fixed, np.maximum(regressed, 0.0), float(n), -margin) >= critical

    return last_whole(passes, np.full_like(fixed, -1.0), n - fixed + 1.0)


def last_whole(holds: Callable[[Array], NDArray[np.bool_]], low: Array, high: Array) -> Array:
    """Return the last whole numbers for which *holds* is true, from *low* to below *high*.

    Beyond them it must be false.
    """
    while np.any(move := high - low > 1.0):
        middle = np.floor((low + high) / 2.0)
        is_held = holds(middle)
        low, high = np.where(move & is_held, middle, low), np.where(move & ~is_held, middle, high)
    return low


def trinomial_region(limits: Array, fixed: Array, n: int, discordance: Array, drop: float) -> Array:
    """Return the probability of at most `limits[j]` regressed and `fixed[j]` fixed cases, summed.

    n cases are fixed, regressed or tied with shares (discordance - drop) / 2, (discordance +
    drop) / 2 and the rest. The result holds one probability for each *discordance*, shape (d,).
    A limit of -1 excludes that number of fixed cases.
    """
    fixed_share = (discordance[:, None] - drop) / 2.0
    others = np.maximum(1.0 - fixed_share, _LEAST)
    regressed_share = np.minimum((fixed_share + drop) / others, 1.0)
    weight = binomial_pmf(fixed, float(n), fixed_share)
    row, column = np.nonzero((weight > _NEGLIGIBLE) & (limits >= 0.0))
    p = np.zeros_like(weight)
    p[row, column] = binomial_cdf(limits[column], n - fixed[column], regressed_share[row, 0])
    return np.asarray(np.sum(weight * p, axis=1))


def lower_bound(successes: Numbers, n: float | Array, alpha: float) -> Numbers:
    """Return the exact one-sided lower bound of the share, at confidence 1 - alpha.

    The bound is the smallest share at which the probability of at least this many successes
    exceeds *alpha* (Clopper & Pearson 1934). A minimum is shown to hold when the bound reaches it.

    Raises:
        ValueError: unless 0 <= successes <= n, n > 0 and 0 < alpha < 1.
    """
    count, total = _checked_counts(successes, n, alpha)
    positive = count > 0.0
    bound = betaincinv(np.where(positive, count, 1.0), total - count + 1.0, alpha)
    return cast("Numbers", np.where(positive, bound, 0.0)[()])


def upper_bound(successes: Numbers, n: float | Array, alpha: float) -> Numbers:
    """Return the exact one-sided upper bound of the share, at confidence 1 - alpha.

    The mirror image of `lower_bound` (Clopper & Pearson 1934). A minimum is shown to be missed
    when the bound stays below it.

    Raises:
        ValueError: unless 0 <= successes <= n, n > 0 and 0 < alpha < 1.
    """
    count, total = _checked_counts(successes, n, alpha)
    partial = count < total
    bound = betaincinv(count + 1.0, np.where(partial, total - count, 1.0), 1.0 - alpha)
    return cast("Numbers", np.where(partial, bound, 1.0)[()])


def clopper_pearson(
    successes: Numbers, n: float | Array, confidence: float
) -> tuple[Numbers, Numbers]:
    """Return the exact two-sided interval (low, high) of the share (Clopper & Pearson 1934).

    The error of each side is at most (1 - confidence) / 2.

    Raises:
        ValueError: unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    side = (1.0 - confidence) / 2.0
    return lower_bound(successes, n, side), upper_bound(successes, n, side)


def wilson(successes: Numbers, n: float | Array, confidence: float) -> tuple[Numbers, Numbers]:
    """Return the two-sided score interval (low, high) of the share (Wilson 1927).

    It is narrower than the exact interval, and its coverage is right on average. Use it for
    display; a check of a minimum uses the exact bounds. Successes may be fractional.

    Raises:
        ValueError: unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    count, total = _checked_counts(successes, n, 1.0 - confidence)
    square = float(ndtri((1.0 + confidence) / 2.0)) ** 2
    middle = (count + square / 2.0) / (total + square)
    reach = np.sqrt(square * (count * (total - count) / total + square / 4.0)) / (total + square)
    low = np.where(count <= 0.0, 0.0, middle - reach)
    high = np.where(count >= total, 1.0, middle + reach)
    return cast("Numbers", low[()]), cast("Numbers", high[()])


def _checked_counts(
    successes: float | Array, n: float | Array, alpha: float
) -> tuple[Array, Array]:
    """Return successes and n, broadcast; clip summed scores that rounding put outside 0 to n."""
    require_share("alpha", alpha)
    count, total = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    if not np.all((total > 0.0) & (count >= -_TOLERANCE) & (count <= total + _TOLERANCE)):
        raise ValueError("successes must lie between 0 and n, and n must be positive")
    return np.clip(count, 0.0, total), total
