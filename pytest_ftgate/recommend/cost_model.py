"""The cost of each rung: a thousand requests, a month by volume, and break-even volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from pytest_ftgate.gates.levels import CONFIDENCE, MIN_CASES_FOR_COST
from pytest_ftgate.gates.samples import Samples, align, samples_from_values
from pytest_ftgate.recommend.advice import BreakEven, CostByVolume, CostSeries
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.means import mean_interval
from pytest_ftgate.suite.declaration import Spend
from pytest_ftgate.suite.model import DAYS_PER_MONTH, Economics, Variant
from pytest_ftgate.suite.prices import Tariff, request_price

_MONTHS_PER_YEAR = 12
#: Requests a day for which costs are listed, besides the declared volume.
_VOLUMES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_FREE = Tariff(per_1k=0.0)


@dataclass(frozen=True, slots=True)
class _BoundedMean:
    """A mean with its 95 % interval; None if unbounded."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, eq=False)
class VariantCost:
    """The costs of one variant, in USD.

    Attributes:
        prices: of a thousand requests, by case.
        per_1k: the mean of *prices*.
        fixed: the monthly costs that do not depend on the volume.
        training: the cost of one training.
    """

    variant: str
    prices: Samples
    per_1k: _BoundedMean
    fixed: float
    training: float

    def usd_per_month(self, calls_per_day: float) -> _BoundedMean:
        """Return USD a month at *calls_per_day* requests a day."""
        thousands = calls_per_day * DAYS_PER_MONTH / 1000
        per_1k = (self.per_1k.mean, self.per_1k.low, self.per_1k.high)
        mean, low, high = (None if u is None else self.fixed + thousands * u for u in per_1k)
        return _BoundedMean(mean or 0.0, low, high)


def variant_cost(
    variant: Variant, scores: VariantScores, spend: Spend, evaluation_usd: float = 0.0
) -> VariantCost | None:
    """Return the costs of *variant*, or None without a price.

    *variant* has the tariff, and *scores* the token counts. *spend* is declared, for costs besides
    requests. *evaluation_usd* is the cost of the replies in this run.
    """
    # With a server of your own at a monthly price, a request costs nothing more.
    has_own_server = variant.tariff.local and spend.hosting_usd_per_month is not None
    prices = _prices_per_1k(scores, _FREE if has_own_server else variant.tariff, spend)
    known = prices.select(prices.has_reply)
    if not len(known):
        return None
    per_evaluation = evaluation_usd if spend.evaluation_usd is None else spend.evaluation_usd
    fixed = (
        (spend.hosting_usd_per_month or 0.0) / spend.adapters_on_server
        + spend.retrainings_per_year * spend.training_usd / _MONTHS_PER_YEAR
        + spend.evaluations_per_month * per_evaluation
    )
    return VariantCost(variant.name, known, _bounded_mean(known), fixed, spend.training_usd)


def _prices_per_1k(scores: VariantScores, tariff: Tariff, spend: Spend) -> Samples:
    """Return USD for a thousand requests by case; NaN without a price."""
    means = []
    for result in scores.results.values():
        usages = [_with_cached_share(reply.usage, spend.cached) for reply in result.replies]
        prices = [p for usage in usages if (p := _price(tariff, usage, spend)) is not None]
        means.append(1000 * sum(prices) / len(prices) if prices else np.nan)
    return samples_from_values(scores, np.array(means, dtype=np.float64)).select(scores.weights > 0)


def _price(tariff: Tariff, usage: Mapping[str, int], spend: Spend) -> float | None:
    single = request_price(tariff, usage)
    if single is None or not spend.batched:
        return None if single is None else float(single)
    batched = request_price(tariff, usage, batch=True)
    return float(single) * (1 - spend.batched) + float(batched or single) * spend.batched


def _with_cached_share(usage: Mapping[str, int], share: float) -> Mapping[str, int]:
    """Return *usage* as if *share* of the input tokens came from the provider's cache."""
    if not share:
        return usage
    input_tokens = sum(usage.get(key, 0) for key in ("input", "cache_read", "cache_write"))
    cached = round(input_tokens * share)
    return {**usage, "input": input_tokens - cached, "cache_read": cached, "cache_write": 0}


def _bounded_mean(samples: Samples) -> _BoundedMean:
    """Return the mean of *samples* with its interval; a group counts as one unit."""
    groups = np.arange(len(samples)) if samples.groups is None else samples.groups
    units = np.unique(groups).size
    if np.ptp(samples.values) == 0.0:
        return _BoundedMean(samples.mean, samples.mean, samples.mean)
    if units < MIN_CASES_FOR_COST:
        return _BoundedMean(samples.mean, None, None)
    weights = np.ones(len(samples)) if samples.weights is None else samples.weights
    spread = samples.mean + (samples.values - samples.mean) * weights / weights.mean()
    low, high = mean_interval(spread, CONFIDENCE, groups)
    return _BoundedMean(samples.mean, low, high)


def cost_by_volume(
    economics: Economics,
    costs: Mapping[str, VariantCost],
    tuned: Iterable[str],
    unpriced: Mapping[str, str],
) -> CostByVolume:
    """Return the costs of all variants by volume.

    *tuned* are the names of the fine-tunes. *unpriced* has ``local`` or ``unpriced`` for each
    variant without a price.
    """
    volumes = tuple(sorted({*map(float, _VOLUMES), economics.calls_per_day}))
    pairs = [
        (costs[name], other)
        for name in tuned
        for other in costs.values()
        if name in costs and name != other.variant
    ]
    return CostByVolume(
        calls_per_day=economics.calls_per_day,
        volumes=volumes,
        series=tuple(_series(cost, volumes) for cost in costs.values()),
        break_even=tuple(_break_even(*pair, economics.calls_per_day) for pair in pairs),
        unpriced=dict(unpriced),
    )


def _series(cost: VariantCost, volumes: Sequence[float]) -> CostSeries:
    months = [cost.usd_per_month(volume) for volume in volumes]
    return CostSeries(
        variant=cost.variant,
        fixed=cost.fixed,
        usd=tuple(month.mean for month in months),
        low=tuple(month.mean if month.low is None else month.low for month in months),
        high=tuple(month.mean if month.high is None else month.high for month in months),
    )


def _break_even(tuned: VariantCost, other: VariantCost, calls_per_day: float) -> BreakEven:
    savings_per_1k = _savings_per_1k(tuned, other)
    extra_fixed = tuned.fixed - other.fixed
    volumes = [None if s is None else _break_even_volume(extra_fixed, s) for s in savings_per_1k]
    thousands = calls_per_day * DAYS_PER_MONTH / 1000
    saved = [None if s is None else thousands * s - extra_fixed for s in savings_per_1k]
    days = [None if s is None else _payback_days(tuned.training, s) for s in saved]
    # Larger savings mean a lower volume and fewer days, so that the bounds swap.
    bounded = savings_per_1k[1] is not None and savings_per_1k[1] != savings_per_1k[2]
    return BreakEven(
        variant=tuned.variant,
        compared_with=other.variant,
        calls_per_day=_finite(volumes[0]),
        low=_finite(volumes[2]) if bounded else None,
        high=_finite(volumes[1]) if bounded else None,
        days=_finite(days[0]),
        days_low=_finite(days[2]) if bounded else None,
        days_high=_finite(days[1]) if bounded else None,
        saves_per_month=saved[0],
    )


def _savings_per_1k(
    tuned: VariantCost, other: VariantCost
) -> tuple[float, float | None, float | None]:
    """Return the mean saving for a thousand requests, paired by case, and its interval."""
    tuned_prices, other_prices = align(tuned.prices, other.prices)
    if not len(other_prices):
        return other.per_1k.mean - tuned.per_1k.mean, None, None
    savings = replace(other_prices, values=other_prices.values - tuned_prices.values)
    saving = _bounded_mean(savings)
    return saving.mean, saving.low, saving.high


def _break_even_volume(extra_fixed: float, savings_per_1k: float) -> float:
    """Return the requests a day from which the fine-tune is cheaper; infinity if never."""
    if extra_fixed <= 0.0 and savings_per_1k >= 0.0:
        return 0.0
    if extra_fixed <= 0.0 or savings_per_1k <= 0.0:
        return inf
    return max(0.0, extra_fixed / savings_per_1k * 1000 / DAYS_PER_MONTH)


def _payback_days(training: float, saved_per_month: float) -> float:
    if training <= 0.0:
        return 0.0 if saved_per_month >= 0.0 else inf
    return training / (saved_per_month / DAYS_PER_MONTH) if saved_per_month > 0.0 else inf


def _finite(value: float | None) -> float | None:
    return None if value is None or value == inf else value
