"""Suites with a known true drop, drawn for `error_rates.py`.

A *draw* takes random numbers, a number of suites and a drop, and returns the mean scores before and
after, each of shape (suites, cases). The expected change is exactly minus the drop. Cases are drawn
anew for every suite, since the risks are those over a population of cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
Pair = tuple[Array, Array]
Draw = Callable[[np.random.Generator, int, float], Pair]
Sizes = tuple[int, ...]

#: Shares of near certain, doubtful and hard cases, and the beta distributions of their chances.
_KINDS = np.array([[0.70, 20.0, 0.3], [0.15, 4.0, 2.0], [0.15, 0.6, 4.0]])
_RIGHT = float(np.sum(_KINDS[:, 0] * _KINDS[:, 1] / (_KINDS[:, 1] + _KINDS[:, 2])))
#: The disagreement of two replies to such cases.
_DOUBT = float(
    np.sum(
        2.0 * _KINDS[:, 0] * np.prod(_KINDS[:, 1:], axis=1)
        / (_KINDS[:, 1:].sum(axis=1) * (_KINDS[:, 1:].sum(axis=1) + 1.0))
    )
)  # fmt: skip
#: The share of cases that tuning fixes for certain.
_FIXED = 0.03


# Chances of a right reply ------------------------------------------------------------------------


def chances(rng: np.random.Generator, shape: tuple[int, int], disagreement: float) -> Array:
    """Return the chance of a right reply to each case: 81 % on average."""
    kind = rng.choice(len(_KINDS), shape, p=_KINDS[:, 0])
    doubtful = rng.beta(_KINDS[kind, 1], _KINDS[kind, 2])
    # The other cases always have the same reply, which lowers the disagreement and nothing else.
    varies = rng.random(shape) < disagreement / _DOUBT
    chances: Array = np.where(varies, doubtful, rng.random(shape) < doubtful)
    return chances


def tuned(
    rng: np.random.Generator, shape: tuple[int, int], drop: float, disagreement: float = 0.1
) -> Pair:
    """Return chances before and after a fine-tune; without a drop it is the same model."""
    before = chances(rng, shape, disagreement)
    if drop == 0.0:
        return before, before
    broken = (drop + _FIXED * (1.0 - _RIGHT)) / _RIGHT
    turn = rng.random(shape)
    return before, np.where(turn < broken, 0.0, np.where(turn < broken + _FIXED, 1.0, before))


def certain(rng: np.random.Generator, shape: tuple[int, int], drop: float) -> Pair:
    """Return chances of 1, of which a share of *drop* falls to 0."""
    return np.ones(shape), np.where(rng.random(shape) < drop, 0.0, 1.0)


def halved(rng: np.random.Generator, shape: tuple[int, int], drop: float) -> Pair:
    """Return chances of 1, of which a share of twice *drop* falls to one half."""
    return np.ones(shape), np.where(rng.random(shape) < 2.0 * drop, 0.5, 1.0)


def unsure(_: np.random.Generator, shape: tuple[int, int], drop: float) -> Pair:
    """Return chances of 1 that all fall by *drop*."""
    return np.ones(shape), np.full(shape, 1.0 - drop)


Chances = Callable[[np.random.Generator, tuple[int, int], float], Pair]


def replied(
    rng: np.random.Generator,
    suites: int,
    drop: float,
    *,
    n: int,
    repeats: tuple[int, int] = (1, 1),
    model: Chances = tuned,
) -> Pair:
    """Draw mean scores of *repeats* replies a case, before and after."""
    sides = zip(model(rng, (suites, n), drop), repeats, strict=True)
    before, after = (rng.binomial(k, chance) / k for chance, k in sides)
    return before, after


def disagreeing(
    rng: np.random.Generator, suites: int, drop: float, *, n: int, disagreement: float
) -> Pair:
    """Draw one reply a case, before and after, that disagree on a share of *disagreement*.

    It is as large as the drop at least, since every lost case is one of them.
    """
    turn, total = rng.random((suites, n)), max(disagreement, drop)
    lost, fixed = (total + drop) / 2.0, (total - drop) / 2.0
    right = (turn >= lost + fixed) & (rng.random((suites, n)) < _RIGHT)
    before = right | (turn < lost)
    after = right | ((turn >= lost) & (turn < lost + fixed))
    return before.astype(np.float64), after.astype(np.float64)


def replied_often(
    rng: np.random.Generator,
    suites: int,
    drop: float,
    *,
    n: int,
    replies: int,
    model: Chances = tuned,
) -> Pair:
    """Draw the score of each reply, before and after: shape (suites, cases, replies)."""
    before, after = (
        (rng.random((suites, n, replies)) < chance[..., None]).astype(np.float64)
        for chance in model(rng, (suites, n), drop)
    )
    return before, after


# Graded scores -----------------------------------------------------------------------------------


def fields(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw the share of five fields that is right; one field in twenty is written anew."""
    right, anew, shape = 0.9, 0.05, (suites, n, 5)
    before = rng.random(shape) < right
    again = np.where(rng.random(shape) < anew, rng.random(shape) < right, before)
    after = again & (rng.random(shape) >= drop / right)
    return before.mean(axis=2), after.mean(axis=2)


def right_fields(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw the share of five fields that is right: all of them before, fewer after."""
    return np.ones((suites, n)), np.mean(rng.random((suites, n, 5)) >= drop, axis=2)


def similarity(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw similarities that all change a little: the standard deviation is 0.06."""
    before = rng.uniform(0.55, 0.85, (suites, n))
    # Cut off symmetrically, so that no score leaves its range and the mean stays as it is.
    noise = np.clip(rng.normal(0.0, 0.06, (suites, n)), -0.15, 0.15)
    return before, before - drop + noise


#: How often a judge gives each of five grades, and how often its grade is one lower or higher.
_GRADES, _MOVED = np.array([0.02, 0.05, 0.13, 0.30, 0.50]), 0.2


def judge(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw a judge's five grades, 0 to 1; a drop lowers some of them by one grade."""
    true = rng.choice(5, (suites, n), p=_GRADES)
    before, after = (_judged(rng, true) for _ in range(2))
    nothing = _GRADES[0] * (1.0 - _MOVED / 2.0) + _GRADES[1] * _MOVED / 2.0
    falls = rng.random(true.shape) < drop / (0.25 * (1.0 - nothing))
    return before / 4.0, np.maximum(after - falls, 0) / 4.0


def _judged(rng: np.random.Generator, grades: NDArray[np.int_]) -> NDArray[np.int_]:
    steps = rng.choice([-1, 0, 1], grades.shape, p=[_MOVED / 2.0, 1.0 - _MOVED, _MOVED / 2.0])
    moved: NDArray[np.int_] = np.clip(grades + steps, 0, 4)
    return moved


#: The score of a right case that is graded all the same.
ALMOST = 0.999


def breaks(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw scores just below 1, of which some fall to 0."""
    whole = ALMOST
    broken = rng.random((suites, n)) < drop / whole
    return np.full((suites, n), whole), np.where(broken, 0.0, whole)


def rare_gains(rng: np.random.Generator, suites: int, drop: float, *, n: int) -> Pair:
    """Draw rare large gains that balance small losses of all other cases."""
    share, gain = 0.03, 0.95
    gains = rng.random((suites, n)) < share
    loss = (share * gain + drop) / (1.0 - share)
    return np.where(gains, 0.0, 0.9), np.where(gains, gain, 0.9 - loss)


# Weights and groups ------------------------------------------------------------------------------


def _turned(broken: NDArray[np.bool_], noise: Array) -> Pair:
    """Return scores of cases that are right, unless they are *broken* or change by *noise*.

    Both have the shape (suites, cases). *noise* is 1 for a case that is fixed, -1 for one that
    regresses, and 0 for others.
    """
    before = np.where(~broken & (noise > 0), 0.0, 1.0)
    return before, np.where(broken | (noise < 0), 0.0, 1.0)


def _noise(rng: np.random.Generator, shape: tuple[int, int], disagreement: float) -> Array:
    noise: Array = (rng.random(shape) < disagreement) * rng.choice([-1.0, 1.0], shape)
    return noise


def weighted(
    rng: np.random.Generator,
    suites: int,
    drop: float,
    *,
    weights: Sequence[float],
    disagreement: float,
) -> Pair:
    """Draw right cases, of which only those of the largest weight break."""
    w = np.array(weights) / np.sum(weights)
    heavy, shape = w == w.max(), (suites, w.size)
    broken = heavy & (rng.random(shape) < drop / w[heavy].sum())
    return _turned(broken, _noise(rng, shape, disagreement))


def rising_sizes(groups: int, n: int) -> Sizes:
    """Return lognormal sizes of groups, about *n* cases together."""
    sizes = np.exp(ndtri((np.arange(groups) + 0.5) / groups))
    return tuple(int(size) for size in np.maximum(1, np.round(sizes / sizes.sum() * n)))


def group_chances(sizes: Sizes, drop: float, where: str) -> Array:
    """Return the chance that each group breaks; all cases together drop by *drop*.

    *where* is ``anywhere``, ``by size`` (the larger, the likelier) or ``largest`` (others break
    only if it cannot bear the drop).
    """
    shares = np.array(sizes) / np.sum(sizes)
    if where == "anywhere":
        return np.full(shares.size, drop)
    if where == "largest":
        largest = shares == shares.max()
        within = min(1.0, drop / shares[largest].sum())
        rest = drop - within * shares[largest].sum()
        return np.where(largest, within, rest / shares[~largest].sum() if rest else 0.0)
    low, high = 0.0, 1.0 / shares.min()
    for _ in range(60):
        factor = (low + high) / 2.0
        enough = np.sum(shares * np.minimum(1.0, factor * shares)) >= drop
        low, high = (low, factor) if enough else (factor, high)
    lost: Array = np.minimum(1.0, high * shares)
    return lost


def grouped(  # noqa: PLR0913 - what a situation of groups consists of, each by name
    rng: np.random.Generator,
    suites: int,
    drop: float,
    *,
    sizes: Sizes,
    where: str = "anywhere",
    together: float = 1.0,
    noise: str = "by case",
    whole: float = 1.0,
) -> Pair:
    """Draw cases in groups, of which whole groups break.

    Args:
        rng: the source of random numbers.
        suites: number of suites.
        drop: the true drop.
        sizes: number of cases of each group.
        where: see `group_chances`.
        together: the share of the cases of a broken group that break.
        noise: how a tenth of the cases change otherwise: ``by case``, ``by group``, or ``none``.
        whole: the score of a right case. Below 1 it also changes a little in every case.
    """
    labels, shape = np.repeat(np.arange(len(sizes)), sizes), (suites, int(np.sum(sizes)))
    groups = rng.random((suites, len(sizes)))
    chance = group_chances(sizes, drop / whole, where)
    hit = np.minimum(1.0, chance / together)
    within = np.divide(chance, hit, out=np.zeros_like(chance), where=hit > 0.0)
    broken = (groups < hit)[:, labels] & (rng.random(shape) < within[labels])
    if noise == "by group":
        turns = _noise(rng, groups.shape, 0.1)[:, labels]
    else:
        turns = _noise(rng, shape, 0.1 if noise == "by case" else 0.0)
    before, after = _turned(broken, turns)
    reach = (1.0 - whole) / 2.0
    small = rng.uniform(-reach, reach, shape) if reach else 0.0
    return whole * before, whole * after + small * before * after
