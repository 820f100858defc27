"""Losses of whole groups of related cases: what data without such a loss can rule out.

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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betainc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from pytest_ftgate.stats.proportions import Array


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


def joined_losses(parts: Iterable[GroupLosses]) -> GroupLosses:
    """Return the losses of the groups of all *parts*, whose cases count alike."""
    found = [*parts]
    sizes = [size for part in found for size, count in part.sizes for _ in range(count)]
    lost = sum(part.lost * part.cases for part in found)
    return GroupLosses(_counted(np.array(sizes)), lost / sum(sizes))


def _counted(sizes: NDArray[np.intp]) -> tuple[tuple[int, int], ...]:
    values, counts = np.unique(sizes, return_counts=True)
    return tuple(zip(values[::-1].tolist(), counts[::-1].tolist(), strict=True))
