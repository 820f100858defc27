"""Tests and intervals for proportions and for counts of regressed and fixed cases."""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, gammaln, ndtri, xlog1py, xlogy

Array = NDArray[np.float64]
Numbers = TypeVar("Numbers", float, Array)

_SLACK = 1e-9
_NEGLIGIBLE = 1e-17


def require_share(name: str, value: float) -> None:
    """Refuse a `value` that is not strictly between 0 and 1; `name` goes into the ValueError."""
    if not 0.0 < value < 1.0:
        msg = f"{name} must lie strictly between 0 and 1, got {value}"
        raise ValueError(msg)


def binomial_pmf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Give P(X = k) for X ~ Binomial(n, p); shapes broadcast, k and n whole."""
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    log_choose = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return cast("Array", np.exp(log_choose + xlogy(k, p) + xlog1py(n - k, -p)))


def binomial_cdf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Give P(X <= k) for X ~ Binomial(n, p); 0 below the support and 1 above it."""
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    inside = (k >= 0.0) & (k < n)
    tail = betainc(np.where(inside, n - k, 1.0), np.where(inside, k + 1.0, 1.0), 1.0 - p)
    return np.where(inside, tail, np.where(k < 0.0, 0.0, 1.0))


def binomial_sf(k: float | Array, n: float | Array, p: float | Array) -> Array:
    """Give P(X > k) for X ~ Binomial(n, p), exact in the far tail where 1 - cdf is not."""
    k, n, p = (np.asarray(value, np.float64) for value in (k, n, p))
    inside = (k >= 0.0) & (k < n)
    tail = betainc(np.where(inside, k + 1.0, 1.0), np.where(inside, n - k, 1.0), p)
    return np.where(inside, tail, np.where(k < 0.0, 1.0, 0.0))


def mcnemar_midp(gains: Numbers, losses: Numbers) -> Numbers:
    """Give McNemar's one-sided mid-p-value for more losses than gains; 1 where there is neither.

    Whole counts, shapes broadcast. Fagerland, Lydersen & Laake (2013).

    Raises ValueError for negative or fractional counts.
    """
    g, losing = np.asarray(gains, np.float64), np.asarray(losses, np.float64)
    if np.any((g < 0.0) | (losing < 0.0) | (g % 1.0 != 0.0) | (losing % 1.0 != 0.0)):
        msg = "the mid-p test needs whole, non-negative counts of gains and losses"
        raise ValueError(msg)
    total = g + losing
    p = (binomial_sf(losing, total, 0.5) + binomial_sf(losing - 1.0, total, 0.5)) / 2.0
    return cast("Numbers", np.where(total == 0.0, 1.0, p)[()])


def tango_variance(
    gains: Numbers, losses: Numbers, n: float | Array, delta: float | Array
) -> Numbers:
    """Give the variance of one case's difference if the true difference were `delta`.

    Shapes broadcast; counts may be fractional. The loss share is the likeliest one under that
    hypothesis: Tango (1998), closed form of the restricted estimate.
    """
    g, losing, cases, shift = (np.asarray(v, np.float64) for v in (gains, losses, n, delta))
    spread = shift * (1.0 - shift)
    b = -g - losing + (2.0 * cases - g + losing) * shift
    root = np.sqrt(np.maximum(b * b + 8.0 * cases * losing * spread, 0.0))
    variance = (root - b) / (2.0 * cases) + spread
    return cast("Numbers", np.maximum(variance, 0.0)[()])


def tango_z(gains: Numbers, losses: Numbers, n: float | Array, delta: float | Array) -> Numbers:
    """Give Tango's score statistic for the hypothesis that the difference is `delta`.

    Shapes broadcast; counts may be fractional. Large values speak for a difference above
    `delta` (-1 < delta < 1): a margin m is kept when the value at -m reaches the normal
    quantile. Tango (1998); 0 where gains - losses equals n * delta.
    """
    g, losing, cases, shift = (np.asarray(v, np.float64) for v in (gains, losses, n, delta))
    distance = g - losing - cases * shift
    with np.errstate(divide="ignore", invalid="ignore"):
        z = distance / np.sqrt(cases * tango_variance(g, losing, cases, shift))
    return cast("Numbers", np.where(distance == 0.0, 0.0, z)[()])


def exact_noninferior_p(gains: float, losses: float, n: int, margin: float) -> float:
    """Give the exact unconditional p-value of "it dropped by `margin` or more", scalars only.

    The largest chance, over every discordance that allows such a drop, of an outcome at least
    as favourable by `tango_z`; a grid of 100 discordances, then a finer one about its peak.

    Raises ValueError for counts that are not whole or do not fit in n, or a margin outside 0-1.
    """
    require_share("margin", margin)
    if gains % 1 or losses % 1 or min(gains, losses) < 0 or gains + losses > n:
        msg = f"gains {gains} and losses {losses} must be whole and fit in {n} cases"
        raise ValueError(msg)
    every = np.arange(n + 1.0)
    observed = tango_z(float(gains), float(losses), float(n), -margin)
    limits = most_losses(every, n, margin, observed - _SLACK)
    coarse = margin + (1.0 - margin) * np.linspace(0.0, 1.0, 100) ** 2
    p = trinomial_region(limits, every, n, coarse, margin)
    peak = int(np.argmax(p))
    fine = np.linspace(coarse[max(peak - 1, 0)], coarse[min(peak + 1, 99)], 21)
    return min(float(max(p.max(), trinomial_region(limits, every, n, fine, margin).max())), 1.0)


def most_losses(gains: Array, n: int, margin: float, critical: float) -> Array:
    """Give, for each number of gains, the most losses at which `tango_z` reaches `critical`.

    -1 where not even no losses would do. By bisection, since the statistic falls with losses.
    """
    low, high = np.full_like(gains, -1.0), n - gains + 1.0
    while np.any(high - low > 1.0):
        middle = np.floor((low + high) / 2.0)
        held = tango_z(gains, np.maximum(middle, 0.0), float(n), -margin) >= critical
        move = high - low > 1.0
        low, high = np.where(move & held, middle, low), np.where(move & ~held, middle, high)
    return low


def trinomial_region(limits: Array, gains: Array, n: int, discordance: Array, drop: float) -> Array:
    """Give the chance of at most `limits[j]` losses with `gains[j]` gains, summed over j.

    n cases fall into gains, losses and ties with shares (discordance - drop) / 2, (discordance
    + drop) / 2 and the rest; one chance for each `discordance`, shape (d,). `limits` of -1 stand
    for a number of gains that never counts.
    """
    gain = (discordance[:, None] - drop) / 2.0
    loss = np.minimum((gain + drop) / (1.0 - gain), 1.0)
    weight = binomial_pmf(gains, float(n), gain)
    row, column = np.nonzero((weight > _NEGLIGIBLE) & (limits >= 0.0))
    chance = np.zeros_like(weight)
    chance[row, column] = binomial_cdf(limits[column], n - gains[column], loss[row, 0])
    return np.asarray(np.sum(weight * chance, axis=1))


def lower_bound(successes: Numbers, n: float | Array, alpha: float) -> Numbers:
    """Give the exact one-sided lower bound of the share, at confidence 1 - alpha.

    The smallest share whose chance of at least this many successes exceeds `alpha`
    (Clopper & Pearson 1934). A floor is shown to hold when the bound reaches it.

    Raises ValueError unless 0 <= successes <= n, n > 0 and 0 < alpha < 1.
    """
    count, total = _counts(successes, n, alpha)
    some = count > 0.0
    bound = betaincinv(np.where(some, count, 1.0), total - count + 1.0, alpha)
    return cast("Numbers", np.where(some, bound, 0.0)[()])


def upper_bound(successes: Numbers, n: float | Array, alpha: float) -> Numbers:
    """Give the exact one-sided upper bound of the share, at confidence 1 - alpha.

    The mirror image of `lower_bound` (Clopper & Pearson 1934). A floor is shown to be missed
    when the bound stays below it.

    Raises ValueError unless 0 <= successes <= n, n > 0 and 0 < alpha < 1.
    """
    count, total = _counts(successes, n, alpha)
    some = count < total
    bound = betaincinv(count + 1.0, np.where(some, total - count, 1.0), 1.0 - alpha)
    return cast("Numbers", np.where(some, bound, 1.0)[()])


def clopper_pearson(
    successes: Numbers, n: float | Array, confidence: float
) -> tuple[Numbers, Numbers]:
    """Give the exact two-sided interval (low, high) of the share (Clopper & Pearson 1934).

    Each side misses with at most (1 - confidence) / 2.

    Raises ValueError unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    side = (1.0 - confidence) / 2.0
    return lower_bound(successes, n, side), upper_bound(successes, n, side)


def wilson(successes: Numbers, n: float | Array, confidence: float) -> tuple[Numbers, Numbers]:
    """Give the two-sided score interval (low, high) of the share (Wilson 1927).

    Narrower than the exact interval and right on average; for display, not for a floor's
    verdict. Fractional successes enter the formula as they are.

    Raises ValueError unless 0 <= successes <= n, n > 0 and 0 < confidence < 1.
    """
    require_share("confidence", confidence)
    count, total = _counts(successes, n, 1.0 - confidence)
    square = float(ndtri((1.0 + confidence) / 2.0)) ** 2
    middle = (count + square / 2.0) / (total + square)
    reach = np.sqrt(square * (count * (total - count) / total + square / 4.0)) / (total + square)
    low = np.where(count <= 0.0, 0.0, middle - reach)
    high = np.where(count >= total, 1.0, middle + reach)
    return cast("Numbers", low[()]), cast("Numbers", high[()])


def _counts(successes: float | Array, n: float | Array, alpha: float) -> tuple[Array, Array]:
    """Check and broadcast; rounding of summed scores just past 0 or n is put back."""
    require_share("alpha", alpha)
    count, total = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    if not np.all((total > 0.0) & (count >= -_SLACK) & (count <= total + _SLACK)):
        msg = "successes must lie between 0 and n, and n must be positive"
        raise ValueError(msg)
    return np.clip(count, 0.0, total), total
