"""Group-sequential looks at growing data, with the error spent over the looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import betainc, betaln, logsumexp, ndtr, ndtri, xlog1py

from pytest_ftgate.stats.paired import root
from pytest_ftgate.stats.proportions import Array, Numbers, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(256)
_TAIL_NODES, _TAIL_WEIGHTS = np.polynomial.laguerre.laggauss(32)
_FAR = 9.0
_BETS = 16


def obrien_fleming_bounds(alpha: float, looks: int | ArrayLike) -> Array:
    """Give the upper z bounds of the looks, shape (looks,), for a one-sided error of `alpha`.

    `looks` is the number of equally spaced looks, or the information fractions: increasing, in
    (0, 1], usually ending at 1. The error spent by fraction t is 2 (1 - Phi(z_{alpha/2} /
    sqrt(t))) (Lan & DeMets 1983, Biometrika 70:659-663); bounds by recursive integration of the
    score process (Armitage, McPherson & Rowe 1969). Mirror them for a lower side.

    Raises ValueError for an alpha outside 0 to 1, no looks, or fractions not as described.
    """
    require_share("alpha", alpha)
    fractions = _fractions(looks)
    spent = 2.0 * ndtr(ndtri(alpha / 2.0) / np.sqrt(fractions))
    steps = np.diff(fractions, prepend=0.0)
    places, masses = np.zeros(1), np.ones(1)
    bounds = np.empty_like(fractions)
    for j, share in enumerate(np.diff(spent, prepend=0.0)):
        scale = np.sqrt(steps[j])
        edge = _edge(places, masses, scale, share)
        bounds[j] = edge / np.sqrt(fractions[j])
        places, masses = _carried(places, masses, scale, edge)
    return bounds


def e_drop(gains: Numbers, losses: Numbers) -> Numbers:
    """Give the log e-value against "it did not drop", from counts; shapes broadcast.

    The integral of (1 - b)^gains (1 + b)^losses over bets b uniform on 0 to 1, in closed form.
    Fractional counts are allowed: they bet less than the counts they average.

    Raises ValueError for negative counts.
    """
    g, losing = _nonnegative(gains), _nonnegative(losses)
    with np.errstate(divide="ignore"):
        beta = np.log(betainc(g + 1.0, losing + 1.0, 0.5)) + betaln(losing + 1.0, g + 1.0)
    closed = (g + losing + 1.0) * np.log(2.0) + beta
    # The incomplete beta vanishes in floating point where gains lead by far.
    return cast("Numbers", np.where(np.isfinite(closed), closed, _far_ahead(g, losing))[()])


def e_noninferior(gains: Numbers, losses: Numbers, n: float | Array, margin: float) -> Numbers:
    """Give the log e-value against "it dropped by `margin` or more", from counts out of n.

    The mean over 16 geometrically spaced bets of the wealth after every case (see `bets`);
    shapes broadcast.

    Raises ValueError for negative counts, more changes than cases, or a margin outside 0 to 1.
    """
    g, losing, cases = (_nonnegative(value)[..., None] for value in (gains, losses, n))
    ties = cases - g - losing
    if np.any(ties < 0.0):
        msg = "gains and losses must fit in the number of cases"
        raise ValueError(msg)
    bet = bets(margin)
    wealth = xlog1py(g, bet * (1.0 + margin)) + xlog1py(losing, -bet * (1.0 - margin))
    wealth = wealth + xlog1py(ties, bet * margin)
    return cast("Numbers", (logsumexp(wealth, axis=-1) - np.log(_BETS))[()])


def e_drop_scores(differences: ArrayLike) -> Array:
    """Give the running log e-value against "it did not drop", shape (n,), from score differences.

    `differences` of shape (n,), each case's mean once; the uniform mixture of `e_drop`, by
    quadrature with fixed weights, which makes it an exact mixture of its own.
    """
    wealth = log_wealth(-np.asarray(differences, np.float64), (_NODES + 1.0) / 2.0)
    return np.asarray(logsumexp(wealth, axis=0, b=_NODE_WEIGHTS[:, None] / 2.0))


def e_noninferior_scores(differences: ArrayLike, margin: float) -> Array:
    """Give the running log e-value against "it dropped by `margin` or more", shape (n,)."""
    wealth = log_wealth(np.asarray(differences, np.float64) + margin, bets(margin))
    return np.asarray(logsumexp(wealth, axis=0) - np.log(_BETS))


def log_wealth(payoffs: ArrayLike, stakes: ArrayLike) -> Array:
    """Give the running log wealth of fixed stakes on payoffs that the hypothesis calls unfair.

    payoffs (n,), of expectation at most 0 under the hypothesis; stakes (s,), each small enough
    that 1 + stake * payoff stays positive. Shape (s, n). Wealth starts at 1.

    Raises ValueError for a stake that could lose more than everything.
    """
    growth = np.multiply.outer(np.asarray(stakes, np.float64), np.asarray(payoffs, np.float64))
    if not np.all(growth >= -1.0):
        msg = "a stake times a payoff below -1 would lose more than everything"
        raise ValueError(msg)
    with np.errstate(divide="ignore"):
        return np.asarray(np.cumsum(np.log1p(growth), axis=-1))


def bets(margin: float) -> Array:
    """Give the 16 stakes of `e_noninferior`: geometric from 0.03 to 0.999 / (1 - margin)."""
    require_share("margin", margin)
    return np.geomspace(0.03, 0.999 / (1.0 - margin), _BETS)


def _fractions(looks: int | ArrayLike) -> Array:
    given = np.asarray(looks, np.float64)
    count = int(given) if given.ndim == 0 else 0
    fractions = np.arange(1.0, count + 1.0) / count if count > 0 else given
    rising = fractions.ndim == 1 and fractions.size > 0 and np.all(np.diff(fractions) > 0.0)
    if not rising or fractions[0] <= 0.0 or fractions[-1] > 1.0:
        msg = f"looks must be a count from 1 or increasing fractions in (0, 1], got {given}"
        raise ValueError(msg)
    return fractions


def _edge(places: Array, masses: Array, scale: float, share: float) -> float:
    """Find the score that the process first crosses at this look with chance `share`."""

    def excess(edge: float) -> float:
        return float(np.sum(masses * ndtr((places - edge) / scale))) - share

    return root(excess, -_FAR, 5.0 * _FAR, xtol=1e-12)


def _carried(places: Array, masses: Array, scale: float, edge: float) -> tuple[Array, Array]:
    """Carry the score of the runs that went on to the next look, as nodes and masses."""
    low = -_FAR
    reach = (edge - low) / 2.0
    nodes = low + reach * (_NODES + 1.0)
    steps = (nodes[:, None] - places) / scale
    density = np.exp(-0.5 * steps**2) @ masses / (scale * np.sqrt(2.0 * np.pi))
    return nodes, density * _NODE_WEIGHTS * reach


def _far_ahead(g: Array, losing: Array) -> Array:
    """Integrate over u = -log(1 - bet), where the integrand falls as exp(-(gains - losses) u)."""
    slope = np.maximum(g - losing, 0.0)[..., None] + 1.0
    u = _TAIL_NODES / slope
    rest = losing[..., None] * (np.log1p(-np.expm1(-u)) - u)
    return np.asarray(logsumexp(rest, axis=-1, b=_TAIL_WEIGHTS / slope))


def _nonnegative(counts: float | Array) -> Array:
    values = np.asarray(counts, np.float64)
    if not np.all(values >= 0.0):
        msg = "counts must not be negative"
        raise ValueError(msg)
    return values
