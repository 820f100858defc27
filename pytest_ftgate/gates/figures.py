"""Makes each figure of a variant: rates, prices, tokens, and quantiles of the latency.

Gates, the ladder, the run record and the pages copy them. A mean is over cases: first over the
repeats of a case, then by the weight of the case. Cases of weight 0 are left out, and a group of
related cases is one unit. A quantile is the time of a reply, never one between two replies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.design import CONFIDENCE, MIN_CASES_FOR_COST
from pytest_ftgate.gates.figure import Figure, Population
from pytest_ftgate.gates.samples import FloatArray, Samples, samples_from_values
from pytest_ftgate.gates.verdict import Check, CheckKind, Outcome
from pytest_ftgate.requests.reply import Reply, reply_price
from pytest_ftgate.requests.request import CaseRequest
from pytest_ftgate.scoring.scores import VariantScores
from pytest_ftgate.stats.proportions import binomial_cdf
from pytest_ftgate.stats.rates import MeanScore, mean_score, score_interval
from pytest_ftgate.suite.prices import INPUT_KINDS, Tariff

if TYPE_CHECKING:
    from pytest_ftgate.gates.case_cost import CostBound
    from pytest_ftgate.stats.resampling import BoundedRatio


def check_of_figure(figure: Figure, kind: CheckKind, limit: float, **more: Any) -> Check:
    """Return a check of *figure* that is not decided yet; *more* are further fields of it."""
    names = ("n", "low", "high", "missing", "unit", "method")
    copied = {name: getattr(figure, name) for name in names}
    copied |= {"after": figure.value, "effective": figure.units, **more}
    return Check(kind=kind, outcome=Outcome.INCONCLUSIVE, limit=limit, **copied)


# Rates ------------------------------------------------------------------------------------------

#: Returns the rate of samples in which every case has a reply.
Rating = Callable[[Samples], MeanScore]


def sample_rate(samples: Samples) -> MeanScore:
    """Return the rate of samples in which every case has a reply."""
    return mean_score(samples.values, groups=samples.groups, weights=samples.weights)


def rate_figure(samples: Samples, rating: Rating = sample_rate, method: str = "counts") -> Figure:
    """Return the rate of the cases with a reply, by *rating*; of one case without an interval."""
    answered = samples.select(samples.has_reply)
    n, missing = len(answered), len(samples) - len(answered)
    if n < 2:  # noqa: PLR2004 - one case shows nothing about a population
        return Figure(unit="share", value=answered.mean, n=n, units=n, missing=missing)
    return replace(figure_of_score(rating(answered)), missing=missing, method=method)


def figure_of_score(score: MeanScore) -> Figure:
    """Return the rate *score* with its interval."""
    low, high = score_interval(score, CONFIDENCE)
    units = score.n if score.groups is None else score.groups
    return Figure(unit="share", value=score.rate, low=low, high=high, n=score.n, units=units)


# Amounts: prices, tokens, lengths ---------------------------------------------------------------


def mean_figure(
    samples: Samples, unit: str, *, flat: bool = False, most: float | None = None
) -> Figure:
    """Return the mean of amounts that are not negative.

    A *flat* price has no spread, so that its interval is one point. *most* is the largest amount
    that a case may have, or None if nothing limits it.
    """
    return _ratio(samples, None, unit, flat=flat, most=(most, 1.0) if most else None)


def price_figure(prices: Samples, bound: CostBound | None) -> Figure:
    """Return the mean of *prices*, of which the largest possible one is that of *bound*."""
    # A price that was seen above its bound is an error of the gate; its figure is shown.
    seen = float(prices.values[prices.has_reply].max(initial=0.0))
    most = max(bound.most, seen) if bound else None
    is_flat = bound is not None and bound.is_flat
    return mean_figure(prices, "usd", flat=is_flat or most == 0.0, most=most)


def rise_check(
    before: Samples, after: Samples, unit: str, limit: float, against: str, **known_of: Any
) -> Check:
    """Return a check of the relative rise of the mean over the cases with both values.

    It is not decided yet. The rise has no meaning, and no interval, where the mean before is 0. For
    what may be *known_of* the amounts see `_ratio`.
    """
    figure = _ratio(after, before, unit, **known_of).moved(lambda ratio: ratio - 1.0)
    known = before.has_reply & after.has_reply
    then, now = before.select(known).mean, after.select(known).mean
    means = {"before": then, "after": now, "rise": figure.value if then else None}
    return check_of_figure(figure, CheckKind.BASELINE, limit, against=against, **means)


def bounded_ratio(
    after: Samples, before: Samples | None, most: tuple[float, float]
) -> BoundedRatio:
    """Return the mean of *after*, or its ratio to that of *before*, over cases with all values.

    *most* are the largest values that a case may have, after and before.
    """
    from pytest_ftgate.stats.resampling import BoundedRatio

    known = after.has_reply if before is None else after.has_reply & before.has_reply
    after = after.select(known)
    below = np.ones(len(after)) if before is None else before.values[known]
    base = (1.0, 1.0) if before is None else (0.0, most[1])
    return BoundedRatio.of_cases(
        (after.values, below), after.case_weights, after.units, most[0], base
    )


def _ratio(
    after: Samples,
    before: Samples | None,
    unit: str,
    *,
    flat: bool = False,
    most: tuple[float, float] | None = None,
) -> Figure:
    """Return the mean of *after*, or the ratio to that of *before*, with its interval.

    *flat* prices have no spread. *most* are the largest amounts that a case may have, after and
    before, or None if nothing limits one of them.
    """
    known = after.has_reply if before is None else after.has_reply & before.has_reply
    shown, missing = after.select(known), int((~known).sum())
    weights, units = shown.case_weights, np.unique(shown.units).size
    above = shown.values * weights
    below = weights if before is None else before.values[known] * weights
    value = float(above.sum() / below.sum()) if below.sum() else 0.0
    bounds: tuple[float | None, float | None] = (None, None)
    if flat and below.sum():
        bounds = value, value
    elif most and below.sum():
        bounds = bounded_ratio(after, before, most).interval(CONFIDENCE)
    elif below.sum() and units >= MIN_CASES_FOR_COST:
        from pytest_ftgate.stats.resampling import ratio_interval

        bounds = ratio_interval(above, below, CONFIDENCE, shown.units)
    low, high = (None if bound == np.inf else bound for bound in bounds)
    return Figure(
        unit=unit, value=value, low=low, high=high, n=len(shown), units=units, missing=missing,
        method="bounded" if most else "t",
    )  # fmt: skip


def difference_figure(before: Samples, after: Samples, unit: str) -> Figure:
    """Return the difference of the means, *before* less *after*, over the same cases."""
    saved = replace(after, values=before.values - after.values)
    missing, saved = len(saved), saved.select(saved.has_reply)
    low, high, units = None, None, np.unique(saved.units).size
    if len(saved) and np.ptp(saved.values) == 0.0:
        low = high = saved.mean
    elif units >= MIN_CASES_FOR_COST:
        weights = saved.case_weights
        # Differences may be negative, so that no ratio has their interval.
        spread = saved.mean + (saved.values - saved.mean) * weights / weights.mean()
        from pytest_ftgate.stats.resampling import mean_interval

        low, high = mean_interval(spread, CONFIDENCE, saved.units)
    return Figure(
        unit=unit, value=saved.mean, low=low, high=high, n=len(saved), units=units,
        missing=missing - len(saved), method="t",
    )  # fmt: skip


def request_prices(
    scores: VariantScores, tariff: Tariff, cached: float = 0.0, batched: float = 0.0
) -> Samples:
    """Return the price of 1,000 requests in USD for each case; NaN without known usage.

    *cached* is the share of the input tokens that are supposed to come from the provider's cache,
    and *batched* the share of the requests in batches; by default prices are as measured.
    """

    def price(reply: Reply) -> float | None:
        if cached:
            reply = replace(reply, usage=_with_cached_share(reply.usage, cached))
        single = reply_price(tariff, reply)
        if single is None or not batched:
            return None if single is None else float(single)
        whole = reply_price(tariff, reply, batch=True) or single
        return float(single) * (1.0 - batched) + float(whole) * batched

    return _amounts(scores, case_means(scores, price, times=1000))


def _with_cached_share(usage: Mapping[str, int], share: float) -> Mapping[str, int]:
    """Return *usage* as if *share* of the input tokens came from the provider's cache."""
    input_tokens = sum(usage.get(key, 0) for key in INPUT_KINDS)
    cached = round(input_tokens * share)
    return {**usage, "input": input_tokens - cached, "cache_read": cached, "cache_write": 0}


def token_figure(scores: VariantScores) -> Figure:
    """Return the mean number of tokens of a request: input of all kinds, and output."""
    return mean_figure(_amounts(scores, case_means(scores, reply_tokens)), "tokens")


def reply_tokens(reply: Reply) -> int | None:
    """Return the tokens of a request: input of all kinds, and output; None if unknown."""
    return sum(reply.usage.get(kind, 0) for kind in (*INPUT_KINDS, "output")) or None


def _amounts(scores: VariantScores, values: FloatArray) -> Samples:
    return samples_from_values(scores, values).select(scores.facts.weights > 0)


def case_means(
    scores: VariantScores, value: Callable[[Reply], float | None], times: int = 1
) -> FloatArray:
    """Return *times* the mean of *value* over the replies of each case; NaN if it has none."""
    cases = [
        [known for reply in result.replies if (known := value(reply)) is not None]
        for result in scores.case_results
    ]
    means = [times * sum(case) / len(case) if case else np.nan for case in cases]
    return np.array(means, np.float64)


# Latency ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTimes:
    """The latencies of a variant's replies.

    Attributes:
        seconds: by case id, the seconds that each reply of the population took.
        groups: by case id, the group of the case, unique for a case without a group.
        replies: the number of all replies, cached ones included.
        missing: the errors of the failed requests.
    """

    variant: str
    seconds: Mapping[str, Sequence[float]]
    groups: Mapping[str, str]
    replies: int
    missing: tuple[str, ...] = ()
    population: Population = Population.THIS_RUN

    @property
    def measured(self) -> int:
        """The number of replies with a latency."""
        return sum(map(len, self.seconds.values()))

    @property
    def units(self) -> int:
        """The number of independent units (groups) with a latency."""
        return len({self.groups[case_id] for case_id in self.seconds})


def reply_times(
    variant: str,
    requests: Iterable[CaseRequest],
    replies: Mapping[str, Reply | FtgateError],
    fresh: Mapping[str, Reply],
) -> ReplyTimes:
    """Return the latencies of the replies to *requests* in this run.

    *replies* and *fresh* are by fingerprint: each reply or error, and the replies of this run.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    groups, count, missing = dict[str, str](), 0, list[str]()
    for case_request in requests:
        case, fingerprint = case_request.case, case_request.fingerprint
        reply = replies[fingerprint]
        count += isinstance(reply, Reply)
        missing += [str(reply)] if not isinstance(reply, Reply) else []
        if fingerprint in fresh:
            seconds[case.id].append(fresh[fingerprint].seconds)
            groups[case.id] = case.group or f"\0{case.id}"
    return ReplyTimes(
        variant=variant, seconds=seconds, groups=groups, replies=count, missing=tuple(missing)
    )


def known_times(scores: VariantScores, *, timed: bool) -> ReplyTimes:
    """Return the latencies of all replies, cached ones with the time that they took.

    Where a provider is *timed*, 0 seconds are an unknown time.
    """
    seconds = {
        case_id: [reply.seconds for reply in result.replies if reply.seconds or not timed]
        for case_id, result in scores.results.items()
    }
    return ReplyTimes(
        variant=scores.variant,
        seconds={case_id: times for case_id, times in seconds.items() if times},
        groups={key: row.case.group or f"\0{key}" for key, row in scores.results.items()},
        replies=len(scores.replies),
        missing=tuple(reason for row in scores.case_results for reason in row.missing_reasons),
        population=Population.ALL,
    )


def latency_figure(times: ReplyTimes, share: float) -> Figure:
    """Return the time in milliseconds within which *share* of the replies came."""
    values = 1000 * np.array([seconds for case in times.seconds.values() for seconds in case])
    return quantile_figure(times, values, share)


def quantile_figure(times: ReplyTimes, values: FloatArray, share: float) -> Figure:
    """Return a quantile of *values*, which come from *times*."""
    value, low, high = quantile_interval(values, share, times.units)
    return Figure(
        unit="ms", value=value, low=low, high=high, n=values.size, units=times.units,
        missing=len(times.missing), population=times.population, method="order",
    )  # fmt: skip


def quantile_interval(
    values: FloatArray, share: float, units: int
) -> tuple[float, float | None, float | None]:
    """Return a quantile of *values* and its exact 95 % interval, by order statistics.

    *share* is the quantile, 0 to 1, and *units* the number of independent values. A bound is None
    with too few values for it.
    """
    ranked, risk = np.sort(values), (1.0 - CONFIDENCE) / 2.0
    if not ranked.size:
        return 0.0, None, None
    # A bound at rank r (from 1) fails if fewer than r values lie below the true quantile.
    below = binomial_cdf(np.arange(float(units)), float(units), share)
    lower = int(np.count_nonzero(below <= risk))
    upper = int(np.count_nonzero(below < 1.0 - risk)) + 1
    ranks = [ceil(rank * ranked.size / units) for rank in (lower, upper)]
    low = float(ranked[ranks[0] - 1]) if lower else None
    high = float(ranked[ranks[1] - 1]) if upper <= units else None
    return float(np.quantile(ranked, share, method="inverted_cdf")), low, high
