"""The cost of each rung: a thousand requests, a month by volume, and break-even volumes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from pytest_ftgate.gates.case_cost import CostBound
from pytest_ftgate.gates.figure import Figure
from pytest_ftgate.gates.figures import difference_figure, price_figure, request_prices
from pytest_ftgate.gates.samples import Samples, align
from pytest_ftgate.recommend.advice import BreakEven, CostByVolume, CostSeries
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.suite.declaration import DAYS_PER_MONTH, Economics, Spend
from pytest_ftgate.suite.model import Variant
from pytest_ftgate.suite.prices import Tariff

_MONTHS_PER_YEAR = 12
#: Requests a day for which costs are listed, besides the declared volume.
_VOLUMES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
_FREE = Tariff(per_1k=0.0)


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
    per_1k: Figure
    fixed: float
    training: float

    def usd_per_month(self, calls_per_day: float) -> Figure:
        """Return USD a month at *calls_per_day* requests a day."""
        thousands = calls_per_day * DAYS_PER_MONTH / 1000
        return self.per_1k.moved(lambda usd: self.fixed + thousands * usd)


def variant_cost(
    variant: Variant,
    scores: VariantScores,
    spend: Spend,
    evaluation_usd: float = 0.0,
    bound: CostBound | None = None,
) -> VariantCost | None:
    """Return the costs of *variant*, or None without a price.

    *variant* has the tariff, and *scores* the token counts. *spend* is declared, for costs besides
    requests. *evaluation_usd* is the cost of the replies in this run, and *bound* the most that a
    case can cost, if that is known.
    """
    # With a server of your own at a monthly price, a request costs nothing more.
    has_own_server = variant.tariff.local and spend.hosting_usd_per_month is not None
    if has_own_server:
        variant, bound = replace(variant, tariff=_FREE), CostBound(most=0.0, is_flat=True)
    prices = request_prices(scores, variant.tariff, spend.cached, spend.batched)
    per_1k = price_figure(prices, bound)
    if not per_1k.n:
        return None
    per_evaluation = evaluation_usd if spend.evaluation_usd is None else spend.evaluation_usd
    fixed = (
        (spend.hosting_usd_per_month or 0.0) / spend.adapters_on_server
        + spend.retrainings_per_year * spend.training_usd / _MONTHS_PER_YEAR
        + spend.evaluations_per_month * per_evaluation
    )
    return VariantCost(variant.name, prices, per_1k, fixed, spend.training_usd)


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
        usd=tuple(month.value for month in months),
        low=tuple(month.value if month.low is None else month.low for month in months),
        high=tuple(month.value if month.high is None else month.high for month in months),
    )


def _break_even(tuned: VariantCost, other: VariantCost, calls_per_day: float) -> BreakEven:
    # The mean saving for a thousand requests, paired by case, and its interval.
    saving = difference_figure(*align(other.prices, tuned.prices), "usd")
    if not saving.n:
        difference = other.per_1k.value - tuned.per_1k.value
        saving = replace(saving, value=difference, low=None, high=None)
    extra_fixed = tuned.fixed - other.fixed
    thousands = calls_per_day * DAYS_PER_MONTH / 1000

    def at(per_1k: float) -> tuple[float | None, float, float | None]:
        saved, volume = thousands * per_1k - extra_fixed, _break_even_volume(extra_fixed, per_1k)
        return _finite(volume), saved, _finite(_payback_days(tuned.training, saved))

    volume, saved, days = at(saving.value)
    found = BreakEven(
        variant=tuned.variant, compared_with=other.variant, calls_per_day=volume, days=days,
        saves_per_month=saved,
    )  # fmt: skip
    if saving.low is None or saving.high is None or saving.low == saving.high:
        return found
    # Larger savings mean a lower volume and fewer days, so that the bounds swap.
    (high, _, days_high), (low, _, days_low) = at(saving.low), at(saving.high)
    return replace(found, low=low, high=high, days_low=days_low, days_high=days_high)


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


def _finite(value: float) -> float | None:
    return None if value == inf else value
