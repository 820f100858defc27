"""The z test of a figure that is no mean over cases, and losses of whole groups of related cases.

Its variance is that of the data, plus that of unseen losses or gains. A hypothesis at distance d
from the mean supposes such losses, of d in all. They add most variance, d (w - d), if they come as
whole cases or groups of the largest weight w; see docs/statistics.md.

A group may break as a whole, as when all of its cases share a document. Such losses are few, so a
variant that truly drops may by chance have no broken group at all. Then nothing in the data shows
how alike the cases of a group are: neither a cluster-robust variance, whatever its degrees of
freedom, nor a bootstrap over the groups contains the loss (MacKinnon & Webb 2017, J. Appl.
Econometrics 32:233-254: few treated clusters). What remains is to count: with G groups, of which
each breaks with the chance m, none breaks with the chance (1 - m)^G, which is the "rule of three"
(Hanley & Lippman-Hand 1983, JAMA 249:1743-1745) with groups as units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import betainc, ndtr, ndtri, stdtr, stdtrit

from pytest_ftgate.stats.proportions import Numbers, fewest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_ftgate.stats.proportions import Array


#: Numbers may be off by this share through rounding.
_TOLERANCE = 1e-9
#: Without any change, the z test at 0.05 rules out a loss of this many units, its quantile squared.
_SHOWN_UNITS = 2.7


def largest_unit(labels: NDArray[np.intp]) -> float:
    """Return the number of cases in which unseen gains of counted groups may come at once.

    The largest group and the one that a case is in on average count alike, as their geometric mean.
    So copies of each case, in groups, show nothing new. It is large enough that a gain is not ruled
    out if the largest group alone may bear it: such a gain shows in all cases or in none.

    Args:
        labels: number of the group of each case, from 0, shape (n,).
    """
    sizes = np.bincount(labels)
    largest = float(sizes.max())
    typical = math.sqrt(largest * float(np.sum(sizes**2)) / labels.size)
    return max(typical, largest / _SHOWN_UNITS)


def quantile(level: float, groups: int | None) -> float:
    """Return the quantile of the statistic; with *groups*, of t on groups - 1 degrees of freedom.

    It is infinite for a single group, which shows nothing.
    """
    if groups is None:
        return float(ndtri(level))
    return float(stdtrit(groups - 1.0, level)) if groups > 1 else math.inf


def tail(z: Numbers, groups: int | None) -> Numbers:
    """Return the probability of a statistic below *z*, see `quantile`; 1 for a single group."""
    if groups is None:
        p = np.asarray(ndtr(z))
    else:
        p = np.asarray(stdtr(groups - 1.0, z) if groups > 1 else np.ones_like(z))
    return cast("Numbers", p if p.ndim else float(p))


def z_score(distance: Numbers, n: float, spread: Numbers | float, largest: float) -> Numbers:
    """Return the statistic of a mean at *distance* from the hypothesis; 0 at no distance.

    Args:
        distance: the mean minus the hypothesis; shapes broadcast.
        n: number of cases.
        spread: variance of the weighted scores or changes of the cases.
        largest: the weight in which unseen losses or gains may come at once.
    """
    unseen = np.minimum(np.abs(distance), largest / 2.0)
    variance = spread + unseen * (largest - unseen)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        z = distance * np.sqrt(n / variance)
    return cast("Numbers", np.where(np.asarray(distance) == 0.0, 0.0, z)[()])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedScore:
    """How surely `z_score` rejects a hypothesis at a true distance from the mean.

    The observed mean is taken as normal.

    Attributes:
        n: the number of cases.
        spread: the variance of what the cases add.
        largest: the weight in which unseen losses or gains may come at once.
        quantile: the statistic that is needed, which is positive.
    """

    n: float
    spread: float
    largest: float
    quantile: float

    def chance(self, distance: float) -> float:
        """Return the probability that a true *distance* is shown."""
        error, rest = math.sqrt(self.spread / self.n), distance - self._least_distance()
        return float(ndtr(rest / error)) if error else float(rest >= 0.0)

    def distance(self, power: float) -> float:
        """Return the least true distance that is shown with *power*."""
        return self._least_distance() + float(ndtri(power)) * math.sqrt(self.spread / self.n)

    def cases(self, distance: float, power: float) -> int:
        """Return how many cases like these show a true *distance* with *power*.

        Raises:
            ValueError: no number does.
        """

        def is_enough(n: int) -> bool:
            return replace(self, n=n).distance(power) <= distance * (1.0 + _TOLERANCE)

        return fewest(is_enough, distance)

    def _least_distance(self) -> float:
        """Return the least distance at which `z_score` reaches the quantile."""
        square = self.quantile**2
        linear = square * self.largest
        root = math.sqrt(linear**2 + 4.0 * (self.n + square) * square * self.spread)
        distance = (linear + root) / (2.0 * (self.n + square))
        if distance > self.largest / 2.0:
            distance = self.quantile * math.sqrt((self.spread + self.largest**2 / 4.0) / self.n)
        return distance


@dataclass(frozen=True, slots=True)
class GroupLosses:
    """Groups of cases, and the share of cases in groups that were lost as a whole.

    Attributes:
        sizes: pairs of a size and of the number of groups of that size, the largest size first.
        lost: the share of cases in groups of which more than half of the cases regressed, less
            that of groups of which more than half were fixed.
    """

    sizes: tuple[tuple[int, int], ...]
    lost: float

    @property
    def cases(self) -> int:
        """The number of cases."""
        return sum(size * count for size, count in self.sizes)

    @property
    def groups(self) -> int:
        """The number of groups."""
        return sum(count for _, count in self.sizes)

    def p_value(self, drop: float) -> float:
        """Return the p-value of "whole groups broke, which hold a share of *drop* or more".

        It is the chance that so few groups are lost, at the place of the loss where that is most
        likely. For groups of one size it is the binomial distribution; others count as so many
        equal ones as are all kept as often.
        """
        lost = max(0.0, self.lost)
        if drop <= lost:
            return 1.0
        none = self._log_chance_of_none(drop)
        if none == -math.inf:
            return 0.0
        equal = none / math.log1p(-drop)
        few = float(betainc(equal * (1.0 - lost), equal * lost + 1.0, 1.0 - drop))
        # Where a heavy group bears most of the loss, the lost ones may all be others.
        return max(few, math.exp(self._log_chance_of_none(drop - lost)))

    def smallest_drop(self, alpha: float) -> float:
        """Return the smallest drop with a p-value of at most *alpha* if no group is lost."""
        groups, cases, logs, kept = 0, 0, 0.0, 0.0
        for (size, count), smaller in self._with_next_sizes():  # pragma: no branch - 0 ends it
            groups, cases = groups + count, cases + count * size
            logs += count * math.log(size)
            kept = math.exp((math.log(alpha) + logs) / groups)
            if kept >= smaller:
                break
        return (cases - groups * kept) / self.cases

    def times_needed(self, drop: float, alpha: float) -> float:
        """Return how many times as many such groups rule out *drop* at *alpha* if all are kept."""
        return math.log(alpha) / self._log_chance_of_none(drop)

    def _log_chance_of_none(self, drop: float) -> float:
        """Return the logarithm of the largest chance that no group is lost; 0 < drop < 1.

        Groups with the chances p of a loss, of which sizes times p sum to the drop, are all kept
        with the product of 1 - p. That is largest where size times (1 - p) is one number for all
        groups that can be lost, and the smaller groups cannot.
        """
        groups, cases, logs, kept = 0, 0, 0.0, 0.0
        for (size, count), smaller in self._with_next_sizes():
            groups, cases = groups + count, cases + count * size
            logs += count * math.log(size)
            kept = (cases - drop * self.cases) / groups
            if kept >= smaller:
                break
        return groups * math.log(kept) - logs if kept > 0.0 else -math.inf

    def _with_next_sizes(self) -> Iterator[tuple[tuple[int, int], int]]:
        """Yield each size with its number of groups, and the next smaller size or 0."""
        return zip(self.sizes, [*(size for size, _ in self.sizes[1:]), 0], strict=True)


def group_losses(changes: Array, labels: NDArray[np.intp]) -> GroupLosses:
    """Return the losses of groups.

    Args:
        changes: the change of the score of each case, -1 to 1, shape (n,).
        labels: the number of the group of each case, from 0, shape (n,).
    """
    sizes = np.bincount(labels)
    mean = np.bincount(labels, changes) / sizes
    turned = np.where(np.abs(mean) > 0.5, np.sign(mean), 0.0)  # noqa: PLR2004 - more than half
    return GroupLosses(_counted(sizes), -float(sizes @ turned) / changes.size)


def _counted(sizes: NDArray[np.intp]) -> tuple[tuple[int, int], ...]:
    values, counts = np.unique(sizes, return_counts=True)
    return tuple(zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True))
