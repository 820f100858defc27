"""Sequential tests: group-sequential bounds with alpha spending, and e-values."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import betainc, betaln, logsumexp, ndtr, ndtri, xlog1py

from pytest_ftgate.stats.paired import find_root
from pytest_ftgate.stats.proportions import Array, Numbers, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(256)
_TAIL_NODES, _TAIL_WEIGHTS = np.polynomial.laguerre.laggauss(32)
#: The score process stays within this many standard deviations.
_MAX_DEVIATION = 9.0
#: Number of bet sizes in the mixture of `e_noninferior`.
_BET_COUNT = 16


def obrien_fleming_bounds(alpha: float, looks: int | ArrayLike) -> Array:
    """Return the upper z bound of each look, for a total one-sided error of *alpha*.

    The error spent by fraction t is 2 (1 - Phi(z_{alpha/2} / sqrt(t))) (Lan & DeMets 1983,
    Biometrika 70:659-663). Bounds come from recursive integration of the score process (Armitage,
    McPherson & Rowe 1969). Negate them for lower bounds.

    Args:
        alpha: the one-sided error, a share.
        looks: number of equally spaced looks, or the information fractions: increasing, in
            (0, 1], usually ending at 1.

    Raises:
        ValueError: *alpha* is outside 0 to 1, there are no looks, or fractions are invalid.
    """
    require_share("alpha", alpha)
    fractions = _fractions(looks)
    spent = 2.0 * ndtr(ndtri(alpha / 2.0) / np.sqrt(fractions))
    steps = np.diff(fractions, prepend=0.0)
    scores, masses = np.zeros(1), np.ones(1)
    bounds = np.empty_like(fractions)
    for j, share in enumerate(np.diff(spent, prepend=0.0)):
        scale = np.sqrt(steps[j])
        boundary = _crossing_score(scores, masses, scale, share)
        bounds[j] = boundary / np.sqrt(fractions[j])
        scores, masses = _continuing_scores(scores, masses, scale, boundary)
    return bounds


def e_drop(fixed: Numbers, regressed: Numbers) -> Numbers:
    """Return the log e-value against "it did not drop", from counts; shapes broadcast.

    It is the integral of (1 - b)^fixed (1 + b)^regressed over bets b uniform on 0 to 1, in closed
    form. Counts may be fractional: they bet less than the counts of which they are the mean.

    Raises:
        ValueError: a count is negative.
    """
    f, r = _nonnegative(fixed), _nonnegative(regressed)
    with np.errstate(divide="ignore"):
        beta = np.log(betainc(f + 1.0, r + 1.0, 0.5)) + betaln(r + 1.0, f + 1.0)
    closed = (f + r + 1.0) * np.log(2.0) + beta
    # The incomplete beta underflows where fixed cases far outnumber regressed ones.
    return cast("Numbers", np.where(np.isfinite(closed), closed, _mostly_fixed(f, r))[()])


def e_noninferior(fixed: Numbers, regressed: Numbers, n: float | Array, margin: float) -> Numbers:
    """Return the log e-value against "it dropped by *margin* or more", from counts out of n.

    It is the mean wealth after all cases over the 16 bets of `bet_sizes`; shapes broadcast.

    Raises:
        ValueError: a count is negative, more cases change than exist, or the margin is outside
            0 to 1.
    """
    f, r, cases = (_nonnegative(value)[..., None] for value in (fixed, regressed, n))
    ties = cases - f - r
    if np.any(ties < 0.0):
        msg = "fixed and regressed cases must fit in the number of cases"
        raise ValueError(msg)
    bet = bet_sizes(margin)
    wealth = xlog1py(f, bet * (1.0 + margin)) + xlog1py(r, -bet * (1.0 - margin))
    wealth = wealth + xlog1py(ties, bet * margin)
    return cast("Numbers", (logsumexp(wealth, axis=-1) - np.log(_BET_COUNT))[()])


def e_drop_scores(differences: ArrayLike) -> Array:
    """Return the running log e-value against "it did not drop", shape (n,).

    *differences* holds the difference of each case's mean scores, shape (n,). The mixture is the
    uniform one of `e_drop`, by quadrature with fixed weights, which is an exact mixture itself.
    """
    wealth = log_wealth(-np.asarray(differences, np.float64), (_NODES + 1.0) / 2.0)
    return np.asarray(logsumexp(wealth, axis=0, b=_NODE_WEIGHTS[:, None] / 2.0))


def e_noninferior_scores(differences: ArrayLike, margin: float) -> Array:
    """Return the running log e-value against "it dropped by *margin* or more", shape (n,)."""
    wealth = log_wealth(np.asarray(differences, np.float64) + margin, bet_sizes(margin))
    return np.asarray(logsumexp(wealth, axis=0) - np.log(_BET_COUNT))


def log_wealth(payoffs: ArrayLike, stakes: ArrayLike) -> Array:
    """Return the running log wealth of fixed stakes, shape (s, n). Wealth starts at 1.

    Args:
        payoffs: shape (n,), of expectation at most 0 under the hypothesis.
        stakes: shape (s,), each small enough that 1 + stake * payoff stays positive.

    Raises:
        ValueError: a stake could lose more than everything.
    """
    growth = np.multiply.outer(np.asarray(stakes, np.float64), np.asarray(payoffs, np.float64))
    if not np.all(growth >= -1.0):
        msg = "a stake times a payoff below -1 would lose more than everything"
        raise ValueError(msg)
    with np.errstate(divide="ignore"):
        return np.asarray(np.cumsum(np.log1p(growth), axis=-1))


def bet_sizes(margin: float) -> Array:
    """Return the 16 stakes of `e_noninferior`: geometric from 0.03 to 0.999 / (1 - margin)."""
    require_share("margin", margin)
    return np.geomspace(0.03, 0.999 / (1.0 - margin), _BET_COUNT)


def _fractions(looks: int | ArrayLike) -> Array:
    values = np.asarray(looks, np.float64)
    count = int(values) if values.ndim == 0 else 0
    fractions = np.arange(1.0, count + 1.0) / count if count > 0 else values
    rising = fractions.ndim == 1 and fractions.size > 0 and np.all(np.diff(fractions) > 0.0)
    if not rising or fractions[0] <= 0.0 or fractions[-1] > 1.0:
        msg = f"looks must be a count from 1 or increasing fractions in (0, 1], got {values}"
        raise ValueError(msg)
    return fractions


def _crossing_score(scores: Array, masses: Array, scale: float, share: float) -> float:
    """Return the score that the process first crosses at this look with probability *share*."""

    def excess(boundary: float) -> float:
        return float(np.sum(masses * ndtr((scores - boundary) / scale))) - share

    return find_root(excess, -_MAX_DEVIATION, 5.0 * _MAX_DEVIATION, xtol=1e-12)


def _continuing_scores(
    scores: Array, masses: Array, scale: float, boundary: float
) -> tuple[Array, Array]:
    """Return the scores of the runs that continue to the next look, as nodes and masses."""
    low = -_MAX_DEVIATION
    half_width = (boundary - low) / 2.0
    nodes = low + half_width * (_NODES + 1.0)
    steps = (nodes[:, None] - scores) / scale
    density = np.exp(-0.5 * steps**2) @ masses / (scale * np.sqrt(2.0 * np.pi))
    return nodes, density * _NODE_WEIGHTS * half_width


def _mostly_fixed(f: Array, r: Array) -> Array:
    """Return the integral of `e_drop` over u = -log(1 - bet), accurate for f well above r.

    There the integrand falls as exp(-(f - r) u).
    """
    slope = np.maximum(f - r, 0.0)[..., None] + 1.0
    u = _TAIL_NODES / slope
    rest = r[..., None] * (np.log1p(-np.expm1(-u)) - u)
    return np.asarray(logsumexp(rest, axis=-1, b=_TAIL_WEIGHTS / slope))


def _nonnegative(counts: float | Array) -> Array:
    values = np.asarray(counts, np.float64)
    if not np.all(values >= 0.0):
        msg = "counts must not be negative"
        raise ValueError(msg)
    return values
