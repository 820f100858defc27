"""Changes of which only those are labelled whose replies differ, or a random sample of them.

Where both replies to an input are equal, the input cannot change the result, whatever is right. So
labels of the other inputs are enough: some are known already, and of the rest a random sample is
labelled. A sampled unit stands for as many as there are for each label, and the p-value is that of
`bounded.p_mean`: one unit of that weight is added that lost everything. That it keeps its level is
conjectured; `benchmarks/error_rates_labels.py` tries it. With every label it is the ordinary test.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from pytest_ftgate.stats.bounded import BoundedValues, p_mean
from pytest_ftgate.stats.paired import (
    PairedCounts,
    change_interval,
    p_drop,
    p_noninferior,
    p_not_beyond,
    paired_counts,
)
from pytest_ftgate.stats.power import pass_probability
from pytest_ftgate.stats.proportions import Array, find_root, mcnemar_midp, require_share

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: The share of differing inputs with exactly one right reply, before labels show it, and the number
#: of labels that this is worth.
ONE_RIGHT, _PRIOR_LABELS = 2.0 / 3.0, 10.0
#: Fewer labels show nothing about the others.
FEWEST_LABELS = 5
#: The ends of a range of changes are left out by this much.
_NEAR = 1e-9


def _nothing() -> Array:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledChanges:
    """Changes of units: inputs, or groups of equal inputs or of related cases.

    The change of a case lies in [-1, 1]; that of a unit is the sum over its cases, and its size is
    their number.

    Attributes:
        tied: the sizes of the units that cannot change, since all replies are equal.
        known: the changes of the units that all count as they are: their labels were known before,
            or they are labelled cases of the suite.
        known_sizes: their sizes, shape (known,).
        sampled: the changes of the other differing units with labels, which are a random sample.
        sampled_sizes: their sizes, shape (sampled,).
        unlabelled: the sizes of the differing units without labels.
    """

    tied: Array = field(default_factory=_nothing)
    known: Array = field(default_factory=_nothing)
    known_sizes: Array = field(default_factory=_nothing)
    sampled: Array = field(default_factory=_nothing)
    sampled_sizes: Array = field(default_factory=_nothing)
    unlabelled: Array = field(default_factory=_nothing)

    @property
    def n(self) -> float:
        """The number of cases."""
        sizes = (self.tied, self.known_sizes, self.sampled_sizes, self.unlabelled)
        return float(sum(map(np.sum, sizes)))

    @property
    def units(self) -> int:
        """The number of units."""
        return self.tied.size + self.known.size + self.drawn_from

    @property
    def drawn_from(self) -> int:
        """The number of units that differ and are not known: the sample is drawn from these."""
        return self.sampled.size + self.unlabelled.size

    @property
    def scale(self) -> float:
        """How many units each unit of the sample stands for."""
        return self.drawn_from / self.sampled.size if self.sampled.size else 1.0

    @property
    def change(self) -> float:
        """The estimated change of a case; without a sample all that have no label count as lost."""
        sums, sizes = self.all_lost().weighted()
        return float(np.sum(sums)) / float(np.sum(sizes))

    @property
    def fixed(self) -> float:
        """The number of labelled units that got better."""
        return float(np.count_nonzero(self.known > 0.0) + np.count_nonzero(self.sampled > 0.0))

    @property
    def regressed(self) -> float:
        """The number of labelled units that got worse."""
        return self.turned().fixed

    @property
    def one_right(self) -> float:
        """The share of differing cases with exactly one right reply, as far as the sample shows."""
        shares = self.sampled / self.sampled_sizes
        return float(shares @ shares + ONE_RIGHT * _PRIOR_LABELS) / (shares.size + _PRIOR_LABELS)

    def turned(self) -> LabelledChanges:
        """Return the changes with their signs changed, so that a rise is a drop."""
        return replace(self, known=-self.known, sampled=-self.sampled)

    def pairs(self) -> PairedCounts:
        """Return the ordinary counts of changes that all have labels.

        Cases of one unit that gained and lost are taken as their difference.
        """
        sums, unit_sizes = self.weighted()
        sizes = unit_sizes.astype(np.intp)
        unit = np.repeat(np.arange(sizes.size), sizes)
        place = np.arange(unit.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        whole = np.sign(sums)[unit] * (place < np.abs(sums)[unit])
        changes = np.where((sums % 1.0 == 0.0)[unit], whole, (sums / unit_sizes)[unit])
        before, after = np.maximum(-changes, 0.0), np.maximum(changes, 0.0)
        return paired_counts(before, after, groups=None if np.all(sizes == 1) else unit)

    def p_noninferior(self, limit: float) -> float:
        """Return the p-value of "it dropped by *limit* or more"; small values pass the gate.

        Raises:
            ValueError: unless 0 < limit < 1.
        """
        require_share("limit", limit)
        lost = self.all_lost()
        if lost.unlabelled.size:
            return self.p_at_most(-limit)
        return p_noninferior(lost.pairs(), limit)

    def p_drop(self) -> float:
        """Return the p-value of "it did not drop".

        The test is McNemar's one-sided mid-p on the labelled units, if each is one case that was
        lost, gained or neither; else that of `p_not_beyond` at 0.
        """
        gained = self._all_gained()
        if not gained.unlabelled.size:
            return p_drop(gained.pairs())
        if self._is_counted:
            return float(mcnemar_midp(self.fixed, self.regressed))
        return self.turned().p_at_most(0.0)

    def p_not_beyond(self, limit: float) -> float:
        """Return the p-value of "it dropped by *limit* at most"; small values show it beyond.

        Raises:
            ValueError: unless 0 < limit < 1.
        """
        require_share("limit", limit)
        gained = self._all_gained()
        if gained.unlabelled.size:
            return self.turned().p_at_most(limit)
        return p_not_beyond(gained.pairs(), limit)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the changes that neither test rejects, two-sided.

        Raises:
            ValueError: unless 0 < confidence < 1.
        """
        return self.lower_end(confidence), -self.turned().lower_end(confidence)

    def chance_to_pass(self, labels: int, limit: float, alpha: float = 0.05) -> float:
        """Return how likely a sample of *labels* passes *limit*, if nothing else has changed.

        *labels* includes those of the sample so far, which count as they are, and is at most
        *drawn_from*. The weighted sum of the changes is taken as normal. It is exact with no
        further label, and with every label if none is there yet.
        """
        require_share("limit", limit)
        further, rate = labels - self.sampled.size, self.one_right
        if not further:
            return float(self.p_noninferior(limit) <= alpha)
        if labels == self.unlabelled.size == self.n - np.count_nonzero(self.tied == 1.0):
            return pass_probability(self.n, rate * labels / self.n, 0.0, limit, alpha)
        scale, sizes = self.drawn_from / labels, self._sizes_drawn_from
        variance = scale**2 * further * rate * float(np.mean(sizes**2))
        seen = self.known @ self.known + scale**2 * self.sampled @ self.sampled
        all_sizes = np.concatenate([self.tied, self.known_sizes, sizes])
        unseen = self._unseen(scale) * (1.0 - limit)
        weighing = variance + seen + limit**2 * all_sizes @ all_sizes + unseen**2
        mean = self.n * limit + np.sum(self.known) + scale * np.sum(self.sampled)
        return float(ndtr((mean - unseen + ndtri(alpha) * sqrt(weighing)) / sqrt(variance)))

    def all_lost(self) -> LabelledChanges:
        """Return the changes with all differing units as lost, if there is no sample of them."""
        if self.sampled.size:
            return self
        known = np.concatenate([self.known, -self.unlabelled])
        sizes = np.concatenate([self.known_sizes, self.unlabelled])
        return replace(self, known=known, known_sizes=sizes, unlabelled=_nothing())

    def _all_gained(self) -> LabelledChanges:
        return self.turned().all_lost().turned()

    @property
    def _is_counted(self) -> bool:
        """True if each labelled unit is one case that was lost, gained or neither."""
        sizes = np.concatenate([self.known_sizes, self.sampled_sizes])
        changes = np.concatenate([self.known, self.sampled])
        return bool(np.all(sizes == 1.0) and np.all(changes % 1.0 == 0.0))

    @property
    def _sizes_drawn_from(self) -> Array:
        return np.concatenate([self.sampled_sizes, self.unlabelled])

    def weighted(self) -> tuple[Array, Array]:
        """Return the changes and sizes of the units; a sampled one stands for *scale* units."""
        sums = [np.zeros(self.tied.size), self.known, self.scale * self.sampled]
        sizes = [self.tied, self.known_sizes, self.scale * self.sampled_sizes]
        return np.concatenate(sums), np.concatenate(sizes)

    def _unseen(self, scale: float) -> float:
        """Return the size of the unit that is added, if each of a sample stands for *scale*."""
        others = np.concatenate([self.tied, self.known_sizes])
        return float(np.max(others, initial=scale * np.max(self._sizes_drawn_from)))

    def p_at_most(self, change: float) -> float:
        """Return the p-value of "the true change is at most *change*", if there is a sample."""
        sums, sizes = self.weighted()
        # Most units are tied, and those have few sizes.
        tied, counts = np.unique(self.tied, return_counts=True)
        values = np.concatenate([-change * tied, (sums - change * sizes)[self.tied.size :]])
        counts = np.concatenate([counts, np.ones(values.size - tied.size)])
        return float(p_mean(values, -(1.0 + change) * self._unseen(self.scale), counts))

    def lower_end(self, confidence: float) -> float:
        """Return the lower end of the two-sided interval."""
        require_share("confidence", confidence)
        lost, alpha = self.all_lost(), (1.0 - confidence) / 2.0
        if not lost.unlabelled.size:
            return change_interval(lost.pairs(), confidence)[0]
        near, far = self.change, _NEAR - 1.0
        if near <= far:
            return -1.0
        return find_root(lambda change: self.p_at_most(change) - alpha, far, near, xtol=1e-10)


def planned_changes(n: int, differing: int) -> LabelledChanges:
    """Return *n* inputs of which *differing* have different replies, none of them with a label."""
    return LabelledChanges(tied=np.ones(n - differing), unlabelled=np.ones(differing))


def labels_needed(
    n: int, differing: int, limit: float, power: float = 0.9, alpha: float = 0.05
) -> int | None:
    """Return the fewest labels with which an unchanged variant passes with at least *power*.

    It is 0 if it passes with all *differing* inputs lost, and None if all labels are too few.

    Raises:
        ValueError: unless *limit* lies between 0 and 1.
    """
    changes = planned_changes(n, differing)

    def is_enough(labels: int) -> bool:
        return changes.chance_to_pass(labels, limit, alpha) >= power

    if is_enough(0):
        return 0
    fewest = min(FEWEST_LABELS, differing)
    # Without the last label the chance rises with the labels; with it the test is another.
    needed = fewest + bisect_left(range(fewest, differing), x=True, key=is_enough)
    return needed if is_enough(needed) else None


def judge_strength(products: ArrayLike, confidence: float = 0.95) -> float:
    """Return the share of a true change that a judge shows at least: lambda.

    It is the lower end of the two-sided interval of the mean of *products*. A drop of the limit
    shows as one of the limit times lambda at least, so that this is the limit of what the judge
    labels. At 0 or below the judge cannot be used.

    Args:
        products: the judge's change times that of a person, for each input to whose replies the
            person gave different labels, shape (labels,), at least one: 1, 0 or -1.
        confidence: the confidence of the interval.
    """
    values = np.asarray(products, np.float64)
    return BoundedValues(values, np.ones(values.size), -1.0, 1.0).interval(confidence)[0]
