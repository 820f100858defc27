"""The cost and the latency gate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from scipy.special import stdtrit

from pytest_ftgate.errors import FtgateError
from pytest_ftgate.gates.checks import UNCHANGED
from pytest_ftgate.gates.feasibility import fewest, fewest_for
from pytest_ftgate.gates.levels import CONFIDENCE, FEWEST_GROUPS, MOST_MISSING
from pytest_ftgate.gates.samples import Array, Side, aligned, unchanged, valued
from pytest_ftgate.gates.units import amount, counted, ms, rise, usd
from pytest_ftgate.gates.verdict import Check, Outcome, Verdict, together
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.scoring.scores import Column
from pytest_ftgate.stats.proportions import binomial_cdf
from pytest_ftgate.stats.resampling import clustered_se
from pytest_ftgate.suite.model import CostGate, LatencyGate, SpendGate, Suite
from pytest_ftgate.suite.prices import Tariff, price

__all__ = [
    "Times",
    "beside",
    "decided",
    "headline",
    "judge_cost",
    "judge_latency",
    "measure_cost",
    "measure_latency",
    "quantile",
    "times",
    "verdict_on",
]

_NOTHING = "nothing to compare with: it is the baseline"
_HOLDS = {Outcome.PASSED: "within", Outcome.FAILED: "over"}


def decided(low: float | None, high: float | None, limit: float) -> Outcome:
    """Hold an interval to a limit: passed where all of it is within, failed where none is."""
    if high is not None and high <= limit:
        return Outcome.PASSED
    return Outcome.FAILED if low is not None and low > limit else Outcome.INCONCLUSIVE


def verdict_on(
    suite: Suite, gate: SpendGate, variant: str, checks: tuple[Check, ...], notes: Iterable[str]
) -> Verdict:
    """Return what *checks* decide about a variant."""
    outcome, deciding = together(checks) if checks else (Outcome.PASSED, 0)
    check = checks[deciding] if checks else None
    own = (c.note for c in checks if c.note not in ("", UNCHANGED))
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant,
        outcome=outcome,
        headline=headline(check) if check else _NOTHING,
        checks=checks,
        deciding=deciding,
        notes=(*own, *notes),
        next=tuple(_next(outcome, check)),
    )


def beside(suite: Suite, gate: SpendGate, variant: str, check: Check, told: str) -> Verdict:
    """Return what an ungated variant takes: shown beside the others, judged by nobody."""
    return Verdict(
        suite=suite.name,
        line=gate.line,
        gate=gate.kind,
        variant=variant,
        outcome=Outcome.PASSED,
        headline=told,
        gated=False,
        checks=(replace(check, outcome=Outcome.PASSED),),
    )


def headline(check: Check) -> str:
    """Return what was seen and what was allowed, in one line."""
    after, what = amount(check.after, check.unit), _what(check)
    if check.before is None:
        order = _HOLDS.get(check.outcome, "perhaps over")
        return f"{what} {after}, {order} the limit of {amount(check.limit, check.unit)}"
    told = f"{what} {amount(check.before, check.unit)} → {after} against {check.against}"
    seen = "" if check.rise is None else f"{rise(check.rise)}, "
    return f"{told}, {seen}allowed {rise(check.limit)}"


def _what(check: Check) -> str:
    if check.unit == "usd":
        return "a thousand calls cost"
    return "95 in 100 replies take up to" if check.against == "p95" else "half of the replies take"


def _next(outcome: Outcome, check: Check | None) -> Iterator[str]:
    if check is None or outcome is Outcome.PASSED:
        return
    if outcome is Outcome.FAILED:
        yield "choose a smaller model or a shorter prompt, or raise the limit in a reviewed change"
    elif not check.informative:
        yield "declare a limit of its own, since the comparison cannot show anything"
    elif check.missing:
        yield "run again for the missing replies"
    elif check.needed:
        yield f"about {counted(check.needed, 'more case')} would settle it"
    else:
        yield "more cases are needed"


#: More cases than this to settle a verdict is nothing to advise.
_MOST_NEEDED = 20_000


def judge_cost(suite: Suite, gate: CostGate, column: Column, baseline: Column) -> Verdict:
    """Judge what the calls of a variant cost.

    Args:
        suite: the suite, for the prices of its variants.
        gate: the gate.
        column: the variant's replies.
        baseline: the baseline's; the same column where the variant is the baseline.
    """
    checks = tuple(_cost_checks(suite, gate, column, baseline))
    notes = _cost_notes(column, suite.variants[column.variant].tariff)
    return verdict_on(suite, gate, column.variant, checks, notes)


def measure_cost(suite: Suite, gate: CostGate, column: Column) -> Iterator[Verdict]:
    """Yield what an ungated variant costs, where its price is known."""
    check = _mean(column, suite.variants[column.variant].tariff, 0.0)
    if check.n:
        yield beside(suite, gate, column.variant, check, f"{usd(check.after)} a thousand calls")


def _mean(column: Column, tariff: Tariff, limit: float) -> Check:
    """Hold the mean price of a thousand calls, in USD, to *limit*."""
    mine = _side(column, tariff)
    known = mine.where(mine.known)
    check = _bounded(known.values, np.ones(len(known)), known, len(mine), flat=_flat(tariff))
    return _outcome(replace(check, against="mean", limit=limit, after=known.mean), len(mine))


def _cost_checks(suite: Suite, gate: CostGate, column: Column, baseline: Column) -> Iterator[Check]:
    tariff = suite.variants[column.variant].tariff
    if gate.max_usd_per_1k is not None:
        yield _mean(column, tariff, gate.max_usd_per_1k)
    if gate.max_rise is not None and column is not baseline:
        yield _cost_rise(suite, column, baseline, gate.max_rise)


def _cost_rise(suite: Suite, column: Column, baseline: Column, limit: float) -> Check:
    tariffs = [suite.variants[one.variant].tariff for one in (baseline, column)]
    before, after = aligned(_side(baseline, tariffs[0]), _side(column, tariffs[1]))
    known = before.known & after.known
    then, now = before.where(known), after.where(known)
    flat = all(_flat(tariff) for tariff in tariffs)
    check = _bounded(now.values, then.values, now, len(after), flat=flat)
    low, high = (None if one is None else one - 1.0 for one in (check.low, check.high))
    check = replace(
        check, against=baseline.variant, limit=limit, low=low, high=high,
        before=then.mean, after=now.mean, rise=now.mean / then.mean - 1.0 if then.mean else None,
    )  # fmt: skip
    if then.mean == 0.0 and len(then):
        note = f"{baseline.variant} costs nothing, so nothing can be told as a share of it"
        return replace(check, outcome=Outcome.INCONCLUSIVE, informative=False, note=note)
    if unchanged(before, after) and known.all():
        return replace(check, low=0.0, high=0.0, outcome=Outcome.PASSED, note=UNCHANGED)
    return _outcome(check, len(after))


def _side(column: Column, tariff: Tariff) -> Side:
    """Return the USD of a thousand calls by case; NaN where no reply tells what it took."""
    prices = [
        [float(one) for reply in row.replies if (one := price(tariff, reply.usage)) is not None]
        for row in column.rows.values()
    ]
    means = np.array([1000 * sum(own) / len(own) if own else np.nan for own in prices])
    return valued(column, means).where(column.weights > 0)


def _flat(tariff: Tariff) -> bool:
    return tariff.per_1k is not None


def _bounded(above: Array, below: Array, side: Side, cases: int, *, flat: bool) -> Check:
    """Bound the sum of *above* over that of *below*, by the spread that linearizing leaves.

    A flat price of a call has no spread: what a thousand calls cost is known, not estimated.
    """
    n, groups = len(side), np.arange(len(side)) if side.groups is None else side.groups
    units = np.unique(groups).size
    plain = Check(
        against="", outcome=Outcome.INCONCLUSIVE, limit=0.0, n=n, effective=units, after=0.0,
        missing=cases - n, unit="usd", method="t",
    )  # fmt: skip
    weights = np.ones(n) if side.weights is None else side.weights
    above, below = above * weights, below * weights
    if not n or not below.sum():
        return plain
    share = float(above.sum() / below.sum())
    if flat:
        return replace(plain, low=share, high=share)
    if units < FEWEST_GROUPS:
        what = "cases" if side.groups is None else "groups of related cases"
        return replace(plain, note=f"{units} {what}; at least {FEWEST_GROUPS} are needed")
    error = clustered_se((above - share * below) / below.mean(), groups)
    reach = float(stdtrit(units - 1.0, (1.0 + CONFIDENCE) / 2.0)) * error
    return replace(plain, low=share - reach, high=share + reach)


def _outcome(check: Check, cases: int) -> Check:
    # A flat price has no spread, and so is what it is however many replies are missing.
    if check.missing > MOST_MISSING * cases and check.low != check.high:
        return check
    check = replace(check, outcome=decided(check.low, check.high, check.limit))
    open_ = check.outcome is Outcome.INCONCLUSIVE
    return replace(check, needed=_more(check)) if open_ else check


def _more(check: Check) -> int | None:
    """Return how many further cases would settle it, if what was seen is the truth."""
    if check.low is None or check.high is None:
        return None
    seen, reach = (check.low + check.high) / 2.0, (check.high - check.low) / 2.0
    gap = abs(seen - check.limit)
    wanted = check.n * (reach / gap) ** 2 if gap else np.inf
    return ceil(wanted - check.n) if wanted < _MOST_NEEDED else None


def _cost_notes(column: Column, tariff: Tariff) -> Iterator[str]:
    replies = [reply for row in column.rows.values() for reply in row.replies]
    untold = sum(price(tariff, reply.usage) is None for reply in replies)
    if untold:
        yield f"{untold} of {len(replies)} replies do not tell their tokens, and so no price"
    if column.missing:
        first = column.missing[0].missing[0]
        yield f"no reply to {counted(len(column.missing), 'case')}; first: {first}"


_HALF, _MOST = 0.5, 0.95
_ASK_ANEW = "ask all of them anew to measure it: --ftgate-replies=fresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How long the replies of a variant took.

    Attributes:
        variant: whose they are.
        seconds: by case, of the replies that were asked in this run.
        groups: what each case belongs to, its own id where it stands for itself.
        came: replies in all.
        missing: why others did not come.
    """

    variant: str
    seconds: Mapping[str, Sequence[float]]
    groups: Mapping[str, str]
    came: int
    missing: tuple[str, ...] = ()

    @property
    def measured(self) -> int:
        """How many replies were asked in this run."""
        return sum(map(len, self.seconds.values()))

    @property
    def units(self) -> int:
        """How many unrelated cases they are of."""
        return len({self.groups[key] for key in self.seconds})


def times(
    variant: str,
    asks: Iterable[Ask],
    answers: Mapping[str, Reply | FtgateError],
    fresh: Mapping[str, Reply],
) -> Times:
    """Return how long the replies to *asks* took.

    Args:
        variant: whose they are.
        asks: the cases and their calls.
        answers: what became of the calls.
        fresh: the replies among them that were asked in this run.
    """
    seconds: dict[str, list[float]] = defaultdict(list)
    groups, came, missing = dict[str, str](), 0, list[str]()
    for ask in asks:
        answer = answers[ask.call.fingerprint]
        came += isinstance(answer, Reply)
        missing += [str(answer)] if not isinstance(answer, Reply) else []
        if ask.call.fingerprint in fresh:
            seconds[ask.case.id].append(fresh[ask.call.fingerprint].seconds)
            groups[ask.case.id] = ask.case.group or f"\0{ask.case.id}"
    told = tuple(missing)
    return Times(variant=variant, seconds=seconds, groups=groups, came=came, missing=told)


def judge_latency(
    suite: Suite, gate: LatencyGate, mine: Times, baseline: Times | None, flying: int
) -> Verdict:
    """Judge how long the replies of a variant took.

    Args:
        suite: the suite.
        gate: the gate.
        mine: the variant's times.
        baseline: those of the baseline; None where the variant is the baseline.
        flying: how many calls were in flight at once at most; 0 where another process asked.
    """
    least = fewest_for(gate)
    if mine.units < least and mine.measured < mine.came:
        return _not_measured(suite, gate, mine, least)
    checks = tuple(_latency_checks(gate, mine, baseline))
    if not checks and baseline is not None:
        return _not_measured(suite, gate, baseline, least, mine.variant)
    return verdict_on(
        suite, gate, mine.variant, checks, _latency_notes(gate, mine, baseline, flying)
    )


def measure_latency(suite: Suite, gate: LatencyGate, of: Times) -> Iterator[Verdict]:
    """Yield how long the replies of an ungated variant took, where they were asked in this run."""
    if of.measured:
        check = _held(of, "p95", _MOST, 0.0)
        median = _held(of, "p50", _HALF, 0.0).after
        yield beside(suite, gate, of.variant, check, f"p50 {ms(median)}, p95 {ms(check.after)}")


def _not_measured(
    suite: Suite, gate: LatencyGate, of: Times, least: int, variant: str = ""
) -> Verdict:
    """Pass without a word on speed: what was not measured can neither hold a limit nor break it."""
    told = f"{of.measured:,} of {of.came:,} replies of {of.variant} were asked in this run"
    told = f"not measured: {told}, and it takes {least} cases; {_ASK_ANEW}"
    plain = verdict_on(suite, gate, variant or of.variant, (), [told])
    return replace(plain, headline=told.partition(";")[0])


def _latency_checks(gate: LatencyGate, mine: Times, baseline: Times | None) -> Iterator[Check]:
    for name, share, limit in (("p50", _HALF, gate.max_p50_ms), ("p95", _MOST, gate.max_p95_ms)):
        if limit is not None:
            yield _held(mine, name, share, limit)
    if gate.max_rise is not None and baseline is not None:
        both = [key for key in mine.seconds if key in baseline.seconds]
        if len({mine.groups[key] for key in both}) >= fewest(_HALF):
            yield _latency_rise(mine, baseline, both, gate.max_rise)


def _held(mine: Times, name: str, share: float, limit: float) -> Check:
    values = 1000 * np.array([one for own in mine.seconds.values() for one in own])
    return _decided(mine, values, share, Check(
        against=name, outcome=Outcome.INCONCLUSIVE, limit=limit, n=values.size, after=0.0,
    ))  # fmt: skip


def _latency_rise(mine: Times, baseline: Times, both: Sequence[str], limit: float) -> Check:
    """Compare case by case: a median of ratios needs no two cases to be alike."""
    then, now = (
        1000 * np.array([np.mean(one.seconds[key]) for key in both]) for one in (baseline, mine)
    )
    shared = replace(mine, seconds={key: mine.seconds[key] for key in both})
    check = _decided(shared, now / np.maximum(then, 1e-9) - 1.0, _HALF, Check(
        against=baseline.variant, outcome=Outcome.INCONCLUSIVE, limit=limit, n=len(both), after=0.0,
    ))  # fmt: skip
    before, after = float(np.median(then)), float(np.median(now))
    return replace(check, rise=check.after, before=before, after=after)


def _decided(of: Times, values: Array, share: float, check: Check) -> Check:
    seen, low, high = quantile(values, share, of.units)
    gone = len(of.missing)
    outcome = decided(low, high, check.limit)
    if gone > MOST_MISSING * (of.came + gone):
        outcome = Outcome.INCONCLUSIVE
    return replace(
        check, outcome=outcome, after=seen, low=low, high=high, effective=of.units,
        missing=gone, unit="ms", method="order",
    )  # fmt: skip


def quantile(values: Array, share: float, units: int) -> tuple[float, float | None, float | None]:
    """Return a quantile of *values* and its exact 95 % interval, by order statistics.

    Args:
        values: what was measured, at least one.
        share: which quantile, 0.5 for the median.
        units: how many of the values count as independent.

    Returns:
        the quantile, and its bounds, None where so few values do not bound it.
    """
    ranked, risk = np.sort(values), (1.0 - CONFIDENCE) / 2.0
    if not ranked.size:
        return 0.0, None, None
    # At the rank r from 1 a bound fails where fewer than r values lie below the true quantile.
    below = binomial_cdf(np.arange(units, dtype=np.float64), float(units), share)
    lower = int(np.count_nonzero(below <= risk))
    upper = int(np.count_nonzero(below < 1.0 - risk)) + 1
    ranks = [ceil(rank * ranked.size / units) for rank in (lower, upper)]
    low = float(ranked[ranks[0] - 1]) if lower else None
    high = float(ranked[ranks[1] - 1]) if upper <= units else None
    return float(np.quantile(ranked, share, method="inverted_cdf")), low, high


def _latency_notes(
    gate: LatencyGate, mine: Times, baseline: Times | None, flying: int
) -> Iterator[str]:
    if mine.measured < mine.came:
        yield f"{mine.came - mine.measured:,} of {mine.came:,} replies were not asked in this run"
    if gate.max_rise is not None and baseline is not None and baseline.measured < baseline.came:
        told = f"{baseline.came - baseline.measured:,} of {baseline.came:,} replies"
        yield f"{told} of {baseline.variant} were not asked in this run; {_ASK_ANEW}"
    if mine.missing:
        yield f"no reply to {len(mine.missing)} calls; first: {mine.missing[0]}"
    if mine.measured and flying:
        yield f"measured with up to {flying} call{'s' * (flying != 1)} in flight at once"
    elif mine.measured:
        yield "measured by another worker of this run"
