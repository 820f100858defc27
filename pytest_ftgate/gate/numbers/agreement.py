"""How far two raters agree beyond chance, of resamples of what they rated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_ftgate.gate.numbers.proportion import Array
from pytest_ftgate.gate.numbers.resample import Bounds, bootstrap_bounds

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["kappa_bounds"]

_RESAMPLES = 4000


def kappa_bounds(
    one: ArrayLike, other: ArrayLike, grades: int, *, weighted: bool = False, alpha: float = 0.025
) -> Bounds:
    """Bound Cohen's kappa by a bootstrap over what was rated (fixed seed).

    *one* and *other*, both (n,), are places of grades from 0 up in their order; *weighted* counts
    a disagreement by the square of its distance. Where both raters say one and the same of
    everything there is no agreement beyond chance: 0. Cohen (1960); weights: Cohen (1968).

    Raises ValueError for no ratings.
    """
    first, second = np.asarray(one, np.intp), np.asarray(other, np.intp)
    cells = np.zeros((first.size, grades * grades))
    cells[np.arange(first.size), first * grades + second] = 1.0
    apart = np.abs(np.subtract.outer(np.arange(grades), np.arange(grades))).astype(np.float64)
    costs = apart**2 if weighted else (apart > 0).astype(np.float64)

    def of(counts: Array) -> Array:
        tables = (counts @ cells).reshape(-1, grades, grades)
        total = tables.sum(axis=(1, 2))
        seen = (tables * costs).sum(axis=(1, 2)) * total
        rows, columns = tables.sum(axis=2), tables.sum(axis=1)
        chance = np.einsum("ri,ij,rj->r", rows, costs, columns)
        return np.where(chance > 0, 1.0 - seen / np.where(chance > 0, chance, 1.0), 0.0)

    rng = np.random.default_rng(0)
    return bootstrap_bounds(of, first.size, rng=rng, alpha=alpha, resamples=_RESAMPLES)
