"""The cost of each rung: a thousand requests, a month by volume, and break-even volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np
from scipy.special import stdtrit

from pytest_ftgate.gates.levels import CONFIDENCE, FEWEST_GROUPS
from pytest_ftgate.gates.samples import Side, aligned, valued
from pytest_ftgate.recommend.advice import BreakEven, Money, Series
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.stats.resampling import clustered_se
from pytest_ftgate.suite.model import DAYS_A_MONTH, Economics, Spend, Variant
from pytest_ftgate.suite.prices import Tariff, price

__all__ = ["Bounded", "Cost", "bounded", "cost_of", "money"]

_YEAR = 12
#: Volumes that are told, in calls a day, besides the declared one.
_VOLUMES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_FREE = Tariff(per_1k=0.0)


@dataclass(frozen=True, slots=True)
class Bounded:
    """A mean with its 95 % interval, where anything bounds it."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Cost:
    """What one variant costs.

    Attributes:
        prices: of a thousand calls in USD, by case.
        per_1k: their mean.
        fixed: what a month takes besides, in USD.
        training: what is paid once, in USD.
    """

    variant: str
    prices: Side
    per_1k: Bounded
    fixed: float
    training: float

    def a_month(self, calls_per_day: float) -> Bounded:
        """Return the USD of a month at a volume."""
        thousands = calls_per_day * DAYS_A_MONTH / 1000
        ends = (self.per_1k.mean, self.per_1k.low, self.per_1k.high)
        mean, low, high = (None if e is None else self.fixed + thousands * e for e in ends)
        return Bounded(mean or 0.0, low, high)


def cost_of(variant: Variant, column: Column, spend: Spend, bill: float = 0.0) -> Cost | None:
    """Return what *variant* costs, or None where nobody knows.

    Args:
        variant: the variant, for its tariff.
        column: its replies, for their tokens.
        spend: what it takes besides its calls.
        bill: what evaluating it has cost in this run.
    """
    # A server of one's own that is paid by the month sends no bill for a call.
    own = variant.tariff.local and spend.hosting_usd_per_month is not None
    prices = _prices(column, _FREE if own else variant.tariff, spend)
    known = prices.where(prices.known)
    if not len(known):
        return None
    each = bill if spend.evaluation_usd is None else spend.evaluation_usd
    fixed = (
        (spend.hosting_usd_per_month or 0.0) / spend.adapters_on_server
        + spend.retrainings_per_year * spend.training_usd / _YEAR
        + spend.evaluations_per_month * each
    )
    return Cost(variant.name, known, bounded(known), fixed, spend.training_usd)


def _prices(column: Column, tariff: Tariff, spend: Spend) -> Side:
    means = []
    for row in column.rows.values():
        usages = [_cached(reply.usage, spend.cached) for reply in row.replies]
        costs = [one for usage in usages if (one := _price(tariff, usage, spend)) is not None]
        means.append(1000 * sum(costs) / len(costs) if costs else np.nan)
    return valued(column, np.array(means, dtype=np.float64)).where(column.weights > 0)


def _price(tariff: Tariff, usage: Mapping[str, int], spend: Spend) -> float | None:
    whole = price(tariff, usage)
    if whole is None or not spend.batched:
        return None if whole is None else float(whole)
    half = price(tariff, usage, batch=True)
    return float(whole) * (1 - spend.batched) + float(half or whole) * spend.batched


def _cached(usage: Mapping[str, int], share: float) -> Mapping[str, int]:
    """Return *usage* as if so much of what is read came from a cache."""
    if not share:
        return usage
    read = sum(usage.get(key, 0) for key in ("input", "cache_read", "cache_write"))
    held = round(read * share)
    return {**usage, "input": read - held, "cache_read": held, "cache_write": 0}


def bounded(side: Side) -> Bounded:
    """Return the mean of *side*, bounded by Student's t; groups of related cases count as one."""
    groups = np.arange(len(side)) if side.groups is None else side.groups
    units = np.unique(groups).size
    if np.ptp(side.values) == 0.0:
        return Bounded(side.mean, side.mean, side.mean)
    if units < FEWEST_GROUPS:
        return Bounded(side.mean, None, None)
    weights = np.ones(len(side)) if side.weights is None else side.weights
    spread = side.mean + (side.values - side.mean) * weights / weights.mean()
    reach = float(stdtrit(units - 1.0, (1.0 + CONFIDENCE) / 2.0)) * clustered_se(spread, groups)
    return Bounded(side.mean, side.mean - reach, side.mean + reach)


def money(
    economics: Economics,
    costs: Mapping[str, Cost],
    tuned: Iterable[str],
    unpriced: Mapping[str, str],
) -> Money:
    """Return what the rungs cost by volume.

    Args:
        economics: the declared volume.
        costs: by variant.
        tuned: the names of the fine-tunes.
        unpriced: variants without a price, with the word for it.
    """
    volumes = tuple(sorted({*map(float, _VOLUMES), economics.calls_per_day}))
    pairs = [
        (costs[one], other)
        for one in tuned
        for other in costs.values()
        if one in costs and one != other.variant
    ]
    return Money(
        calls_per_day=economics.calls_per_day,
        volumes=volumes,
        series=tuple(_series(cost, volumes) for cost in costs.values()),
        break_even=tuple(_break_even(*pair, economics.calls_per_day) for pair in pairs),
        unpriced=dict(unpriced),
    )


def _series(cost: Cost, volumes: Sequence[float]) -> Series:
    months = [cost.a_month(volume) for volume in volumes]
    return Series(
        variant=cost.variant,
        fixed=cost.fixed,
        usd=tuple(one.mean for one in months),
        low=tuple(one.mean if one.low is None else one.low for one in months),
        high=tuple(one.mean if one.high is None else one.high for one in months),
    )


def _break_even(mine: Cost, other: Cost, calls_per_day: float) -> BreakEven:
    dearer = _difference(other, mine)
    more = mine.fixed - other.fixed
    ends = [None if end is None else _crossing(more, end) for end in dearer]
    thousands = calls_per_day * DAYS_A_MONTH / 1000
    saved = [None if end is None else thousands * end - more for end in dearer]
    days = [None if one is None else _days(mine.training, one) for one in saved]
    # Where a call saves more, the volume is lower and the days are fewer.
    bound = dearer[1] is not None and dearer[1] != dearer[2]
    return BreakEven(
        variant=mine.variant,
        against=other.variant,
        calls_per_day=_finite(ends[0]),
        low=_finite(ends[2]) if bound else None,
        high=_finite(ends[1]) if bound else None,
        days=_finite(days[0]),
        days_low=_finite(days[2]) if bound else None,
        days_high=_finite(days[1]) if bound else None,
        saves_per_month=saved[0],
    )


def _difference(one: Cost, other: Cost) -> tuple[float, float | None, float | None]:
    """Return how much dearer a thousand calls of *one* are, case by case, with its interval."""
    before, after = aligned(other.prices, one.prices)
    if not len(after):
        return one.per_1k.mean - other.per_1k.mean, None, None
    told = bounded(replace(after, values=after.values - before.values))
    return told.mean, told.low, told.high


def _crossing(more: float, dearer: float) -> float:
    """Return the calls a day from which on the fine-tune is the cheaper one."""
    if more <= 0.0 and dearer >= 0.0:
        return 0.0
    return max(0.0, more / dearer * 1000 / DAYS_A_MONTH) if dearer > 0.0 and more > 0.0 else inf


def _days(training: float, saved_a_month: float) -> float:
    if training <= 0.0:
        return 0.0 if saved_a_month >= 0.0 else inf
    return training / (saved_a_month / DAYS_A_MONTH) if saved_a_month > 0.0 else inf


def _finite(value: float | None) -> float | None:
    return None if value is None or value == inf else value
