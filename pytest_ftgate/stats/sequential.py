"""Group-sequential tests: the bounds of each look, with alpha spending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from pytest_ftgate.stats.proportions import Array, find_root, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(256)
#: The score process stays within this many standard deviations.
_MAX_DEVIATION = 9.0


def obrien_fleming_bounds(alpha: float, looks: ArrayLike) -> Array:
    """Return the upper z bound of each look, for a total one-sided error of *alpha*.

    The error spent by fraction t is 2 (1 - Phi(z_{alpha/2} / sqrt(t))) (Lan & DeMets 1983,
    Biometrika 70:659-663). Bounds come from recursive integration of the score process (Armitage,
    McPherson & Rowe 1969). Negate them for lower bounds.

    Args:
        alpha: the one-sided error, a share.
        looks: the information fractions of the looks: increasing, in (0, 1], usually ending at 1.

    Raises:
        ValueError: *alpha* is outside 0 to 1.
    """
    require_share("alpha", alpha)
    fractions = np.asarray(looks, np.float64)
    steps = np.diff(fractions, prepend=0.0)
    spent = 2.0 * ndtr(ndtri(alpha / 2.0) / np.sqrt(fractions))
    scores, masses = np.zeros(1), np.ones(1)
    bounds = np.empty_like(fractions)
    for j, share in enumerate(np.diff(spent, prepend=0.0)):
        scale = np.sqrt(steps[j])
        boundary = _crossing_score(scores, masses, scale, share)
        bounds[j] = boundary / np.sqrt(fractions[j])
        scores, masses = _continuing_scores(scores, masses, scale, boundary)
    return bounds


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
